package hub_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/go-openelm/go-openelm/internal/testing/hubtest"
	"github.com/go-openelm/go-openelm/loader/hub"
)

// twoRevisions is a cache with two revisions that share all files but one.
func twoRevisions(t *testing.T) (c *hub.Client, first, second string) {
	t.Helper()
	srv := hubtest.New(t)
	first = srv.Push(t, served())
	c = newClient(t, srv)
	if _, err := c.Snapshot(t.Context(), testRepo); err != nil {
		t.Fatal(err)
	}
	changed := files()
	changed["config.json"] = &fstest.MapFile{Data: []byte("second")}
	second = srv.Push(t, hubtest.Repo{ID: testID, Files: changed})
	if _, err := c.Snapshot(t.Context(), testRepo); err != nil {
		t.Fatal(err)
	}
	return c, first, second
}

func mustCached(t *testing.T, c *hub.Client) []hub.CachedRepo {
	t.Helper()
	list, err := c.Cached()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestCached(t *testing.T) {
	if list := mustCached(t, &hub.Client{CacheDir: filepath.Join(t.TempDir(), "none")}); len(list) != 0 {
		t.Errorf("of nothing: %v", list)
	}
	c, first, second := twoRevisions(t)
	for _, other := range []string{"datasets--a--b", "models--..--x", "file"} { // not ours
		if err := os.MkdirAll(filepath.Join(c.CacheDir, other), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	list := mustCached(t, c)
	if len(list) != 1 || list[0].Repo != testRepo || len(list[0].Revisions) != 2 {
		t.Fatalf("%+v", list)
	}
	for _, v := range list[0].Revisions {
		size, refs := int64(len(weights)+24+6), []string(nil)
		if v.Commit == second {
			size, refs = int64(len(weights)+6+6), []string{"main"}
		} else if v.Commit != first {
			t.Errorf("commit %s", v.Commit)
		}
		if v.Size != size || !slices.Equal(v.Refs, refs) || len(v.Files) != len(files()) {
			t.Errorf("%+v, want %d bytes and refs %q", v, size, refs)
		}
	}
}

// TestRemove: what goes is what no other revision has; what stays is whole.
func TestRemove(t *testing.T) {
	for _, which := range []string{"first", "main", "whole"} {
		t.Run(which, func(t *testing.T) {
			c, first, second := twoRevisions(t)
			repo, size, gone := testRepo, int64(24), first
			switch which {
			case "first":
				repo.Revision = first
			case "main":
				repo.Revision, size, gone = "main", 6, second
			}
			before := tree(t, c.CacheDir)
			dry, err := c.Remove(t.Context(), repo, true)
			if err != nil {
				t.Fatal(err)
			}
			if after := tree(t, c.CacheDir); !slices.Equal(before, after) {
				t.Errorf("a dry run leaves %q", after)
			}
			got, err := c.Remove(t.Context(), repo, false)
			if err != nil {
				t.Fatal(err)
			}
			if which == "whole" {
				if len(mustCached(t, c)) != 0 || !got.Whole || len(got.Commits) != 2 || got.Size < int64(len(weights)) {
					t.Errorf("%+v", got)
				}
				return
			}
			if got.Whole || got.Size != size || dry.Size != size || !slices.Equal(got.Commits, []string{gone}) {
				t.Errorf("%+v, dry %+v, want %d bytes of %s", got, dry, size, gone)
			}
			list := mustCached(t, c)
			if len(list) != 1 || len(list[0].Revisions) != 1 || list[0].Revisions[0].Commit == gone || len(list[0].Revisions[0].Files) != len(files()) {
				t.Fatalf("what stays: %+v", list)
			}
			kept := hub.Repo{ID: testID, Revision: list[0].Revisions[0].Commit}
			if v, err := c.Verify(t.Context(), kept, nil); err != nil || len(v.Problems) > 0 || v.Files != len(files()) {
				t.Errorf("%+v, %v", v, err)
			}
			for _, line := range tree(t, filepath.Join(c.CacheDir, "models--org--Tiny-Model")) {
				if strings.Contains(line, gone) {
					t.Errorf("left: %s", line)
				}
			}
			if _, err := c.Remove(t.Context(), kept, false); err != nil || len(mustCached(t, c)) != 0 {
				t.Errorf("with its last revision the repository stays: %v", err)
			}
		})
	}
}

func TestRemoveRefused(t *testing.T) {
	c, _, _ := twoRevisions(t)
	before := tree(t, c.CacheDir)
	for _, repo := range []hub.Repo{{ID: "org/other"}, {ID: testID, Revision: "v9"}, {ID: testID, Revision: strings.Repeat("0", 40)}} {
		_, err := c.Remove(t.Context(), repo, false)
		wantError(t, err, hub.ErrNotCached)
		_, err = c.Verify(t.Context(), repo, nil)
		wantError(t, err, hub.ErrNotCached)
	}
	for _, id := range []string{"", "..", "a/../b", "org/Tiny-Model/../..", "."} {
		_, err := c.Remove(t.Context(), hub.Repo{ID: id}, false)
		wantError(t, err, hub.ErrInvalidName)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Remove(ctx, testRepo, false); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := c.Verify(ctx, testRepo, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if after := tree(t, c.CacheDir); !slices.Equal(before, after) {
		t.Errorf("left: %q", after)
	}
}

func TestVerify(t *testing.T) {
	c, first, _ := twoRevisions(t)
	v, err := c.Verify(t.Context(), testRepo, nil)
	if err != nil || len(v.Problems) > 0 || v.Files != len(files())+1 || v.Unknown != 0 {
		t.Fatalf("%+v, %v", v, err)
	}
	blobs := filepath.Join(c.CacheDir, "models--org--Tiny-Model", "blobs")
	if err := os.WriteFile(filepath.Join(blobs, sha(weights)), weights[1:], 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(blobs, gitBlobID(string(files()["config.json"].Data)))); err != nil {
		t.Fatal(err)
	}
	v, err = c.Verify(t.Context(), testRepo, nil)
	if err != nil || len(v.Problems) != 3 { // the weights of both, the first's config.json
		t.Fatalf("%+v, %v", v, err)
	}
	for _, p := range v.Problems {
		switch {
		case p.File == "model.safetensors" && errors.Is(p.Err, hub.ErrMismatch):
		case p.File == "config.json" && p.Commit == first && errors.Is(p.Err, hub.ErrNotCached):
		default:
			t.Errorf("%+v", p)
		}
	}
}

// TestManageCopies: without links each revision has files of its own.
func TestManageCopies(t *testing.T) {
	srv := hubtest.New(t)
	first := srv.Push(t, served())
	c := newClient(t, srv)
	c.Getenv = func(name string) string { return map[string]string{"HF_HUB_DISABLE_SYMLINKS": "1"}[name] }
	for range 2 {
		if _, err := c.Snapshot(t.Context(), testRepo); err != nil {
			t.Fatal(err)
		}
		changed := files()
		changed["config.json"] = &fstest.MapFile{Data: []byte("second")}
		srv.Push(t, hubtest.Repo{ID: testID, Files: changed})
	}
	if v, err := c.Verify(t.Context(), testRepo, nil); err != nil || len(v.Problems) > 0 || v.Files+v.Unknown != 2*len(files()) {
		t.Errorf("%+v, %v", v, err)
	}
	got, err := c.Remove(t.Context(), hub.Repo{ID: testID, Revision: first}, false)
	if err != nil || got.Size != int64(len(weights)+24+6) {
		t.Errorf("%+v, %v", got, err)
	}
	if v, err := c.Verify(t.Context(), testRepo, nil); err != nil || len(v.Problems) > 0 || v.Files+v.Unknown != len(files()) {
		t.Errorf("%+v, %v", v, err)
	}
}
