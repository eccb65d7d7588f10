package gpu_test

import (
	"slices"
	"testing"

	"github.com/go-openelm/go-openelm/internal/testing/optest"
	"github.com/go-openelm/go-openelm/kernels"
)

// cuts divides n rows into runs of least to most rows.
func (w *twins) cuts(n, least, most int) (runs []int) {
	for n > 0 {
		run := n
		if n >= 2*least {
			run = least + w.rng.IntN(min(most, n-least)-least+1)
		}
		runs, n = append(runs, run), n-run
	}
	return runs
}

// record runs op as one pass of the GPU.
func (w *twins) record(op func(kernels.Ops)) {
	w.t.Helper()
	ops, err := w.side[0].Begin(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	defer ops.End()
	op(ops)
	if err := ops.Run(); err != nil {
		w.t.Fatal(err)
	}
}

// same wants every bit of got to be want's.
func same(t *testing.T, what string, got, want kernels.View, width int) {
	t.Helper()
	for i, v := range got.Bytes() {
		if v != want.Bytes()[i] {
			i /= 4
			t.Fatalf("%s: row %d, element %d is %v, with other company %v", what, i/width, i%width, got.Floats()[i], want.Floats()[i])
		}
	}
}

// TestExactProducts holds products to kernels.ExactRows: a row's result is the
// same alone and in any company of up to 16, and in any of more. The soak runs
// what all backends are held to, most of which is compiling kernels here; the
// short form has every format with a norm, gate and up, and with an adapter.
func TestExactProducts(t *testing.T) {
	w := newTwins(t)
	w.sim.Set(t, "mode", "plain")
	w.sim.Set(t, "coverage", "0")
	if soak {
		optest.Exactness(t, w.side[0], w.side[0])
	}
	const cols, outs, rank, all = 768, 13, 3, 59
	for f := kernels.F32; f.Valid(); f++ {
		t.Run(f.String(), func(t *testing.T) {
			gate, up := w.quantised(f, outs, cols)[0], w.quantised(f, outs, cols)[0]
			lora := &kernels.LowRank{A: *w.matrix(kernels.F32, rank, cols, 0)[0], B: *w.matrix(kernels.F32, outs, rank, 0)[0], RowScale: w.floats(0, outs)[0]}
			norm := kernels.Norm{Weight: w.floats(0, cols)[0], Eps: 1e-6}
			x, residual := w.floats(0, all*cols)[0], w.floats(0, all*outs)[0]
			products := func(runs []int) (h, sum kernels.View) {
				h, sum = w.floats(0, all*outs)[0], w.floats(0, all*outs)[0]
				copy(sum.Bytes(), residual.Bytes())
				row := 0
				for _, n := range runs {
					in, to := x.Slice(4*row*cols, 4*n*cols), func(v kernels.View) kernels.View { return v.Slice(4*row*outs, 4*n*outs) }
					w.record(func(ops kernels.Ops) {
						ops.NormSwiGLU(to(h), in, n, norm, kernels.Linear{W: gate}, kernels.Linear{W: up})
						ops.ProjAdd(to(sum), in, n, kernels.Linear{W: gate, LoRA: lora})
					})
					row += n
				}
				return h, sum
			}
			for _, class := range []struct {
				reference []int
				runs      [][]int
			}{
				{slices.Repeat([]int{1}, all), [][]int{{2, 3, 4, 5, 7, 8, 13, 16, 1}, w.cuts(all, 1, kernels.ExactRows)}},
				{[]int{all}, [][]int{w.cuts(all, kernels.ExactRows+1, all)}},
			} {
				wantH, wantSum := products(class.reference)
				for _, runs := range class.runs {
					h, sum := products(runs)
					same(t, "NormSwiGLU", h, wantH, outs)
					same(t, "ProjAdd", sum, wantSum, outs)
				}
			}
		})
	}
}

// TestExactAttention does the same for attention, for caches of both formats.
func TestExactAttention(t *testing.T) {
	sim, b := open(t)
	sim.Set(t, "mode", "plain")
	sim.Set(t, "coverage", "0")
	optest.ExactAttention(t, b, b, kernels.F32, kernels.F16)
}
