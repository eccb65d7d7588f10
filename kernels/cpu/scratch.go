package cpu

import (
	"github.com/go-openelm/go-openelm/kernels"
)

// scratch is the memory of one goroutine that computes: buffers that grow to
// what the largest task needs, and the arguments of the routines.
type scratch struct {
	*routines

	row     []float32 // one widened row, for the portable routines
	scales  []float32 // of affine formats, as float32
	tile    []float32 // products before the epilogue
	upTile  []float32
	rows    []float32 // 16 parts of rows, widened
	packed  []float32 // the same, transposed
	queries []float32
	scores  []float32
	sums    []float32

	keys    kernels.Matrix // some keys as a matrix
	keyView buffer

	mulArgs     mulArgs
	widenArgs   widenArgs
	gemmArgs    gemmArgs
	packArgs    packArgs
	vectorArgs  vectorArgs
	arrangeArgs arrangeArgs
}

// grow returns n elements with unspecified contents, in *s if they fit.
func grow(s *[]float32, n int) []float32 {
	if cap(*s) < n {
		*s = aligned(n)
	}
	*s = (*s)[:n]
	return *s
}

// widenRow sets dst to the columns of a row from first on, both of which are at
// block boundaries.
func (s *scratch) widenRow(dst []float32, m *kernels.Matrix, row, first int) {
	a := &s.widenArgs
	used := wholeVectors(m.Format, len(dst))
	src := m.Data.Bytes()[row*m.RowBytes()+first/m.Format.BlockCols()*m.Format.BlockBytes():]
	*a = widenArgs{
		dst: ptr(dst), src: &src[0], cols: steps(m, used), group: m.Group / groupBlock,
		m: m, row: row, first: first, n: used,
	}
	if m.Format.Affine() {
		groups := m.Cols / m.Group
		at, n := row*groups+first/m.Group, len(dst)/m.Group
		buf := grow(&s.scales, 2*n)
		scales, biases := buf[:n], buf[n:]
		kernels.Widen(scales, m.Scales.Bytes()[at*m.ScaleFormat.BlockBytes():], m.ScaleFormat)
		kernels.Widen(biases, m.Biases.Bytes()[at*m.ScaleFormat.BlockBytes():], m.ScaleFormat)
		a.scale, a.bias = ptr(scales), ptr(biases)
	}
	if s.isa == Portable {
		a.buf = grow(&s.row, m.Cols)
	}
	if used > 0 {
		s.widen[m.Format](a)
	}
	if used < len(dst) {
		kernels.Widen(dst[used:], src[used*m.Format.BlockBytes():], m.Format)
	}
}

// groupBlock is the number of columns that the routines take of an affine
// format at a time.
const groupBlock = 32

// wholeVectors is how many of n columns a routine computes; the rest, only ever
// of the floating-point formats, is left to Go.
func wholeVectors(f kernels.Format, n int) int {
	switch f {
	case kernels.F32, kernels.F16:
		return n &^ (lanes - 1)
	case kernels.BF16: // which may have an arrangement
		return n &^ 31
	}
	return n
}

// steps is mulArgs.cols for the first n columns of m.
func steps(m *kernels.Matrix, n int) int {
	switch {
	case m.Format.Float():
		return n
	case m.Format.Affine():
		return n / m.Group
	}
	return n / m.Format.BlockCols()
}
