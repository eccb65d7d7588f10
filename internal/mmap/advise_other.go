//go:build unix && !linux

package mmap

// largePages does nothing on systems without transparent large pages.
func largePages([]byte) {}
