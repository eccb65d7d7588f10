package loader

import (
	"context"
	"fmt"
	"regexp"

	"github.com/go-openelm/go-openelm/loader/gguf"
	"github.com/go-openelm/go-openelm/loader/tokenizer"
)

// ggufTokenizer is the tokenizer in a GGUF file.
type ggufTokenizer struct {
	name    string // the file's
	gguf    *gguf.File
	special ggufSpecial
}

func (g *ggufTokenizer) kind(context.Context) (string, error) {
	if model, err := g.model(); err != nil || model == "" {
		return "", err
	}
	return "GGUF", nil
}

func (g *ggufTokenizer) load(context.Context, *Options) (*tokenizer.Tokenizer, string, error) {
	t, err := g.read()
	if t == nil && err == nil {
		err = noTokenizer(g.name)
	}
	return t, g.name, inFile(g.name, err)
}

// model is the kind of tokenizer that the file holds, "" if it has none, which
// llama.cpp also writes as "no_vocab" or "none".
func (g *ggufTokenizer) model() (string, error) {
	kind, _, err := gguf.Get[string](g.gguf, "tokenizer.ggml.model")
	if kind == "no_vocab" || kind == "none" {
		kind = ""
	}
	return kind, err
}

// read makes the tokenizer, nil if there is none.
func (g *ggufTokenizer) read() (*tokenizer.Tokenizer, error) {
	f, special := g.gguf, &g.special
	kind, err := g.model()
	if err != nil || kind == "" {
		return nil, err
	}
	if kind != "llama" {
		return nil, &gguf.FormatError{Field: "tokenizer.ggml.model", Reason: fmt.Sprintf("%.60q; this package has llama", kind), Err: gguf.ErrUnsupported}
	}
	r := ggufReader{f: f}
	v := tokenizer.Vocabulary{
		Pieces: get(&r, "tokens", []string(nil)),
		Scores: get(&r, "scores", []float32(nil)),
		BOS:    special.bos, EOS: special.eos, UNK: special.unk, PAD: special.pad,
		AddDummyPrefix: get(&r, "add_space_prefix", true),
		AddBOS:         get(&r, "add_bos_token", true),
		AddEOS:         get(&r, "add_eos_token", false),
	}
	types, _, err := f.Ints("tokenizer.ggml.token_type")
	r.keep(err)
	if r.err != nil {
		return nil, r.err
	}
	for _, t := range types {
		v.Types = append(v.Types, tokenizer.PieceType(t))
	}
	// llama.cpp does without either.
	if _, ok := f.Metadata["tokenizer.ggml.scores"]; !ok {
		v.Scores = make([]float32, len(v.Pieces))
	}
	if _, ok := f.Metadata["tokenizer.ggml.token_type"]; !ok {
		v.Types = guessTypes(v.Pieces, special)
	}
	return tokenizer.FromPieces(v)
}

// guessTypes makes the types of pieces that came without: those of special
// tokens and bytes show.
func guessTypes(pieces []string, special *ggufSpecial) []tokenizer.PieceType {
	types := make([]tokenizer.PieceType, len(pieces))
	for i, p := range pieces {
		switch id := int32(i); {
		case id == special.unk:
			types[i] = tokenizer.Unknown
		case id == special.bos || id == special.eos || id == special.pad:
			types[i] = tokenizer.Control
		case byteSpelling.MatchString(p):
			types[i] = tokenizer.Byte
		default:
			types[i] = tokenizer.Normal
		}
	}
	return types
}

var byteSpelling = regexp.MustCompile(`^<0x[0-9A-F]{2}>$`)

// ggufReader reads metadata of the tokenizer and keeps the first error.
type ggufReader struct {
	f   *gguf.File
	err error
}

func (r *ggufReader) keep(err error) {
	if r.err == nil {
		r.err = err
	}
}

func get[T any](r *ggufReader, key string, value T) T {
	v, ok, err := gguf.Get[T](r.f, "tokenizer.ggml."+key)
	r.keep(err)
	if !ok {
		return value
	}
	return v
}
