package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	gohf "github.com/gomlx/go-huggingface/hub"

	"github.com/go-openelm/go-openelm/internal/testing/hubtest"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/loader/hub"
)

const (
	testID = "org/tiny"
	model  = "../../story/model" // the model that is embedded in the library
)

func serve(t *testing.T) (*hubtest.Server, *gohf.Repo) {
	t.Helper()
	srv := hubtest.New(t, hubtest.Repo{ID: testID, Files: os.DirFS(model)})
	repo := gohf.New(testID).WithEndpoint(srv.URL).WithCacheDir(t.TempDir()).WithProgressBar(false)
	repo.Verbosity = 0
	return srv, repo
}

// The text is the one of the model on disk.
func TestGenerate(t *testing.T) {
	_, repo := serve(t)
	var downloaded, local bytes.Buffer
	if err := generate(t.Context(), hub.From(repo), "Once upon a time", &downloaded); err != nil {
		t.Fatal(err)
	}
	if err := generate(t.Context(), onDisk(model), "Once upon a time", &local); err != nil {
		t.Fatal(err)
	}
	if downloaded.String() != local.String() || len(strings.Fields(local.String())) < 20 {
		t.Errorf("generated %q, from disk %q", &downloaded, &local)
	}
}

// onDisk has files in a folder.
type onDisk string

func (dir onDisk) File(_ context.Context, name string) (string, error) {
	path := string(dir) + "/" + name
	if _, err := os.Stat(path); err != nil {
		return "", &hub.Error{Kind: hub.ErrFileNotFound, File: name, Err: err}
	}
	return path, nil
}

func TestAbsentFile(t *testing.T) {
	_, repo := serve(t)
	if _, err := hub.From(repo).File(t.Context(), "absent.json"); !errors.Is(err, hub.ErrFileNotFound) {
		t.Errorf("absent file: %v", err)
	}
	if _, err := hub.From(repo).File(t.Context(), "../config.json"); !errors.Is(err, hub.ErrInvalidName) {
		t.Errorf("hostile name: %v", err)
	}
}

// A connection that is cut is an error, though go-huggingface reports success.
func TestDroppedConnection(t *testing.T) {
	srv, repo := serve(t)
	srv.Set(hubtest.Knobs{Drops: 1000, DropAfter: 100})
	if path, err := hub.From(repo).File(t.Context(), "model.safetensors"); err == nil {
		t.Errorf("no error, but %s", path)
	}
}

// go-huggingface takes contents for good whatever they are; the loader does not.
func TestCutOffWeights(t *testing.T) {
	_, repo := serve(t)
	source := hub.From(repo)
	path, err := source.File(t.Context(), "model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 100_000); err != nil {
		t.Fatal(err)
	}
	if _, err := loader.OpenSource(t.Context(), source, nil); !errors.Is(err, loader.ErrCorrupt) {
		t.Errorf("cut-off weights: %v", err)
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
