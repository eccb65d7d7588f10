// Package mmap maps files into memory, read-only.
//
// A file that is cut while it is mapped takes its pages with it: reading them
// is then a fault that no Go code can handle (SIGBUS). Checkpoints are replaced
// by renaming a new file over the old name, which leaves mappings intact.
package mmap

import (
	"errors"
	"fmt"
	"os"
)

// ErrUnsupported is returned by Map on systems without file mappings.
var ErrUnsupported = fmt.Errorf("mmap: no file mappings on this system: %w", errors.ErrUnsupported)

// Mapping is a mapped file.
type Mapping struct {
	// Data begins at a page boundary and ends at one: the file, then zeros up
	// to the end of its last page. A GPU can only be given whole pages.
	Data []byte

	unmap func() error
}

// Close removes the mapping. Data must not be used afterwards.
func (m *Mapping) Close() error {
	if m.unmap == nil {
		return nil
	}
	unmap := m.unmap
	m.Data, m.unmap = nil, nil
	return unmap()
}

// wholePages is size rounded up to whole pages.
func wholePages(size int64) int64 {
	page := int64(os.Getpagesize())
	return (size + page - 1) / page * page
}
