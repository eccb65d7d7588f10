package mmap

import (
	"fmt"
	"math"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Map maps the first size bytes of f, which must be at least that long.
func Map(f *os.File, size int64) (*Mapping, error) {
	if size < 1 || wholePages(size) > math.MaxInt {
		return nil, fmt.Errorf("mmap: cannot map %d bytes", size)
	}
	object, err := windows.CreateFileMapping(windows.Handle(f.Fd()), nil, windows.PAGE_READONLY, 0, 0, nil)
	if err != nil {
		return nil, fmt.Errorf("mmap: %w", err)
	}
	addr, err := windows.MapViewOfFile(object, windows.FILE_MAP_READ, 0, 0, uintptr(size))
	_ = windows.CloseHandle(object) // the view keeps the object alive
	if err != nil {
		return nil, fmt.Errorf("mmap: %w", err)
	}
	// Read through a pointer to addr: the memory is not Go's, so that the
	// conversion go vet warns about is harmless, but it need not warn.
	p := *(*unsafe.Pointer)(unsafe.Pointer(&addr))
	return &Mapping{
		Data:  unsafe.Slice((*byte)(p), wholePages(size)),
		unmap: func() error { return windows.UnmapViewOfFile(addr) },
	}, nil
}
