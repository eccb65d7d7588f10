package hub

import (
	"context"
	"fmt"
	"sync"
)

// Source gives the files of one repository. [Client.Source] makes one, [From] turns
// another library's repository into one.
type Source interface {
	// File returns the local path of a file, whose name is relative to the
	// repository, with slashes. If the repository does not have the file, a
	// Client's error is an [ErrFileNotFound].
	File(ctx context.Context, name string) (path string, err error)
}

// Source returns a repository's files, all of one commit: the one that the revision
// is when the first file is asked for. Changes on the hub in between do not mix
// two commits' files.
//
// If the hub cannot be reached when it is first needed and the cache has a
// snapshot of the revision, the source stays with the cache: it neither asks nor
// waits again, and what the snapshot lacks is an [ErrNotCached].
func (c *Client) Source(repo Repo) Source {
	return &source{client: c, repo: repo}
}

// contact is what a source knows of the way to its hub.
type contact struct {
	mu    sync.Mutex
	heard bool  // the hub has answered
	lost  error // why it is not asked any more
}

// never reports whether a source has not heard from its hub. It does not hold
// for a call on its own, whose caller asks for just that file.
func (c *contact) never() bool {
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.heard
}

func (c *contact) hear() {
	if c != nil {
		c.mu.Lock()
		c.heard = true
		c.mu.Unlock()
	}
}

func (c *contact) lose(reason error) {
	if c != nil {
		c.mu.Lock()
		c.lost = reason
		c.mu.Unlock()
	}
}

func (c *contact) lostBy() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

type source struct {
	client *Client
	repo   Repo

	contact contact

	mu     sync.Mutex
	commit string // "" until known
}

func (s *source) File(ctx context.Context, name string) (string, error) {
	settings, err := s.client.settings()
	if err != nil {
		return "", err
	}
	settings.contact = &s.contact
	repo := s.repo
	s.mu.Lock()
	if s.commit != "" {
		repo.Revision = s.commit
	}
	s.mu.Unlock()

	path, commit, err := settings.file(ctx, repo, name)
	s.mu.Lock()
	if s.commit == "" {
		s.commit = commit
	}
	// A concurrent first call may have been told of another commit.
	elsewhere := commit != "" && commit != s.commit
	s.mu.Unlock()
	if elsewhere {
		return s.File(ctx, name)
	}
	return path, settings.finish(err, s.repo, name)
}

// Files lists the repository's files as [Client.Files] does, of the commit that
// the source stays with.
func (s *source) Files(ctx context.Context) ([]FileInfo, error) {
	client, repo := *s.client, s.repo
	s.mu.Lock()
	if s.commit != "" {
		repo.Revision = s.commit
	}
	s.mu.Unlock()
	client.Offline = client.Offline || s.contact.lostBy() != nil
	return client.Files(ctx, repo)
}

// FileDownloader is what [From] needs of another library's repository. The *hub.Repo
// of github.com/gomlx/go-huggingface has it.
type FileDownloader interface {
	DownloadFile(name string) (path string, err error)
}

// From makes a [Source] of another library's repository, whose methods it calls
// one at a time. It also uses
//
//	DownloadFileCtx(ctx context.Context, name string) (string, error)
//	DownloadInfo(force bool) error
//	HasFile(name string) bool
//
// if they are there: without the first the context ends the call but not the download
// behind it, and without the other two a file that the repository does not have is
// whatever error DownloadFile returns instead of an [ErrFileNotFound].
//
// That the file exists is all that is checked here; its contents are the business
// of whoever reads it.
func From(repo FileDownloader) Source { return &foreign{repo: repo} }

type foreign struct {
	mu   sync.Mutex
	repo FileDownloader
}

func (f *foreign) File(ctx context.Context, name string) (string, error) {
	if reason := checkFileName(name); reason != "" {
		return "", &Error{Kind: ErrInvalidName, File: name, Detail: "the file name " + reason}
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	type result struct {
		path string
		err  error
	}
	done := make(chan result, 1) // so that the goroutine ends though nobody waits any more
	go func() {
		path, err := f.download(ctx, name)
		done <- result{path, err}
	}()
	select {
	case r := <-done:
		return r.path, r.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (f *foreign) download(ctx context.Context, name string) (path string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if repo, ok := f.repo.(interface {
		DownloadFileCtx(context.Context, string) (string, error)
	}); ok {
		path, err = repo.DownloadFileCtx(ctx, name)
	} else {
		path, err = f.repo.DownloadFile(name)
	}
	if err == nil && !isFile(path) {
		err = &Error{Kind: ErrUnavailable, File: name, Detail: fmt.Sprintf("%T reported success but there is no file %q", f.repo, path)}
	}
	if err == nil {
		return path, nil
	}
	if repo, ok := f.repo.(interface {
		DownloadInfo(force bool) error
		HasFile(name string) bool
	}); ok && repo.DownloadInfo(false) == nil && !repo.HasFile(name) {
		return "", &Error{Kind: ErrFileNotFound, File: name, Err: err}
	}
	return "", err
}
