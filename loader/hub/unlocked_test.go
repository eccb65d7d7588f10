package hub

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/go-openelm/go-openelm/internal/testing/hubtest"
)

var unlockedData = bytes.Repeat([]byte("0123456789abcdef"), 1<<17) // 2 MiB

// newTransfer prepares a download as Client.File does before it takes the lock.
func newTransfer(t *testing.T, srv *hubtest.Server, dir string) *transfer {
	t.Helper()
	c := &Client{Endpoint: srv.URL, Transport: srv.Transport(), CacheDir: dir, Getenv: func(string) string { return "" },
		Backoff: func(int) (time.Duration, bool) { return 0, false }}
	s, err := c.settings()
	if err != nil {
		t.Fatal(err)
	}
	repo := Repo{ID: "org/name"}
	root, err := s.cache(repo).openRoot()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	meta, err := s.metadata(t.Context(), repo, "model.bin")
	if err != nil {
		t.Fatal(err)
	}
	return &transfer{settings: s, cache: s.cache(repo), root: root, repo: repo, name: "model.bin", meta: meta}
}

func serveUnlocked(t *testing.T) *hubtest.Server {
	return hubtest.New(t, hubtest.Repo{ID: "org/name", Files: fstest.MapFS{"model.bin": {Data: unlockedData}}})
}

func blobDir(dir string) string { return filepath.Join(dir, "models--org--name", "blobs") }

func checkOnlyBlob(t *testing.T, dir string) {
	t.Helper()
	sum := sha256.Sum256(unlockedData)
	entries, err := os.ReadDir(blobDir(dir))
	if err != nil || len(entries) != 1 || entries[0].Name() != hex.EncodeToString(sum[:]) {
		t.Fatalf("blobs has %v (%v)", entries, err)
	}
	if data, err := os.ReadFile(filepath.Join(blobDir(dir), entries[0].Name())); err != nil || !bytes.Equal(data, unlockedData) {
		t.Errorf("blob has %d bytes (%v)", len(data), err)
	}
}

// On a file system whose locks let everybody in, writers of the same partial file
// write the same bytes at the same places.
func TestLocksThatDoNotLock(t *testing.T) {
	srv := serveUnlocked(t)
	dir := t.TempDir()
	errs := make(chan error)
	for range 4 {
		d := newTransfer(t, srv, dir)
		go func() { errs <- d.run(t.Context(), filepath.Join("blobs", d.meta.hash), true) }()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	checkOnlyBlob(t, dir)
}

// On one without locks each has a partial file of its own, and leaves none.
func TestNoLocks(t *testing.T) {
	srv := serveUnlocked(t)
	dir := t.TempDir()
	d := newTransfer(t, srv, dir)
	srv.Set(hubtest.Knobs{Drops: 1, DropAfter: 1000})
	if err := d.run(t.Context(), filepath.Join("blobs", d.meta.hash), false); err == nil {
		t.Error("a cut body is no error")
	}
	if entries, err := os.ReadDir(blobDir(dir)); err != nil || len(entries) > 0 {
		t.Errorf("blobs has %v (%v)", entries, err)
	}
	if err := d.run(t.Context(), filepath.Join("blobs", d.meta.hash), false); err != nil {
		t.Error(err)
	}
	checkOnlyBlob(t, dir)
}

// The hub speaks HTTP/2.
func TestHTTP2(t *testing.T) {
	data := []byte("contents")
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("request is %s", r.Proto)
		}
		sum := sha256.Sum256(data)
		w.Header().Set("X-Repo-Commit", "0123456789012345678901234567890123456789")
		w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:])+`"`)
		w.Header().Set("Content-Length", "8")
		_, _ = w.Write(data)
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	c := &Client{Endpoint: srv.URL, Transport: srv.Client().Transport, CacheDir: t.TempDir(), Getenv: func(string) string { return "" }}
	path, err := c.File(t.Context(), Repo{ID: "org/name"}, "a.bin")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%q, %v", got, err)
	}
}
