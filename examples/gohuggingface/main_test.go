package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"
	"testing/fstest"
	"time"

	gohf "github.com/gomlx/go-huggingface/hub"

	"github.com/go-openelm/go-openelm/internal/hubtest"
	"github.com/go-openelm/go-openelm/loader/hub"
)

const testID = "org/tiny"

var weights = bytes.Repeat([]byte("weights "), 1000)

func serve(t *testing.T) (*hubtest.Server, *gohf.Repo) {
	t.Helper()
	srv := hubtest.New(t, hubtest.Repo{ID: testID, Files: fstest.MapFS{
		"config.json":       {Data: []byte(`{"model_type": "openelm", "num_transformer_layers": 16, "model_dim": 1280}`)},
		"model.safetensors": {Data: weights},
	}})
	repo := gohf.New(testID).WithEndpoint(srv.URL).WithCacheDir(t.TempDir()).WithProgressBar(false)
	repo.Verbosity = 0
	return srv, repo
}

func TestDescribe(t *testing.T) {
	_, repo := serve(t)
	var out bytes.Buffer
	if err := describe(t.Context(), hub.From(repo), &out); err != nil {
		t.Fatal(err)
	}
	if want := "openelm: 16 layers, model_dim 1280\n"; out.String() != want {
		t.Errorf("printed %q, want %q", &out, want)
	}
}

func TestSource(t *testing.T) {
	_, repo := serve(t)
	source := hub.From(repo)
	path, err := source.File(t.Context(), "model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(path); err != nil || !bytes.Equal(data, weights) {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	if _, err := source.File(t.Context(), "absent.json"); !errors.Is(err, hub.ErrFileNotFound) {
		t.Errorf("absent file: %v", err)
	}
	if _, err := source.File(t.Context(), "../config.json"); !errors.Is(err, hub.ErrInvalidName) {
		t.Errorf("hostile name: %v", err)
	}
}

// A connection that is cut is an error, though go-huggingface reports success.
func TestDroppedConnection(t *testing.T) {
	srv, repo := serve(t)
	srv.Set(hubtest.Knobs{Drops: 100, DropAfter: 1000})
	if path, err := hub.From(repo).File(t.Context(), "model.safetensors"); err == nil {
		t.Errorf("no error, but %s", path)
	}
}

func TestCancel(t *testing.T) {
	srv, repo := serve(t)
	srv.Set(hubtest.Knobs{Stall: 1000})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := hub.From(repo).File(ctx, "model.safetensors")
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

// Both make a Source, so a program can change from one to the other in a line.
var _ = []hub.Source{hub.From(&gohf.Repo{}), new(hub.Client).Source(hub.Repo{})}
