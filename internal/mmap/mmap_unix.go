//go:build unix

package mmap

import (
	"fmt"
	"math"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Map maps the first size bytes of f, which must be at least that long.
func Map(f *os.File, size int64) (*Mapping, error) {
	if size < 1 || wholePages(size) > math.MaxInt {
		return nil, fmt.Errorf("mmap: cannot map %d bytes", size)
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mmap: %w", err)
	}
	largePages(data)
	return &Mapping{
		Data:  unsafe.Slice(unsafe.SliceData(data), wholePages(size)),
		unmap: func() error { return unix.Munmap(data) },
	}, nil
}
