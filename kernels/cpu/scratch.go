package cpu

import (
	"unsafe"

	"github.com/go-openelm/go-openelm/kernels"
)

// scratch is the memory of one goroutine that computes: buffers that grow to
// what the largest task needs, and the arguments of the routines.
type scratch struct {
	*isaTable

	row     []float32 // a row, widened by ReadRow
	scales  []float32 // of affine formats, as float32
	tile    []float32 // products before the epilogue
	upTile  []float32
	whole   []float32 // rows, widened whole: of a panel or two for a matvec
	rows    []float32 // parts of rows of a panel, widened
	packed  []float32 // the same, transposed
	queries []float32
	scores  []float32
	sums    []float32
	ones    []float32

	keys   kernels.Matrix // of a part of a cache
	matrix kernels.Matrix // of float32 in memory
	memory buffer

	matvecArgs  matvecArgs
	widenArgs   widenArgs
	gemmArgs    gemmArgs
	packArgs    packArgs
	vectorArgs  vectorArgs
	rotateArgs  rotateArgs
	permuteArgs permuteArgs
	int8x3Args  int8x3Args

	tileArgs      tileArgs
	splitArgs     splitArgs
	transposeArgs transposeArgs
	unpackArgs    unpackArgs
	sumArgs       sumArgs
	scaledArgs    scaledArgs
	tileWeights   []float32 // weights in tiles
	tileScales    []float32
	tileSums      []float32
	tileBlock     []float32
	lastStep      [tileDepth]float32
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
	if s.formats[m.Format].widen == nil {
		row32 := grow(&s.row, m.Cols)
		m.ReadRow(row32, row)
		copy(dst, row32[first:])
		return
	}
	a := &s.widenArgs
	used := wholeVectors(m.Format, len(dst))
	src := m.Data.Bytes()[row*m.RowBytes()+first/m.Format.BlockCols()*m.Format.BlockBytes():]
	*a = widenArgs{dst: ptr(dst), src: &src[0], steps: used / stepCols(m, nil), blocks: m.Group / groupBlock}
	if m.Format.Affine() {
		groups := m.Cols / m.Group
		at, n := row*groups+first/m.Group, len(dst)/m.Group
		buf := grow(&s.scales, 2*n)
		scales, biases := buf[:n], buf[n:]
		kernels.Widen(scales, m.Scales.Bytes()[at*m.ScaleFormat.BlockBytes():], m.ScaleFormat)
		kernels.Widen(biases, m.Biases.Bytes()[at*m.ScaleFormat.BlockBytes():], m.ScaleFormat)
		a.scale, a.bias = ptr(scales), ptr(biases)
	}
	if used > 0 {
		s.formats[m.Format].widen(a)
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

// stepCols is the columns of a step of the kernels for m and a layout: one, a block, or
// a group, of which kernels that take int8×3 see the blocks.
func stepCols(m *kernels.Matrix, layout *layout) int {
	switch {
	case !m.Format.Affine():
		return m.Format.BlockCols()
	case layout != nil && layout.int8x3:
		return groupBlock
	}
	return m.Group
}

// float32s is rows of cols float32 as a matrix. It is valid until the next call.
func (s *scratch) float32s(rows []float32, cols int) *kernels.Matrix {
	s.memory.mem = unsafe.Slice((*byte)(unsafe.Pointer(ptr(rows))), 4*len(rows))
	s.matrix = kernels.Matrix{
		Rows: len(rows) / cols, Cols: cols, Format: kernels.F32,
		Data: kernels.View{Buf: &s.memory, Len: 4 * len(rows)},
	}
	return &s.matrix
}
