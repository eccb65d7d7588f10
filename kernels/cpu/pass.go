package cpu

import (
	"context"
	"fmt"

	"github.com/go-openelm/go-openelm/kernels"
)

// pass implements kernels.Ops. An operation runs when it is recorded; after the
// first error, or once the context is done, the rest are skipped.
type pass struct {
	backend *Backend
	ctx     context.Context
	err     error
	placed  bool // has a place in the pool: from the first operation to Run

	job     job
	scratch scratch
	matvec  matvec
	matmul  matmul
	cut     toBlocks
	tiling  toTiles

	layouts  layoutRows
	rotate   rotate
	attend   attend
	merge    merge
	prompt   attendPrompt
	norms    norms
	rounding rounding

	normed   []float32    // rmsnorm(x), all rows
	bf16     []float32    // activations that are rounded, all rows
	laidOut  [2][]float32 // activations in the layout of a format
	blocked  []float32    // activations in the layout of panels or tiles
	tileSums []float32    // of activations in tiles
	lowRank  [2][]float32 // A·x of adapters, all rows
	partials []float32    // attention over splits of the context
}

var _ kernels.Ops = (*pass)(nil)

func newPass(b *Backend) *pass {
	p := &pass{backend: b}
	p.scratch.isaTable = b.table
	p.job.done = make(chan struct{}, 1)
	return p
}

// Run returns the first error since the last Run.
func (p *pass) Run() error {
	p.leave()
	err := p.err
	if err == nil {
		err = context.Cause(p.ctx)
	}
	p.err = nil
	return err
}

// End gives the pass back to the backend.
func (p *pass) End() {
	p.leave()
	p.ctx, p.err = nil, nil
	p.backend.give(p)
}

func (p *pass) leave() {
	if p.placed {
		p.placed = false
		p.backend.pool.leave()
	}
}

// ready reports whether the next operation should run, and waits for its turn.
func (p *pass) ready() bool {
	if p.err == nil {
		p.err = context.Cause(p.ctx)
	}
	if p.err == nil && !p.placed {
		p.backend.pool.enter()
		p.placed = true
	}
	return p.err == nil
}

// begin is ready for an operation that multiplies rows with each of ws, if their
// adapters fit.
func (p *pass) begin(op string, rows int, ws ...kernels.Linear) bool {
	if !p.ready() {
		return false
	}
	p.check(op, kernels.CheckRows(rows))
	for _, w := range ws {
		p.check(op, w.Validate())
	}
	return p.err == nil
}

// check records the first error of an operation.
func (p *pass) check(op string, err error) {
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("cpu: %s: %w", op, err)
	}
}

// run runs t on all cores that are free.
func (p *pass) run(n, least int, t task) {
	p.backend.pool.run(&p.job, n, least, t, &p.scratch)
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

func (p *pass) Embed(x kernels.View, l kernels.Linear, tokens kernels.View, rows int) {
	const op = "Embed"
	if !p.begin(op, rows, l) {
		return
	}
	table := l.W
	dst := p.floats(op, "x", x, rows*table.Cols)
	p.check(op, kernels.CheckTokens(tokens, rows, table))
	if p.err != nil {
		return
	}
	for r, id := range tokens.Ints()[:rows] {
		row := dst[r*table.Cols : (r+1)*table.Cols]
		p.scratch.widenRow(row, table, int(id), 0)
		if l.LoRA != nil {
			addRow(row, l.LoRA, int(id))
		}
	}
}

// addRow adds row i of the adapter's B·A to x and scales it.
func addRow(x []float32, r *kernels.LowRank, i int) {
	a := r.A.Data.Floats()
	for k, b := range r.B.Data.Floats()[i*r.B.Cols:][:r.B.Cols] {
		for c, v := range a[k*r.A.Cols:][:len(x)] {
			x[c] += b * v
		}
	}
	if !r.RowScale.IsZero() {
		scale := r.RowScale.Floats()[i]
		for c := range x {
			x[c] *= scale
		}
	}
}

func (p *pass) NormQKV(qkv, x kernels.View, rows int, norm kernels.Norm, w kernels.Linear) {
	if p.begin("NormQKV", rows, w) {
		n := p.norm("NormQKV", x, rows, w.W.Cols, norm)
		y := p.floats("NormQKV", "qkv", qkv, rows*w.W.Rows)
		p.multiply(store, y, n, rows, w, kernels.Linear{})
	}
}

func (p *pass) ProjAdd(x, in kernels.View, rows int, w kernels.Linear) {
	if p.begin("ProjAdd", rows, w) {
		a := p.floats("ProjAdd", "in", in, rows*w.W.Cols)
		y := p.floats("ProjAdd", "x", x, rows*w.W.Rows)
		p.multiply(add, y, a, rows, w, kernels.Linear{})
	}
}

func (p *pass) NormSwiGLU(h, x kernels.View, rows int, norm kernels.Norm, gate, up kernels.Linear) {
	if p.begin("NormSwiGLU", rows, gate, up) {
		n := p.norm("NormSwiGLU", x, rows, gate.W.Cols, norm)
		y := p.floats("NormSwiGLU", "h", h, rows*gate.W.Rows)
		p.check("NormSwiGLU", kernels.CheckGated(gate, up))
		p.multiply(gated, y, n, rows, gate, up)
	}
}

func (p *pass) NormLogits(logits, x kernels.View, rows int, norm kernels.Norm, w kernels.Linear) {
	if p.begin("NormLogits", rows, w) {
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
	out := grow(&p.normed, rows*cols)
	p.norms = norms{out, in, weight, norm.Eps}
	p.run(rows, 1+1<<14/cols, &p.norms)
	p.norms = norms{}
	return out
}

// norms is the RMSNorm of rows. Its items are rows.
type norms struct {
	out, in, weight []float32
	eps             float32
}

func (t *norms) run(lo, hi int, s *scratch) {
	cols := len(t.weight)
	for r := lo; r < hi; r++ {
		s.norm(t.out[r*cols:(r+1)*cols], t.in[r*cols:(r+1)*cols], t.weight, t.eps)
	}
}

// norm sets dst_i = x_i · w_i / sqrt(mean(x²) + eps); dst may be x.
func (s *scratch) norm(dst, x, w []float32, eps float32) {
	f := s.rmsNorm
	if len(x)%lanes != 0 {
		f = portable.rmsNorm
	}
	s.vectorArgs = vectorArgs{dst: ptr(dst), x: ptr(x), w: ptr(w), n: len(x), scalar: eps}
	f(&s.vectorArgs)
}
