package openelm

import (
	"fmt"
	"math"

	"github.com/go-openelm/go-openelm/kernels"
)

// cache is one sequence's keys and values: for each layer keys and then values,
// both [kv_heads, capacity, head_dim] in format, in one buffer.
type cache struct {
	buf      kernels.Buffer
	format   kernels.Format
	capacity int
	rowBytes int // of one head at one position
	layers   []cacheLayer
}

type cacheLayer struct {
	keys, values kernels.View
	heads        int
}

func newCache(b kernels.Backend, c *Config, capacity int, format kernels.Format) (*cache, error) {
	if format == 0 {
		format = kernels.F32
	}
	if format != kernels.F32 && format != kernels.F16 {
		return nil, fmt.Errorf("%w: a KV cache in %s, want F32 or F16", ErrArgument, format)
	}
	size := int64(format.BlockBytes())
	kv := &cache{format: format, capacity: capacity, rowBytes: int(size) * c.HeadDim, layers: make([]cacheLayer, len(c.Layers))}
	bytes := c.CacheBytes() / 4 * size // a position
	if bytes > math.MaxInt/int64(capacity) {
		return nil, fmt.Errorf("%w: a KV cache for %d tokens of %d bytes each", ErrMemory, capacity, bytes)
	}
	buf, err := b.NewBuffer(int(bytes) * capacity)
	if err != nil {
		return nil, fmt.Errorf("%w: a KV cache for %d tokens needs %d bytes: %w", ErrMemory, capacity, bytes*int64(capacity), err)
	}
	kv.buf = buf
	all, off := kernels.Whole(buf), 0
	for i, l := range c.Layers {
		n := l.KVHeads * capacity * kv.rowBytes
		kv.layers[i] = cacheLayer{keys: all.Slice(off, n), values: all.Slice(off+n, n), heads: l.KVHeads}
		off += 2 * n
	}
	return kv, nil
}

func (c *cache) span(layer, pos, rows int) kernels.Span {
	l := &c.layers[layer]
	return kernels.Span{Keys: l.keys, Values: l.values, Format: c.format, Capacity: c.capacity, Pos: pos, Rows: rows}
}

// head is the first n positions of one head of a layer's keys or values.
func (c *cache) head(v kernels.View, head, n int) []byte {
	return v.Slice(head*c.capacity*c.rowBytes, n*c.rowBytes).Bytes()
}

// copyFrom takes the first n positions of src, a cache of the same model
// configuration and format on this or another backend.
func (c *cache) copyFrom(src *cache, n int) {
	for i := range c.layers {
		to, from := &c.layers[i], &src.layers[i]
		for h := range to.heads {
			copy(c.head(to.keys, h, n), src.head(from.keys, h, n))
			copy(c.head(to.values, h, n), src.head(from.values, h, n))
		}
	}
}
