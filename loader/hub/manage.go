package hub

import (
	"cmp"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// CachedRepo is a repository that the cache has something of.
type CachedRepo struct {
	Repo      Repo // without a revision
	Size      int64
	Revisions []CachedRevision // by commit
}

// CachedRevision is the files of one commit that the cache has.
type CachedRevision struct {
	Commit string
	Refs   []string // branches and tags that were last seen to be this commit
	Size   int64    // of its files, whether others share them or not
	Files  []FileInfo
}

// Cached lists the model repositories in the cache, by name.
func (c *Client) Cached() ([]CachedRepo, error) {
	s, err := c.settings()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(s.cacheDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, &Error{Kind: ErrCache, Detail: s.cacheDir, Err: err}
	}
	var list []CachedRepo
	for _, e := range entries {
		name, isModel := strings.CutPrefix(e.Name(), "models--")
		repo := Repo{ID: strings.Replace(name, "--", "/", 1)}
		if !isModel || repo.validate() != nil {
			continue
		}
		found, err := s.cache(repo).scan()
		if err != nil {
			return nil, s.finish(err, repo, "")
		}
		list = append(list, found)
	}
	return list, nil
}

// scan reads what the cache has of the repository.
func (c repoCache) scan() (CachedRepo, error) {
	r := CachedRepo{Repo: Repo{ID: c.repo.ID}}
	refs, err := c.refs()
	if err != nil {
		return r, err
	}
	commits, err := os.ReadDir(filepath.Join(c.dir(), "snapshots"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r, c.failed(err)
	}
	for _, e := range commits {
		if !isCommit(e.Name()) || !c.hasSnapshot(e.Name()) {
			continue
		}
		v := CachedRevision{Commit: e.Name()}
		for ref, commit := range refs {
			if commit == v.Commit {
				v.Refs = append(v.Refs, ref)
			}
		}
		slices.Sort(v.Refs)
		if v.Files, err = c.files(v.Commit); err != nil {
			return r, err
		}
		slices.SortFunc(v.Files, func(a, b FileInfo) int { return cmp.Compare(a.Name, b.Name) })
		for _, f := range v.Files {
			v.Size += f.Size
		}
		r.Revisions = append(r.Revisions, v)
	}
	// What is on the disk: blobs, unfinished downloads among them, and copies.
	err = filepath.WalkDir(c.dir(), func(_ string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // there is nothing, or no more
			return nil
		}
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			r.Size += info.Size()
		}
		return err
	})
	if err != nil {
		return r, c.failed(err)
	}
	return r, nil
}

// refs is the commit of every branch and tag.
func (c repoCache) refs() (map[string]string, error) {
	all, dir := map[string]string{}, filepath.Join(c.dir(), "refs")
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if commit := c.commit(name); commit != "" {
			all[name] = commit
		}
		return nil
	})
	if err != nil {
		return nil, c.failed(err)
	}
	return all, nil
}

// Removal is what [Client.Remove] removes, or would.
type Removal struct {
	Repo    Repo
	Commits []string
	Whole   bool  // nothing of the repository stays
	Size    int64 // that is freed
}

// Remove removes a repository from the cache or, where one is named, a revision of
// it: its files as far as no other revision has them. What stays is whole at any
// moment, whenever it is interrupted. With dry set nothing is removed. The error
// of what is not in the cache is an [ErrNotCached].
func (c *Client) Remove(ctx context.Context, repo Repo, dry bool) (*Removal, error) {
	s, err := c.settings()
	if err != nil {
		return nil, err
	}
	if err := repo.validate(); err != nil {
		return nil, s.finish(err, repo, "")
	}
	cache := s.cache(repo)
	if info, err := os.Stat(cache.dir()); err != nil || !info.IsDir() {
		return nil, s.finish(&Error{Kind: ErrNotCached, Detail: cache.hubDir + " has nothing of it"}, repo, "")
	}
	r, err := s.remove(ctx, cache, repo, dry)
	return r, s.finish(err, repo, "")
}

func (s *settings) remove(ctx context.Context, cache repoCache, repo Repo, dry bool) (*Removal, error) {
	found, err := cache.scan()
	if err != nil {
		return nil, err
	}
	r := &Removal{Repo: repo, Whole: repo.Revision == ""}
	commit := ""
	if !r.Whole {
		if commit = cache.commit(repo.Revision); !cache.hasSnapshot(commit) {
			return nil, &Error{Kind: ErrNotCached, Detail: cache.hubDir + " has no such revision of it"}
		}
		r.Commits, r.Whole = []string{commit}, len(found.Revisions) == 1
	}
	if r.Whole {
		r.Size, r.Commits = found.Size, nil
		for _, v := range found.Revisions {
			r.Commits = append(r.Commits, v.Commit)
		}
		if dry || ctx.Err() != nil {
			return r, context.Cause(ctx)
		}
		if err := os.RemoveAll(cache.dir()); err != nil {
			return nil, cache.failed(err)
		}
		return r, nil
	}
	// Copies, where there are no links, are the snapshot's own.
	var blobs []string
	kept, err := cache.blobsOf(func(other string) bool { return other != commit })
	if err != nil {
		return nil, err
	}
	mine, err := cache.blobsOf(func(other string) bool { return other == commit })
	if err != nil {
		return nil, err
	}
	for _, f := range found.Revisions[slices.IndexFunc(found.Revisions, func(v CachedRevision) bool { return v.Commit == commit })].Files {
		if !mine[f.Hash] {
			r.Size += f.Size
		}
	}
	for hash := range mine {
		if kept[hash] {
			continue
		}
		blobs = append(blobs, hash)
		if info, err := os.Stat(filepath.Join(cache.dir(), "blobs", hash)); err == nil {
			r.Size += info.Size()
		}
	}
	if dry || ctx.Err() != nil {
		return r, context.Cause(ctx)
	}
	return r, s.removeRevision(ctx, cache, commit, blobs)
}

// removeRevision removes what leads to files before the files.
func (s *settings) removeRevision(ctx context.Context, cache repoCache, commit string, blobs []string) error {
	root, err := cache.openRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	refs, err := cache.refs()
	if err != nil {
		return err
	}
	paths := []string{filepath.Join("snapshots", commit), filepath.Join(".no_exist", commit), treeName(commit)}
	for ref, of := range refs {
		if of == commit {
			paths = append([]string{filepath.Join("refs", filepath.FromSlash(ref))}, paths...)
		}
	}
	for _, p := range paths {
		if err := root.RemoveAll(p); err != nil {
			return cache.failed(err)
		}
	}
	for _, hash := range blobs {
		if err := s.removeBlob(ctx, cache, root, hash); err != nil {
			return err
		}
	}
	return nil
}

// removeBlob removes a blob unless a download has made it another revision's by now.
func (s *settings) removeBlob(ctx context.Context, cache repoCache, root *os.Root, hash string) error {
	unlock, err := s.lock(ctx, cache, hash)
	if err != nil {
		return err
	}
	if unlock != nil {
		defer unlock()
	}
	used, err := cache.blobsOf(func(string) bool { return true })
	if err != nil || used[hash] {
		return err
	}
	if err := root.Remove(filepath.Join("blobs", hash)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return cache.failed(err)
	}
	return nil
}

// blobsOf is the blobs that the snapshots of some commits link to.
func (c repoCache) blobsOf(wanted func(commit string) bool) (map[string]bool, error) {
	all, dir := map[string]bool{}, filepath.Join(c.dir(), "snapshots")
	commits, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, c.failed(err)
	}
	for _, commit := range commits {
		if !wanted(commit.Name()) {
			continue
		}
		err := filepath.WalkDir(filepath.Join(dir, commit.Name()), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.Type()&fs.ModeSymlink == 0 {
				return err
			}
			target, err := os.Readlink(path)
			if err == nil && isBlobHash(filepath.Base(target)) {
				all[filepath.Base(target)] = true
			}
			return err
		})
		if err != nil {
			return nil, c.failed(err)
		}
	}
	return all, nil
}

// Problem is a file in the cache that is not what it should be.
type Problem struct {
	Commit, File string
	Err          error // an [*Error]: ErrMismatch, ErrNotCached or ErrCache
}

// Verification is what [Client.Verify] found.
type Verification struct {
	Files    int   // that were read
	Size     int64 // of these
	Unknown  int   // further files, copies whose hashes the cache does not know
	Problems []Problem
}

// Verify reads the files of a repository in the cache, of one revision where one is
// named, and holds them to their hashes. A file that several revisions share is
// read once. progress, if not nil, is told the bytes that have been read.
func (c *Client) Verify(ctx context.Context, repo Repo, progress func(Progress)) (*Verification, error) {
	s, err := c.settings()
	if err != nil {
		return nil, err
	}
	if err := repo.validate(); err != nil {
		return nil, s.finish(err, repo, "")
	}
	v := &verifier{ctx: ctx, cache: s.cache(repo), progress: progress, seen: map[string]error{}}
	return &v.Verification, s.finish(v.run(repo), repo, "")
}

type verifier struct {
	Verification
	ctx      context.Context
	cache    repoCache
	progress func(Progress)
	seen     map[string]error // by blob
}

func (v *verifier) run(repo Repo) error {
	found, err := v.cache.scan()
	if err != nil {
		return err
	}
	commit := ""
	if repo.Revision != "" {
		commit = v.cache.commit(repo.Revision)
	}
	any := false
	for _, r := range found.Revisions {
		if repo.Revision != "" && r.Commit != commit {
			continue
		}
		any = true
		if err := v.revision(r.Commit); err != nil {
			return err
		}
	}
	if !any {
		return &Error{Kind: ErrNotCached, Detail: v.cache.hubDir + " has nothing of it"}
	}
	return nil
}

// revision verifies all that a snapshot shows, broken links too.
func (v *verifier) revision(commit string) error {
	dir, known := v.cache.snapshot(commit), v.cache.hashes(commit)
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return v.cache.failed(err)
		}
		if e.IsDir() {
			return nil
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		want := known[name]
		if target, err := os.Readlink(path); err == nil && isBlobHash(filepath.Base(target)) {
			want = filepath.Base(target)
		}
		if want == "" {
			v.Unknown++
			return nil
		}
		problem, done := v.seen[want]
		if !done || e.Type().IsRegular() {
			if problem = v.file(path, name, want); v.ctx.Err() != nil {
				return context.Cause(v.ctx)
			}
			v.seen[want] = problem
		}
		if problem != nil {
			v.Problems = append(v.Problems, Problem{commit, name, problem})
		}
		return nil
	})
}

// file reads a file and compares its hash.
func (v *verifier) file(path, name, want string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &Error{Kind: ErrNotCached, Repo: v.cache.repo, File: name, Detail: "it is a link to nothing"}
	}
	if err != nil {
		return &Error{Kind: ErrCache, Repo: v.cache.repo, File: name, Err: err}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return &Error{Kind: ErrCache, Repo: v.cache.repo, File: name, Err: err}
	}
	what, sum := "sha256", hash.Hash(sha256.New())
	if !isSHA256(want) {
		what, sum = "git blob id", sha1.New()
		fmt.Fprintf(sum, "blob %d\x00", info.Size())
	}
	piece := make([]byte, 1<<20)
	for done := int64(0); ; {
		if v.ctx.Err() != nil {
			return context.Cause(v.ctx)
		}
		n, err := f.Read(piece)
		sum.Write(piece[:n])
		done += int64(n)
		if v.progress != nil && n > 0 {
			v.progress(Progress{Repo: v.cache.repo, File: name, Done: done, Total: info.Size()})
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return &Error{Kind: ErrCache, Repo: v.cache.repo, File: name, Err: err}
		}
	}
	v.Files++
	v.Size += info.Size()
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		return &Error{Kind: ErrMismatch, Repo: v.cache.repo, File: name, Err: &MismatchError{What: what, Want: want, Got: got}}
	}
	return nil
}

// hashes is those of a commit's files, as far as the cache knows them without
// looking at links.
func (c repoCache) hashes(commit string) map[string]string {
	all := map[string]string{}
	for name, f := range c.tree(commit).Files {
		if hash := firstOf(f.LFSSHA256, f.BlobID); isBlobHash(hash) {
			all[name] = hash
		}
	}
	return all
}
