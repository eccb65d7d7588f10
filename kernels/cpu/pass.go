package cpu

import (
	"context"
	"fmt"
	"math"

	"github.com/go-openelm/go-openelm/kernels"
)

// pass implements kernels.Ops. An operation runs when it is recorded; after the
// first error, or once the context is done, the rest are skipped.
type pass struct {
	backend *Backend
	ctx     context.Context
	err     error

	normed  []float32 // rmsnorm(x), all rows
	lowRank []float32 // A·x of an adapter, all rows
	linear  linear
	rotate  rotate
	attend  attend
}

var _ kernels.Ops = (*pass)(nil)

// Run returns the first error since the last Run.
func (p *pass) Run() error {
	err := p.err
	if err == nil {
		err = context.Cause(p.ctx)
	}
	p.err = nil
	return err
}

// End gives the pass back to the backend.
func (p *pass) End() {
	p.ctx, p.err = nil, nil
	p.linear, p.rotate, p.attend = linear{}, rotate{}, attend{}
	p.backend.passes.Put(p)
}

// ready reports whether the next operation should run.
func (p *pass) ready() bool {
	if p.err == nil {
		p.err = context.Cause(p.ctx)
	}
	return p.err == nil
}

// floats returns the first n elements of v, or records that it is too short.
func (p *pass) floats(op, name string, v kernels.View, n int) []float32 {
	if n < 1 || v.Len < 4*n {
		if p.err == nil {
			p.err = fmt.Errorf("cpu: %w: %s: %s has %d bytes, want %d float32", kernels.ErrShape, op, name, v.Len, n)
		}
		return nil
	}
	return v.Floats()[:n]
}

func (p *pass) Embed(x kernels.View, table *kernels.Matrix, tokens kernels.View, rows int) {
	if !p.ready() {
		return
	}
	dst := p.floats("Embed", "x", x, rows*table.Cols)
	if tokens.Len < 4*rows {
		p.err = fmt.Errorf("cpu: %w: Embed: %d bytes of tokens for %d rows", kernels.ErrShape, tokens.Len, rows)
	}
	if p.err != nil {
		return
	}
	for r, id := range tokens.Ints()[:rows] {
		if id < 0 || int(id) >= table.Rows {
			p.err = fmt.Errorf("cpu: %w: Embed: token %d is outside the table of %d rows", kernels.ErrShape, id, table.Rows)
			return
		}
		table.ReadRow(dst[r*table.Cols:(r+1)*table.Cols], int(id))
	}
}

func (p *pass) NormQKV(qkv, x kernels.View, rows int, norm kernels.Norm, w kernels.Linear) {
	if p.ready() {
		n := p.norm("NormQKV", x, rows, w.W.Cols, norm)
		y := p.floats("NormQKV", "qkv", qkv, rows*w.W.Rows)
		p.multiply(store, y, n, rows, w, kernels.Linear{})
	}
}

func (p *pass) ProjAdd(x, in kernels.View, rows int, w kernels.Linear) {
	if p.ready() {
		a := p.floats("ProjAdd", "in", in, rows*w.W.Cols)
		y := p.floats("ProjAdd", "x", x, rows*w.W.Rows)
		p.multiply(add, y, a, rows, w, kernels.Linear{})
	}
}

func (p *pass) NormSwiGLU(h, x kernels.View, rows int, norm kernels.Norm, gate, up kernels.Linear) {
	if p.ready() {
		n := p.norm("NormSwiGLU", x, rows, gate.W.Cols, norm)
		y := p.floats("NormSwiGLU", "h", h, rows*gate.W.Rows)
		if up.W != nil && (up.W.Rows != gate.W.Rows || up.W.Cols != gate.W.Cols) {
			p.err = fmt.Errorf("cpu: %w: NormSwiGLU: gate is %d × %d, up %d × %d",
				kernels.ErrShape, gate.W.Rows, gate.W.Cols, up.W.Rows, up.W.Cols)
		}
		p.multiply(swiglu, y, n, rows, gate, up)
	}
}

func (p *pass) NormLogits(logits, x kernels.View, rows int, norm kernels.Norm, w kernels.Linear) {
	if p.ready() {
		n := p.norm("NormLogits", x, rows, w.W.Cols, norm)
		y := p.floats("NormLogits", "logits", logits, rows*w.W.Rows)
		p.multiply(store, y, n, rows, w, kernels.Linear{})
	}
}

// norm returns rmsnorm of each row of x.
func (p *pass) norm(op string, x kernels.View, rows, cols int, norm kernels.Norm) []float32 {
	in := p.floats(op, "x", x, rows*cols)
	weight := p.floats(op, "norm", norm.Weight, cols)
	if p.err != nil {
		return nil
	}
	p.normed = grow(p.normed, rows*cols)
	for r := 0; r < len(in); r += cols {
		rmsNorm(p.normed[r:r+cols], in[r:r+cols], weight, norm.Eps)
	}
	return p.normed
}

// rmsNorm sets dst_i = x_i · w_i / sqrt(mean(x²) + eps); dst may be x.
func rmsNorm(dst, x, w []float32, eps float32) {
	scale := 1 / float32(math.Sqrt(float64(dot(x, x)/float32(len(x))+eps)))
	for i, v := range x {
		dst[i] = v * scale * w[i]
	}
}

func grow(s []float32, n int) []float32 {
	if cap(s) < n {
		return make([]float32, n)
	}
	return s[:n]
}
