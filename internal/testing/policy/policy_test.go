// Package policy holds the repository to its own rules, so that they need no
// page that nobody reads.
package policy

import (
	"compress/flate"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "github.com/go-openelm/go-openelm/"
	root   = "../../.."
	// harnesses is where packages for tests only lie.
	harnesses = "internal/testing/"
)

// allowed says what the core packages may import besides the standard library
// and packages below themselves: imports point one way.
var allowed = map[string][]string{
	"internal/objc":    {"github.com/ebitengine/purego"},
	"metal":            {"internal/objc"},
	"kernels":          {},
	"kernels/cpu":      {"kernels", "golang.org/x/sys"},
	"kernels/gpu":      {"kernels", "metal"},
	"openelm":          {"kernels"},
	"chat":             {"openelm"},
	"schema":           {"openelm", "internal"},
	"loader":           {"openelm", "kernels", "kernels/cpu", "internal", "golang.org/x/sys"},
	"loader/tokenizer": {},
	"loader/hub":       {"internal", "golang.org/x/sys"},
	"story":            {"loader", "openelm"},
	"internal/device":  {"kernels", "kernels/cpu", "kernels/gpu", "internal"},
	// Not of the core, which must not import it: it has a dependency that the
	// library's users should not compile.
	"server": {"openelm", "chat", "schema", "kernels", "loader", "loader/tokenizer", "internal", "github.com/prometheus/client_golang"},
}

// darwinOnly are imports that only files for Apple's systems may add.
var darwinOnly = map[string][]string{"loader": {"internal/device"}}

// owner is the entry of allowed that a folder falls under.
func owner(dir string) string {
	for ; dir != "."; dir = path.Dir(dir) {
		if _, ok := allowed[dir]; ok {
			return dir
		}
	}
	return ""
}

func goFiles(t *testing.T, visit func(name string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); base == "testdata" || base != ".." && strings.HasPrefix(base, ".") {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil && name != root {
				return filepath.SkipDir // a module of its own
			}
			return nil
		}
		if strings.HasSuffix(name, ".go") {
			rel, err := filepath.Rel(root, name)
			if err != nil {
				return err
			}
			visit(filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestImports looks at every file, whatever its platform.
func TestImports(t *testing.T) {
	seen := map[string]bool{}
	goFiles(t, func(name string) {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, parser.ImportsOnly)
		if err != nil {
			t.Error(err)
			return
		}
		own := owner(path.Dir(name))
		seen[own] = true
		for _, spec := range f.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Error(err)
				continue
			}
			if imported == "C" {
				t.Errorf("%s uses cgo", name)
			}
			if strings.HasSuffix(name, "_test.go") || !strings.Contains(strings.Split(imported, "/")[0], ".") {
				continue
			}
			imported = strings.TrimPrefix(imported, module)
			if strings.HasPrefix(imported, harnesses) && !strings.HasPrefix(name, harnesses) {
				t.Errorf("%s imports %s, which is for tests", name, imported)
			}
			if own == "" {
				continue
			}
			may := append([]string{own}, allowed[own]...)
			if strings.HasSuffix(name, "_darwin.go") {
				may = append(may, darwinOnly[own]...)
			}
			if !slices.ContainsFunc(may, func(prefix string) bool {
				return imported == prefix || strings.HasPrefix(imported, prefix+"/") && (prefix == own || allowed[imported] == nil)
			}) {
				t.Errorf("%s imports %s; %s may import %v", name, imported, own, may)
			}
		}
	})
	for dir := range allowed {
		if !seen[dir] {
			t.Errorf("the rules name %s, which has no Go files", dir)
		}
	}
}

// TestPackageDocs wants every package to say what it is for.
func TestPackageDocs(t *testing.T) {
	docs := map[string]bool{}
	goFiles(t, func(name string) {
		dir := path.Dir(name)
		if strings.HasSuffix(name, "_test.go") {
			return
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Error(err)
			return
		}
		docs[dir] = docs[dir] || f.Doc != nil
	})
	for dir, ok := range docs {
		if !ok {
			t.Errorf("package %s has no package comment", dir)
		}
	}
}

// TestModuleSize bounds what a program that imports the library downloads: all
// files of the repository but those of modules inside, as a zip holds them.
func TestModuleSize(t *testing.T) {
	const limit = 10_000_000
	out, err := exec.Command("git", "-C", root, "ls-files", "-z").Output()
	if err != nil {
		t.Fatal(err)
	}
	files := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	nested := map[string]bool{} // folders of modules inside
	for _, name := range files {
		if dir := path.Dir(name); path.Base(name) == "go.mod" && dir != "." {
			nested[dir] = true
		}
	}
	var size counter
	for _, name := range files {
		dir := path.Dir(name)
		for dir != "." && !nested[dir] {
			dir = path.Dir(dir)
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if dir != "." || err != nil {
			continue // the file may have been removed since the last commit
		}
		z, err := flate.NewWriter(&size, flate.DefaultCompression)
		if err == nil {
			_, err = z.Write(text)
		}
		if err == nil {
			err = z.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d bytes", size)
	if size == 0 || size > limit {
		t.Errorf("the module has %d bytes, at most %d are wanted", size, limit)
	}
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
