package loader

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/openelm"
)

// Options say how to open a model. The zero value is a good choice.
type Options struct {
	// Backend is the device that runs the model; its caller closes it, after the
	// model. If nil, the model gets one of its own, which it closes.
	Backend kernels.Backend

	// Tokenizer is used in place of the checkpoint's.
	Tokenizer openelm.Tokenizer

	// NoTokenizer opens a model that takes and gives tokens only.
	NoTokenizer bool

	// Logger gets what is worth knowing but no failure. Silent if nil.
	Logger *slog.Logger
}

// withDefaults is o, or the zero value, with what must not be nil.
func (o *Options) withDefaults() Options {
	var set Options
	if o != nil {
		set = *o
	}
	if set.Logger == nil {
		set.Logger = slog.New(slog.DiscardHandler)
	}
	return set
}

// Open opens the model called name.
func Open(ctx context.Context, name string, opts *Options) (*openelm.Model, error) {
	o := opts.withDefaults()
	c, err := locate(ctx, name, &o)
	if err != nil {
		return nil, err
	}
	return c.model(ctx, &o)
}

// OpenFS opens a checkpoint directory of a file system, such as an
// [embed.FS]. The weights are copied, once, because nothing else aligns them.
func OpenFS(ctx context.Context, fsys fs.FS, opts *Options) (*openelm.Model, error) {
	o := opts.withDefaults()
	c, err := readCheckpoint(ctx, fsSource{fsys}, "")
	if err != nil {
		return nil, err
	}
	return c.model(ctx, &o)
}

// locate reads the headers of the checkpoint called name.
func locate(ctx context.Context, name string, o *Options) (*checkpoint, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, pathError(name, err)
	case info.IsDir():
		return readCheckpoint(ctx, dirSource(name), "")
	}
	f, err := openPath(name)
	if err != nil {
		return nil, err
	}
	if f.isGGUF() {
		return readGGUF(f)
	}
	f.Close()
	return readCheckpoint(ctx, dirSource(filepath.Dir(name)), filepath.Base(name))
}

// model loads the weights and closes the checkpoint.
func (c *checkpoint) model(ctx context.Context, o *Options) (_ *openelm.Model, err error) {
	defer c.Close() // mappings outlive their files
	closers := &closeList{}
	defer func() {
		if err != nil {
			closers.Close()
		}
	}()
	backend := o.Backend
	if backend == nil {
		if backend, err = defaultBackend(); err != nil {
			return nil, err
		}
		closers.add(backend)
	}
	weights, memory, err := loadWeights(ctx, c, backend, o.Logger)
	if err != nil {
		return nil, err
	}
	closers.add(memory)
	for _, w := range c.warnings {
		o.Logger.Warn(w)
	}
	return openelm.New(openelm.Parts{
		Config: c.Config, Weights: weights, Backend: backend, Tokenizer: o.Tokenizer, Closer: closers,
	})
}

// closeList closes what was added last first.
type closeList struct{ list []io.Closer }

func (l *closeList) add(c io.Closer) { l.list = append(l.list, c) }

// Close closes everything, once.
func (l *closeList) Close() error {
	var errs []error
	for i := len(l.list) - 1; i >= 0; i-- {
		errs = append(errs, l.list[i].Close())
	}
	l.list = nil
	return errors.Join(errs...)
}
