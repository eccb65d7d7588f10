// Package filewrite holds what the writers of file formats share.
package filewrite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Atomic gives write a file that takes the place of path when write succeeds,
// and is removed when it does not, or when ctx ends before. A reader, or a
// mapping, of an older file of that name keeps that one. Everybody may read it.
func Atomic(ctx context.Context, path string, write func(w io.Writer) error) (err error) {
	return atomic(ctx, path, 0o644, write)
}

// Private is Atomic for what is its owner's alone.
func Private(ctx context.Context, path string, write func(w io.Writer) error) (err error) {
	return atomic(ctx, path, 0o600, write)
}

func atomic(ctx context.Context, path string, mode os.FileMode, write func(w io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	w := bufio.NewWriterSize(whileContext{ctx, f}, 2<<20) // a large page, which the file then has in the page cache
	if err := write(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// whileContext writes until its context ends.
type whileContext struct {
	ctx context.Context
	w   io.Writer
}

func (w whileContext) Write(p []byte) (int, error) {
	if w.ctx.Err() != nil {
		return 0, context.Cause(w.ctx)
	}
	return w.w.Write(p)
}

// Exactly runs write and fails unless it writes n bytes.
func Exactly(w io.Writer, n int64, write func(w io.Writer) error) error {
	c := counter{w: w}
	if err := write(&c); err != nil {
		return err
	}
	if c.n != n {
		return fmt.Errorf("%d bytes were written, %d announced", c.n, n)
	}
	return nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
