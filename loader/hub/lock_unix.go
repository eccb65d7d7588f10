//go:build !windows

package hub

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// tryLock takes flock's exclusive lock, which each opening of the file contends for,
// in one process too.
func tryLock(f *os.File) (bool, error) {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EWOULDBLOCK), errors.Is(err, syscall.EACCES):
			return false, nil
		case errors.Is(err, errors.ErrUnsupported), errors.Is(err, syscall.ENOLCK):
			return false, fmt.Errorf("%w: %w", errNoLocks, err)
		}
		return false, &os.PathError{Op: "flock", Path: f.Name(), Err: err}
	}
}
