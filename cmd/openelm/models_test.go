package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/internal/testing/hubtest"
	"github.com/go-openelm/go-openelm/loader/hub"
	"github.com/go-openelm/go-openelm/story"
)

func TestModels(t *testing.T) {
	server := hubtest.New(t, hubtest.Repo{ID: "org/story", Files: story.FS()})
	home := t.TempDir()
	t.Setenv("HF_HOME", home)
	t.Setenv("HF_ENDPOINT", server.URL)
	for _, name := range []string{"HF_HUB_CACHE", "HF_TOKEN", "HF_HUB_OFFLINE", "HF_TOKEN_PATH"} {
		t.Setenv(name, "")
	}
	if out, errs, err := try(t, "", "models", "list"); err != nil || out != "" || !strings.Contains(errs, "no models") {
		t.Errorf("of nothing: %q, %q, %v", out, errs, err)
	}
	if out := mustRun(t, "", "models", "pull", "-q", "org/story"); !strings.Contains(out, "org/story: 8.1 MiB of weights") {
		t.Errorf("pull says %q", out)
	}
	server.Close()
	if out := mustRun(t, "", "generate", "-q", "-m", "org/story", "-t", "0", "-n", "8"); !strings.HasPrefix(tale, strings.TrimSuffix(out, "\n")) {
		t.Errorf("offline it tells %q", out)
	}
	if out := mustRun(t, "", "models", "list"); !strings.Contains(out, "org/story") || !strings.Contains(out, "main") || !strings.Contains(out, "4 files") {
		t.Errorf("list says\n%s", out)
	}
	if out := mustRun(t, "", "models", "verify", "-q"); !strings.Contains(out, "org/story: 4 files, 8.2 MiB, 0 damaged") {
		t.Errorf("verify says %q", out)
	}
	blobs := filepath.Join(home, "hub", "models--org--story", "blobs")
	entries, err := os.ReadDir(blobs)
	if err != nil || len(entries) != 4 {
		t.Fatalf("%v, %v", entries, err)
	}
	if err := os.WriteFile(filepath.Join(blobs, entries[0].Name()), []byte("damage"), 0o666); err != nil {
		t.Fatal(err)
	}
	if out, _, err := try(t, "", "models", "verify", "-q", "org/story"); !errors.Is(err, errDamaged) || !strings.Contains(out, "1 damaged") {
		t.Errorf("of damage verify says %q, %v", out, err)
	}
	if out := mustRun(t, "", "models", "rm", "--dry-run", "org/story"); !strings.Contains(out, "would free") {
		t.Errorf("rm says %q", out)
	}
	for _, c := range []struct {
		args []string
		want string
		is   error
	}{
		{[]string{"rm"}, "names of models", nil},
		{[]string{"pull"}, "names of models", nil},
		{[]string{"list", "x"}, "takes no arguments", nil},
		{[]string{"lsit"}, "list, pull, rm and verify", nil},
		{[]string{"list", "--model", "x"}, "no use for --model", nil},
		{[]string{"verify", "--threads", "1"}, "no use for --threads", nil},
		{[]string{"rm", "org/story", "org/other"}, "org/other", hub.ErrNotCached},
		{[]string{"rm", "../.."}, "..", hub.ErrInvalidName},
		{[]string{"verify", "org/other"}, "org/other", hub.ErrNotCached},
		{[]string{"rm", "org/story@v2"}, "v2", hub.ErrNotCached},
	} {
		out, _, err := try(t, "", append([]string{"models"}, c.args...)...)
		if err == nil || out != "" || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%q: %v, printed %q", c.args, err, out)
		}
	}
	if out := mustRun(t, "", "models", "rm", "org/story"); !strings.Contains(out, "freed") {
		t.Errorf("rm says %q", out)
	}
	if out := mustRun(t, "", "models", "list", "-q"); out != "" {
		t.Errorf("after rm there is %q", out)
	}
	if help := mustRun(t, "", "models", "rm", "--help"); strings.Contains(help, "--model ") || !strings.Contains(help, "--quiet") {
		t.Errorf("help says\n%s", help)
	}
}
