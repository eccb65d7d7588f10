package hub

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// What can go wrong, for [errors.Is]. Every error of this package other than
// a context's is an [*Error] with one of these kinds.
var (
	ErrInvalidName      = errors.New("invalid name")                      // of a repository, revision or file
	ErrConfig           = errors.New("invalid configuration")             // of the client or the environment
	ErrRepoNotFound     = errors.New("repository not found")              // or private, which the hub does not tell apart
	ErrRevisionNotFound = errors.New("revision not found")                // no such branch, tag or commit
	ErrFileNotFound     = errors.New("file not found")                    // the commit has no such file
	ErrGated            = errors.New("access to the repository is gated") // its licence is not accepted yet
	ErrUnauthorized     = errors.New("access denied")                     // the token is not valid or not sufficient
	ErrNotCached        = errors.New("not in the cache")                  // and the hub is not or cannot be asked
	ErrUnavailable      = errors.New("hub not available")                 // network, timeout, overload, cut-off body
	ErrBadResponse      = errors.New("bad response from the hub")         // malformed, hostile or insecure
	ErrMismatch         = errors.New("contents do not match")             // the size or hash the hub announced
	ErrCache            = errors.New("cannot use the cache")              // disk full, read-only, a file in the way
)

// Error describes a failed operation on a repository.
type Error struct {
	Kind   error  // one of this package's Err variables
	Repo   Repo   // empty if the error is not about one
	File   string // file name in the repository, if the error is about one
	URL    string // without user, query and fragment
	Status int    // HTTP status, 0 if there was none
	Detail string // what was wrong and what to do about it
	Err    error  // the cause, may be nil

	// Listed says of an [ErrNotCached] that the commit is known to have the file.
	// Otherwise it may be one that the repository does not have.
	Listed bool

	retryAfter time.Duration // what the server asked for
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("hub: ")
	if e.Repo.ID != "" {
		b.WriteString(e.Repo.String() + ": ")
	}
	if e.File != "" {
		fmt.Fprintf(&b, "%q: ", e.File)
	}
	b.WriteString(e.Kind.Error())
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	switch {
	case e.Status != 0:
		fmt.Fprintf(&b, " (HTTP %d from %s)", e.Status, e.URL)
	case e.URL != "":
		b.WriteString(" (" + e.URL + ")")
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// MismatchError is the cause of an [ErrMismatch].
type MismatchError struct {
	What      string // "size", "sha256", "git blob id" or "Content-Range"
	Want, Got string
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("%s is %s, expected %s", e.What, e.Got, e.Want)
}

func bad(format string, args ...any) error {
	return &Error{Kind: ErrBadResponse, Detail: fmt.Sprintf(format, args...)}
}
