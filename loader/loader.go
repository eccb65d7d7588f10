package loader

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

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
	client := o.Hub
	if client == nil {
		client = &hub.Client{Logger: o.Logger}
	}
	return hubSource{repo.String(), client.Source(repo)}
}

// Open opens the model called name, which is
//
//   - a directory with config.json and safetensors files,
//   - a .safetensors file that has config.json beside it,
//   - a GGUF file,
//   - a Hugging Face repository id such as "apple/OpenELM-270M-Instruct", with
//     an optional "@" and revision, of which the files that are needed are
//     downloaded unless they are in the hub's cache,
//   - or a GGUF file in such a repository: "org/name/file.gguf".
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
	c, err := l.gguf(ctx)
	if c == nil && err == nil {
		c, err = readConfig(ctx, l.src) // has the size of the vocabulary
	}
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.loadTokenizer(ctx, &o, l.remote || o.DownloadTokenizer)
}

// location is where a checkpoint is: files of a source, or one GGUF file.
type location struct {
	src    source
	file   string // the file with the weights, where it is not found by its usual name
	remote bool   // was named as a repository
}

// locate finds out what name is.
func locate(name string, o *Options) (location, error) {
	info, err := os.Stat(name)
	switch {
	case err == nil && info.IsDir():
		return location{src: dirSource(name)}, nil
	case err == nil:
		return location{src: dirSource(filepath.Dir(name)), file: filepath.Base(name)}, nil
	case !errors.Is(err, fs.ErrNotExist) || !isRepoID(name):
		return location{}, pathError(name, err)
	}
	id, file := splitRepoID(name)
	repo, err := hub.ParseRepo(id)
	if err != nil {
		return location{}, err
	}
	return location{src: o.hubSource(repo), file: file, remote: true}, nil
}

// isRepoID reports whether a name that is no path can be a repository's: it has
// an organisation and does not look like a path.
func isRepoID(name string) bool {
	if strings.HasPrefix(name, "hf://") {
		return true
	}
	if _, file := splitRepoID(name); file == "" && (strings.HasSuffix(name, ".gguf") || strings.HasSuffix(name, ".safetensors")) {
		return false
	}
	return strings.Contains(name, "/") && !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "~") &&
		!filepath.IsAbs(name) && !strings.Contains(name, `\`) && !strings.Contains(name, "//") && !strings.HasSuffix(name, "/")
}

// splitRepoID takes the file off "org/name/file.gguf".
func splitRepoID(name string) (id, file string) {
	parts := strings.SplitN(strings.TrimPrefix(name, "hf://"), "/", 3)
	if len(parts) < 3 || !strings.HasSuffix(name, ".gguf") {
		return name, ""
	}
	return parts[0] + "/" + parts[1], parts[2]
}

// read reads the headers.
func (l location) read(ctx context.Context) (*checkpoint, error) {
	c, err := l.gguf(ctx)
	if c == nil && err == nil {
		c, err = readCheckpoint(ctx, l.src, l.file)
	}
	return c, err
}

// gguf reads the header of a GGUF file; the checkpoint is nil if l is none.
func (l location) gguf(ctx context.Context) (*checkpoint, error) {
	if l.file == "" {
		return nil, nil
	}
	f, err := l.src.open(ctx, l.file)
	if err != nil {
		return nil, err
	}
	if f.isGGUF() {
		return readGGUF(f)
	}
	return nil, f.Close()
}

func (l location) open(ctx context.Context, o *Options) (*openelm.Model, error) {
	c, err := l.read(ctx)
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
	weights, memory, err := loadWeights(ctx, c, backend, o.Logger)
	if err != nil {
		return nil, err
	}
	closers.add(memory)
	for _, w := range c.warnings {
		o.Logger.Warn(w)
	}
	parts := openelm.Parts{Config: c.Config, Weights: weights, Backend: backend, Tokenizer: o.Tokenizer, Closer: closers}
	m, err := openelm.New(parts)
	if err != nil || o.Adapter == "" {
		return m, err
	}
	if parts.Adapter, err = OpenAdapter(ctx, o.Adapter, m, o); err != nil {
		return nil, err
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
