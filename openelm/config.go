package openelm

import (
	"errors"
	"fmt"
)

// ErrConfig is wrapped by every error about a model configuration.
var ErrConfig = errors.New("openelm: invalid configuration")

// Config describes one OpenELM model. Unlike most language models, OpenELM gives
// each layer its own number of heads and its own feed-forward width.
type Config struct {
	VocabSize int // rows of the embedding
	ModelDim  int // width of the residual stream
	HeadDim   int // elements of one attention head; even
	Layers    []LayerConfig

	QKNorm   bool // RMS-normalise each query and key head before RoPE
	GLU      bool // feed-forward networks are gated (SwiGLU)
	TiedHead bool // the output matrix is the embedding

	RopeBase   float64 // rope_freq_constant
	MaxContext int     // positions the model was trained for
	NormEps    float32 // epsilon of every RMSNorm

	BOS int32   // token that begins a text, −1 if none
	EOS []int32 // tokens that end a text
}

// LayerConfig is the widths of one layer.
type LayerConfig struct {
	QueryHeads int
	KVHeads    int // divides QueryHeads
	FFNDim     int
}

// Limits that no published model comes near; they keep every product of two
// sizes well inside an int and refuse files that are damaged or hostile.
const (
	maxLayers = 1 << 12
	maxDim    = 1 << 20
	maxVocab  = 1 << 24

	maxPositions = 1 << 24
)

// Validate reports the first thing about c that no OpenELM model can have.
// Errors wrap [ErrConfig] and name the field.
func (c *Config) Validate() error {
	check := func(name string, v, limit int) error {
		if v < 1 || v > limit {
			return fmt.Errorf("%w: %s is %d, want 1 to %d", ErrConfig, name, v, limit)
		}
		return nil
	}
	if err := errors.Join(
		check("vocabulary size", c.VocabSize, maxVocab),
		check("model dimension", c.ModelDim, maxDim),
		check("head dimension", c.HeadDim, maxDim),
		check("number of layers", len(c.Layers), maxLayers),
		check("maximum context length", c.MaxContext, maxPositions),
	); err != nil {
		return err
	}
	if c.HeadDim%2 != 0 {
		return fmt.Errorf("%w: head dimension %d is odd; RoPE rotates pairs", ErrConfig, c.HeadDim)
	}
	if !(c.RopeBase > 0) || c.RopeBase > 1e12 {
		return fmt.Errorf("%w: RoPE base is %g", ErrConfig, c.RopeBase)
	}
	if !(c.NormEps >= 0) || c.NormEps > 1 {
		return fmt.Errorf("%w: norm epsilon is %g", ErrConfig, c.NormEps)
	}
	for i, l := range c.Layers {
		if err := errors.Join(
			check("query heads", l.QueryHeads, maxDim/c.HeadDim),
			check("key-value heads", l.KVHeads, maxDim/c.HeadDim),
			check("feed-forward width", l.FFNDim, maxDim),
		); err != nil {
			return fmt.Errorf("layer %d: %w", i, err)
		}
		if l.QueryHeads%l.KVHeads != 0 {
			return fmt.Errorf("%w: layer %d: %d key-value heads do not divide %d query heads", ErrConfig, i, l.KVHeads, l.QueryHeads)
		}
	}
	for _, id := range c.EOS {
		if id < 0 || int(id) >= c.VocabSize {
			return fmt.Errorf("%w: end-of-text token %d is outside the vocabulary of %d", ErrConfig, id, c.VocabSize)
		}
	}
	if c.BOS < -1 || int(c.BOS) >= c.VocabSize {
		return fmt.Errorf("%w: begin-of-text token %d is outside the vocabulary of %d", ErrConfig, c.BOS, c.VocabSize)
	}
	return nil
}

// QKVDim is the width of the layer's query, key and value heads together.
func (c *Config) QKVDim(layer int) int {
	l := c.Layers[layer]
	return (l.QueryHeads + 2*l.KVHeads) * c.HeadDim
}

// Parameters is the number of weights, a tied head counted once.
func (c *Config) Parameters() int64 {
	w := Weights{Layers: make([]LayerWeights, len(c.Layers))}
	var n int64
	for t := range w.Tensors(c) {
		n += int64(t.Rows) * int64(t.Cols)
	}
	return n
}

// CacheBytes is the size of a KV cache in float32 for one position, all layers
// together; in float16 it is half of that.
func (c *Config) CacheBytes() int64 {
	var n int64
	for _, l := range c.Layers {
		n += 2 * int64(l.KVHeads) * int64(c.HeadDim) * 4
	}
	return n
}
