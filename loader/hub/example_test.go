package hub_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"testing/fstest"

	"github.com/go-openelm/go-openelm/internal/testing/hubtest"
	"github.com/go-openelm/go-openelm/loader/hub"
)

// exampleHub stands for huggingface.co: it returns a client of a server in this process
// and of a cache that cleanup removes. A program would write
//
//	var client hub.Client
func exampleHub() (client *hub.Client, cleanup func()) {
	srv, err := hubtest.Start(hubtest.Repo{ID: "org/tiny", Files: fstest.MapFS{
		"config.json":       {Data: []byte(`{"model_type": "openelm"}`)},
		"model.safetensors": {Data: make([]byte, 1000)},
		"README.md":         {Data: []byte("# Tiny")},
	}})
	if err != nil {
		log.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "hub")
	if err != nil {
		log.Fatal(err)
	}
	client = &hub.Client{Endpoint: srv.URL, Transport: srv.Transport(), CacheDir: dir, Getenv: func(string) string { return "" }}
	return client, func() { srv.Close(); os.RemoveAll(dir) }
}

func ExampleClient_File() {
	client, cleanup := exampleHub()
	defer cleanup()

	repo, err := hub.ParseRepo("org/tiny@main")
	if err != nil {
		log.Fatal(err)
	}
	path, err := client.File(context.Background(), repo, "config.json")
	if err != nil {
		log.Fatal(err)
	}
	data, err := os.ReadFile(path)
	fmt.Println(string(data), err)

	client.Offline = true // the second time there need be no network
	_, err = client.File(context.Background(), repo, "config.json")
	fmt.Println(err)
	_, err = client.File(context.Background(), repo, "README.md")
	fmt.Println(errors.Is(err, hub.ErrNotCached))
	// Output:
	// {"model_type": "openelm"} <nil>
	// <nil>
	// true
}

func ExampleClient_Snapshot() {
	client, cleanup := exampleHub()
	defer cleanup()

	client.Progress = func(p hub.Progress) { fmt.Printf("%s: %d of %d\n", p.File, p.Done, p.Total) }
	dir, err := client.Snapshot(context.Background(), hub.Repo{ID: "org/tiny"}, "*.safetensors")
	if err != nil {
		log.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	fmt.Println(entries, err)
	// Output:
	// model.safetensors: 0 of 1000
	// model.safetensors: 1000 of 1000
	// [L model.safetensors] <nil>
}

// onDisk is a repository object of another library.
type onDisk string

func (dir onDisk) DownloadFile(name string) (string, error) {
	return filepath.Join(string(dir), name), nil
}

func ExampleFrom() {
	source := hub.From(onDisk("testdata/home"))
	path, err := source.File(context.Background(), "token")
	fmt.Println(filepath.ToSlash(path), err)
	// Output:
	// testdata/home/token <nil>
}
