package loader_test

import (
	"os"
	"slices"
	"testing"

	"github.com/go-openelm/go-openelm/internal/testing/golden"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
)

// noTokenizer opens the reference packs, which have no tokenizer.
var noTokenizer = &loader.Options{NoTokenizer: true}

// open opens a model and closes it when the test ends.
func open(t *testing.T, path string, o *loader.Options) *openelm.Model {
	t.Helper()
	m, err := loader.Open(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// TestCopied: what is opened from a file system, and copied, is what is opened
// from a directory, and mapped. (Package openelm holds the mapped packs to the
// reference.)
func TestCopied(t *testing.T) {
	for _, p := range golden.Packs(t) {
		if p.Path() != p.Dir {
			continue // a GGUF file
		}
		m, err := loader.OpenFS(t.Context(), os.DirFS(p.Dir), noTokenizer)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(weights(m), weights(open(t, p.Path(), noTokenizer))) {
			t.Errorf("%s: other weights", p.Name)
		}
		m.Close()
	}
}
