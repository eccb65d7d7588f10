package mmap

import "golang.org/x/sys/unix"

// largePages asks for pages of 2 MiB: a file that is not in the page cache yet is
// then read and mapped in such pages where the file system can (ext4 and XFS of
// recent kernels), and reading it takes fewer translations of addresses. A
// kernel that cannot says so, which does not matter.
func largePages(data []byte) { _ = unix.Madvise(data, unix.MADV_HUGEPAGE) }
