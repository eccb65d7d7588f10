//go:build amd64 || arm64

package metalsim

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
)

// compilerVariable chooses the clang++ that builds the simulator and compiles kernels.
const compilerVariable = "METALSIM_CLANG"

// target is the machine of this process. An emulated process runs the compiler of the machine that it is emulated on.
var target = "--target=" + map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH] + "-linux-gnu"

// compileFlags build every C++ file; those that run for each memory access or barrier of a kernel are optimised more.
var (
	compileFlags = []string{target, "-std=c++20", "-O1", "-fPIC", "-fvisibility=hidden"}
	hotFiles     = map[string]bool{"engine/check.cpp": true, "engine/schedule.cpp": true}
)

var build = sync.OnceValues(buildLibrary)

// Build returns the path of libmetalsim.so, which it compiles if need be (half a minute) and keeps in the user's cache
// folder under a name made of the sources' contents. Processes that build at the same time wait for one another. It
// needs the Debian packages listed in [Packages].
func Build() (string, error) { return build() }

func buildLibrary() (string, error) {
	compiler, version, err := findCompiler()
	if err != nil {
		return "", err
	}
	files, err := sourceFiles()
	if err != nil {
		return "", err
	}
	root, err := cacheRoot()
	if err != nil {
		return "", err
	}
	all := sha256.New()
	headers := sha256.New()
	fmt.Fprintln(all, version, compileFlags)
	fmt.Fprintln(headers, version, compileFlags)
	for _, f := range files {
		fmt.Fprintf(all, "%s %d\n%s", f.name, len(f.text), f.text)
		if strings.HasSuffix(f.name, ".h") && !strings.Contains(f.name, "/msl/") || strings.HasSuffix(f.name, "msl/abi.h") {
			fmt.Fprintf(headers, "%s %d\n%s", f.name, len(f.text), f.text)
		}
	}
	dir := filepath.Join(root, hex.EncodeToString(all.Sum(nil)[:12]))
	library := filepath.Join(dir, "libmetalsim.so")
	if exists(library) {
		return library, nil
	}
	unlock, err := lock(filepath.Join(root, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if exists(library) {
		return library, nil
	}
	temporary, err := os.MkdirTemp(root, "build-")
	if err != nil {
		return "", fmt.Errorf("metalsim: %w", err)
	}
	defer os.RemoveAll(temporary)
	if err := extract(temporary, files); err != nil {
		return "", err
	}
	objects, err := compileAll(compiler, filepath.Join(root, "objects"), temporary, files, headers.Sum(nil))
	if err != nil {
		return "", err
	}
	// The C library's mathematical functions are linked whether or not the simulator itself calls them: kernels do.
	args := append([]string{target, "-shared", "-o", filepath.Join(temporary, "libmetalsim.so")}, objects...)
	args = append(args, "-Wl,--no-as-needed", "-lm", "-ldl", "-lpthread", "-Wl,-z,defs", "-Wl,-z,nodelete")
	if err := runCompiler(compiler, args...); err != nil {
		return "", err
	}
	// A folder without the library can only be what an interrupted clean-up left.
	if err := os.RemoveAll(dir); err != nil {
		return "", fmt.Errorf("metalsim: %w", err)
	}
	if err := os.Rename(temporary, dir); err != nil {
		return "", fmt.Errorf("metalsim: %w", err)
	}
	return library, nil
}

type sourceFile struct {
	name string
	text []byte
}

func sourceFiles() ([]sourceFile, error) {
	var files []sourceFile
	err := fs.WalkDir(sources, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := sources.ReadFile(path)
		files = append(files, sourceFile{path, text})
		return err
	})
	return files, err
}

// extract writes the sources, and the Metal headers once more beside the library, where it looks for them.
func extract(dir string, files []sourceFile) error {
	for _, f := range files {
		places := []string{filepath.Join(dir, f.name)}
		if header, ok := strings.CutPrefix(f.name, "engine/msl/"); ok {
			places = append(places, filepath.Join(dir, "msl", header))
		}
		for _, p := range places {
			if err := os.MkdirAll(filepath.Dir(p), 0o777); err != nil {
				return fmt.Errorf("metalsim: %w", err)
			}
			if err := os.WriteFile(p, f.text, 0o666); err != nil {
				return fmt.Errorf("metalsim: %w", err)
			}
		}
	}
	return nil
}

// compileAll compiles what has changed since any earlier build, and returns the object files.
func compileAll(compiler, cache, dir string, files []sourceFile, headers []byte) ([]string, error) {
	if err := os.MkdirAll(cache, 0o777); err != nil {
		return nil, fmt.Errorf("metalsim: %w", err)
	}
	var objects []string
	var failures []error
	var mutex sync.Mutex
	var group sync.WaitGroup
	slots := make(chan struct{}, runtime.NumCPU())
	for _, f := range files {
		if !strings.HasSuffix(f.name, ".cpp") {
			continue
		}
		key := sha256.Sum256(append(append([]byte(f.name+"\n"), headers...), f.text...))
		object := filepath.Join(cache, hex.EncodeToString(key[:12])+".o")
		objects = append(objects, object)
		if exists(object) {
			continue
		}
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			part := filepath.Join(dir, strings.ReplaceAll(f.name, "/", "-")+".o")
			args := append(append([]string{}, compileFlags...), "-c", filepath.Join(dir, f.name), "-o", part)
			if hotFiles[f.name] {
				args = append(args, "-O2")
			}
			err := runCompiler(compiler, args...)
			if err == nil {
				err = os.Rename(part, object)
			}
			if err != nil {
				mutex.Lock()
				defer mutex.Unlock()
				failures = append(failures, err)
			}
		})
	}
	group.Wait()
	return objects, errors.Join(failures...)
}

func runCompiler(compiler string, args ...string) error {
	if out, err := exec.CommandContext(context.Background(), compiler, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("metalsim: %s: %w\n%s", compiler, err, out)
	}
	return nil
}

func findCompiler() (path, version string, err error) {
	names := []string{"clang++-19"}
	if chosen := os.Getenv(compilerVariable); chosen != "" {
		names = []string{chosen}
	}
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		out, err := exec.CommandContext(context.Background(), path, "--version").Output()
		if err != nil {
			continue
		}
		return path, string(out), nil
	}
	return "", "", fmt.Errorf("metalsim: no clang++ found (%s): install %s, or set %s", strings.Join(names, ", "),
		strings.Join(strings.Fields(Packages), " "), compilerVariable)
}

func cacheRoot() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	root := filepath.Join(base, "metalsim")
	if err := os.MkdirAll(root, 0o777); err != nil {
		return "", fmt.Errorf("metalsim: %w", err)
	}
	return root, nil
}

// lock waits for the lock file's other holders.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, fmt.Errorf("metalsim: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("metalsim: %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
