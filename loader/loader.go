package loader

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader/hub"
	"github.com/go-openelm/go-openelm/loader/tokenizer"
	"github.com/go-openelm/go-openelm/openelm"
)

// Options say how to open a model. The zero value is a good choice.
type Options struct {
	// Backend is the device that runs the model; its caller closes it, after the
	// model. If nil, the model gets one of its own, which it closes.
	Backend kernels.Backend

	// Hub downloads repositories; its Progress callback is the place for a
	// progress bar. If nil, a client that follows the environment does.
	Hub *hub.Client

	// Adapter is a LoRA or DoRA adapter, named as for [OpenAdapter], that the
	// model's sessions use unless they are given another.
	Adapter string

	// Tokenizer is used in place of the checkpoint's.
	Tokenizer openelm.Tokenizer

	// NoTokenizer opens a model that takes and gives tokens only.
	NoTokenizer bool

	// DownloadTokenizer allows the tokenizer of a local checkpoint of the Llama 2
	// vocabulary that has none to come from a public repository. For models that
	// are themselves downloaded it always may.
	DownloadTokenizer bool

	// Strict refuses a checkpoint with any tensor that the model has no place for,
	// even one that cannot change what it computes.
	Strict bool

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

// hubSource is the files of a repository.
func (o *Options) hubSource(repo hub.Repo) source {
	return hubSource{repo.String(), o.hubClient().Source(repo)}
}

func (o *Options) hubClient() *hub.Client {
	if o.Hub != nil {
		return o.Hub
	}
	return &hub.Client{Logger: o.Logger}
}

// Open opens the model called name, which is
//
//   - a directory with config.json and safetensors files,
//   - a .safetensors file that has config.json beside it,
//   - a .pt file of CoreNet, Apple's training library: weights, a training
//     checkpoint, or a model that was saved with its adapter, which its sessions
//     then use; config.json beside it is read if it is there,
//   - a GGUF file, or a directory or repository with one and no config.json,
//   - a Hugging Face repository id such as "apple/OpenELM-270M-Instruct", with
//     an optional "@" and revision, of which the files that are needed are
//     downloaded unless they are in the hub's cache,
//   - a GGUF or .pt file in such a repository: "org/name/file.gguf",
//   - or the address of a page of the hub about either.
//
// What exists as a path is taken for one. Weights are not read but mapped, so
// that the files must stay as they are until the model is closed: replace them
// by renaming, never by writing into them.
//
// Errors about files are [*FileError], those of downloads [*hub.Error].
func Open(ctx context.Context, name string, opts *Options) (*openelm.Model, error) {
	o := opts.withDefaults()
	l, err := locate(name, &o)
	if err != nil {
		return nil, err
	}
	return l.open(ctx, &o)
}

// OpenFS opens a checkpoint directory of a file system, such as an [embed.FS];
// [fs.Sub] makes one of a subdirectory. The weights are copied, once, because
// nothing else aligns them.
func OpenFS(ctx context.Context, fsys fs.FS, opts *Options) (*openelm.Model, error) {
	o := opts.withDefaults()
	return location{src: fsSource{fsys}}.open(ctx, &o)
}

// OpenSource opens a checkpoint of a repository that another library downloads;
// see [hub.From].
func OpenSource(ctx context.Context, src hub.Source, opts *Options) (*openelm.Model, error) {
	o := opts.withDefaults()
	return location{src: hubSource{"repository", src}, remote: true}.open(ctx, &o)
}

// OpenTokenizer opens the tokenizer that [Open] would give the model, without
// the weights, which it does not download either.
func OpenTokenizer(ctx context.Context, name string, opts *Options) (*tokenizer.Tokenizer, error) {
	o := opts.withDefaults()
	l, err := locate(name, &o)
	if err != nil {
		return nil, err
	}
	c, err := l.single(ctx)
	if c == nil && err == nil {
		c, err = readConfig(ctx, l.src) // it has the size of the vocabulary
	}
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if c.problem != nil {
		return nil, c.problem
	}
	return c.loadTokenizer(ctx, &o, l.remote || o.DownloadTokenizer)
}

func (l location) open(ctx context.Context, o *Options) (*openelm.Model, error) {
	if err := checkByteOrder(binary.NativeEndian); err != nil {
		return nil, err
	}
	c, err := l.read(ctx, false)
	if err != nil {
		return nil, err
	}
	defer c.Close() // mappings outlive their files
	if o.Tokenizer == nil && !o.NoTokenizer {
		t, err := c.loadTokenizer(ctx, o, l.remote || o.DownloadTokenizer)
		if err != nil {
			return nil, err
		}
		o.Tokenizer = NewTokenizer(t)
	}
	return c.model(ctx, o)
}

// checkByteOrder refuses a machine that does not read numbers as files have them:
// weights are used where they are.
func checkByteOrder(machine binary.ByteOrder) error {
	if machine.Uint16([]byte{1, 0}) == 1 {
		return nil
	}
	return fmt.Errorf("loader: models run on little-endian machines only, as their files are used without a copy, and this one is big-endian: %w", ErrUnsupported)
}

// model loads the weights.
func (c *checkpoint) model(ctx context.Context, o *Options) (_ *openelm.Model, err error) {
	closers := &closeList{}
	defer func() {
		if err != nil {
			closers.Close()
		}
	}()
	backend := o.Backend
	if backend == nil {
		if backend, err = defaultBackend(o.Logger); err != nil {
			return nil, err
		}
		closers.add(backend)
	}
	weights, memory, err := loadWeights(ctx, c, backend, o)
	if err != nil {
		return nil, err
	}
	closers.add(memory)
	for _, w := range c.warnings {
		o.Logger.Warn(w)
	}
	parts := openelm.Parts{Config: c.Config, Weights: weights, Backend: backend, Tokenizer: o.Tokenizer, Closer: closers}
	m, err := openelm.New(parts)
	if err != nil {
		return nil, err
	}
	if parts.Adapter, err = c.ownAdapter(ctx, m, o); err != nil {
		return nil, err
	}
	if parts.Adapter == nil {
		return m, nil
	}
	closers.add(releaser(parts.Adapter.Release))
	return openelm.New(parts)
}

// releaser is an io.Closer for what is released without an error.
type releaser func()

func (r releaser) Close() error {
	r()
	return nil
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
