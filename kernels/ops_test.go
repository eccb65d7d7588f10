package kernels_test

import (
	"errors"
	"testing"

	"github.com/go-openelm/go-openelm/kernels"
)

// TestCacheFormats: a cache is measured by its format, and has one of two.
func TestCacheFormats(t *testing.T) {
	const capacity, dim = 3, 4
	view := func(n int) kernels.View { return kernels.Whole(memory(make([]byte, n))) }
	a := &kernels.Attention{QueryHeads: 2, KVHeads: 1, HeadDim: dim, Rope: view(4 * capacity * dim)}
	for _, c := range []struct {
		format kernels.Format
		bytes  int
		ok     bool
	}{
		{0, 4, true}, {kernels.F32, 4, true}, {kernels.F16, 2, true},
		{0, 2, false}, {kernels.F32, 2, false}, {kernels.F16, 1, false},
		{kernels.BF16, 4, false}, {kernels.Q8_0, 4, false}, {200, 4, false},
	} {
		v := view(c.bytes * capacity * dim)
		err := a.Validate([]kernels.Span{{Keys: v, Values: v, Format: c.format, Capacity: capacity, Rows: 1}})
		if (err == nil) != c.ok || err != nil && !errors.Is(err, kernels.ErrShape) {
			t.Errorf("a cache in %s with %d bytes an element: got error %v", c.format, c.bytes, err)
		}
	}
}

// TestLinear: an adapter fits its matrix, or is refused.
func TestLinear(t *testing.T) {
	const rows, cols, rank = 6, 4, 2
	view := func(n int) kernels.View { return kernels.Whole(memory(make([]byte, 4*n))) }
	matrix := func(rows, cols int) kernels.Matrix {
		return kernels.Matrix{Rows: rows, Cols: cols, Format: kernels.F32, Data: view(rows * cols)}
	}
	for name, change := range map[string]func(*kernels.LowRank){
		"":                 func(*kernels.LowRank) {},
		"scales of rows":   func(r *kernels.LowRank) { r.RowScale = view(rows) },
		"-columns of A":    func(r *kernels.LowRank) { r.A = matrix(rank, cols+1) },
		"-rank":            func(r *kernels.LowRank) { r.A = matrix(rank+1, cols) },
		"-no rank":         func(r *kernels.LowRank) { r.A, r.B = matrix(0, cols), matrix(rows, 0) },
		"-rows of B":       func(r *kernels.LowRank) { r.B = matrix(rows-1, rank) },
		"-format of A":     func(r *kernels.LowRank) { r.A.Format = kernels.F16 },
		"-format of B":     func(r *kernels.LowRank) { r.B.Format = 0 },
		"-short A":         func(r *kernels.LowRank) { r.A.Data = view(rank*cols - 1) },
		"-no B":            func(r *kernels.LowRank) { r.B.Data = kernels.View{} },
		"-unaligned B":     func(r *kernels.LowRank) { r.B.Data = view(rows*rank+1).Slice(2, 4*rows*rank) },
		"-few row scales":  func(r *kernels.LowRank) { r.RowScale = view(rows - 1) },
		"-zero row scales": func(r *kernels.LowRank) { r.RowScale = kernels.View{Buf: memory(nil)} },
	} {
		w, r := matrix(rows, cols), kernels.LowRank{A: matrix(rank, cols), B: matrix(rows, rank)}
		change(&r)
		err := kernels.Linear{W: &w, LoRA: &r}.Validate()
		if (err != nil) != (name != "" && name[0] == '-') || err != nil && !errors.Is(err, kernels.ErrShape) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
}
