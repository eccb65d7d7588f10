package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// Client downloads repositories. Its zero value works and follows the
// environment (see the package documentation); it holds no state and may be used from several goroutines.
type Client struct {
	Endpoint string // of the hub, such as "https://huggingface.co"
	Token    string // user access token
	CacheDir string // the folder that holds models--org--name
	Offline  bool   // never use the network

	// Transport performs the requests, [http.DefaultTransport] if nil.
	// Redirects are followed by the client itself.
	Transport http.RoundTripper

	// Backoff says how long to wait before retrying after the attempt-th failure in a row
	// (from 1) and whether to. Received bytes start the count anew. If
	// nil, there are four retries after 1, 2, 4 and 8 seconds.
	Backoff func(attempt int) (wait time.Duration, ok bool)

	// Progress is told how much of a file is there, from the goroutine that
	// called File or Snapshot and after every piece received: a caller that draws
	// throttles. It is not called for a file that was in the cache.
	Progress func(Progress)

	// Logger gets what is worth knowing but no failure: retries, and the cache used
	// because the hub could not be. Silent if nil.
	Logger *slog.Logger

	UserAgent string // "go-openelm" if empty

	// Getenv replaces [os.Getenv] wherever the client looks at the environment,
	// including HOME. One that returns "" makes a client independent of it.
	Getenv func(name string) string
}

// Progress says that Done of the Total bytes of a file have been received,
// those of an earlier interrupted download included.
type Progress struct {
	Repo        Repo
	File        string
	Done, Total int64
}

// Format prints the client without its token, whatever the verb.
func (c Client) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "hub.Client{Endpoint:%q CacheDir:%q Offline:%t}", c.Endpoint, c.CacheDir, c.Offline)
}

// defaultBackoff waits 1, 2, 4 and 8 seconds.
func defaultBackoff(attempt int) (time.Duration, bool) {
	return time.Second << (attempt - 1), attempt <= 4
}

// File returns the path of a repository's file in the cache, having downloaded and
// verified it if it was not there. name is relative to the repository, with
// slashes. The file must not be modified.
//
// The context ends the call at once, wherever it is; what was received remains
// and the next call continues there.
func (c *Client) File(ctx context.Context, repo Repo, name string) (path string, err error) {
	s, err := c.settings()
	if err != nil {
		return "", err
	}
	path, _, err = s.file(ctx, repo, name)
	return path, s.finish(err, repo, name)
}

// finish says which repository and file an error is about, and that last of all
// hides the token, in case a server repeated it.
func (s *settings) finish(err error, repo Repo, file string) error {
	if e, ok := errors.AsType[*Error](err); ok {
		e.Repo, e.File = repo, file
		e.Detail, e.URL = s.scrub(e.Detail), s.scrub(e.URL)
	}
	return err
}

// file also returns the commit that repo's revision was found to be, which is
// known even for an [ErrFileNotFound] of the hub.
func (s *settings) file(ctx context.Context, repo Repo, name string) (path, commit string, err error) {
	if err := repo.validate(); err != nil {
		return "", "", err
	}
	if reason := checkFileName(name); reason != "" {
		return "", "", &Error{Kind: ErrInvalidName, Detail: "the file name " + reason}
	}
	if err := ctx.Err(); err != nil {
		return "", "", err
	}
	cache := s.cache(repo)
	cached, cachedCommit, cachedErr := cache.lookup(repo.revision(), name)
	lost := s.contact.lostBy()
	if s.offline || lost != nil || (isCommit(repo.revision()) && !errors.Is(cachedErr, ErrNotCached)) {
		return cached, cachedCommit, because(cachedErr, lost)
	}
	meta, err := s.metadata(ctx, repo, name)
	known := !errors.Is(cachedErr, ErrNotCached)
	// Before the hub has answered at all, a snapshot counts as what there is.
	complete := s.contact.never() && cache.hasSnapshot(cachedCommit)
	busy := isBusy(err)
	if errors.Is(err, ErrUnavailable) && !known && (busy || !complete) {
		meta, err = retry(ctx, s, err, func() (metadata, error) { return s.metadata(ctx, repo, name) })
	}
	if canUseCache(err) && (known || complete) {
		err = s.finish(err, repo, name) // it stays, as the reason of others
		s.log.Warn("using the cache", "repo", repo.String(), "file", name, "commit", cachedCommit, "reason", s.scrub(err.Error()))
		if !busy || !known { // else the hub may have time for the next file
			s.contact.lose(err)
		}
		return cached, cachedCommit, because(cachedErr, err)
	}
	if err == nil || errors.Is(err, ErrFileNotFound) {
		s.contact.hear()
	}
	if err != nil {
		if errors.Is(err, ErrFileNotFound) && meta.commit != "" {
			cache.writeNoExist(meta.commit, name)
			_ = cache.writeRef(repo.revision(), meta.commit) // so that the answer is found without a network
		}
		return "", meta.commit, err
	}

	if path, ok := cache.current(meta, name); ok {
		// A cache that cannot be written to is still good to read from.
		if err := cache.writeRef(repo.revision(), meta.commit); err != nil {
			s.log.Warn("cannot update the cached reference", "repo", repo.String(), "error", err)
		}
		return path, meta.commit, nil
	}
	path, err = s.download(ctx, repo, name, meta)
	return path, meta.commit, err
}

// isBusy reports whether err is a hub's that answers, but not now.
func isBusy(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Kind == ErrUnavailable && e.Status != 0
}

// because gives an [ErrNotCached] the reason for which the hub was not asked.
func because(err, reason error) error {
	if e, ok := errors.AsType[*Error](err); ok && e.Kind == ErrNotCached && reason != nil {
		e.Err = reason
	}
	return err
}

// canUseCache reports whether a request that failed with err says nothing
// against what an earlier one has put into the cache.
func canUseCache(err error) bool {
	for _, kind := range []error{ErrUnavailable, ErrGated, ErrUnauthorized, ErrRepoNotFound, ErrBadResponse} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// retry calls f until it returns something else than an [ErrUnavailable], of
// which err is the first, or the client's Backoff says to stop.
func retry[T any](ctx context.Context, s *settings, err error, f func() (T, error)) (result T, _ error) {
	for attempt := 1; errors.Is(err, ErrUnavailable); attempt++ {
		if ok, waitErr := s.wait(ctx, attempt, err); waitErr != nil {
			return result, waitErr
		} else if !ok {
			break
		}
		result, err = f()
	}
	return result, err
}

// maxRetryAfter bounds how long a server can make the client wait.
const maxRetryAfter = time.Minute

// wait sleeps before the retry that follows the attempt-th failure; ok says
// that there should be one.
func (s *settings) wait(ctx context.Context, attempt int, cause error) (ok bool, _ error) {
	wait, ok := s.backoff(attempt)
	if !ok {
		return false, nil
	}
	if e, isError := errors.AsType[*Error](cause); isError {
		wait = max(wait, min(e.retryAfter, maxRetryAfter))
	}
	s.log.Warn("retrying", "attempt", attempt, "wait", wait, "reason", s.scrub(cause.Error()))
	return true, sleep(ctx, wait)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
