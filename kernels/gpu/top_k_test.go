package gpu_test

import (
	"math"
	"slices"
	"testing"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/gpu"
	"pgregory.net/rapid"
)

// TestTopK holds top_k to sorting.
func TestTopK(t *testing.T) {
	_, b := open(t)
	rapid.Check(t, func(r *rapid.T) {
		rows, n := rapid.IntRange(1, 3).Draw(r, "rows"), rapid.IntRange(1, 1200).Draw(r, "n")
		k := rapid.IntRange(1, min(n, 20)).Draw(r, "k")
		// Few different values, so that many are equal, and some without order.
		value := rapid.SampledFrom([]float32{-3, -1, 0, 0.5, 1, 7, float32(math.Inf(-1)), float32(math.NaN())})
		buf, err := b.NewBuffer(4 * rows * (n + 2*k))
		if err != nil {
			r.Fatal(err)
		}
		defer buf.Release()
		all := kernels.Whole(buf)
		logits, ids, values := all.Slice(0, 4*rows*n), all.Slice(4*rows*n, 4*rows*k), all.Slice(4*rows*(n+k), 4*rows*k)
		for i := range logits.Floats() {
			logits.Floats()[i] = value.Draw(r, "logit")
		}
		ops, err := b.Begin(t.Context())
		if err != nil {
			r.Fatal(err)
		}
		defer ops.End()
		ops.(gpu.Sampler).TopK(ids, values, logits, rows, n, k)
		if err := ops.Run(); err != nil {
			r.Fatal(err)
		}
		for row := range rows {
			x := logits.Floats()[row*n : (row+1)*n]
			var order []int32
			for i, v := range x {
				if v == v {
					order = append(order, int32(i))
				}
			}
			slices.SortStableFunc(order, func(a, b int32) int {
				switch {
				case x[a] > x[b]:
					return -1
				case x[a] < x[b]:
					return 1
				}
				return 0
			})
			for len(order) < k {
				order = append(order, -1)
			}
			if got := ids.Ints()[row*k : (row+1)*k]; !slices.Equal(got, order[:k]) {
				r.Fatalf("row %d: %v, want %v", row, got, order[:k])
			}
			for j, id := range order[:k] {
				if v := values.Floats()[row*k+j]; id >= 0 && v != x[id] {
					r.Fatalf("row %d: value %v of token %d, want %v", row, v, id, x[id])
				}
			}
		}
	})
}
