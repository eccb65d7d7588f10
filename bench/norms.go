package bench

import (
	"context"
	"sync"
	"time"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/openelm"
)

// naivePasses is the number of kernels that OpenELM's published RMSNorm starts
// in half precision: float, pow, mean, add, rsqrt, multiply, type_as, multiply
// (class OpenELMRMSNorm of Apple's modeling_openelm.py). The paper measures
// OpenELM with this norm (section 4.4).
const naivePasses = 8

// runOneByOne is a backend on which norms also run one by one: before an operation
// that normalises as part of its work, each of its norms runs as passes
// operations of its own, one after the other. One is an optimised stand-alone
// norm, naivePasses what the paper's code does.
//
// A model's results are the same as on b: those of the extra operations are
// thrown away. So the difference in time to b is what stand-alone norms cost on
// this device, starting them and waiting for them included; the fused norms'
// own cost, which is no more than one such pass, is in both. An operation of
// its own reads its rows and the norm's weight and writes one number a row,
// where a norm would write the row: the product with a matrix of one row stands
// in for it, because the contract has no operation that only normalises.
//
// Closing it gives its memory back and leaves b open.
func runOneByOne(b kernels.Backend, passes int) kernels.Backend {
	return &oneByOne{Backend: b, passes: passes}
}

type oneByOne struct {
	kernels.Backend
	passes int

	mu      sync.Mutex
	ones    map[int]*kernels.Matrix // 1 × cols, by cols
	scratch kernels.Buffer
	kept    []kernels.Buffer
}

func (b *oneByOne) Begin(ctx context.Context) (kernels.Ops, error) {
	ops, err := b.Backend.Begin(ctx)
	if err != nil {
		return nil, err
	}
	return &oneByOneOps{Ops: ops, backend: b}, nil
}

func (b *oneByOne) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, buf := range b.kept {
		buf.Release()
	}
	b.kept, b.ones, b.scratch = nil, nil, nil
	return nil
}

// row is a matrix of one row, and room for as many results as rows.
func (b *oneByOne) row(cols, rows int) (*kernels.Matrix, kernels.View, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ones[cols] == nil {
		buf, err := b.keep(4 * cols)
		if err != nil {
			return nil, kernels.View{}, err
		}
		data := kernels.Whole(buf)
		for i := range data.Floats() {
			data.Floats()[i] = 1
		}
		if b.ones == nil {
			b.ones = map[int]*kernels.Matrix{}
		}
		b.ones[cols] = &kernels.Matrix{Rows: 1, Cols: cols, Format: kernels.F32, Data: data}
	}
	if b.scratch == nil || len(b.scratch.Bytes()) < 4*rows {
		buf, err := b.keep(4 * rows)
		if err != nil {
			return nil, kernels.View{}, err
		}
		b.scratch = buf // a pass under way may still use the one before: Close frees both
	}
	return b.ones[cols], kernels.Whole(b.scratch), nil
}

func (b *oneByOne) keep(size int) (kernels.Buffer, error) {
	buf, err := b.NewBuffer(size)
	if err == nil {
		b.kept = append(b.kept, buf)
	}
	return buf, err
}

// oneByOneOps adds the norms to a pass.
type oneByOneOps struct {
	kernels.Ops
	backend *oneByOne
	err     error
}

func (o *oneByOneOps) norm(x kernels.View, rows, cols int, norm kernels.Norm) {
	if norm.Weight.IsZero() || o.err != nil {
		return
	}
	one, out, err := o.backend.row(cols, rows)
	if err != nil {
		o.err = err
		return
	}
	for range o.backend.passes {
		o.Ops.NormQKV(out, x, rows, norm, kernels.Linear{W: one})
	}
}

func (o *oneByOneOps) NormQKV(qkv, x kernels.View, rows int, norm kernels.Norm, w kernels.Linear) {
	o.norm(x, rows, w.W.Cols, norm)
	o.Ops.NormQKV(qkv, x, rows, norm, w)
}

// Attend normalises as many heads as there are query and key heads. With more
// than one row these are not the very ones, which lie apart, but as many bytes.
func (o *oneByOneOps) Attend(out, qkv kernels.View, a *kernels.Attention, spans []kernels.Span) {
	rows := 0
	for i := range spans {
		rows += spans[i].Rows
	}
	queries, keys := rows*a.QueryHeads, rows*a.KVHeads
	o.norm(qkv, queries, a.HeadDim, a.QueryNorm)
	if off := 4 * queries * a.HeadDim; off < qkv.Len {
		o.norm(qkv.Slice(off, qkv.Len-off), keys, a.HeadDim, a.KeyNorm)
	}
	o.Ops.Attend(out, qkv, a, spans)
}

func (o *oneByOneOps) NormSwiGLU(h, x kernels.View, rows int, norm kernels.Norm, gate, up kernels.Linear) {
	o.norm(x, rows, gate.W.Cols, norm)
	o.Ops.NormSwiGLU(h, x, rows, norm, gate, up)
}

func (o *oneByOneOps) NormLogits(logits, x kernels.View, rows int, norm kernels.Norm, w kernels.Linear) {
	o.norm(x, rows, w.W.Cols, norm)
	o.Ops.NormLogits(logits, x, rows, norm, w)
}

func (o *oneByOneOps) Run() error {
	err := o.Ops.Run()
	if o.err != nil {
		err, o.err = o.err, nil
	}
	return err
}

// countNorms is the number of norms that a token passes: two a layer, two more
// where queries and keys are normalised, and the last one. OpenELM-1.1B has
// 113, OLMo 1.2B 33 (Mehta et al. 2024, section 4.4).
func countNorms(c *openelm.Config) int {
	perLayer := 2
	if c.QKNorm {
		perLayer = 4
	}
	return perLayer*len(c.Layers) + 1
}

// normsAlone is a token's norms with nothing between them, as often as minTime
// asks; it returns the seconds of one token's. The fused norms cost no more.
func (s *side) normsAlone(ctx context.Context, minTime time.Duration) (float64, error) {
	c, w := s.model.Config(), s.model.Weights()
	b := &oneByOne{Backend: s.backend, passes: 1}
	defer b.Close()
	width := c.ModelDim
	for i := range c.Layers {
		width = max(width, c.QKVDim(i))
	}
	x, err := b.NewBuffer(4 * width)
	if err != nil {
		return 0, err
	}
	defer x.Release()
	view := kernels.Whole(x)
	for i := range view.Floats() {
		view.Floats()[i] = float32(i%7) - 3
	}
	inner, err := b.Begin(ctx)
	if err != nil {
		return 0, err
	}
	defer inner.End()
	ops := inner.(*oneByOneOps)
	norm := func(rows, cols int, weight kernels.View) {
		ops.norm(view, rows, cols, kernels.Norm{Weight: weight, Eps: c.NormEps})
	}
	for start, n := time.Now(), 1; ; n++ {
		for i := range w.Layers {
			l := &w.Layers[i]
			norm(1, c.ModelDim, l.AttnNorm)
			norm(c.Layers[i].QueryHeads, c.HeadDim, l.QNorm)
			norm(c.Layers[i].KVHeads, c.HeadDim, l.KNorm)
			norm(1, c.ModelDim, l.FFNNorm)
		}
		norm(1, c.ModelDim, w.Norm)
		if err := ops.Run(); err != nil {
			return 0, err
		}
		if t := time.Since(start); t >= minTime {
			return t.Seconds() / float64(n), nil
		}
	}
}
