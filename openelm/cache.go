package openelm

import (
	"fmt"

	"github.com/go-openelm/go-openelm/kernels"
)

// cache is one sequence's keys and values: for each layer keys and then values,
// both [kv_heads, capacity, head_dim] float32, in one buffer.
type cache struct {
	buf      kernels.Buffer
	capacity int
	headDim  int
	layers   []cacheLayer
}

type cacheLayer struct {
	keys, values kernels.View
	heads        int
}

func newCache(b kernels.Backend, c *Config, capacity int) (*cache, error) {
	buf, err := b.NewBuffer(int(c.CacheBytes()) * capacity)
	if err != nil {
		return nil, fmt.Errorf("openelm: KV cache for %d tokens: %w", capacity, err)
	}
	kv := &cache{buf: buf, capacity: capacity, headDim: c.HeadDim, layers: make([]cacheLayer, len(c.Layers))}
	all, off := kernels.Whole(buf), 0
	for i, l := range c.Layers {
		n := 4 * l.KVHeads * capacity * c.HeadDim
		kv.layers[i] = cacheLayer{keys: all.Slice(off, n), values: all.Slice(off+n, n), heads: l.KVHeads}
		off += 2 * n
	}
	return kv, nil
}

func (c *cache) span(layer, pos, rows int) kernels.Span {
	l := &c.layers[layer]
	return kernels.Span{Keys: l.keys, Values: l.values, Capacity: c.capacity, Pos: pos, Rows: rows}
}

// copyFrom takes the first n positions of src, a cache of the same model
// configuration on this or another backend.
func (c *cache) copyFrom(src *cache, n int) {
	for i := range c.layers {
		to, from := &c.layers[i], &src.layers[i]
		for h := range to.heads {
			size := n * c.headDim
			t, f := h*c.capacity*c.headDim, h*src.capacity*c.headDim
			copy(to.keys.Floats()[t:t+size], from.keys.Floats()[f:f+size])
			copy(to.values.Floats()[t:t+size], from.values.Floats()[f:f+size])
		}
	}
}
