package gpumodel

import "github.com/go-openelm/go-openelm/openelm"

// OpenELM is the shape of an OpenELM model, for the engines of others: llama.cpp's graph of it has one matrix for queries,
// keys and values, and normalised queries and keys.
func OpenELM(c *openelm.Config) Model {
	m := Model{Dim: c.ModelDim, Vocab: c.VocabSize, HeadDim: c.HeadDim, QKNorm: c.QKNorm, OneQKV: true}
	for _, l := range c.Layers {
		m.Layers = append(m.Layers, Layer{Heads: l.QueryHeads, KVHeads: l.KVHeads, FFN: l.FFNDim})
	}
	return m
}
