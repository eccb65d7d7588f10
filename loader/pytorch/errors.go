package pytorch

import (
	"errors"
	"fmt"
)

// FormatError says what is wrong with a file. It wraps [errors.ErrUnsupported]
// where the file may be sound but holds what this package does not read.
type FormatError struct {
	Field  string // the archive's entry, the tensor or the class concerned; may be empty
	Reason string
	Err    error // the cause, if there is one
}

func (e *FormatError) Error() string {
	s := "pytorch: " + e.Reason
	if e.Field != "" {
		s = fmt.Sprintf("pytorch: %.100q: %s", e.Field, e.Reason)
	}
	if e.Err != nil && !errors.Is(e.Err, errors.ErrUnsupported) {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap is the cause.
func (e *FormatError) Unwrap() error { return e.Err }

// In is Field, for who handles the errors of several formats alike.
func (e *FormatError) In() string { return e.Field }

func corrupt(field, format string, args ...any) error {
	return &FormatError{Field: field, Reason: fmt.Sprintf(format, args...)}
}

func unsupported(field, format string, args ...any) error {
	return &FormatError{Field: field, Reason: fmt.Sprintf(format, args...), Err: errors.ErrUnsupported}
}
