//go:build unix

package roof

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestReadStaysInside puts a page that may not be touched behind the memory.
func TestReadStaysInside(t *testing.T) {
	page := unix.Getpagesize()
	mem, err := unix.Mmap(-1, 0, 3*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem)
	if err := unix.Mprotect(mem[2*page:], unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	for n := range 3 * block {
		a, b := mem[page-n:page], mem[2*page-n:2*page]
		Read(a, b, true)
		Read(a, b, false)
		if whole := n / block * block; whole > 0 {
			readGo(a[:whole], b[:whole])
		}
	}
}
