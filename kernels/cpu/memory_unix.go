//go:build unix

package cpu

import "golang.org/x/sys/unix"

// reserve gets n zeroed bytes from the system, or its error. (Go's own allocator
// ends the program when there is no memory.)
func reserve(n int) (mem []byte, release func([]byte), err error) {
	mem, err = unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	return mem, func(mem []byte) { _ = unix.Munmap(mem) }, err // which fails for what is no mapping only
}
