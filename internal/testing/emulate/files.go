//go:build linux && amd64

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// job is what the first process is to do; it finds it in a file.
type job struct {
	Args, Env []string
	Dir       string
}

const (
	jobFile     = "/job.json"
	programFile = "/program"
)

// pack returns the first file system: this program as the first process, the
// program to run, what it is to do, and the testdata of the current folder, which
// keeps its name inside.
func pack(program string, args []string) ([]byte, error) {
	here, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	todo := job{Dir: here}
	for _, arg := range args {
		// For go test's cache, a list of the files that a test opened: the place
		// for it is not inside, and the cache is not to keep what ran there.
		if !strings.HasPrefix(arg, "-test.testlogfile=") {
			todo.Args = append(todo.Args, arg)
		}
	}
	for _, pair := range os.Environ() {
		if strings.HasPrefix(pair, "GO") || strings.HasPrefix(pair, "RAPID") {
			todo.Env = append(todo.Env, pair)
		}
	}
	text, err := json.Marshal(todo)
	if err != nil {
		return nil, err
	}
	a := archive{folders: map[string]bool{"/": true}}
	a.file(jobFile, text)
	for _, name := range []string{here, "/dev", "/proc", "/sys", "/tmp"} {
		a.folder(name)
	}
	for _, f := range [][2]string{{"/init", "/proc/self/exe"}, {programFile, program}} {
		data, err := os.ReadFile(f[1])
		if err != nil {
			return nil, err
		}
		a.file(f[0], data)
	}
	root := filepath.Join(here, "testdata")
	err = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case name == root && errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case entry.IsDir():
			a.folder(name)
			return nil
		}
		data, err := os.ReadFile(name)
		a.file(name, data)
		return err
	})
	a.add("/TRAILER!!!", 0, nil)
	return a.data, err
}

// archive is in the "newc" format of cpio.
type archive struct {
	data    []byte
	folders map[string]bool
}

func (a *archive) folder(name string) {
	if !a.folders[name] {
		a.folders[name] = true
		a.folder(filepath.Dir(name))
		a.add(name, syscall.S_IFDIR|0o777, nil)
	}
}

func (a *archive) file(name string, data []byte) { a.add(name, syscall.S_IFREG|0o755, data) }

func (a *archive) add(name string, mode int, data []byte) {
	name = name[1:]
	a.data = fmt.Appendf(a.data, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		len(a.data), mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name)
	a.data = append(a.data, make([]byte, -len(a.data)&3)...)
	a.data = append(a.data, data...)
	a.data = append(a.data, make([]byte, -len(a.data)&3)...)
}
