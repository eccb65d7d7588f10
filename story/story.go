// Package story holds a very small OpenELM model inside the program, for trying
// the library out, for tests and for benchmarks without a download.
//
// The model has OpenELM's architecture (layer-wise scaled widths, grouped-query
// attention, normalised queries and keys) and 4.3 million weights, trained from
// scratch by the scripts in the folder train. It tells short tales from a small
// invented world and is good for nothing else: MODEL_CARD.md says what it was
// trained on and how well it does. It is not one of Apple's models.
package story

import (
	"context"
	"embed"
	"io/fs"

	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
)

//go:embed model/config.json model/model.safetensors model/tokenizer.model model/tokenizer_config.json
var files embed.FS

// Notice says in two lines what the model is, for programs that run it by
// default.
const Notice = "This is go-openelm's embedded story model (4.3 M weights): it tells short tales, for trying things out.\n" +
	"For Apple's models, name one: apple/OpenELM-270M-Instruct, 450M, 1_1B or 3B, or a checkpoint on disk."

// FS is the checkpoint, laid out as Hugging Face lays out OpenELM's.
func FS() fs.FS {
	sub, err := fs.Sub(files, "model")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return sub
}

// Open opens the model.
func Open(ctx context.Context, o *loader.Options) (*openelm.Model, error) {
	return loader.OpenFS(ctx, FS(), o)
}
