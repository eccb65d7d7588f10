package optest

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/go-openelm/go-openelm/kernels"
)

// Rounding holds a backend that rounds activations to bfloat16 to what that means: the
// formula in float64 of the rounded activations, for products of few and of many rows.
// The activations before they are rounded are those of exact, the same backend without
// rounding.
func Rounding(t *testing.T, exact, b kernels.Backend) {
	for _, l := range Layouts() {
		t.Run(l.String(), func(t *testing.T) {
			m := &maker{t: t, b: exact, rng: rand.New(rand.NewPCG(29, uint64(l.Format)))}
			unit := l.UnitCols()
			counts, outs, cols := []int{1, 3, kernels.ExactRows, kernels.ExactRows + 1, 40}, 60, 300
			if testing.Short() {
				counts, outs, cols = []int{3, kernels.ExactRows + 2}, 36, 100
			}
			for _, rows := range counts {
				m.rounds(b, l, shape{rows, 1 + m.rng.IntN(outs), unit * (1 + m.rng.IntN(max(1, cols/unit)))})
			}
		})
	}
}

func (m *maker) rounds(b kernels.Backend, l kernels.Layout, s shape) {
	m.t.Helper()
	ops, err := b.Begin(context.Background())
	if err != nil {
		m.t.Fatal(err)
	}
	defer ops.End()
	w, up := m.matrix(l, s.outs, s.cols), m.matrix(l, s.outs, s.cols)
	lin, gated := kernels.Linear{W: w, LoRA: m.lowRank(w)}, kernels.Linear{W: up}
	x, norm := m.floats(s.rows*s.cols, 1), m.norm(s.cols)
	before := m.copyOf(x)
	d, du := expand(lin), expand(gated)

	y := m.floats(s.rows*s.outs, 1)
	clear(y.Bytes())
	ops.ProjAdd(y, x, s.rows, lin)
	m.run(ops)
	m.same("activations", x, before)
	m.compareRounded("ProjAdd", y, x, s, d.product)

	normed := m.normed(x, s, norm)
	ops.NormQKV(y, x, s.rows, norm, lin)
	m.run(ops)
	m.compareRounded("NormQKV", y, normed, s, d.product)
	ops.NormLogits(y, x, s.rows, norm, lin)
	m.run(ops)
	m.compareRounded("NormLogits", y, normed, s, d.product)
	ops.NormSwiGLU(y, x, s.rows, norm, lin, gated)
	m.run(ops)
	m.compareRounded("NormSwiGLU", y, normed, s, func(o int, x []float64) value { return mul(silu(d.product(o, x)), du.product(o, x)) })
}

// compareRounded compares rows of y with what product makes of rows of x, rounded.
func (m *maker) compareRounded(what string, y, x kernels.View, s shape, product func(o int, x []float64) value) {
	m.t.Helper()
	in := rows(x, s.cols)
	for _, row := range in {
		for i, v := range row {
			row[i] = float64(kernels.FromBF16(kernels.ToBF16(float32(v))))
		}
	}
	m.compare(what, y, s.outs, func(r, o int) value { return product(o, in[r]) })
}

// normed is the float32 that m's backend computes as the norms of rows of x: their
// product with the identity, in which nothing is rounded.
func (m *maker) normed(x kernels.View, s shape, norm kernels.Norm) kernels.View {
	m.t.Helper()
	identity := m.buffer(4 * s.cols * s.cols)
	for i := range s.cols {
		identity.Floats()[i*s.cols+i] = 1
	}
	y := m.garbage(s.rows * s.cols)
	m.pass(m.b, func(ops kernels.Ops) {
		w := kernels.Matrix{Rows: s.cols, Cols: s.cols, Format: kernels.F32, Data: identity}
		ops.NormQKV(y, x, s.rows, norm, kernels.Linear{W: &w})
	})
	want := normed(rows(x, s.cols), norm)
	m.compare("NormQKV with the identity", y, s.cols, func(r, c int) value { return value{want[r][c], 16 * unit * math.Abs(want[r][c])} })
	return y
}
