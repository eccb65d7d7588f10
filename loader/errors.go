package loader

import (
	"errors"
	"fmt"
	"io/fs"
)

// The kinds of error that callers may want to tell apart.
var (
	// ErrNotFound: the checkpoint, or a file that it needs, is not there. It is
	// an fs.ErrNotExist.
	ErrNotFound error = notFound{}
	// ErrCorrupt: a file breaks its format or contradicts another one.
	ErrCorrupt = errors.New("corrupt checkpoint")
	// ErrUnsupported: a sound file asks for something this package does not have.
	// It is an errors.ErrUnsupported.
	ErrUnsupported error = notSupported{}
	// ErrNoTokenizer: the checkpoint has no tokenizer and none was given.
	ErrNoTokenizer = errors.New("no tokenizer")
)

type notFound struct{}

func (notFound) Error() string        { return "not found" }
func (notFound) Is(target error) bool { return target == fs.ErrNotExist }

type notSupported struct{}

func (notSupported) Error() string        { return "not supported" }
func (notSupported) Is(target error) bool { return target == errors.ErrUnsupported }

// FileError says what is wrong with which file. It wraps its kind (one of this
// package's sentinels) and, where there is one, the underlying error.
type FileError struct {
	File  string // path, or the name within the repository or file system
	Field string // tensor, metadata key or configuration key; may be empty
	Kind  error  // ErrNotFound, ErrCorrupt, ErrUnsupported or ErrNoTokenizer; nil for an I/O error
	Err   error
}

func (e *FileError) Error() string {
	s := "loader: " + e.File
	if e.Field != "" {
		s += fmt.Sprintf(": %.200q", e.Field)
	}
	if e.Kind != nil {
		s += ": " + e.Kind.Error()
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap is the kind and the cause.
func (e *FileError) Unwrap() []error {
	var list []error
	for _, err := range []error{e.Kind, e.Err} {
		if err != nil {
			list = append(list, err)
		}
	}
	return list
}

func corrupt(file, field, format string, args ...any) error {
	return &FileError{File: file, Field: field, Kind: ErrCorrupt, Err: fmt.Errorf(format, args...)}
}

func unsupported(file, field, format string, args ...any) error {
	return &FileError{File: file, Field: field, Kind: ErrUnsupported, Err: fmt.Errorf(format, args...)}
}

// inFile makes an error of reading a file one about that file.
func inFile(file string, err error) error {
	var (
		done   *FileError
		format interface {
			error
			In() string // the field of a *FormatError
		}
		field string
		kind  error
	)
	switch {
	case err == nil || errors.As(err, &done):
		return err
	case errors.As(err, &format):
		field, kind = format.In(), ErrCorrupt
		if errors.Is(err, errors.ErrUnsupported) {
			kind = ErrUnsupported
		}
	case errors.Is(err, fs.ErrNotExist):
		kind = ErrNotFound
	}
	return &FileError{File: file, Field: field, Kind: kind, Err: err}
}
