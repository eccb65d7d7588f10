package randommodel

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/go-openelm/go-openelm/internal/checkpoint"
	"github.com/go-openelm/go-openelm/loader/gguf"
	"github.com/go-openelm/go-openelm/openelm"
)

// Store keeps random checkpoints in a directory, under names that say what they are.
type Store struct {
	dir  string
	made []string
}

// NewStore is the store in a directory, which need not be there yet.
func NewStore(dir string) *Store { return &Store{dir: dir} }

// CacheDir is the default directory of a store: openelm-bench in the user's cache.
func CacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "openelm-bench"), nil
}

// makerVersion changes when the same name means other bytes.
const makerVersion = "1"

// Safetensors is the directory of a random model, which is made if it is not there.
func (s *Store) Safetensors(ctx context.Context, n Name) (string, error) {
	return s.find(ctx, n, "", checkpoint.WriteDir, nil)
}

// GGUF is the GGUF file of a random model, which is made if it is not there.
func (s *Store) GGUF(ctx context.Context, n Name) (string, error) {
	return s.find(ctx, n, ".gguf", checkpoint.WriteGGUF, noVocabulary)
}

func (s *Store) find(ctx context.Context, n Name, extension string, write func(context.Context, string, checkpoint.Spec) error,
	metadata func(*openelm.Config) []gguf.KeyValue) (string, error) {
	config, err := Shape(n.Shape)
	if err != nil {
		return "", err
	}
	spec := checkpoint.Spec{Config: config, Format: formats[n.Format]}
	if metadata != nil {
		spec.Metadata = metadata(&config)
	}
	name := "openelm-" + n.Shape + "-" + n.Format + "-" + makerVersion + extension
	path := filepath.Join(s.dir, "models", name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	temporary := filepath.Join(s.dir, "models", ".making")
	if err := os.MkdirAll(temporary, 0o777); err != nil {
		return "", err
	}
	temporary, err = os.MkdirTemp(temporary, name)
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temporary)
	if err := write(ctx, filepath.Join(temporary, name), spec); err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		return "", fmt.Errorf("making %s: %w", name, err)
	}
	if err := os.Rename(filepath.Join(temporary, name), path); err != nil {
		return "", err
	}
	s.made = append(s.made, path)
	return path, nil
}

// Remove removes what this store has made.
func (s *Store) Remove() error {
	for _, path := range s.made {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}

// Clean removes all random checkpoints in a store's directory.
func Clean(dir string) error { return os.RemoveAll(filepath.Join(dir, "models")) }

// noVocabulary is the metadata by which llama.cpp takes a file without a tokenizer.
func noVocabulary(c *openelm.Config) []gguf.KeyValue {
	return []gguf.KeyValue{
		{Key: "tokenizer.ggml.model", Value: "no_vocab"},
		{Key: "openelm.vocab_size", Value: uint32(c.VocabSize)},
	}
}
