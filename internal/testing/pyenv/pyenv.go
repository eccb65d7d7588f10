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
	version := run(t, system, "-c", "import sys; print(sys.version)")
	pip := pythonOf(Keep(t, version+"\npip", func(venv string) { run(t, system, "-m", "venv", venv) }))
	return pythonOf(Keep(t, version+"\n"+strings.Join(packages, " "), func(venv string) {
		run(t, system, "-m", "venv", "--without-pip", venv)
		site := strings.TrimSpace(run(t, pythonOf(venv), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"))
		run(t, pip, append([]string{"-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check", "--target", site}, packages...)...)
	}))
}

func pythonOf(venv string) string {
	if runtime.GOOS == "windows" {
		return filepath.Join(venv, "Scripts", "python.exe")
	}
	return filepath.Join(venv, "bin", "python")
}

// Keep returns the folder of the user's cache that has this key, which fill fills
// where it is not there yet. Whoever has it complete first, of several processes, has
// filled it for all.
func Keep(t testing.TB, key string, fill func(dir string)) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	cache = filepath.Join(cache, "openelm-tests")
	hash := sha256.Sum256([]byte(key))
	place := filepath.Join(cache, hex.EncodeToString(hash[:8]))
	if _, err := os.Stat(place); err == nil {
		return place
	}
	if err := os.MkdirAll(cache, 0o777); err != nil {
		t.Fatal(err)
	}
	temp, err := os.MkdirTemp(cache, "new-*")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(temp)
	fill(temp)
	if err := os.Rename(temp, place); err != nil {
		if _, there := os.Stat(place); there != nil {
			t.Fatal(err)
		}
	}
	return place
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("this test needs Python 3 with venv and pip, and a package index: %s %s: %v\n%s", name, strings.Join(args, " "), err, output)
	}
	return string(output)
}
