//go:build !windows

package filewrite

import (
	"errors"
	"syscall"
)

// DiskFull reports whether err is about a disk without room. It also holds for a quota and a limit on the size of files.
func DiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}
