package hubtest

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Cached is a repository as Python's huggingface_hub leaves it in its cache.
type Cached struct {
	ID     string
	Files  fs.FS
	Pinned bool // it was downloaded by its commit: there are no refs

	// Tree is the complete list of the commit's files, which huggingface_hub
	// writes since version 1, files that are not cached included. Older versions
	// leave nothing that says what the repository does not have.
	Tree []string
}

// Write puts the repository into the cache and returns its commit.
func (c Cached) Write(tb testing.TB, cacheDir string) (commit string) {
	tb.Helper()
	s, err := newServer([]Repo{{ID: c.ID, Files: c.Files}})
	if err != nil {
		tb.Fatal(err)
	}
	_, commit, files := s.find(c.ID, "main")
	dir := filepath.Join(cacheDir, "models--"+strings.ReplaceAll(c.ID, "/", "--"))
	write := func(name string, data []byte) {
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o777)
		if err == nil {
			err = os.WriteFile(path, data, 0o666)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	for name, f := range files {
		blob, pointer := filepath.Join("blobs", f.hash()), filepath.Join("snapshots", commit, filepath.FromSlash(name))
		write(blob, f.data)
		target, err := filepath.Rel(filepath.Dir(pointer), blob)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(dir, pointer)), 0o777)
		}
		if err != nil {
			tb.Fatal(err)
		}
		if os.Symlink(target, filepath.Join(dir, pointer)) != nil { // as Python does where there are none
			write(pointer, f.data)
		}
	}
	if !c.Pinned {
		write(filepath.Join("refs", "main"), []byte(commit))
	}
	if c.Tree != nil {
		entries := object{}
		for _, name := range c.Tree {
			entry := object{"size": 1, "blob_id": strings.Repeat("0", 40)}
			if f := files[name]; f != nil {
				entry = object{"size": len(f.data), "blob_id": f.blobID}
			}
			if slices.Contains(lfsExtensions, filepath.Ext(name)) {
				entry["lfs_sha256"], entry["lfs_size"] = strings.Repeat("0", 64), entry["size"]
			}
			entries[name] = entry
		}
		text, err := json.Marshal(object{"format_version": 1, "files": entries})
		if err != nil {
			tb.Fatal(err)
		}
		write(filepath.Join("trees", commit+".json"), text)
	}
	return commit
}
