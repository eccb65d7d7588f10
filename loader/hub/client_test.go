package hub_test

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/go-openelm/go-openelm/internal/testing/hubtest"
	"github.com/go-openelm/go-openelm/loader/hub"
)

func TestFileLayout(t *testing.T) {
	srv := hubtest.New(t)
	commit := srv.Push(t, served())
	c := newClient(t, srv)
	config := mustFile(t, c, testRepo, "config.json")
	checkContents(t, config, files()["config.json"].Data)
	checkContents(t, mustFile(t, c, testRepo, "model.safetensors"), weights)
	checkContents(t, mustFile(t, c, testRepo, "empty.txt"), nil)
	checkContents(t, mustFile(t, c, testRepo, "sub/folder/ünï & co.md"), []byte("nested"))
	_, err := c.File(t.Context(), testRepo, "generation_config.json")
	wantError(t, err, hub.ErrFileNotFound, testID, "generation_config.json")

	if want := filepath.Join(c.CacheDir, "models--org--Tiny-Model", "snapshots", commit, "config.json"); config != want {
		t.Errorf("path is %s, want %s", config, want)
	}
	const empty = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391" // git hash-object /dev/null
	got := tree(t, c.CacheDir)
	nestedID := gitBlobID("nested")
	configID := gitBlobID(`{"model_type":"openelm"}`)
	want := []string{
		".locks/models--org--Tiny-Model/" + sha(weights) + ".lock 0",
		".locks/models--org--Tiny-Model/" + configID + ".lock 0",
		".locks/models--org--Tiny-Model/" + empty + ".lock 0",
		".locks/models--org--Tiny-Model/" + nestedID + ".lock 0",
		"models--org--Tiny-Model/.no_exist/" + commit + "/generation_config.json 0",
		"models--org--Tiny-Model/blobs/" + sha(weights) + " 1048576",
		"models--org--Tiny-Model/blobs/" + configID + " 24",
		"models--org--Tiny-Model/blobs/" + empty + " 0",
		"models--org--Tiny-Model/blobs/" + nestedID + " 6",
		"models--org--Tiny-Model/refs/main 40",
		"models--org--Tiny-Model/snapshots/" + commit + "/config.json -> ../../blobs/" + configID,
		"models--org--Tiny-Model/snapshots/" + commit + "/empty.txt -> ../../blobs/" + empty,
		"models--org--Tiny-Model/snapshots/" + commit + "/model.safetensors -> ../../blobs/" + sha(weights),
		"models--org--Tiny-Model/snapshots/" + commit + "/sub/folder/ünï & co.md -> ../../../../blobs/" + nestedID,
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("cache (-want +got):\n%s", diff)
	}
}

// The second run asks for metadata only, and a pinned commit for nothing.
func TestNetworkUse(t *testing.T) {
	srv := hubtest.New(t)
	commit := srv.Push(t, served())
	c := newClient(t, srv)
	mustFile(t, c, testRepo, "model.safetensors")
	if got := methods(srv.Requests()); got != "HEAD GET" {
		t.Errorf("first run: %s", got)
	}
	mustFile(t, c, testRepo, "model.safetensors")
	if got := methods(srv.Requests()); got != "HEAD" {
		t.Errorf("second run: %s", got)
	}
	mustFile(t, c, hub.Repo{ID: testID, Revision: commit}, "model.safetensors")
	if got := methods(srv.Requests()); got != "" {
		t.Errorf("pinned commit: %s", got)
	}
	// The same contents in another commit are not transferred again.
	more := files()
	more["new.txt"] = &fstest.MapFile{Data: []byte("new")}
	next := srv.Push(t, hubtest.Repo{ID: testID, Files: more})
	path := mustFile(t, c, testRepo, "model.safetensors")
	if got := methods(srv.Requests()); got != "HEAD" {
		t.Errorf("new commit: %s", got)
	}
	if !strings.Contains(path, next) {
		t.Errorf("path %s is not of the new commit %s", path, next)
	}
	checkContents(t, filepath.Join(c.CacheDir, "models--org--Tiny-Model", "refs", "main"), []byte(next))
}

func TestOffline(t *testing.T) {
	srv := hubtest.New(t, served())
	c := newClient(t, srv)
	online := mustFile(t, c, testRepo, "config.json")
	_, err := c.File(t.Context(), testRepo, "absent.json")
	wantError(t, err, hub.ErrFileNotFound)
	srv.Requests()

	c.Offline = true
	if offline := mustFile(t, c, testRepo, "config.json"); offline != online {
		t.Errorf("offline path is %s, want %s", offline, online)
	}
	_, err = c.File(t.Context(), testRepo, "absent.json")
	wantError(t, err, hub.ErrFileNotFound) // known from the first run
	_, err = c.File(t.Context(), testRepo, "model.safetensors")
	wantError(t, err, hub.ErrNotCached, "HF_HUB_OFFLINE", c.CacheDir)
	_, err = c.File(t.Context(), hub.Repo{ID: "org/other"}, "config.json")
	wantError(t, err, hub.ErrNotCached)
	if requests := srv.Requests(); len(requests) > 0 {
		t.Errorf("offline client asked %v", requests)
	}
}

// A hub that is down, overloaded, refuses access or is no hub does not keep a second run from working.
func TestFallsBackToCache(t *testing.T) {
	srv := hubtest.New(t, served())
	c := newClient(t, srv)
	want := mustFile(t, c, testRepo, "config.json")
	for name, break_ := range map[string]func(c *hub.Client){
		"down":       func(c *hub.Client) { c.Endpoint = "http://127.0.0.1:1" },
		"overloaded": func(*hub.Client) { srv.Set(hubtest.Knobs{Statuses: slices.Repeat([]int{503}, 20)}) },
		"gated":      func(*hub.Client) { srv.Set(hubtest.Knobs{Token: "other"}) },
		"no hub":     func(*hub.Client) { srv.Set(hubtest.Knobs{Head: map[string]string{"X-Repo-Commit": ""}}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer srv.Set(hubtest.Knobs{})
			broken := *c
			broken.Token = "hf_mine"
			break_(&broken)
			if got := mustFile(t, &broken, testRepo, "config.json"); got != want {
				t.Errorf("path is %s, want %s", got, want)
			}
			if _, err := broken.File(t.Context(), testRepo, "model.safetensors"); err == nil {
				t.Error("a file that is not cached did not fail")
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	srv := hubtest.New(t)
	c := newClient(t, srv)
	c.Endpoint = "http://127.0.0.1:1"
	tries := 0
	c.Backoff = func(int) (time.Duration, bool) { tries++; return 0, tries < 3 }
	_, err := c.File(t.Context(), testRepo, "config.json")
	wantError(t, err, hub.ErrUnavailable, "127.0.0.1:1")
	if tries != 3 {
		t.Errorf("%d attempts", tries)
	}
}

func TestSourceStaysOnCommit(t *testing.T) {
	srv := hubtest.New(t, served())
	c := newClient(t, srv)
	src := c.Source(testRepo)
	config, err := src.File(t.Context(), "config.json")
	if err != nil {
		t.Fatal(err)
	}
	changed := files()
	changed["model.safetensors"] = &fstest.MapFile{Data: []byte("other weights")}
	srv.Push(t, hubtest.Repo{ID: testID, Files: changed})
	model, err := src.File(t.Context(), "model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	checkContents(t, model, weights)
	if filepath.Dir(config) != filepath.Dir(model) {
		t.Errorf("%s and %s are of two commits", config, model)
	}
	_, err = src.File(t.Context(), "absent")
	wantError(t, err, hub.ErrFileNotFound, testID+":") // named as the caller named it
}

// Concurrent first calls that are told of two commits agree on one.
func TestSourceIsOneCommit(t *testing.T) {
	srv := hubtest.New(t, served())
	c := newClient(t, srv)
	changed := files()
	changed["empty.txt"] = &fstest.MapFile{Data: []byte("no longer")}
	heads := make(chan struct{}, 2)
	next := c.Transport
	c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if strings.Contains(r.URL.Path, "/resolve/main/") { // both have to be told before either goes on
			heads <- struct{}{}
			if len(heads) == 1 {
				srv.Push(t, hubtest.Repo{ID: testID, Files: changed})
			}
			for len(heads) < 2 {
				time.Sleep(time.Millisecond)
			}
		}
		return resp, err
	})
	src := c.Source(testRepo)
	paths := make(chan string)
	for _, name := range []string{"config.json", "sub/folder/ünï & co.md"} {
		go func() {
			path, err := src.File(t.Context(), name)
			if err != nil {
				t.Error(err)
			}
			paths <- path
		}()
		for len(heads) == 0 { // one after the other, so that they are told differently
			time.Sleep(time.Millisecond)
		}
	}
	commit := func(path string) string {
		rel, _ := filepath.Rel(filepath.Join(c.CacheDir, "models--org--Tiny-Model", "snapshots"), path)
		return strings.Split(filepath.ToSlash(rel), "/")[0]
	}
	if a, b := commit(<-paths), commit(<-paths); a != b || len(a) != 40 {
		t.Errorf("files of %q and %q", a, b)
	}
}

func TestSourceFirstFileAbsent(t *testing.T) {
	srv := hubtest.New(t, served())
	src := newClient(t, srv).Source(testRepo)
	_, err := src.File(t.Context(), "absent")
	wantError(t, err, hub.ErrFileNotFound)
	changed := files()
	changed["config.json"] = &fstest.MapFile{Data: []byte("changed")}
	srv.Push(t, hubtest.Repo{ID: testID, Files: changed})
	path, err := src.File(t.Context(), "config.json")
	if err != nil {
		t.Fatal(err)
	}
	checkContents(t, path, files()["config.json"].Data)
}

func TestProgress(t *testing.T) {
	srv := hubtest.New(t, served())
	c := newClient(t, srv)
	var seen []hub.Progress
	c.Progress = func(p hub.Progress) { seen = append(seen, p) }
	mustFile(t, c, testRepo, "model.safetensors")
	if len(seen) < 3 || seen[0].Done != 0 || seen[len(seen)-1].Done != int64(len(weights)) {
		t.Fatalf("progress is %v", seen)
	}
	for i, p := range seen {
		if p.File != "model.safetensors" || p.Repo != testRepo || p.Total != int64(len(weights)) || (i > 0 && p.Done <= seen[i-1].Done) {
			t.Errorf("progress %d is %+v", i, p)
		}
	}
	seen = nil
	mustFile(t, c, testRepo, "model.safetensors")
	if seen != nil {
		t.Errorf("progress of a cached file: %v", seen)
	}
}

func TestNoSymlinks(t *testing.T) {
	srv := hubtest.New(t)
	commit := srv.Push(t, served())
	c := newClient(t, srv)
	c.Getenv = func(name string) string {
		return map[string]string{"HF_HUB_DISABLE_SYMLINKS": "1"}[name]
	}
	path := mustFile(t, c, testRepo, "model.safetensors")
	checkContents(t, path, weights)
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		t.Fatalf("%v, %v: not a regular file", info, err)
	}
	// As in Python a new blob is moved, not doubled.
	if blobs, _ := os.ReadDir(filepath.Join(c.CacheDir, "models--org--Tiny-Model", "blobs")); len(blobs) != 0 {
		t.Errorf("blobs has %v", blobs)
	}
	srv.Requests()
	mustFile(t, c, testRepo, "model.safetensors")
	if got := methods(srv.Requests()); got != "HEAD" {
		t.Errorf("second run: %s", got)
	}

	// A blob that a linked snapshot may refer to is copied.
	linked := newClient(t, srv)
	mustFile(t, linked, hub.Repo{ID: testID, Revision: commit}, "model.safetensors")
	more := files()
	more["new.txt"] = &fstest.MapFile{Data: []byte("new")}
	srv.Push(t, hubtest.Repo{ID: testID, Files: more})
	c.CacheDir = linked.CacheDir
	checkContents(t, mustFile(t, c, testRepo, "model.safetensors"), weights)
	if _, err := os.Stat(filepath.Join(c.CacheDir, "models--org--Tiny-Model", "blobs", sha(weights))); err != nil {
		t.Error(err)
	}
}

func TestBrokenLinkIsRepaired(t *testing.T) {
	srv := hubtest.New(t, served())
	c := newClient(t, srv)
	path := mustFile(t, c, testRepo, "config.json")
	blob, err := filepath.EvalSymlinks(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(blob); err != nil {
		t.Fatal(err)
	}
	checkContents(t, mustFile(t, c, testRepo, "config.json"), files()["config.json"].Data)
	if err := os.Truncate(blob, 3); err != nil {
		t.Fatal(err)
	}
	checkContents(t, mustFile(t, c, testRepo, "config.json"), files()["config.json"].Data)
}

func TestFilesAndSnapshot(t *testing.T) {
	srv := hubtest.New(t)
	commit := srv.Push(t, served())
	c := newClient(t, srv)
	listed, err := c.Files(t.Context(), testRepo)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(listed, func(a, b hub.FileInfo) int { return strings.Compare(a.Name, b.Name) })
	want := []hub.FileInfo{
		{Name: "config.json", Size: 24, Hash: gitBlobID(`{"model_type":"openelm"}`)},
		{Name: "empty.txt", Size: 0, Hash: gitBlobID("")},
		{Name: "model.safetensors", Size: 1 << 20, Hash: sha(weights)},
		{Name: "sub/folder/ünï & co.md", Size: 6, Hash: gitBlobID("nested")},
	}
	if diff := cmp.Diff(want, listed); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if entries, err := os.ReadDir(c.CacheDir); err != nil || len(entries) > 0 {
		t.Errorf("listing wrote %v (%v)", entries, err)
	}

	dir, err := c.Snapshot(t.Context(), testRepo, "*.json", "*.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(c.CacheDir, "models--org--Tiny-Model", "snapshots", commit); dir != want {
		t.Errorf("folder is %s, want %s", dir, want)
	}
	checkContents(t, filepath.Join(dir, "sub/folder/ünï & co.md"), []byte("nested"))
	if _, err := os.Stat(filepath.Join(dir, "model.safetensors")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("model.safetensors does not match but is there (%v)", err)
	}
	_, err = c.Snapshot(t.Context(), testRepo, "*.gguf")
	wantError(t, err, hub.ErrFileNotFound, "*.gguf")

	srv.Requests()
	c.Offline = true
	offlineDir, err := c.Snapshot(t.Context(), testRepo, "*.json", "*.md")
	if err != nil || offlineDir != dir {
		t.Errorf("offline: %s, %v", offlineDir, err)
	}
	cached, err := c.Files(t.Context(), testRepo)
	slices.SortFunc(cached, func(a, b hub.FileInfo) int { return strings.Compare(a.Name, b.Name) })
	if diff := cmp.Diff([]hub.FileInfo{want[0], want[3]}, cached); diff != "" || err != nil {
		t.Errorf("files offline (-want +got):\n%s%v", diff, err)
	}
	// The list of files tells that this snapshot is not all there.
	_, err = c.Snapshot(t.Context(), testRepo)
	wantError(t, err, hub.ErrNotCached, "2 files", commit)
	_, err = c.Snapshot(t.Context(), testRepo, "*.gguf")
	wantError(t, err, hub.ErrFileNotFound)
	_, err = c.Snapshot(t.Context(), hub.Repo{ID: testID, Revision: "other"})
	wantError(t, err, hub.ErrNotCached)
	if requests := srv.Requests(); len(requests) > 0 {
		t.Errorf("offline client asked %v", requests)
	}
}

func TestFilesFallBackToCache(t *testing.T) {
	srv := hubtest.New(t, served())
	c := newClient(t, srv)
	dir, err := c.Snapshot(t.Context(), testRepo)
	if err != nil {
		t.Fatal(err)
	}
	c.Endpoint = "http://127.0.0.1:1"
	again, err := c.Snapshot(t.Context(), testRepo)
	if err != nil || again != dir {
		t.Errorf("%s, %v", again, err)
	}
	if files, err := c.Files(t.Context(), testRepo); err != nil || len(files) != 4 {
		t.Errorf("%v, %v", files, err)
	}
}
