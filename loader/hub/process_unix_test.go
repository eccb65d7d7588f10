//go:build !windows

package hub_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/go-openelm/go-openelm/internal/testing/hubtest"
)

const (
	fileLimit = 300_000 // bytes of a file, in a process that is restricted so
	nobody    = 65534
)

// restrict takes something away from this process.
func restrict(how string) error {
	switch how {
	case "none":
		return nil
	case "file-size":
		return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: fileLimit, Max: fileLimit})
	case "not-root":
		if os.Getuid() != 0 {
			return nil
		}
		return syscall.Setuid(nobody)
	}
	return fmt.Errorf("unknown restriction %q", how)
}

// A process that cannot write more says so, and the next one continues.
func TestDiskFull(t *testing.T) {
	srv := hubtest.New(t, served())
	c := newClient(t, srv)
	output, err := helperCommand(t, "file-size", srv, c, "model.safetensors").Output()
	if _, failed := err.(*exec.ExitError); !failed {
		t.Fatalf("%v: %s", err, output)
	}
	for _, want := range []string{testID, "model.safetensors", "disk", c.CacheDir, "full", "HF_HUB_CACHE"} {
		if !strings.Contains(string(output), want) {
			t.Errorf("%q does not contain %q", output, want)
		}
	}
	checkNothingVisible(t, c)
	srv.Requests()
	checkContents(t, mustFile(t, c, testRepo, "model.safetensors"), weights)
	if got := ranges(srv.Requests()); len(got) != 1 || got[0] != fmt.Sprintf("bytes=%d-", fileLimit) {
		t.Errorf("ranges %q", got)
	}
}

// A cache of somebody else's can be read, and an error says why it cannot be written.
func TestReadOnlyCache(t *testing.T) {
	srv := hubtest.New(t, served())
	c := newClient(t, srv)
	want := mustFile(t, c, testRepo, "config.json")
	// t.TempDir is for its owner alone.
	if err := os.Chmod(filepath.Dir(c.CacheDir), 0o755); err != nil {
		t.Fatal(err)
	}
	setMode(t, c.CacheDir, 0o555)
	t.Cleanup(func() { setMode(t, c.CacheDir, 0o755) })

	output, err := helperCommand(t, "not-root", srv, c, "config.json").Output()
	if err != nil || strings.TrimSpace(string(output)) != want {
		t.Errorf("cached file: %s (%v)", output, err)
	}
	output, err = helperCommand(t, "not-root", srv, c, "model.safetensors").Output()
	if _, failed := err.(*exec.ExitError); !failed {
		t.Fatalf("%v: %s", err, output)
	}
	for _, want := range []string{testID, "model.safetensors", c.CacheDir, "cannot be written to", "HF_HUB_CACHE"} {
		if !strings.Contains(string(output), want) {
			t.Errorf("%q does not contain %q", output, want)
		}
	}
}

func setMode(t *testing.T, dir string, mode os.FileMode) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(path, mode)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
