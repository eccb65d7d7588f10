//go:build !windows

package hub

import (
	"errors"
	"syscall"
)

// isDiskFull also holds for a quota and a limit on the size of files.
func isDiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}
