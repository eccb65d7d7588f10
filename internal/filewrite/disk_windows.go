package filewrite

import (
	"errors"

	"golang.org/x/sys/windows"
)

// DiskFull reports whether err is about a disk without room.
func DiskFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) || errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED)
}
