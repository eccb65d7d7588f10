package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/story"
)

// TestArchive builds the archive, links a program of C with it and runs that.
func TestArchive(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs a C compiler, which Windows has not of itself")
	}
	// The Go command repeats a test when a file changes that it has opened itself.
	sources, err := filepath.Glob("*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(sources, "testdata/main.c") {
		if _, err := os.ReadFile(name); err != nil && name != "testdata" {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	archive, program := filepath.Join(dir, "libopenelm.a"), filepath.Join(dir, "program")
	command(t, "go", "build", "-buildmode=c-archive", "-o", archive, ".")
	link := []string{"-std=c99", "-Wall", "-Wextra", "-Werror", "-o", program, "testdata/main.c", "-I.", archive, "-lpthread"}
	if runtime.GOOS == "darwin" {
		link = append(link, "-framework", "CoreFoundation", "-framework", "Security", "-lresolv")
	}
	command(t, "cc", link...)
	// Programs of C++ and Swift read the same header.
	command(t, "c++", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", "c++", "openelm.h")

	model := filepath.Join(dir, "model")
	if err := os.CopyFS(model, story.FS()); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(command(t, program, model), "\n")
	m, err := story.Open(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	tell := func(tokens int) (text string) {
		for token, err := range m.Generate(t.Context(), "Once upon a time", &openelm.GenerateOptions{MaxTokens: tokens}) {
			if err != nil {
				t.Fatal(err)
			}
			text += token.Text
		}
		return text
	}
	long := tell(30)
	want := append(append(strings.Split(long, "\n"), tell(3)), append(strings.Split(long, "\n"), "")...)
	if strings.Join(lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("the program of C tells\n%q\nwant\n%q", lines, want)
	}
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, errs.String())
	}
	return string(out)
}
