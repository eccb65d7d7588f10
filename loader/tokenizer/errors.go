package tokenizer

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// FormatError reports a tokenizer file, or vocabulary, that is damaged or asks
// for something this package does not do. Nothing else is returned for bad
// content, so errors.As with *FormatError tells it from a failure to read.
type FormatError struct {
	File   string // "tokenizer.model", "tokenizer.json", …; from Load with its folder
	Field  string // path of the field in the file's own terms, such as `model.vocab["the"]`; may be empty
	Offset int64  // byte offset in the file, or -1 where only the field is known
	Reason string // what is wrong, and what was expected

	// Unsupported says that the file is in order, as far as it was read, but asks
	// for something this package does not do. errors.Is with errors.ErrUnsupported
	// tells it too.
	Unsupported bool
}

// Is reports that target is errors.ErrUnsupported and e is such an error.
func (e *FormatError) Is(target error) bool { return e.Unsupported && target == errors.ErrUnsupported }

// In is Field, for who handles the errors of several formats alike.
func (e *FormatError) In() string { return e.Field }

// Error returns file, field, offset and reason in one line.
func (e *FormatError) Error() string {
	s := "tokenizer: " + e.File
	if e.Field != "" {
		s += ": " + e.Field
	}
	if e.Offset >= 0 {
		s += " at byte " + strconv.FormatInt(e.Offset, 10)
	}
	return s + ": " + e.Reason
}

// fieldError makes a FormatError without an offset.
func fieldError(file, field, format string, args ...any) *FormatError {
	return &FormatError{File: file, Field: field, Offset: -1, Reason: fmt.Sprintf(format, args...)}
}

// unsupported makes a FormatError for what is correct but not supported.
func unsupported(file, field, format string, args ...any) *FormatError {
	e := fieldError(file, field, format, args...)
	e.Unsupported = true
	return e
}

// quote shows text from a file in an error message.
func quote(s string) string { return strconv.Quote(clip(s)) }

// clip cuts text from a file to a readable length.
func clip(s string) string {
	const limit = 80
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}
