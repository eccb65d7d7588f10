package convert

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-openelm/go-openelm/internal/filewrite"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/openelm"
)

// What can be wrong with the place that a checkpoint is to be written to. The
// errors that wrap these say which.
var (
	// ErrExists: something is there. It is an [fs.ErrExist].
	ErrExists error = sentinel{"convert: something is there already", fs.ErrExist}
	// ErrSource: the model that is converted is there.
	ErrSource = errors.New("convert: the model itself is there")
	// ErrDiskFull: there is no room for it.
	ErrDiskFull = errors.New("convert: the disk is full")
)

// sentinel is an error that is also another one.
type sentinel struct {
	text string
	is   error
}

func (e sentinel) Error() string        { return e.text }
func (e sentinel) Is(target error) bool { return target == e.is }

// Options say what to write.
type Options struct {
	Format Format

	// Force replaces what is there: a file, or a folder with nothing but a
	// checkpoint in it.
	Force bool

	// Sources are files that stay whatever Force says: those of the model.
	Sources []string

	// Beside is the folder that the model is from, if it is one: the tokenizer's
	// files, the configuration's other keys, and the model's code for transformers
	// are taken over from there. Without it they are made anew.
	Beside fs.FS

	// Importance makes the K formats keep more of what the model uses most.
	Importance *Importance

	// Progress is told of every megabyte or so.
	Progress func(Progress)

	// Logger gets what is worth knowing but no failure. Silent if nil.
	Logger *slog.Logger
}

// Progress is how far a conversion is.
type Progress struct {
	Done, Total int64  // weights
	Tensor      string // the tensor that is written
}

// Write writes m to path: a folder or, for GGUF, a file. The context ends it
// early; then, and on any error, nothing is left behind.
func Write(ctx context.Context, path string, m *openelm.Model, o *Options) error {
	if err := o.Format.check(); err != nil {
		return err
	}
	if err := o.CheckPlace(path); err != nil {
		return err
	}
	w := &writer{ctx: ctx, model: m, Options: *o}
	if w.Logger == nil {
		w.Logger = slog.New(slog.DiscardHandler)
	}
	w.settle()
	err := w.write(path)
	if err != nil && filewrite.DiskFull(err) {
		return fmt.Errorf("%w: %s: %w", ErrDiskFull, path, err)
	}
	return err
}

func (w *writer) write(path string) error {
	if w.Format.Kind == GGUF {
		return w.writeGGUF(path)
	}
	return w.writeFolder(path)
}

// CheckPlace tells whether [Write] would refuse path because of what is there. It
// looks at Format.Kind, Force and Sources.
func (o *Options) CheckPlace(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		folder := filepath.Dir(path)
		parent, err := os.Stat(folder)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("convert: there is no folder %s (%w)", folder, fs.ErrNotExist)
		case err == nil && !parent.IsDir():
			return fmt.Errorf("convert: %s is no folder", folder)
		}
		return err
	}
	if err != nil {
		return err
	}
	if o.isSource(path) {
		return fmt.Errorf("%w: %s", ErrSource, path)
	}
	if !o.Force {
		return fmt.Errorf("%w: %s", ErrExists, path)
	}
	folder := o.Format.Kind != GGUF
	switch {
	case folder && info.IsDir():
		return checkFolder(path)
	case folder:
		return fmt.Errorf("%w: %s, which is no folder", ErrExists, path)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w: %s, which is no plain file", ErrExists, path)
	}
	return nil
}

// isSource reports whether path is one of the sources, or a folder above one.
func (o *Options) isSource(path string) bool {
	place, err := os.Stat(path)
	if err != nil {
		return false
	}
	for _, s := range o.Sources {
		abs, err := filepath.Abs(s)
		if err != nil {
			continue
		}
		// A source may be a link, as the files of the hub's cache are.
		real, err := filepath.EvalSymlinks(abs)
		if err != nil {
			real = abs
		}
		for _, p := range []string{abs, real} {
			for last := ""; p != last; last, p = p, filepath.Dir(p) {
				if info, err := os.Stat(p); err == nil && os.SameFile(info, place) {
					return true
				}
			}
		}
	}
	return false
}

// checkFolder refuses a folder that holds anything but a checkpoint.
func checkFolder(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	known := []string{".json", ".safetensors", ".model", ".py", ".md", ".jinja", ".txt"}
	for _, e := range entries {
		if !e.Type().IsRegular() || !slices.Contains(known, filepath.Ext(e.Name())) {
			return fmt.Errorf("%w: %s, and not only a checkpoint: it has %s", ErrExists, path, e.Name())
		}
	}
	return nil
}

// writer is one conversion.
type writer struct {
	ctx   context.Context
	model *openelm.Model
	Options

	kind        kernels.Format // of what is stored as floats
	done, total int64
	told        int64
}

// settle fills in what the format leaves to the model.
func (w *writer) settle() {
	f := &w.Format
	if f.Kind == MLX {
		if f.Group == 0 {
			f.Group = 64
		}
		if f.Scales == 0 {
			f.Scales = kernels.F16
			switch e := &w.model.Weights().Embedding; {
			case e.Format.Float():
				f.Scales = e.Format
			case e.Format.Affine():
				f.Scales = e.ScaleFormat
			}
		}
	}
	w.kind = f.Matrix
	if f.Kind == MLX {
		w.kind = f.Scales
	}
}

func (w *writer) advance(tensor string, weights int64) {
	w.done += weights
	if w.Progress != nil && (w.done-w.told >= 1<<20 || w.done == w.total) {
		w.told = w.done
		w.Progress(Progress{w.done, w.total, tensor})
	}
}
