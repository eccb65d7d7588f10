package loader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/go-openelm/go-openelm/loader/hub"
)

// file is one file of a checkpoint, open for reading.
type file struct {
	name string // for messages
	size int64
	io.ReaderAt
	os     *os.File // nil when there is nothing to map
	closer io.Closer
}

func (f *file) Close() error { return f.closer.Close() }

// readAll returns the contents.
func (f *file) readAll() ([]byte, error) {
	text := make([]byte, f.size)
	if err := f.readFull(text, 0); err != nil {
		return nil, inFile(f.name, err)
	}
	return text, nil
}

func (f *file) readFull(p []byte, off int64) error {
	n, err := f.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// source is where the files of a checkpoint are.
type source interface {
	// open opens a file by its plain name. The error of a file that is not
	// there is an ErrNotFound.
	open(ctx context.Context, name string) (*file, error)
	// list is the names of the files, sorted, as far as they are known.
	list(ctx context.Context) ([]string, error)
	String() string
}

// dirSource is a directory.
type dirSource string

func (d dirSource) String() string { return string(d) }

func (d dirSource) open(_ context.Context, name string) (*file, error) {
	return openPath(filepath.Join(string(d), name))
}

func (d dirSource) list(context.Context) ([]string, error) { return listFS(os.DirFS(string(d))) }

func listFS(fsys fs.FS) (names []string, err error) {
	entries, err := fs.ReadDir(fsys, ".")
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// openPath opens a regular file. Symbolic links are followed: the hub cache is
// made of them.
func openPath(path string) (*file, error) {
	info, err := os.Stat(path) // first: opening a pipe would wait for its writer
	if err != nil {
		return nil, pathError(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, corrupt(path, "", "not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, pathError(path, err)
	}
	// The size is taken from the open file, which may be newer than info.
	if info, err = f.Stat(); err != nil {
		f.Close()
		return nil, pathError(path, err)
	}
	return &file{name: path, size: info.Size(), ReaderAt: f, os: f, closer: f}, nil
}

func pathError(path string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err // the path is in the FileError already
	}
	e := &FileError{File: path, Err: err}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Kind, e.Err = ErrNotFound, nil
	case errors.Is(err, syscall.ELOOP):
		e.Kind = ErrCorrupt
	}
	return e
}

// fsSource is a directory of a file system, which may be embedded in the
// program.
type fsSource struct{ fs fs.FS }

func (s fsSource) String() string { return "embedded model" }

func (s fsSource) list(context.Context) ([]string, error) { return listFS(s.fs) }

func (s fsSource) open(_ context.Context, name string) (*file, error) {
	f, err := s.fs.Open(name)
	if err != nil {
		return nil, pathError(name, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		f.Close()
		return nil, pathError(name, err)
	}
	opened := &file{name: name, size: info.Size(), closer: f}
	if r, ok := f.(io.ReaderAt); ok {
		opened.ReaderAt = r
		return opened, nil
	}
	text, err := io.ReadAll(f)
	if err != nil {
		f.Close()
		return nil, pathError(name, err)
	}
	opened.ReaderAt, opened.size = bytes.NewReader(text), int64(len(text))
	return opened, nil
}

// hubSource is a repository.
type hubSource struct {
	name string
	hub.Source
}

func (s hubSource) String() string { return s.name }

func (s hubSource) list(ctx context.Context) (names []string, err error) {
	lister, ok := s.Source.(interface {
		Files(context.Context) ([]hub.FileInfo, error)
	})
	if !ok {
		return nil, nil
	}
	files, err := lister.Files(ctx)
	for _, f := range files {
		names = append(names, f.Name)
	}
	slices.Sort(names)
	return names, err
}

func (s hubSource) open(ctx context.Context, name string) (*file, error) {
	path, err := s.File(ctx, name)
	noPath := func(kind error) error { // the name may have been meant for a path
		return &FileError{File: s.name, Kind: kind, Err: fmt.Errorf("there is no such path, and %w", err)}
	}
	switch {
	case err == nil:
		return openPath(path)
	case errors.Is(err, hub.ErrFileNotFound):
		return nil, &FileError{File: s.name + "/" + name, Kind: ErrNotFound}
	case errors.Is(err, hub.ErrNotCached), errors.Is(err, hub.ErrRepoNotFound):
		return nil, noPath(ErrNotFound) // what a snapshot lacks is not there, as for transformers
	case errors.Is(err, hub.ErrUnavailable):
		return nil, noPath(nil)
	}
	return nil, err
}

// isListed reports whether err is about a file that a repository is known to
// have, though the cache does not.
func isListed(err error) bool {
	e, ok := errors.AsType[*hub.Error](err)
	return ok && e.Kind == hub.ErrNotCached && e.Listed
}

// sourceFS shows a source to what reads from file systems, whole files only.
type sourceFS struct {
	ctx context.Context
	source
	missing error // about the first file that is not there but should be
}

// ReadFile is for [fs.ReadFile].
func (s *sourceFS) ReadFile(name string) ([]byte, error) {
	_, text, err := readText(s.ctx, s.source, name)
	if s.missing == nil && isListed(err) {
		s.missing = err
	}
	return text, err
}

// Open makes it an [fs.FS]; nothing calls it.
func (s *sourceFS) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: errors.ErrUnsupported}
}

// readText opens a small file and returns what is in it.
func readText(ctx context.Context, s source, name string) (path string, text []byte, err error) {
	f, err := s.open(ctx, name)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	if f.size > maxText {
		return "", nil, corrupt(f.name, "", "%d bytes; at most %d make sense", f.size, maxText)
	}
	if err := f.checkForeign(); err != nil {
		return "", nil, err
	}
	text, err = f.readAll()
	return f.name, text, err
}

// maxText is the largest size of a configuration, index or tokenizer file.
// The tokenizer.json of the largest vocabularies is 35 MB.
const maxText = 256 << 20
