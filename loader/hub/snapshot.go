package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Files lists a repository's files in no particular order. When the hub cannot or must not be
// asked, these are the files in the cache. Names that [Client.File] would refuse are left
// out; the Logger is told of them.
func (c *Client) Files(ctx context.Context, repo Repo) ([]FileInfo, error) {
	s, err := c.settings()
	if err != nil {
		return nil, err
	}
	list, cached, err := s.list(ctx, repo)
	if err != nil {
		return nil, s.finish(err, repo, "")
	}
	if cached {
		files, err := s.cache(repo).files(list.commit)
		return files, s.finish(err, repo, "")
	}
	var files []FileInfo
	for _, f := range list.files {
		if reason := checkFileName(f.Name); reason != "" {
			s.log.Warn("ignoring a file", "repo", repo.String(), "file", f.Name, "reason", "its name "+reason)
			continue
		}
		files = append(files, f.FileInfo)
	}
	return files, nil
}

// Snapshot downloads every file that matches one of the patterns, or all if there are
// none, one after the other, and returns the folder they are in. Files that are in the
// cache are not asked for again. A pattern is like Python's fnmatch: * and ? match slashes
// too, [abc] and [!abc] one character, and a trailing slash stands for all of a folder.
//
// When the hub cannot or must not be asked, the folder in the cache is returned
// if it has all files that match, as far as the list of them is known.
func (c *Client) Snapshot(ctx context.Context, repo Repo, patterns ...string) (dir string, err error) {
	s, err := c.settings()
	if err != nil {
		return "", err
	}
	list, cached, err := s.list(ctx, repo)
	if err != nil {
		return "", s.finish(err, repo, "")
	}
	cache := s.cache(repo)
	if cached {
		err := cache.complete(list.commit, patterns)
		return cache.snapshot(list.commit), s.finish(err, repo, "")
	}
	pinned := Repo{ID: repo.ID, Revision: list.commit}
	matched := false
	for _, f := range list.files {
		if !matchAny(patterns, f.Name) {
			continue
		}
		matched = true
		if _, _, err := s.file(ctx, pinned, f.Name); err != nil {
			return "", s.finish(err, repo, f.Name)
		}
	}
	if !matched {
		return "", s.finish(noMatch(patterns), repo, "")
	}
	if err := cache.remember(repo.revision(), list); err != nil {
		s.log.Warn("cannot update the cache", "repo", repo.String(), "error", err)
	}
	return cache.snapshot(list.commit), nil
}

func noMatch(patterns []string) error {
	return &Error{Kind: ErrFileNotFound, Detail: fmt.Sprintf("no file matches %q", patterns)}
}

// list finds a repository's files, or only the commit if cached.
func (s *settings) list(ctx context.Context, repo Repo) (list listing, cached bool, err error) {
	if err := repo.validate(); err != nil {
		return listing{}, false, err
	}
	cache := s.cache(repo)
	commit := cache.commit(repo.revision())
	if !cache.hasSnapshot(commit) {
		commit = ""
	}
	if s.offline {
		if commit == "" {
			return listing{}, false, cache.notCached(false)
		}
		return listing{commit: commit}, true, nil
	}
	list, err = s.fetchListing(ctx, repo)
	if err != nil && commit != "" && canUseCache(err) {
		s.log.Warn("using the cache", "repo", repo.String(), "commit", commit, "reason", s.scrub(err.Error()))
		return listing{commit: commit}, true, nil
	}
	if errors.Is(err, ErrUnavailable) {
		list, err = retry(ctx, s, err, func() (listing, error) { return s.fetchListing(ctx, repo) })
	}
	return list, false, err
}

// files lists what the cache has of a commit.
func (c repoCache) files(commit string) ([]FileInfo, error) {
	var files []FileInfo
	dir := c.snapshot(commit)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() {
			return nil // a broken link
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		file := FileInfo{Name: filepath.ToSlash(name), Size: info.Size()}
		if target, err := os.Readlink(path); err == nil && isBlobHash(filepath.Base(target)) {
			file.Hash = filepath.Base(target)
		}
		files = append(files, file)
		return nil
	})
	if err != nil {
		return nil, c.failed(err)
	}
	return files, nil
}

// complete checks that the cache has all files of a commit that match the patterns.
func (c repoCache) complete(commit string, patterns []string) error {
	files, err := c.files(commit)
	if err != nil {
		return err
	}
	have := map[string]bool{}
	for _, f := range files {
		if matchAny(patterns, f.Name) {
			have[f.Name] = true
		}
	}
	var missing []string
	for _, name := range c.readTree(commit) {
		if matchAny(patterns, name) && !have[name] {
			missing = append(missing, name)
		}
	}
	switch {
	case len(missing) > 0:
		return &Error{Kind: ErrNotCached, Detail: fmt.Sprintf("%d files of commit %s are missing, %q among them; download them once with the network", len(missing), commit, missing[0])}
	case len(have) == 0:
		return noMatch(patterns)
	}
	return nil
}

// tree is the file trees/<commit>.json of huggingface_hub.
type tree struct {
	FormatVersion int                 `json:"format_version"` // 1
	Files         map[string]treeFile `json:"files"`
}

type treeFile struct {
	Size      int64  `json:"size"`
	BlobID    string `json:"blob_id"`
	LFSSHA256 string `json:"lfs_sha256,omitempty"`
	LFSSize   int64  `json:"lfs_size,omitempty"`
}

const treeFormat = 1

func treeName(commit string) string { return filepath.Join("trees", commit+".json") }

// readTree returns the names of all files of a commit, nil if they are not known.
func (c repoCache) readTree(commit string) (names []string) {
	return slices.Collect(maps.Keys(c.tree(commit).Files))
}

// tree is what the cache knows of a commit's files, nothing if it does not.
func (c repoCache) tree(commit string) tree {
	data, err := os.ReadFile(filepath.Join(c.dir(), treeName(commit)))
	if err != nil {
		return tree{}
	}
	return parseTree(data)
}

func parseTree(data []byte) (t tree) {
	if json.Unmarshal(data, &t) != nil || t.FormatVersion != treeFormat {
		return tree{}
	}
	return t
}

// remember writes a revision's commit and that commit's list of files.
func (c repoCache) remember(revision string, list listing) error {
	if err := c.writeRef(revision, list.commit); err != nil {
		return err
	}
	if isFile(filepath.Join(c.dir(), treeName(list.commit))) {
		return nil
	}
	t := tree{treeFormat, map[string]treeFile{}}
	for _, f := range list.files {
		if f.blobID == "" {
			return nil // the hub did not say enough for this file format
		}
		if checkFileName(f.Name) != "" {
			continue // nobody will have it
		}
		entry := treeFile{Size: f.Size, BlobID: f.blobID}
		if isSHA256(f.Hash) {
			entry.LFSSHA256, entry.LFSSize = f.Hash, f.Size
		}
		t.Files[f.Name] = entry
	}
	data, err := json.MarshalIndent(t, "", " ")
	if err != nil {
		return err
	}
	root, err := c.openRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	return c.writeFile(root, treeName(list.commit), string(data))
}

func matchAny(patterns []string, name string) bool {
	if len(patterns) == 0 {
		return true
	}
	for _, p := range patterns {
		if strings.HasSuffix(p, "/") {
			p += "*"
		}
		if match(p, name) {
			return true
		}
	}
	return false
}
