package cpu

import (
	"unsafe"

	"github.com/go-openelm/go-openelm/kernels"
)

// many is a linear operation on many rows: a matrix product. A panel of rows of
// weights at a time are widened and transposed into a panel that stays in the
// first-level cache while all rows of x are multiplied with it, depth columns
// at a time. Its items are panels.
type many linear

func (t *many) run(lo, hi int, s *scratch) {
	outs, tileCols := t.w.m.Rows, s.tileCols
	for panel := lo; panel < hi; panel++ {
		o := panel * tileCols
		n := min(tileCols, outs-o)
		if t.up.m == nil && t.epilogue != gated && n == tileCols && t.w.b == nil {
			t.accumulate(s, &t.w, t.y[o:], outs, o, t.epilogue == add)
			continue
		}
		tile := grow(&s.tile, t.rows*tileCols)
		t.product(s, &t.w, tile, o, n)
		if t.epilogue == gated {
			if t.up.m != nil {
				up := grow(&s.upTile, t.rows*tileCols)
				t.product(s, &t.up, up, o, n)
				s.silu(tile, tile, up)
			} else {
				s.silu(tile, tile, nil)
			}
		}
		for r := range t.rows {
			y, wx := t.y[r*outs+o:][:n], tile[r*tileCols:][:n]
			if t.epilogue == add {
				for i, v := range wx {
					y[i] += v
				}
			} else {
				copy(y, wx)
			}
		}
	}
}

// product sets tile[r][j] = rowScale ⊙ (w·x[r] + B·(A·x[r])) for the n rows of w
// from o on.
func (t *many) product(s *scratch, w *projection, tile []float32, o, n int) {
	t.accumulate(s, w, tile, s.tileCols, o, false)
	if w.rowScale != nil {
		for r := range t.rows {
			for i, v := range w.rowScale[o : o+n] {
				tile[r*s.tileCols+i] *= v
			}
		}
	}
}

// accumulate adds w·x + B·(A·x) to c, whose rows are ldc apart, or sets c to it.
func (t *many) accumulate(s *scratch, w *projection, c []float32, ldc, o int, sum bool) {
	t.panel(s, w.m, t.x, c, ldc, o, sum)
	if w.b != nil {
		t.panel(s, w.b, w.ax, c, ldc, o, true)
	}
}

// panel is accumulate for one matrix: tileCols rows of m from o on, those that m
// does not have taken as zero.
func (t *many) panel(s *scratch, m *kernels.Matrix, x, c []float32, ldc, o int, sum bool) {
	n := min(s.tileCols, m.Rows-o)
	most := s.depth
	if s.widen[m.Format] == nil {
		most = m.Cols // ReadRow reads whole rows
	}
	for k := 0; k < m.Cols; k += most {
		depth := min(most, m.Cols-k)
		stride := (depth + lanes - 1) &^ (lanes - 1)
		rows := grow(&s.rows, s.tileCols*stride)
		if n < s.tileCols {
			clear(rows[n*stride:])
		}
		for i := range n {
			s.widenRow(rows[i*stride:i*stride+depth], m, o+i, k)
		}
		packed := grow(&s.packed, s.tileCols*stride)
		for i := 0; i < s.tileCols; i += packRows {
			s.packArgs = packArgs{dst: &packed[i*stride], src: &rows[i*stride], stride: 4 * stride, n: stride}
			s.pack(&s.packArgs)
		}
		s.prefetchPanel(m, o, k+most)
		s.gemmArgs = gemmArgs{b: ptr(packed), ldc: 4 * ldc, lda: 4 * m.Cols, ldb: 4 * packRows, k: depth, half: 2 * packRows}
		if s.tileCols > packRows {
			s.gemmArgs.half = 4 * packRows * stride
		}
		if sum || k > 0 {
			s.gemmArgs.add = 1
		}
		tiles := (t.rows + len(s.gemm) - 1) / len(s.gemm)
		for i := range tiles { // of about the same height: a low one is slow
			r, end := i*t.rows/tiles, (i+1)*t.rows/tiles
			s.gemmArgs.a, s.gemmArgs.c = &x[r*m.Cols+k], &c[r*ldc]
			s.gemm[end-r-1](&s.gemmArgs)
		}
	}
}

// prefetchPanel asks for what panel widens next: tileCols rows of m from o on, their
// columns from k on, or the first columns of the rows after them. It reads
// short pieces in many places, which a processor does not foresee.
func (s *scratch) prefetchPanel(m *kernels.Matrix, o, k int) {
	if k >= m.Cols {
		o, k = o+s.tileCols, 0
	}
	if o+s.tileCols > m.Rows {
		return
	}
	bytes := func(cols int) int { return cols / m.Format.BlockCols() * m.Format.BlockBytes() }
	for end := o + s.tileCols; o < end; o += packRows {
		src := m.Data.Bytes()[o*m.RowBytes()+bytes(k):]
		s.packArgs = packArgs{src: (*float32)(unsafe.Pointer(&src[0])), stride: m.RowBytes(), n: bytes(min(s.depth, m.Cols-k))}
		s.prefetch(&s.packArgs)
	}
}
