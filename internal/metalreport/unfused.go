package main

import "github.com/go-openelm/go-openelm/openelm"

// step is one operation of a graph that computes each thing by itself, and the
// float32 activations it reads and writes; weights and cache come on top and are
// the same for any graph.
type step struct {
	name          string
	read, written int
}

// unfused is one layer as a graph whose operations are those of the model's
// definition: each norm (with its weight), rotation, copy and addition by
// itself. Attention is taken to be one operation, as in flash attention.
func unfused(c *openelm.Config, layer int) []step {
	l := c.Layers[layer]
	d, ffn := c.ModelDim, l.FFNDim
	q, kv := l.QueryHeads*c.HeadDim, l.KVHeads*c.HeadDim
	steps := []step{
		{"norm", d, d},
		{"query, key, value", d, q + 2*kv},
	}
	if c.QKNorm {
		steps = append(steps, step{"query norm", q, q}, step{"key norm", kv, kv})
	}
	steps = append(steps,
		step{"rotate query", q, q}, step{"rotate key", kv, kv},
		step{"store key", kv, 0}, step{"store value", kv, 0}, // written to the cache
		step{"attention", q, q}, step{"output", q, d}, step{"add", 2 * d, d},
		step{"norm", d, d}, step{"gate", d, ffn})
	if c.GLU {
		steps = append(steps, step{"up", d, ffn})
	}
	return append(steps,
		step{"silu and product", 2 * ffn, ffn}, step{"down", ffn, d}, step{"add", 2 * d, d})
}

// unfusedToken is the dispatches and the activation bytes of a whole token:
// the layers, the embedding, the last norm and the logits.
func unfusedToken(c *openelm.Config) (dispatches int, activations float64) {
	dispatches = 3
	floats := c.ModelDim + 2*c.ModelDim + c.ModelDim + c.VocabSize
	for i := range c.Layers {
		for _, s := range unfused(c, i) {
			dispatches++
			floats += s.read + s.written
		}
	}
	return dispatches, 4 * float64(floats)
}
