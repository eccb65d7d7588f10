package gpu_test

import (
	"math"
	"testing"

	"github.com/go-openelm/go-openelm/kernels"
	"pgregory.net/rapid"
)

// TestChoose holds choose to what it says, over few different values, so that
// many are equal.
func TestChoose(t *testing.T) {
	_, b := open(t)
	rapid.Check(t, func(r *rapid.T) {
		rows := rapid.IntRange(1, 3).Draw(r, "rows")
		n := rapid.OneOf(rapid.IntRange(1, 1200), rapid.SampledFrom([]int{8192, 9001})).Draw(r, "n")
		wrong := rapid.IntRange(0, 9).Draw(r, "one row in so many is wrong")
		buf, err := b.NewBuffer(4 * rows * (n + 1))
		if err != nil {
			r.Fatal(err)
		}
		defer buf.Release()
		logits, tokens := kernels.Whole(buf).Slice(0, 4*rows*n), kernels.Whole(buf).Slice(4*rows*n, 4*rows)
		values := rapid.SliceOfN(rapid.SampledFrom([]float32{-math.MaxFloat32, -3, float32(math.Copysign(0, -1)), 0, 7, math.MaxFloat32}), 1, 5).Draw(r, "values")
		want := make([]int32, rows)
		for row := range rows {
			x := logits.Floats()[row*n : (row+1)*n]
			for i := range x {
				x[i] = values[(i*i+row)%len(values)]
			}
			for i, v := range x {
				if v > x[want[row]] {
					want[row] = int32(i)
				}
			}
			if wrong == row+1 {
				x[rapid.IntRange(0, n-1).Draw(r, "where")] = rapid.SampledFrom([]float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))}).Draw(r, "wrong")
				want[row] = -1
			}
		}
		ops, err := b.Begin(t.Context())
		if err != nil {
			r.Fatal(err)
		}
		defer ops.End()
		ops.(kernels.AsyncOps).Choose(tokens, logits, rows, n)
		if err := ops.Run(); err != nil {
			r.Fatal(err)
		}
		for row, token := range tokens.Ints() {
			if token != want[row] {
				r.Fatalf("row %d: token %d, want %d", row, token, want[row])
			}
		}
	})
}
