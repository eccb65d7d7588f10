package loader

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/go-openelm/go-openelm/loader/hub"
	"github.com/go-openelm/go-openelm/loader/tokenizer"
	"github.com/go-openelm/go-openelm/openelm"
)

// NewTokenizer makes t usable as [Options].Tokenizer.
func NewTokenizer(t *tokenizer.Tokenizer) openelm.Tokenizer { return modelTokenizer{t} }

type modelTokenizer struct{ *tokenizer.Tokenizer }

func (t modelTokenizer) NewDecoder() openelm.Decoder { return t.Tokenizer.NewDecoder() }

// Frame implements [openelm.Framer].
func (t modelTokenizer) Frame() (bos, eos int32) {
	bos, eos = tokenizer.None, tokenizer.None
	if t.AddsBOS() {
		bos = t.BOS()
	}
	if t.AddsEOS() {
		eos = t.EOS()
	}
	return bos, eos
}

// llamaRepos are public repositories, open to all, that have the vocabulary of
// Llama 2, which Apple's models use and their repositories lack: Meta's own is
// gated. What is downloaded is held to llamaVocabulary.
var llamaRepos = []string{"TinyLlama/TinyLlama-1.1B-Chat-v1.0", "hf-internal-testing/llama-tokenizer"}

// llamaVocabulary is the SHA-256 of Llama 2's 32,000 pieces, each followed by a
// line feed.
const llamaVocabulary = "7015eebad70f6975a0c548ce982fb76a4aa0835644628a5ed0b1fd41ff9a2912"

// llamaSizes are the vocabulary sizes of models that use it: Apple's on Hugging
// Face, and those that corenet trains, which pads it.
var llamaSizes = map[int]bool{32000: true, 32128: true}

// noTokenizer is the error of a checkpoint without one.
func noTokenizer(where string) error {
	return &FileError{File: where, Kind: ErrNoTokenizer, Err: errors.New(
		"put tokenizer.model or tokenizer.json beside the weights (Apple's models use that of Llama 2: " +
			"https://huggingface.co/" + llamaRepos[0] + " has it), or set Options.Tokenizer, " +
			"Options.DownloadTokenizer or, to use tokens only, Options.NoTokenizer")}
}

// loadTokenizer returns the checkpoint's tokenizer, or one from elsewhere that is
// known to be the same where download allows that.
func (c *checkpoint) loadTokenizer(ctx context.Context, o *Options, download bool) (*tokenizer.Tokenizer, error) {
	t, where, err := c.tokenizer.load(ctx, o)
	if errors.Is(err, ErrNoTokenizer) && download && llamaSizes[c.VocabSize] {
		t, where, err = llamaTokenizer(ctx, o)
	}
	if err != nil {
		return nil, err
	}
	if err := c.checkVocabulary(t, where); err != nil {
		return nil, err
	}
	if n := t.VocabSize(); n > c.VocabSize {
		o.Logger.Warn("the tokenizer has tokens that the model does not know; a text with one of them is an error", "file", where, "first", t.Piece(int32(c.VocabSize)), "tokens", n-c.VocabSize)
	}
	return t, nil
}

// checkVocabulary refuses a tokenizer of another model: one with pieces of
// ordinary text that the model has no rows for. Tokens that were added to it
// may be beyond the rows, as padding tokens often are.
func (c *checkpoint) checkVocabulary(t *tokenizer.Tokenizer, where string) error {
	for id := int32(c.VocabSize); t.Type(id) != 0; id++ {
		if kind := t.Type(id); kind == tokenizer.Normal || kind == tokenizer.Byte {
			return corrupt(where, "", "the tokenizer has %d tokens, the model only %d", t.VocabSize(), c.VocabSize)
		}
	}
	return nil
}

// llamaTokenizer downloads Llama 2's tokenizer.
func llamaTokenizer(ctx context.Context, o *Options) (*tokenizer.Tokenizer, string, error) {
	var errs []error
	for _, id := range llamaRepos {
		src := o.hubSource(hub.Repo{ID: id})
		t, err := tokenizer.Load(&sourceFS{ctx: ctx, source: src}, ".")
		if err == nil {
			err = checkLlama(t)
		}
		if err == nil {
			o.Logger.Info("the checkpoint has no tokenizer; using the same one from elsewhere", "repo", id)
			return t, src.String(), nil
		}
		if ctx.Err() != nil {
			return nil, "", ctx.Err()
		}
		errs = append(errs, inFile(src.String(), err))
	}
	return nil, "", &FileError{File: llamaRepos[0], Kind: ErrNoTokenizer, Err: errors.Join(errs...)}
}

func checkLlama(t *tokenizer.Tokenizer) error {
	h := sha256.New()
	for id := range t.VocabSize() {
		io.WriteString(h, t.Piece(int32(id))+"\n") // a hash takes every write
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != llamaVocabulary {
		return fmt.Errorf("%w: the vocabulary is not Llama 2's", ErrCorrupt)
	}
	return nil
}
