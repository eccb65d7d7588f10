package cpu

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

// reserve gets n zeroed bytes from the system, or its error. (Go's own allocator
// ends the program when there is no memory.)
func reserve(n int) (mem []byte, release func([]byte), err error) {
	addr, err := windows.VirtualAlloc(0, uintptr(n), windows.MEM_COMMIT|windows.MEM_RESERVE, windows.PAGE_READWRITE)
	if err != nil {
		return nil, nil, err
	}
	// Read through a pointer to addr: the memory is not Go's, so that the
	// conversion go vet warns about is harmless, but it need not warn.
	p := *(*unsafe.Pointer)(unsafe.Pointer(&addr))
	return unsafe.Slice((*byte)(p), n), func([]byte) { _ = windows.VirtualFree(addr, 0, windows.MEM_RELEASE) }, nil
}
