package loader_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/go-openelm/go-openelm/internal/checkpoint"
	"github.com/go-openelm/go-openelm/internal/testing/hubtest"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/loader/hub"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// contents reads a directory's files.
func contents(t *testing.T, dir string) fstest.MapFS {
	t.Helper()
	m := fstest.MapFS{}
	for _, e := range must(os.ReadDir(dir)) {
		if e.IsDir() {
			continue
		}
		m[e.Name()] = &fstest.MapFile{Data: must(os.ReadFile(filepath.Join(dir, e.Name())))}
	}
	return m
}

// TestCachedByPython: a repository that Python downloaded opens without the
// network, whichever of the alternatives and optional files it has, with and
// without the list of files that new versions of huggingface_hub leave.
func TestCachedByPython(t *testing.T) {
	apple := contents(t, makeDir(t, checkpoint.Spec{Config: llamaSized(), Format: kernels.BF16, Shards: 2}))
	tiny := contents(t, tokenizerDir)
	llama := fstest.MapFS{"tokenizer.model": tiny["tokenizer.model"], "tokenizer_config.json": tiny["tokenizer_config.json"]}
	mini := []int32{1, 278, 298, 387, 406}
	for name, c := range map[string]struct {
		files fstest.MapFS
		want  []int32 // of "the hey"
	}{
		"tokenizer.json":               {contents(t, makeMini(t, []string{"tokenizer.json", "tokenizer_config.json"}, nil)), mini},
		"tokenizer.model":              {contents(t, makeMini(t, []string{"tokenizer.model"}, nil)), mini},
		"sharded, without a tokenizer": {apple, []int32{1, 278, 540, 29891}},
	} {
		for _, pinned := range []bool{false, true} {
			for _, listed := range []bool{false, true} {
				for _, offline := range []bool{false, true} {
					client := &hub.Client{CacheDir: t.TempDir(), Offline: offline, Getenv: func(string) string { return "" }}
					client.Transport = roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("no route") })
					cached := hubtest.Cached{ID: "me/model", Files: c.files, Pinned: pinned}
					id := "me/model"
					if listed {
						cached.Tree = append(must(c.files.Glob("*")), "README.md", "pytorch_model.bin")
					}
					if commit := cached.Write(t, client.CacheDir); pinned {
						id += "@" + commit
					}
					hubtest.Cached{ID: public, Files: llama}.Write(t, client.CacheDir)
					m, err := loader.Open(t.Context(), id, &loader.Options{Hub: client})
					if err != nil {
						t.Errorf("%s (pinned %t, listed %t, offline %t): %v", name, pinned, listed, offline, err)
						continue
					}
					defer m.Close()
					if got, err := m.Encode("the hey"); err != nil || !slices.Equal(got, c.want) {
						t.Errorf("%s: %v (%v), want %v", name, got, err, c.want)
					}
				}
			}
		}
	}
}

// TestPartlyCached: what the repository is known to have and the cache lacks is
// not taken for absent where something else would take its place.
func TestPartlyCached(t *testing.T) {
	apple := contents(t, makeDir(t, checkpoint.Spec{Config: llamaSized(), Format: kernels.BF16}))
	client := &hub.Client{CacheDir: t.TempDir(), Offline: true, Getenv: func(string) string { return "" }}
	hubtest.Cached{ID: public, Files: contents(t, tokenizerDir)}.Write(t, client.CacheDir)
	o := &loader.Options{Hub: client}

	hubtest.Cached{ID: "me/own", Files: apple, Tree: append(must(apple.Glob("*")), "tokenizer.json")}.Write(t, client.CacheDir)
	_, err := loader.Open(t.Context(), "me/own", o)
	if !errors.Is(err, hub.ErrNotCached) || !errors.Is(err, loader.ErrNotFound) {
		t.Errorf("its own tokenizer is not cached: error %v", err)
	}
	delete(apple, "model.safetensors")
	for name, tree := range map[string][]string{"me/listed": {"config.json", "model.safetensors"}, "me/unlisted": nil} {
		hubtest.Cached{ID: name, Files: apple, Tree: tree}.Write(t, client.CacheDir)
		_, err = loader.Open(t.Context(), name, o)
		if !errors.Is(err, hub.ErrNotCached) || !errors.Is(err, loader.ErrNotFound) {
			t.Errorf("%s: no weights are cached: error %v", name, err)
		}
	}
}
