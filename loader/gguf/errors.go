package gguf

import (
	"errors"
	"fmt"
)

// ErrUnsupported is wrapped by errors about files that may be sound but are of
// a version, byte order or tensor type that this package does not know. It is an
// errors.ErrUnsupported.
var ErrUnsupported error = notSupported{}

type notSupported struct{}

func (notSupported) Error() string        { return "not supported" }
func (notSupported) Is(target error) bool { return target == errors.ErrUnsupported }

// FormatError says what is wrong with a file.
type FormatError struct {
	Field  string // the metadata key or tensor concerned; empty for the file as a whole
	Offset int64  // where in the file it was found
	Reason string
	Err    error // the cause, if there is one
}

func (e *FormatError) Error() string {
	s := fmt.Sprintf("gguf: byte %d: %s", e.Offset, e.Reason)
	if e.Field != "" {
		s = fmt.Sprintf("gguf: %.100q: byte %d: %s", e.Field, e.Offset, e.Reason)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap is the cause.
func (e *FormatError) Unwrap() error { return e.Err }

// In is Field, for who handles the errors of several formats alike.
func (e *FormatError) In() string { return e.Field }
