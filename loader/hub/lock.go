package hub

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"
)

const lockPoll = 50 * time.Millisecond // as Python's filelock

// errNoLocks says that a file system has no file locks.
var errNoLocks = errors.New("file locks are not supported here")

// lock waits for the file lock on a blob that huggingface_hub also takes. It
// keeps two processes from downloading the same bytes; nothing breaks without it. On
// a file system without locks unlock is nil.
func (s *settings) lock(ctx context.Context, c repoCache, hash string) (unlock func(), err error) {
	dir := filepath.Join(c.hubDir, ".locks", c.repo.folder())
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, c.failed(err)
	}
	path := filepath.Join(dir, hash+".lock")
	for waited := false; ; waited = true {
		unlock, err := tryLockPath(path)
		switch {
		case errors.Is(err, errNoLocks):
			s.log.Warn("downloading without a lock", "path", path, "error", err)
			return nil, nil
		case err != nil:
			return nil, c.failed(err)
		case unlock != nil:
			return unlock, nil
		}
		if !waited {
			s.log.Info("waiting for another download of the same file", "lock", path)
		}
		if err := sleep(ctx, lockPoll); err != nil {
			return nil, err
		}
	}
}

// tryLockPath returns nil, nil if the lock is held elsewhere.
func tryLockPath(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o664)
	if err != nil {
		return nil, err
	}
	locked, err := tryLock(f)
	if err == nil && locked && isSame(f, path) {
		return func() { f.Close() }, nil // closing releases the lock
	}
	f.Close()
	return nil, err
}

// isSame reports whether path still names f: older versions of filelock remove
// the file when they release it, and a lock on a removed file guards nothing.
func isSame(f *os.File, path string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(opened, named)
}
