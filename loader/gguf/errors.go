package gguf

import (
	"errors"
	"fmt"
)

// ErrVersion is wrapped by errors about files of a version or a byte order
// that this package does not read.
var ErrVersion = errors.New("gguf: unsupported version")

// FormatError says that a file breaks the GGUF format.
type FormatError struct {
	Field  string // the metadata key or tensor concerned; empty for the file as a whole
	Offset int64  // where in the file it was found
	Reason string
	Err    error // the cause, if there is one
}

func (e *FormatError) Error() string {
	s := fmt.Sprintf("gguf: at byte %d: %s", e.Offset, e.Reason)
	if e.Field != "" {
		s = fmt.Sprintf("gguf: %.100q: at byte %d: %s", e.Field, e.Offset, e.Reason)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap is the cause.
func (e *FormatError) Unwrap() error { return e.Err }
