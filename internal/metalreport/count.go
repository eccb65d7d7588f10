package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-openelm/go-openelm/internal/checkpoint"
	"github.com/go-openelm/go-openelm/internal/metalsim"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/gpu"
	"github.com/go-openelm/go-openelm/openelm"
)

// tile is how many outputs a product is cut to: whole threadgroups of every kernel.
const tile = 8

// tokenCounts is what a token asks of the GPU.
type tokenCounts struct {
	dispatches []metalsim.Dispatch
	ideal      float64 // bytes of weights and of live keys and values
}

func (t *tokenCounts) bytes() (n float64) {
	for _, d := range t.dispatches {
		n += d.Bytes
	}
	return n
}

func (t *tokenCounts) stages() int {
	return t.dispatches[len(t.dispatches)-1].Stage - t.dispatches[0].Stage + 1
}

func isProduct(d *metalsim.Dispatch) bool   { return strings.HasPrefix(d.Kernel, "matvec") }
func isAttention(d *metalsim.Dispatch) bool { return strings.HasPrefix(d.Kernel, "attend") }

// counter runs models of zeros on the simulator, which counts.
type counter struct {
	sim *metalsim.Simulator
	gpu *gpu.Backend

	chosen kernels.View // the token that the GPU chooses
}

func newCounter() (*counter, error) {
	sim, err := metalsim.Open()
	if err != nil {
		return nil, err
	}
	if !sim.Simulated() {
		return nil, errors.New("counting needs the simulator, which runs on Linux")
	}
	sim.Configure("mode", "count")
	sim.Configure("memory", fmt.Sprint(int64(1<<40))) // of zeros, which take none
	sim.Configure("buffer", fmt.Sprint(int64(1<<40)))
	b, err := gpu.Open(gpu.Options{})
	if err != nil {
		return nil, err
	}
	chosen, err := b.NewBuffer(64)
	if err != nil {
		b.Close()
		return nil, err
	}
	return &counter{sim: sim, gpu: b, chosen: kernels.Whole(chosen)}, nil
}

func (c *counter) Close() error {
	c.chosen.Buf.Release()
	return c.gpu.Close()
}

// heads is what attention's dispatches depend on, besides how many tokens are cached.
type heads struct{ query, kv int }

func headsOf(l openelm.LayerConfig) heads { return heads{l.QueryHeads, l.KVHeads} }

// attention counts attention after cached tokens, once for all layers of as many heads.
func (c *counter) attention(config *openelm.Config, l kernels.Layout, cached int) (map[heads][]metalsim.Dispatch, error) {
	some := *config
	some.Layers = nil
	of := map[heads][]metalsim.Dispatch{}
	for _, layer := range config.Layers {
		if _, ok := of[headsOf(layer)]; !ok {
			of[headsOf(layer)] = nil
			some.Layers = append(some.Layers, layer)
		}
	}
	p, err := c.pass(&some, l, cached, tile)
	if err != nil {
		return nil, err
	}
	layer := -1
	for i, d := range p.dispatches {
		if !isAttention(&d) {
			continue
		}
		if !isAttention(&p.dispatches[i-1]) {
			layer++
		}
		h := headsOf(some.Layers[layer])
		of[h] = append(of[h], d)
	}
	return of, nil
}

// token is the token after cached others, with attention counted before: what is
// counted here is the first token of a session, its products cut to a tile of outputs.
// Threadgroups, issue slots and bytes grow by the same with each further tile, but for
// the bytes of x and the norm, which all tiles read.
func (c *counter) token(config *openelm.Config, l kernels.Layout, cached int, attention map[heads][]metalsim.Dispatch) (t tokenCounts, err error) {
	p, err := c.pass(config, l, 0, tile)
	if err != nil {
		return t, err
	}
	t.ideal = float64(p.weights + int64(cached+1)*config.CacheBytes()/2)
	layer := 0
	for _, d := range p.dispatches {
		switch {
		case isAttention(&d):
			t.add(attention[headsOf(config.Layers[layer])]...)
			layer++
			continue
		case isProduct(&d):
			tiles := float64(p.cut[0].outs) / tile
			d.Threadgroups = int(float64(d.Threadgroups) * tiles)
			d.Slots *= tiles
			d.Bytes += (tiles - 1) * tile * float64(p.cut[0].bytes)
			p.cut = p.cut[1:]
		}
		t.add(d)
	}
	return t, nil
}

// add adds dispatches of which each is a stage.
func (t *tokenCounts) add(list ...metalsim.Dispatch) {
	for _, d := range list {
		d.Stage = len(t.dispatches)
		t.dispatches = append(t.dispatches, d)
	}
}

// counted is one token.
type counted struct {
	dispatches []metalsim.Dispatch
	cut        []wholeProduct // in order
	weights    int64          // bytes
}

// wholeProduct is a product before it was cut.
type wholeProduct struct {
	outs  int
	bytes int // an output takes: weights, and a float32 written or, in a sum, read and written
}

// pass counts the token after cached others, with products cut to outs outputs.
func (c *counter) pass(config *openelm.Config, l kernels.Layout, cached, outs int) (p counted, err error) {
	m, weights, err := checkpoint.Zeros(&cutBackend{c.gpu, c.chosen, outs, &p.cut}, config, l)
	if err != nil {
		return p, err
	}
	defer m.Close()
	s, err := m.NewSession(&openelm.SessionOptions{Capacity: cached + 1, CacheFormat: kernels.F16})
	if err != nil {
		return p, err
	}
	defer s.Close()
	ctx := context.Background()
	if cached > 0 {
		c.sim.Configure("execute", "0") // what is cached does not matter
		if err := s.Append(ctx, make([]int32, cached)...); err != nil {
			return p, err
		}
		c.sim.Configure("execute", "1")
	}
	c.sim.Reset()
	p.cut, p.weights = nil, weights
	if err := s.Append(ctx, 1); err != nil {
		return p, err
	}
	p.dispatches = c.sim.Dispatches()
	for i, d := range p.dispatches {
		if i > 0 && d.Stage == p.dispatches[i-1].Stage {
			return p, errors.New("two dispatches of a token are one stage")
		}
	}
	return p, nil
}

// slots are issue slots of a weight, without what a row of weights costs once: of a
// product by itself, and of one with a norm.
type slots struct {
	plain, norm float64
	inFlight    float64 // bytes, of the plain product
}

// slots counts them as those of ggml's kernels were: rows of 2,048 and of 6,144.
func (c *counter) slots(l kernels.Layout) (s slots, err error) {
	view := func(n int) (v kernels.View) {
		var b kernels.Buffer
		if err == nil {
			b, err = c.gpu.NewBuffer(n)
		}
		if err == nil {
			v = kernels.Whole(b)
		}
		return v
	}
	var counted [2][]metalsim.Dispatch
	for i, cols := range []int{2048, 6144} {
		w := kernels.Matrix{Rows: tile, Cols: cols, Format: l.Format, Group: l.Group, ScaleFormat: l.ScaleFormat}
		w.Data = view(tile * w.RowBytes())
		if l.Format.Affine() {
			n := tile * cols / l.Group * l.ScaleFormat.BlockBytes()
			w.Scales, w.Biases = view(n), view(n)
		}
		in, norm, out := view(4*cols), view(4*cols), view(4*tile)
		if err == nil {
			counted[i], err = c.run(func(o kernels.Ops) {
				o.ProjAdd(out, in, 1, kernels.Linear{W: &w})
				o.NormQKV(out, in, 1, kernels.Norm{Weight: norm}, kernels.Linear{W: &w})
			})
		}
		for _, v := range []kernels.View{w.Data, w.Scales, w.Biases, in, norm, out} {
			if v.Buf != nil {
				v.Buf.Release()
			}
		}
		if err != nil {
			return s, err
		}
	}
	a, b := counted[0], counted[1]
	const weights = tile * (6144 - 2048)
	return slots{(b[0].Slots - a[0].Slots) / weights, (b[1].Slots - a[1].Slots) / weights, b[0].InFlight}, nil
}

// run counts one pass.
func (c *counter) run(record func(kernels.Ops)) ([]metalsim.Dispatch, error) {
	ops, err := c.gpu.Begin(context.Background())
	if err != nil {
		return nil, err
	}
	defer ops.End()
	c.sim.Reset()
	record(ops)
	err = ops.Run()
	return c.sim.Dispatches(), err
}

// cutBackend leaves out all but the first outputs of products, and notes what they
// were.
type cutBackend struct {
	kernels.Backend
	chosen kernels.View // a token
	outs   int
	whole  *[]wholeProduct
}

func (b *cutBackend) Begin(ctx context.Context) (kernels.Ops, error) {
	ops, err := b.Backend.Begin(ctx)
	return cutOps{ops, b}, err
}

type cutOps struct {
	kernels.Ops
	backend *cutBackend
}

func (o cutOps) cut(ws ...kernels.Linear) []kernels.Linear {
	whole := wholeProduct{ws[0].W.Rows, 4}
	for i, w := range ws {
		if w.W != nil {
			m := *w.W
			whole.bytes += m.Bytes() / m.Rows
			m.Rows = min(m.Rows, o.backend.outs)
			ws[i].W = &m
		}
	}
	*o.backend.whole = append(*o.backend.whole, whole)
	return ws
}

func (o cutOps) NormQKV(qkv, x kernels.View, rows int, norm kernels.Norm, w kernels.Linear) {
	o.Ops.NormQKV(qkv, x, rows, norm, o.cut(w)[0])
}

// NormLogits is followed by the choice, as where the most probable token is all that
// a generation asks for.
func (o cutOps) NormLogits(logits, x kernels.View, rows int, norm kernels.Norm, w kernels.Linear) {
	o.Ops.NormLogits(logits, x, rows, norm, o.cut(w)[0])
	if async, ok := o.Ops.(kernels.AsyncOps); ok {
		async.Choose(o.backend.chosen, logits, rows, w.W.Rows)
	}
}

func (o cutOps) ProjAdd(x, in kernels.View, rows int, w kernels.Linear) {
	w = o.cut(w)[0]
	(*o.backend.whole)[len(*o.backend.whole)-1].bytes += 4
	o.Ops.ProjAdd(x, in, rows, w)
}

func (o cutOps) NormSwiGLU(h, x kernels.View, rows int, norm kernels.Norm, gate, up kernels.Linear) {
	ws := o.cut(gate, up)
	o.Ops.NormSwiGLU(h, x, rows, norm, ws[0], ws[1])
}
