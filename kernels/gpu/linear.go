package gpu

import (
	_ "embed"
	"errors"
	"fmt"

	"github.com/go-openelm/go-openelm/kernels"
)

//go:embed sums.h
var sumsHeader string

//go:embed formats.h
var formatsHeader string

//go:embed linear.h
var linearHeader string

// Function constants of formats.h and linear.h, by index.
const (
	constAffine      = iota
	constScaleLayout // uint
	constRagged
	constNorm
	constResidual
	constSilu
	constFactor
	constUp
	constLoRA
	constRowScale
	constUpLoRA
	constUpRowScale
	constAffineUp
	linearConstants
)

// Buffers of matvec and matmul, by index.
const (
	bufY = iota
	bufX
	bufNorm
	bufData
	bufScales
	bufBiases
	bufUpData
	bufUpScales
	bufUpBiases
	bufFactor
	bufLoRAB
	bufLoRAT
	bufRowScale
	bufUpLoRAB
	bufUpLoRAT
	bufUpRowScale
	bufLinearArgs
)

// linearArgs is LinearArgs of linear.h.
type linearArgs struct {
	rows, cols, outs, rowBytes, rank, upRank uint32
	eps                                      float32
}

// adapter is Adapter of linear.h: a LowRank whose A has been applied.
type adapter struct {
	b, t, rowScale binding
	rank           int
	lora, scaled   bool
}

// product is one launch of matvec or matmul.
type product struct {
	op    string
	rows  int
	x, y  binding
	w, up *kernels.Matrix // up is nil without a second matrix
	// flags are the function constants norm, residual, silu and factor.
	flags        uint32
	norm, factor binding
	eps          float32
	gateAdapter  adapter
	upAdapter    adapter
}

// NormQKV records qkv = w·rmsnorm(x).
func (p *pass) NormQKV(qkv, x kernels.View, rows int, norm kernels.Norm, w kernels.Linear) {
	p.normLinear("NormQKV", qkv, x, rows, norm, w)
}

// NormLogits records logits = w·rmsnorm(x).
func (p *pass) NormLogits(logits, x kernels.View, rows int, norm kernels.Norm, w kernels.Linear) {
	p.normLinear("NormLogits", logits, x, rows, norm, w)
}

func (p *pass) normLinear(op string, y, x kernels.View, rows int, norm kernels.Norm, w kernels.Linear) {
	if !p.ready() || !p.checkRows(op, rows) {
		return
	}
	l := product{op: op, rows: rows, w: w.W}
	p.checkLinear(op, "w", w)
	p.setNorm(&l, x, norm)
	l.y = p.floats(op, "y", y, rows*w.W.Rows)
	p.linear(&l, w, kernels.Linear{})
}

// ProjAdd records x += w·in.
func (p *pass) ProjAdd(x, in kernels.View, rows int, w kernels.Linear) {
	const op = "ProjAdd"
	if !p.ready() || !p.checkRows(op, rows) {
		return
	}
	l := product{op: op, rows: rows, w: w.W, flags: 1 << constResidual}
	p.checkLinear(op, "w", w)
	l.x = p.floats(op, "in", in, rows*w.W.Cols)
	l.y = p.floats(op, "x", x, rows*w.W.Rows)
	p.linear(&l, w, kernels.Linear{})
}

// NormSwiGLU records h = silu(gate·n) ⊙ (up·n), n = rmsnorm(x).
func (p *pass) NormSwiGLU(h, x kernels.View, rows int, norm kernels.Norm, gate, up kernels.Linear) {
	const op = "NormSwiGLU"
	if !p.ready() || !p.checkRows(op, rows) {
		return
	}
	l := product{op: op, rows: rows, w: gate.W, up: up.W, flags: 1 << constSilu}
	p.checkLinear(op, "gate", gate)
	if up.W != nil {
		p.checkLinear(op, "up", up)
	}
	if err := kernels.CheckGated(gate, up); err != nil {
		p.fail(fmt.Errorf("gpu: %s: %w", op, err))
	}
	p.setNorm(&l, x, norm)
	l.y = p.floats(op, "h", h, rows*gate.W.Rows)
	p.linear(&l, gate, up)
}

func (p *pass) checkRows(op string, rows int) bool {
	p.rows = max(p.rows, rows)
	if err := kernels.CheckRows(rows); err != nil {
		p.fail(fmt.Errorf("gpu: %s: %w", op, err))
	}
	return p.err == nil
}

// checkLinear holds the adapter of a linear to its matrix.
func (p *pass) checkLinear(op, name string, l kernels.Linear) {
	if err := l.Validate(); err != nil {
		p.fail(fmt.Errorf("gpu: %s: %s: %w", op, name, err))
	}
}

// setNorm makes rmsnorm(x) what the product multiplies.
func (p *pass) setNorm(l *product, x kernels.View, norm kernels.Norm) {
	l.x = p.floats(l.op, "x", x, l.rows*l.w.Cols)
	l.norm = p.floats(l.op, "norm", norm.Weight, l.w.Cols)
	l.eps = norm.Eps
	l.flags |= 1 << constNorm
}

// linear records l, which is complete but for the adapters of gate and up.
// Before it come A·x of the adapters and, where up cannot share gate's pass,
// the product with up.
func (p *pass) linear(l *product, gate, up kernels.Linear) {
	if p.err != nil {
		return
	}
	used := 0
	p.depends()
	l.gateAdapter = p.lowRank(l, gate, &used)
	l.upAdapter = p.lowRank(l, up, &used)
	if l.up != nil && l.w.Layout() != l.up.Layout() {
		u := *l
		u.w, u.up, u.gateAdapter = l.up, nil, l.upAdapter
		u.y, u.flags = p.allot(&used, l.rows*l.w.Rows), l.flags&^(1<<constSilu)
		if u.gateAdapter.lora {
			p.depends()
		}
		p.multiply(&u)
		l.up, l.upAdapter = nil, adapter{}
		l.factor, l.flags = u.y, l.flags|1<<constFactor
	}
	if used > 0 {
		p.depends()
	}
	p.multiply(l)
}

// lowRank records t = A·(what l multiplies).
func (p *pass) lowRank(l *product, w kernels.Linear, used *int) adapter {
	if w.W == nil || w.LoRA == nil {
		return adapter{}
	}
	r := w.LoRA
	a := adapter{lora: true, rank: r.A.Rows, t: p.allot(used, l.rows*r.A.Rows)}
	a.b = p.floats(l.op, "adapter B", r.B.Data, r.B.Rows*r.B.Cols)
	if !r.RowScale.IsZero() {
		a.scaled = true
		a.rowScale = p.floats(l.op, "adapter row scale", r.RowScale, w.W.Rows)
	}
	p.multiply(&product{op: l.op, rows: l.rows, x: l.x, y: a.t, w: &r.A,
		flags: l.flags & (1 << constNorm), norm: l.norm, eps: l.eps})
	return a
}

// multiply records one launch: matvec for few rows, matmul for many.
func (p *pass) multiply(l *product) {
	data, scales, biases := p.matrix(l.op, l.w)
	var upData, upScales, upBiases binding
	if l.up != nil {
		upData, upScales, upBiases = p.matrix(l.op, l.up)
	}
	if p.err != nil {
		return
	}
	affine := l.w.Format.Affine()
	key := kernelKey{
		libraryKey: libraryKey{&matvecSource, l.w.Format},
		flags: l.flags | weightFlags(l.w) | flag(constUp, l.up != nil) |
			flag(constLoRA, l.gateAdapter.lora) | flag(constRowScale, l.gateAdapter.scaled) |
			flag(constUpLoRA, l.upAdapter.lora) | flag(constUpRowScale, l.upAdapter.scaled) | flag(constAffineUp, affine && l.up != nil),
	}
	key.number = scaleLayout(l.w)
	args := linearArgs{
		rows: uint32(l.rows), cols: uint32(l.w.Cols), outs: uint32(l.w.Rows), rowBytes: uint32(l.w.RowBytes()),
		rank: uint32(l.gateAdapter.rank), upRank: uint32(l.upAdapter.rank), eps: l.eps,
	}
	var d *dispatch
	if l.rows <= kernels.ExactRows {
		d = p.launchMatvec(l, key)
	} else {
		d = p.launchMatmul(l, key)
	}
	d.bind(bufY, l.y)
	d.bind(bufX, l.x)
	d.bind(bufData, data)
	if key.flags>>constNorm&1 == 1 {
		d.bind(bufNorm, l.norm)
	}
	if affine {
		d.bind(bufScales, scales)
		d.bind(bufBiases, biases)
	}
	if l.up != nil {
		d.bind(bufUpData, upData)
		if affine {
			d.bind(bufUpScales, upScales)
			d.bind(bufUpBiases, upBiases)
		}
	}
	if key.flags>>constFactor&1 == 1 {
		d.bind(bufFactor, l.factor)
	}
	l.gateAdapter.bind(d, bufLoRAB)
	l.upAdapter.bind(d, bufUpLoRAB)
	setArgs(d, bufLinearArgs, args)
}

// bind binds B, t and the row scale from index first on.
func (a *adapter) bind(d *dispatch, first int) {
	if a.lora {
		d.bind(first, a.b)
		d.bind(first+1, a.t)
	}
	if a.scaled {
		d.bind(first+2, a.rowScale)
	}
}

// weightFlags are the function constants of formats.h that are bool.
func weightFlags(w *kernels.Matrix) uint32 {
	ragged := w.Format.Float() && w.Cols%unitCols(w.Format) != 0
	return flag(constAffine, w.Format.Affine()) | flag(constRagged, ragged)
}

// scaleLayout is the one that is a number.
func scaleLayout(w *kernels.Matrix) uint32 {
	if !w.Format.Affine() {
		return 0
	}
	return uint32(w.ScaleFormat-kernels.F32) | uint32(w.Group)<<2
}

// units are the formats of formats.h, each with its unit.
var units = [...]int{
	kernels.F32: 8, kernels.F16: 8, kernels.BF16: 8,
	kernels.Q8_0: 8, kernels.Q4_0: 8, kernels.Q4_1: 8, kernels.Q5_0: 8, kernels.Q5_1: 8, kernels.IQ4_NL: 8, kernels.IQ4_XS: 8,
	kernels.Q2_K: 16, kernels.Q3_K: 16, kernels.Q4_K: 16, kernels.Q5_K: 16, kernels.Q6_K: 8,
	kernels.Affine4: 8, kernels.Affine8: 8,
}

// unitCols is the unit of f, 0 if no kernel knows it.
func unitCols(f kernels.Format) int {
	if int(f) < len(units) {
		return units[f]
	}
	return 0
}

// matrix binds the parts of w.
func (p *pass) matrix(op string, w *kernels.Matrix) (data, scales, biases binding) {
	if !w.Format.Valid() || w.Rows < 1 || w.Cols < 1 || w.Cols%w.Format.BlockCols() != 0 {
		p.fail(fmt.Errorf("gpu: %s: %w: %d × %d, %v", op, kernels.ErrMatrix, w.Rows, w.Cols, w.Format))
		return
	}
	if unitCols(w.Format) == 0 {
		p.fail(fmt.Errorf("gpu: %s: a matrix in %v: %w; use the CPU backend", op, w.Format, errors.ErrUnsupported))
		return
	}
	data = p.bind(op, "matrix", w.Data, w.Rows*w.RowBytes(), w.Format.Align())
	if w.Format.Affine() {
		if w.Group != 32 && w.Group != 64 && w.Group != 128 || w.Cols%w.Group != 0 || !w.ScaleFormat.Float() {
			p.fail(fmt.Errorf("gpu: %s: %w: groups of %d of %d columns, scales %v", op, kernels.ErrMatrix, w.Group, w.Cols, w.ScaleFormat))
			return
		}
		n := w.Rows * (w.Cols / w.Group) * w.ScaleFormat.BlockBytes()
		scales = p.bind(op, "scales", w.Scales, n, w.ScaleFormat.Align())
		biases = p.bind(op, "biases", w.Biases, n, w.ScaleFormat.Align())
	}
	return data, scales, biases
}
