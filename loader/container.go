package loader

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/go-openelm/go-openelm/loader/tokenizer"
)

// container is a kind of file with a whole model. What is in no such file is a
// directory of Hugging Face or MLX: config.json, and safetensors files.
type container interface {
	// extension is how the names of the container's files end: ".gguf".
	extension() string
	// find is the file with the model among all of a directory that has no
	// config.json, "" if there is none.
	find(src source, names []string) (string, error)
	// has reports whether a file is of this kind, by its contents: files in the
	// hub's cache have no names that would tell.
	has(f *file) bool
	// read reads the header of a file of src, which is closed with the
	// checkpoint, or on an error.
	read(ctx context.Context, src source, f *file) (*checkpoint, error)
}

// containers in the order in which they are looked for.
var containers = []container{ggufFiles{}, torchFiles{}}

// isContainer reports whether a name is one of a container.
func isContainer(name string) bool {
	return slices.ContainsFunc(containers, func(k container) bool { return strings.HasSuffix(name, k.extension()) })
}

// isWeights reports whether a name is one of a file with weights.
func isWeights(name string) bool { return strings.HasSuffix(name, ".safetensors") || isContainer(name) }

// tokenizerSource is where the tokenizer of a checkpoint is.
type tokenizerSource interface {
	// kind is what [Info] calls it, "" if there is none.
	kind(ctx context.Context) (string, error)
	// load reads it; where is its file, for messages. The error of a checkpoint
	// without one is an ErrNoTokenizer.
	load(ctx context.Context, o *Options) (t *tokenizer.Tokenizer, where string, err error)
}

// besideWeights is the tokenizer in files of its own.
type besideWeights struct{ src source }

func (b besideWeights) kind(ctx context.Context) (string, error) {
	for _, name := range []string{"tokenizer.json", "tokenizer.model"} { // the order of tokenizer.Load
		f, err := b.src.open(ctx, name)
		switch {
		case err == nil:
			return name, f.Close()
		case !errors.Is(err, ErrNotFound):
			return "", err
		}
	}
	return "", nil
}

func (b besideWeights) load(ctx context.Context, o *Options) (*tokenizer.Tokenizer, string, error) {
	where := b.src.String()
	fsys := &sourceFS{ctx: ctx, source: b.src}
	t, err := tokenizer.Load(fsys, ".")
	switch {
	case errors.Is(err, fs.ErrNotExist) && fsys.missing != nil:
		err = fsys.missing // no other tokenizer will do
	case errors.Is(err, fs.ErrNotExist):
		err = noTokenizer(where)
	case fsys.missing != nil:
		o.Logger.Warn("a file of the repository is not in the cache and not used", "reason", fsys.missing)
	}
	return t, where, inFile(where, err)
}
