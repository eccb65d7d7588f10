package hub_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/go-openelm/go-openelm/internal/testing/hubtest"
	"github.com/go-openelm/go-openelm/loader/hub"
)

// pythons is a cache that Python filled: config.json and nothing else.
func pythons(t *testing.T, tree []string, pinned bool) (c *hub.Client, commit string) {
	c = &hub.Client{CacheDir: t.TempDir(), Endpoint: "http://127.0.0.1:1", Getenv: func(string) string { return "" }}
	cached := hubtest.Cached{ID: testID, Files: fstest.MapFS{"config.json": files()["config.json"]}, Pinned: pinned, Tree: tree}
	return c, cached.Write(t, c.CacheDir)
}

// TestAbsentAndUnknown: only a list of a commit's files, or the hub's word, says
// that a file is absent. Without the hub everything else is unknown.
func TestAbsentAndUnknown(t *testing.T) {
	tree := []string{"config.json", "model.safetensors"}
	for name, offline := range map[string]bool{"offline": true, "unreachable": false} {
		for _, pinned := range []bool{false, true} {
			for _, tree := range [][]string{nil, tree} {
				c, commit := pythons(t, tree, pinned)
				c.Offline = offline
				c.Backoff = func(int) (time.Duration, bool) {
					t.Errorf("%s: waited for the hub", name)
					return 0, false
				}
				asked := 0
				c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
					asked++
					return nil, errors.New("no route")
				})
				repo := testRepo
				if pinned {
					repo.Revision = commit
				}
				src := c.Source(repo)
				if _, err := src.File(t.Context(), "config.json"); err != nil {
					t.Fatal(err)
				}
				for _, absent := range []string{"tokenizer.json", "special_tokens_map.json"} {
					_, err := src.File(t.Context(), absent)
					if tree != nil {
						wantError(t, err, hub.ErrFileNotFound)
					} else {
						wantError(t, err, hub.ErrNotCached)
					}
				}
				_, err := src.File(t.Context(), "model.safetensors")
				wantError(t, err, hub.ErrNotCached, "download it once")
				if e, ok := errors.AsType[*hub.Error](err); !ok || e.Listed != (tree != nil) {
					t.Errorf("%s: listed %t, want %t", name, e.Listed, tree != nil)
				}
				if !offline {
					wantError(t, err, hub.ErrUnavailable, "no route")
				}
				if offline && asked > 0 || asked > 1 {
					t.Errorf("%s: %d requests", name, asked)
				}
			}
		}
	}
}

// TestSnapshotAndRefusal: what the hub refuses is as good as offline for files
// that are cached, and the reason for those that are not.
func TestSnapshotAndRefusal(t *testing.T) {
	srv := hubtest.New(t)
	c, _ := pythons(t, nil, false)
	c.Endpoint, c.Transport = srv.URL, srv.Transport()
	src := c.Source(testRepo)
	if _, err := src.File(t.Context(), "config.json"); err != nil {
		t.Fatal(err)
	}
	_, err := src.File(t.Context(), "model.safetensors")
	wantError(t, err, hub.ErrNotCached)
	wantError(t, err, hub.ErrRepoNotFound)
}

// TestSnapshotAndBusyHub: a hub that is there is waited for, before it has
// answered a source and after.
func TestSnapshotAndBusyHub(t *testing.T) {
	srv := hubtest.New(t, served())
	for name, statuses := range map[string][]int{
		"at once": {503, 503, 503}, // the first for config.json, which is cached
		"later":   {0, 503, 503},
	} {
		c, retries := newClient(t, srv), 0
		mustFile(t, c, testRepo, "config.json")
		c.Backoff = func(attempt int) (time.Duration, bool) { retries++; return 0, attempt <= 3 }
		srv.Set(hubtest.Knobs{Statuses: statuses})
		src := c.Source(testRepo)
		for _, file := range []string{"config.json", "model.safetensors"} {
			if _, err := src.File(t.Context(), file); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if retries != 2 {
			t.Errorf("%s: %d retries, want 2", name, retries)
		}
	}
}

// TestMirrorThatRedirects: a mirror may send everything on to a hub. What that one
// says counts.
func TestMirrorThatRedirects(t *testing.T) {
	srv := hubtest.New(t, served())
	for _, status := range []int{301, 302, 303, 307, 308} {
		mirror := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, srv.URL+r.URL.RequestURI(), status)
		}))
		defer mirror.Close()
		for name, target := range map[string]string{"a hub": mirror.URL, "a hub without error codes": func() string {
			plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "absent.json") {
					w.WriteHeader(http.StatusNotFound)
					return
				}
				http.Redirect(w, r, srv.URL+r.URL.RequestURI(), status)
			}))
			t.Cleanup(plain.Close)
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, plain.URL+r.URL.RequestURI(), status)
			}))
			t.Cleanup(front.Close)
			return front.URL
		}()} {
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			c := newClient(t, srv)
			c.Endpoint, c.Transport = target, transport
			c.Backoff = func(int) (time.Duration, bool) {
				t.Errorf("%s, %d: waited", name, status)
				return 0, false
			}
			checkContents(t, mustFile(t, c, testRepo, "model.safetensors"), weights)
			_, err := c.File(t.Context(), testRepo, "absent.json")
			wantError(t, err, hub.ErrFileNotFound)
			if name == "a hub" {
				_, err = c.File(t.Context(), hub.Repo{ID: "org/other"}, "config.json")
				wantError(t, err, hub.ErrRepoNotFound)
				_, err = c.File(t.Context(), hub.Repo{ID: testID, Revision: "gone"}, "config.json")
				wantError(t, err, hub.ErrRevisionNotFound)
			}
		}
	}
}
