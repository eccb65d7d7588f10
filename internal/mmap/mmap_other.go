//go:build !unix && !windows

package mmap

import "os"

// Map returns ErrUnsupported.
func Map(*os.File, int64) (*Mapping, error) { return nil, ErrUnsupported }
