package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/bundle"
)

func TestInstall(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "Applications")
	program := filepath.Join(dir, "OpenELM.app", "Contents", "MacOS", "OpenELM")
	if err := run(t.Context(), []string{"install", dir}); err != nil {
		t.Fatal(err)
	}
	own, err := os.Stat(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(program); err != nil || runtime.GOOS != "darwin" && info.Size() != own.Size() {
		t.Errorf("the application's program is not this one: %v", err)
	}
	if err := run(t.Context(), []string{"uninstall", dir}); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(program); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, bundle.Folder), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"uninstall", t.TempDir()}, {"uninstall", dir}, {"install", dir}, {"install", "a", "b"}, {"install", "-x"}, {"install", ""}, {"remove"}} {
		if err := run(t.Context(), args); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
	if runtime.GOOS != "darwin" {
		if err := run(t.Context(), []string{"install"}); err == nil {
			t.Error("without a folder: no error")
		}
	}
}
