package hub

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/go-openelm/go-openelm/internal/filewrite"
)

// repoCache is a repository's folder in the cache. Reading goes by path, since users
// link parts of their cache elsewhere; writing goes through an [os.Root].
type repoCache struct {
	repo       Repo
	hubDir     string // holds all repositories
	noSymlinks bool
}

func (s *settings) cache(repo Repo) repoCache {
	return repoCache{repo, s.cacheDir, s.noSymlinks}
}

func (c repoCache) dir() string { return filepath.Join(c.hubDir, c.repo.folder()) }

// snapshot is the folder of a commit's files.
func (c repoCache) snapshot(commit string) string {
	return filepath.Join(c.dir(), "snapshots", commit)
}

func (c repoCache) pointer(commit, name string) string {
	return filepath.Join(c.snapshot(commit), filepath.FromSlash(name))
}

// commit is what the cache last knew a revision to be, "" if nothing.
func (c repoCache) commit(revision string) string {
	if isCommit(revision) {
		return revision
	}
	data, err := os.ReadFile(filepath.Join(c.dir(), "refs", filepath.FromSlash(revision)))
	if commit := strings.TrimSpace(string(data)); err == nil && isCommit(commit) {
		return commit
	}
	return ""
}

// lookup finds a file without the network. The error is an [ErrNotCached], or an
// [ErrFileNotFound] if the commit is known not to have the file.
func (c repoCache) lookup(revision, name string) (path, commit string, err error) {
	commit = c.commit(revision)
	if commit == "" {
		return "", "", c.notCached(false)
	}
	if path := c.pointer(commit, name); isFile(path) {
		return path, commit, nil
	}
	names := c.readTree(commit)
	listed := slices.Contains(names, name)
	if len(names) > 0 && !listed || isFile(filepath.Join(c.dir(), ".no_exist", commit, filepath.FromSlash(name))) {
		return "", commit, &Error{Kind: ErrFileNotFound, Detail: "commit " + commit + " does not have it"}
	}
	return "", commit, c.notCached(listed)
}

func (c repoCache) notCached(listed bool) error {
	return &Error{Kind: ErrNotCached, Listed: listed,
		Detail: c.hubDir + " does not have it and the hub is not asked (HF_HUB_OFFLINE) or cannot be; download it once with the network"}
}

// hasSnapshot reports whether the cache has files of a commit.
func (c repoCache) hasSnapshot(commit string) bool {
	info, err := os.Stat(c.snapshot(commit))
	return commit != "" && err == nil && info.IsDir()
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// current returns the path of a file whose snapshot entry agrees with the hub's metadata.
func (c repoCache) current(meta metadata, name string) (path string, ok bool) {
	path = c.pointer(meta.commit, name)
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() != meta.size {
		return "", false
	}
	target, err := os.Readlink(path)
	return path, err != nil || filepath.Base(target) == meta.hash
}

// openRoot creates the repository's folder, and nothing beside it: releases of huggingface_hub
// such as 0.34 report any file there, such as a CACHEDIR.TAG, as a corrupted repository.
func (c repoCache) openRoot() (*os.Root, error) {
	if err := os.MkdirAll(c.dir(), 0o777); err != nil {
		return nil, c.failed(err)
	}
	root, err := os.OpenRoot(c.dir())
	if err != nil {
		return nil, c.failed(err)
	}
	return root, nil
}

// failed explains an error of the file system.
func (c repoCache) failed(err error) error {
	e := &Error{Kind: ErrCache, Detail: c.hubDir, Err: err}
	switch {
	case filewrite.DiskFull(err):
		e.Detail = fmt.Sprintf("the disk of %s is full; free some space, or choose another place with HF_HUB_CACHE (the download continues where it stopped)", c.hubDir)
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS):
		e.Detail = fmt.Sprintf("%s cannot be written to; make it writable, or choose another place with HF_HUB_CACHE", c.hubDir)
	}
	return e
}

// writeFile makes a small file appear complete or not at all.
func (c repoCache) writeFile(root *os.Root, name, content string) error {
	if err := root.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return c.failed(err)
	}
	tmp := name + "." + rand.Text()[:8] + ".tmp"
	defer root.Remove(tmp) // fails if all went well
	if err := root.WriteFile(tmp, []byte(content), 0o666); err != nil {
		return c.failed(err)
	}
	if err := root.Rename(tmp, name); err != nil {
		return c.failed(err)
	}
	return nil
}

// writeRef remembers what commit a branch or tag is.
func (c repoCache) writeRef(revision, commit string) error {
	if revision == commit || c.commit(revision) == commit {
		return nil
	}
	root, err := c.openRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	return c.writeFile(root, filepath.Join("refs", filepath.FromSlash(revision)), commit)
}

// writeNoExist remembers that a commit does not have a file. It is best effort: the hub
// can be asked again.
func (c repoCache) writeNoExist(commit, name string) {
	root, err := c.openRoot()
	if err != nil {
		return
	}
	defer root.Close()
	// Python's scan_cache_dir calls a repository without this folder corrupted.
	_ = root.Mkdir("snapshots", 0o777)
	_ = c.writeFile(root, filepath.Join(".no_exist", commit, filepath.FromSlash(name)), "")
}

// link makes a blob appear in a snapshot: as a relative symbolic link or, where
// there are none, as a file. fresh says that the blob has just been downloaded
// and no snapshot refers to it.
func (c repoCache) link(root *os.Root, meta metadata, name string, fresh bool) (path string, err error) {
	pointer := filepath.Join("snapshots", meta.commit, filepath.FromSlash(name))
	blob := filepath.Join("blobs", meta.hash)
	if err := root.MkdirAll(filepath.Dir(pointer), 0o777); err != nil {
		return "", c.failed(err)
	}
	// What is there is a broken link, or not what the hub has.
	if err := root.Remove(pointer); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", c.failed(err)
	}
	target, err := filepath.Rel(filepath.Dir(pointer), blob)
	if err != nil {
		return "", c.failed(err)
	}
	if !c.noSymlinks {
		err := root.Symlink(target, pointer)
		if err == nil || errors.Is(err, fs.ErrExist) { // another process without a working lock
			return c.pointer(meta.commit, name), nil
		}
	}
	if fresh {
		err = root.Rename(blob, pointer)
	} else {
		err = copyFile(root, blob, pointer)
	}
	if err != nil {
		return "", c.failed(err)
	}
	return c.pointer(meta.commit, name), nil
}

// copyFile makes a copy that appears complete or not at all.
func copyFile(root *os.Root, from, to string) (err error) {
	src, err := root.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	tmp := to + "." + rand.Text()[:8] + ".tmp"
	dst, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer root.Remove(tmp) // fails if all went well
	_, err = io.Copy(dst, src)
	if err == nil {
		err = dst.Sync()
	}
	if closeErr := dst.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = root.Rename(tmp, to)
	}
	return err
}
