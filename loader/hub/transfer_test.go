package hub_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-openelm/go-openelm/internal/testing/hubtest"
	"github.com/go-openelm/go-openelm/loader/hub"
)

func blobPath(c *hub.Client) string {
	return filepath.Join(c.CacheDir, "models--org--Tiny-Model", "blobs", sha(weights))
}

// leavePartial makes the partial file of an interrupted download.
func leavePartial(t testing.TB, c *hub.Client, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(blobPath(c)), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(blobPath(c)+".incomplete", data, 0o666); err != nil {
		t.Fatal(err)
	}
}

// checkNothingVisible checks that no snapshot and no blob has the weights.
func checkNothingVisible(t testing.TB, c *hub.Client) {
	t.Helper()
	for _, line := range tree(t, c.CacheDir) {
		if strings.Contains(line, "/snapshots/") || strings.Contains(line, "/blobs/") && !strings.Contains(line, ".incomplete ") {
			t.Errorf("the cache shows %s", line)
		}
	}
}

func ranges(requests []hubtest.Request) (got []string) {
	for _, r := range requests {
		if r.Method == "GET" && !strings.Contains(r.Host, "storage") {
			got = append(got, r.Range)
		}
	}
	return got
}

func TestResumesDroppedBodies(t *testing.T) {
	for _, cdn := range []bool{false, true} {
		srv := hubtest.New(t, served())
		srv.Set(hubtest.Knobs{Drops: 3, DropAfter: 100_000, CDN: cdn})
		c := newClient(t, srv)
		// More drops in all than retries in a row: bytes received start the count anew.
		c.Backoff = func(attempt int) (time.Duration, bool) { return 0, attempt <= 1 }
		checkContents(t, mustFile(t, c, testRepo, "model.safetensors"), weights)
		var got []string
		for _, r := range srv.Requests() {
			if r.Method == "GET" && strings.HasPrefix(srv.URL, "http://"+r.Host) {
				got = append(got, r.Range)
			}
		}
		if want := ",bytes=100000-,bytes=200000-,bytes=300000-"; strings.Join(got, ",") != want {
			t.Errorf("cdn %t: ranges %q, want %q", cdn, got, want)
		}
	}
}

func TestGivesUp(t *testing.T) {
	srv := hubtest.New(t, served())
	srv.Set(hubtest.Knobs{Drops: 1000, DropAfter: 0})
	c := newClient(t, srv)
	tries := 0
	c.Backoff = func(attempt int) (time.Duration, bool) { tries++; return 0, attempt < 3 }
	_, err := c.File(t.Context(), testRepo, "model.safetensors")
	wantError(t, err, hub.ErrUnavailable, testID, "model.safetensors")
	if tries != 3 {
		t.Errorf("%d failures", tries)
	}
	checkNothingVisible(t, c)
}

func TestPartialFiles(t *testing.T) {
	wrong := bytes.Clone(weights[:500_000])
	wrong[1234] ^= 1
	for _, tt := range []struct {
		name    string
		partial []byte
		knobs   hubtest.Knobs
		ranges  string
	}{
		{"prefix", weights[:500_000], hubtest.Knobs{}, "bytes=500000-"},
		{"complete", weights, hubtest.Knobs{}, ""},
		{"too long", append(bytes.Clone(weights), "more"...), hubtest.Knobs{}, " "},
		{"wrong bytes", wrong, hubtest.Knobs{}, "bytes=500000- "},
		{"range ignored", weights[:500_000], hubtest.Knobs{IgnoreRange: true}, "bytes=500000-"},
		{"wrong bytes, range ignored", wrong, hubtest.Knobs{IgnoreRange: true}, "bytes=500000-"},
		{"other range", weights[:500_000], hubtest.Knobs{Body: map[string]string{"Content-Range": "bytes 0-1048575/1048576"}}, "bytes=500000- "},
		{"range refused", weights[:500_000], hubtest.Knobs{Statuses: []int{0, 416}}, "bytes=500000- "},
		{"unknown range", weights[:500_000], hubtest.Knobs{Body: map[string]string{"Content-Range": ""}}, "bytes=500000- "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := hubtest.New(t, served())
			srv.Set(tt.knobs)
			c := newClient(t, srv)
			leavePartial(t, c, tt.partial)
			checkContents(t, mustFile(t, c, testRepo, "model.safetensors"), weights)
			got := ""
			for i, r := range ranges(srv.Requests()) {
				if i > 0 || r == "" {
					got += " "
				}
				got += r
			}
			if got != tt.ranges {
				t.Errorf("ranges %q, want %q", got, tt.ranges)
			}
		})
	}
}

func TestWrongContents(t *testing.T) {
	for _, name := range []string{"model.safetensors", "config.json"} {
		srv := hubtest.New(t, served())
		srv.Set(hubtest.Knobs{Corrupt: true})
		c := newClient(t, srv)
		_, err := c.File(t.Context(), testRepo, name)
		wantError(t, err, hub.ErrMismatch, testID, name)
		var mismatch *hub.MismatchError
		if !errors.As(err, &mismatch) || len(mismatch.Got) != len(mismatch.Want) || mismatch.Got == mismatch.Want {
			t.Errorf("%v has no hashes", err)
		}
		if name == "model.safetensors" && (mismatch.What != "sha256" || mismatch.Want != sha(weights)) {
			t.Errorf("%+v", mismatch)
		}
		checkNothingVisible(t, c)
		for _, line := range tree(t, c.CacheDir) {
			if strings.Contains(line, ".incomplete") {
				t.Errorf("%s is left", line)
			}
		}
		srv.Set(hubtest.Knobs{})
		mustFile(t, c, testRepo, name) // and the next run is not spoilt
	}
}

// Bodies that do not fit their announcement.
func TestWrongSize(t *testing.T) {
	for name, knobs := range map[string]hubtest.Knobs{
		"HEAD says less": {Head: map[string]string{"X-Linked-Size": "1000"}},
		"HEAD says more": {Head: map[string]string{"X-Linked-Size": "9999999"}},
	} {
		t.Run(name, func(t *testing.T) {
			srv := hubtest.New(t, served())
			srv.Set(knobs)
			c := newClient(t, srv)
			_, err := c.File(t.Context(), testRepo, "model.safetensors")
			wantError(t, err, hub.ErrMismatch, "size", "1048576")
			checkNothingVisible(t, c)
		})
	}
	// Without a Content-Length the body itself is held to the size.
	srv := hubtest.New(t, served())
	srv.Set(hubtest.Knobs{Head: map[string]string{"X-Linked-Size": "300000"}, Body: map[string]string{"Content-Length": ""}})
	c := newClient(t, srv)
	_, err := c.File(t.Context(), testRepo, "model.safetensors")
	wantError(t, err, hub.ErrMismatch, "size")
	checkNothingVisible(t, c)
	srv.Set(hubtest.Knobs{Body: map[string]string{"Content-Length": ""}})
	checkContents(t, mustFile(t, c, testRepo, "model.safetensors"), weights)
}

func TestHostileHeaders(t *testing.T) {
	srv := hubtest.New(t, served())
	for _, tt := range []struct{ header, value, want string }{
		{"X-Linked-Etag", `"../../../../evil"`, "neither a sha256"},
		{"X-Linked-Etag", `"` + strings.Repeat("A", 64) + `"`, "neither a sha256"},
		{"X-Linked-Etag", `"` + strings.Repeat("a", 63) + `/"`, "neither a sha256"},
		{"X-Linked-Etag", `"` + strings.Repeat("a", 65) + `"`, "neither a sha256"},
		{"X-Linked-Etag", `""`, "neither a sha256"},
		{"X-Repo-Commit", "../../evil", "not a commit"},
		{"X-Repo-Commit", strings.Repeat("a", 39) + "/", "not a commit"},
		{"X-Repo-Commit", "main", "not a commit"},
		{"X-Repo-Commit", "", "HF_ENDPOINT"},
		{"X-Linked-Size", "-1", "X-Linked-Size"},
		{"X-Linked-Size", "99999999999999999999", "X-Linked-Size"},
		{"X-Linked-Size", "1099511627777", "X-Linked-Size"},
		{"X-Linked-Size", "1e3", "X-Linked-Size"},
		{"Content-Encoding", "gzip", "Content-Encoding"},
	} {
		srv.Set(hubtest.Knobs{Head: map[string]string{tt.header: tt.value}})
		c := newClient(t, srv)
		_, err := c.File(t.Context(), testRepo, "model.safetensors")
		if !errors.Is(err, hub.ErrBadResponse) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %s gives %v", tt.header, tt.value, err)
		}
		if entries, err := os.ReadDir(c.CacheDir); err != nil || len(entries) > 0 {
			t.Errorf("%s: %s: wrote %v (%v)", tt.header, tt.value, entries, err)
		}
	}
	srv.Set(hubtest.Knobs{Body: map[string]string{"Content-Encoding": "gzip"}})
	c := newClient(t, srv)
	_, err := c.File(t.Context(), testRepo, "model.safetensors")
	wantError(t, err, hub.ErrBadResponse, "Content-Encoding")
	checkNothingVisible(t, c)

	// Weak tags, and no size but Content-Length, are harmless.
	srv.Set(hubtest.Knobs{Head: map[string]string{"X-Linked-Etag": `W/"` + sha(weights) + `"`, "X-Linked-Size": ""}})
	mustFile(t, newClient(t, srv), testRepo, "model.safetensors")
	// A commit that is not the one asked for is a lie.
	_, err = newClient(t, srv).File(t.Context(), hub.Repo{ID: testID, Revision: strings.Repeat("0", 40)}, "model.safetensors")
	wantError(t, err, hub.ErrRevisionNotFound)
	commit := srv.Push(t, served())
	srv.Set(hubtest.Knobs{Head: map[string]string{"X-Repo-Commit": strings.Repeat("0", 40)}})
	_, err = newClient(t, srv).File(t.Context(), hub.Repo{ID: testID, Revision: commit}, "model.safetensors")
	wantError(t, err, hub.ErrBadResponse, commit)
}

func TestHostileNamesInList(t *testing.T) {
	srv := hubtest.New(t, served())
	srv.AddFile(testID, "../evil.json", []byte("evil"))
	srv.AddFile(testID, `C:\evil.json`, []byte("evil"))
	srv.AddFile(testID, "/etc/evil.md", []byte("evil"))
	c := newClient(t, srv)
	files, err := c.Files(t.Context(), testRepo)
	if err != nil || len(files) != 4 {
		t.Errorf("%v, %v", files, err)
	}
	// What is not asked for does not matter, what is fails.
	if _, err := c.Snapshot(t.Context(), testRepo, "*.safetensors"); err != nil {
		t.Error(err)
	}
	for _, pattern := range []string{"*.json", "*.md"} {
		_, err = c.Snapshot(t.Context(), testRepo, pattern)
		wantError(t, err, hub.ErrInvalidName, "evil")
	}
	for _, line := range append(tree(t, c.CacheDir), tree(t, filepath.Dir(c.CacheDir))...) {
		if strings.Contains(line, "evil") {
			t.Errorf("wrote %s", line)
		}
	}
}

func TestHostileList(t *testing.T) {
	commit := strings.Repeat("0a", 20)
	for body, want := range map[string]string{
		``:              "list of files",
		`[]`:            "list of files",
		`{}`:            "not of a commit",
		`{"sha":"../"}`: "not of a commit",
		`{"sha":"` + commit + `","siblings":[{"rfilename":"a","size":-1}]}`:                                  "size -1",
		`{"sha":"` + commit + `","siblings":[{"rfilename":"a","size":1,"blobId":"../../x"}]}`:                "hash",
		`{"sha":"` + commit + `","siblings":[{"rfilename":"a","lfs":{"size":99999999999999,"sha256":"x"}}]}`: "size",
		`{"sha":"` + commit + `","siblings":[{"rfilename":"` + strings.Repeat("a", 64<<20) + `"}]}`:          "too long",
	} {
		c := &hub.Client{Endpoint: "http://hub.test", CacheDir: t.TempDir(), Getenv: func(string) string { return "" }}
		c.Transport = roundTripper(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body))}, nil
		})
		_, err := c.Files(t.Context(), testRepo)
		wantError(t, err, hub.ErrBadResponse, want)
	}
}

// The context ends a call wherever it is, and what was received is used by the next.
func TestCancel(t *testing.T) {
	srv := hubtest.New(t, served())
	c := newClient(t, srv)
	if _, err := c.File(canceled(t.Context()), testRepo, "model.safetensors"); !errors.Is(err, context.Canceled) {
		t.Errorf("before: %v", err)
	}
	if requests := srv.Requests(); len(requests) > 0 {
		t.Errorf("asked %v", requests)
	}

	ctx, cancel := context.WithCancel(t.Context())
	srv.Set(hubtest.Knobs{Stall: 300_000})
	c.Progress = func(p hub.Progress) {
		if p.Done == 300_000 {
			cancel()
		}
	}
	start := time.Now()
	_, err := c.File(ctx, testRepo, "model.safetensors")
	if !errors.Is(err, context.Canceled) || time.Since(start) > 5*time.Second {
		t.Errorf("in the body: %v after %v", err, time.Since(start))
	}
	checkNothingVisible(t, c)
	partial, err := os.ReadFile(blobPath(c) + ".incomplete")
	if err != nil || !bytes.Equal(partial, weights[:300_000]) {
		t.Fatalf("partial file has %d bytes (%v)", len(partial), err)
	}
	srv.Set(hubtest.Knobs{})
	srv.Requests()
	c.Progress = nil
	checkContents(t, mustFile(t, c, testRepo, "model.safetensors"), weights)
	if got := ranges(srv.Requests()); len(got) != 1 || got[0] != "bytes=300000-" {
		t.Errorf("ranges %q", got)
	}

	// While it waits to retry.
	ctx, cancel = context.WithCancel(t.Context())
	c = newClient(t, srv)
	srv.Set(hubtest.Knobs{Drops: 10})
	c.Backoff = func(int) (time.Duration, bool) { cancel(); return time.Hour, true }
	if _, err := c.File(ctx, testRepo, "model.safetensors"); !errors.Is(err, context.Canceled) {
		t.Errorf("in the backoff: %v", err)
	}
}

// A download that cannot be ended is left behind.
func TestCancelForeign(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	defer close(release)
	src := hub.From(downloader(func(string) (string, error) {
		cancel()
		<-release
		return "", errors.New("late")
	}))
	if _, err := src.File(ctx, "config.json"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

type downloader func(name string) (string, error)

func (d downloader) DownloadFile(name string) (string, error) { return d(name) }

func TestFrom(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "there"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	failed := errors.New("failed")
	src := hub.From(downloader(func(name string) (string, error) {
		if name == "fails" {
			return "", failed
		}
		return filepath.Join(dir, name), nil
	}))
	if path, err := src.File(t.Context(), "there"); err != nil || path != filepath.Join(dir, "there") {
		t.Errorf("%s, %v", path, err)
	}
	_, err := src.File(t.Context(), "fails")
	wantError(t, err, failed)
	_, err = src.File(t.Context(), "reported but absent")
	wantError(t, err, hub.ErrUnavailable, "no file")
	_, err = src.File(t.Context(), "../evil")
	wantError(t, err, hub.ErrInvalidName)
	_, err = src.File(canceled(t.Context()), "there")
	wantError(t, err, context.Canceled)
}
