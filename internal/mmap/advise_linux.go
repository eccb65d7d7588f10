package mmap

import "golang.org/x/sys/unix"

// advise asks for large pages: a file that is not in the page cache yet is then
// read and mapped 2 MiB at a time where the file system can (ext4 and XFS of
// recent kernels), and reading it takes fewer translations of addresses. A
// kernel that cannot says so, which does not matter.
func advise(data []byte) { _ = unix.Madvise(data, unix.MADV_HUGEPAGE) }
