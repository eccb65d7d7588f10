// Package pyenv makes Python environments for tests that compare with packages of
// the package index. They are kept in the user's cache: only the first run of a
// machine installs anything.
package pyenv

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// New returns the Python of an environment with packages, each with its version:
// "gguf==0.19.0". It needs Python 3 with venv and, the first time, the index.
func New(t testing.TB, packages ...string) (program string) {
	t.Helper()
	system := "python3"
	if runtime.GOOS == "windows" {
		system = "python"
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	c := &cached{t, filepath.Join(cache, "openelm-tests"), run(t, system, "-c", "import sys; print(sys.version)")}
	pip := c.environment("pip", func(venv string) { run(t, system, "-m", "venv", venv) })
	return c.environment(strings.Join(packages, " "), func(venv string) {
		run(t, system, "-m", "venv", "--without-pip", venv)
		site := strings.TrimSpace(run(t, pythonOf(venv), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"))
		run(t, pip, append([]string{"-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check", "--target", site}, packages...)...)
	})
}

func pythonOf(venv string) string {
	if runtime.GOOS == "windows" {
		return filepath.Join(venv, "Scripts", "python.exe")
	}
	return filepath.Join(venv, "bin", "python")
}

// cached is the environments of one Python.
type cached struct {
	testing.TB
	dir, version string
}

// environment returns the Python of the environment that make makes. Whoever has
// it complete first, of several processes, has made it for all.
func (c *cached) environment(key string, make func(venv string)) string {
	c.Helper()
	hash := sha256.Sum256([]byte(c.version + "\n" + key))
	place := filepath.Join(c.dir, hex.EncodeToString(hash[:8]))
	if _, err := os.Stat(place); err == nil {
		return pythonOf(place)
	}
	if err := os.MkdirAll(c.dir, 0o777); err != nil {
		c.Fatal(err)
	}
	temp, err := os.MkdirTemp(c.dir, "new-*")
	if err != nil {
		c.Fatal(err)
	}
	defer os.RemoveAll(temp)
	make(temp)
	if err := os.Rename(temp, place); err != nil {
		if _, there := os.Stat(place); there != nil {
			c.Fatal(err)
		}
	}
	return pythonOf(place)
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("this test needs Python 3 with venv and pip, and a package index: %s %s: %v\n%s", name, strings.Join(args, " "), err, output)
	}
	return string(output)
}
