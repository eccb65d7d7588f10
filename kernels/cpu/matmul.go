package cpu

import (
	"unsafe"

	"github.com/go-openelm/go-openelm/kernels"
)

// matmul is a linear operation on more rows: a matrix product. A panel of rows of
// weights at a time is widened and transposed into a panel that stays in the
// first-level cache while all rows of x are multiplied with it, depth columns
// at a time. Its items are what a panel is made of.
type matmul struct {
	linear
	item   int       // rows of weights
	panel  int       // items at most
	blocks blocks    // of x
	scaled bool      // blocks are multiplied with integers and scales
	tiled  tiledRows // of x instead, where there are tiles
}

func (t *matmul) run(lo, hi int, s *scratch) {
	outs := t.w.m.Rows
	for i := lo; i < hi; i += t.panel {
		o, end := i*t.item, min(min(i+t.panel, hi)*t.item, outs)
		n := end - o
		if t.epilogue != gated && (n%t.item == 0 || t.tiled.tileKernels != nil) && t.w.b == nil {
			t.accumulate(s, &t.w, t.y[o:], outs, o, n, t.epilogue == add)
			continue
		}
		stride := t.panel * t.item
		tile := grow(&s.tile, t.rows*stride)
		t.product(s, &t.w, tile, stride, o, n)
		var up []float32
		if t.up.m != nil {
			up = grow(&s.upTile, t.rows*stride)
			t.product(s, &t.up, up, stride, o, n)
		}
		for r := range t.rows {
			y, wx := t.y[r*outs+o:][:n], tile[r*stride:][:n]
			switch {
			case t.epilogue == add:
				for i, v := range wx {
					y[i] += v
				}
			case t.epilogue == store:
				copy(y, wx)
			case up == nil:
				s.silu(y, wx, nil)
			default:
				s.silu(y, wx, up[r*stride:][:n])
			}
		}
	}
}

// product sets tile[r·stride + j] = rowScale ⊙ (w·x[r] + B·(A·x[r])) for the n rows of w
// from o on.
func (t *matmul) product(s *scratch, w *projection, tile []float32, stride, o, n int) {
	t.accumulate(s, w, tile, stride, o, n, false)
	if w.rowScale != nil {
		for r := range t.rows {
			for i, v := range w.rowScale[o : o+n] {
				tile[r*stride+i] *= v
			}
		}
	}
}

// accumulate adds w·x + B·(A·x) to c, whose rows are ldc apart, or sets c to it.
func (t *matmul) accumulate(s *scratch, w *projection, c []float32, ldc, o, n int, sum bool) {
	switch {
	case t.tiled.tileKernels != nil:
		t.tilePanel(s, w.m, c, ldc, o, n, sum)
	case t.scaled:
		t.scaledPanel(s, w.m, c, ldc, o, n, sum)
	default:
		t.floatPanel(s, w.m, t.blocks, c, ldc, o, sum)
	}
	if w.b != nil {
		for i := 0; i < n; i += s.tileCols {
			t.floatPanel(s, w.b, blocks{x: w.ax, cols: w.b.Cols, rows: t.rows}, c[i:], ldc, o+i, true)
		}
	}
}

// floatPanel is accumulate for one matrix: tileCols rows of m from o on, those that m
// does not have taken as zero.
func (t *matmul) floatPanel(s *scratch, m *kernels.Matrix, x blocks, c []float32, ldc, o int, sum bool) {
	n := min(s.tileCols, m.Rows-o)
	gemm, inElement := s.gemm, 1
	if x.pairs {
		gemm, inElement = s.bf16.gemm, 2
	}
	var whole []float32
	if s.formats[m.Format].widen == nil { // ReadRow reads whole rows
		whole = grow(&s.whole, n*m.Cols)
		for i := range n {
			m.ReadRow(whole[i*m.Cols:(i+1)*m.Cols], o+i)
		}
	}
	for k := 0; k < x.cols; k += s.depth {
		depth := min(s.depth, x.cols-k)
		stride := (depth + lanes - 1) &^ (lanes - 1)
		packed := grow(&s.packed, s.tileCols*stride)
		if x.pairs {
			s.packPairs(packed, m, o, n, k, stride)
		} else {
			rows := grow(&s.rows, s.tileCols*stride)
			if n < s.tileCols {
				clear(rows[n*stride:])
			}
			for i := range n {
				if row := rows[i*stride:][:depth]; whole != nil {
					copy(row, whole[i*m.Cols+k:])
				} else {
					s.widenRow(row, m, o+i, k)
				}
			}
			s.packPanel(s.pack, packed, unsafe.Pointer(ptr(rows)), 4*stride, stride)
		}
		s.prefetchPanel(m, o, (k+s.depth)*inElement, s.depth*inElement)
		s.gemmArgs = gemmArgs{b: ptr(packed), ldc: 4 * ldc, ldb: 4 * packRows, k: depth, half: 2 * packRows}
		if s.tileCols > packRows {
			s.gemmArgs.half = 4 * packRows * stride
		}
		if sum || k > 0 {
			s.gemmArgs.add = 1
		}
		a, lda := x.block(k)
		s.gemmArgs.lda = 4 * lda
		tiles := (t.rows + len(gemm) - 1) / len(gemm)
		for i := range tiles { // of about the same height: a low one is slow
			r, end := i*t.rows/tiles, (i+1)*t.rows/tiles
			s.gemmArgs.a, s.gemmArgs.c = &a[r*lda], &c[r*ldc]
			gemm[end-r-1](&s.gemmArgs)
		}
	}
}

// packPanel packs n elements of tileCols rows, which are rowBytes apart from src on.
func (s *scratch) packPanel(pack func(*packArgs), packed []float32, src unsafe.Pointer, rowBytes, n int) {
	for i := 0; i < s.tileCols; i += packRows {
		s.packArgs = packArgs{dst: &packed[i*n], src: (*float32)(unsafe.Add(src, i*rowBytes)), stride: rowBytes, n: n}
		pack(&s.packArgs)
	}
}

// blocks are rows of activations, cut into blocks of columns one after the other
// if there is a depth: their rows are then near each other, and never a multiple
// of a page apart, for which a first-level cache has few places. An element is a
// float32, or a pair of bfloat16.
type blocks struct {
	x          []float32
	rows, cols int // of elements
	depth      int
	pairs      bool
	sums       []float32 // of each 32 columns, if the weights want them
}

// blockPad is a cache line between the rows of a block.
const blockPad = 16

// block is the block from column k on, and the distance of its rows.
func (b *blocks) block(k int) ([]float32, int) {
	if b.depth == 0 {
		return b.x[k:], b.cols
	}
	return b.x[b.rows*(k+k/b.depth*blockPad):], min(b.depth, b.cols-k) + blockPad
}

// toBlocks cuts x into blocks. Its items are rows.
type toBlocks struct {
	blocks
	from []float32
}

func (t *toBlocks) run(lo, hi int, s *scratch) {
	if t.pairs {
		for r := lo; r < hi; r++ {
			t.pairRow(r, s)
		}
		return
	}
	for k := 0; k < t.cols; k += t.depth {
		to, stride := t.block(k)
		for r := lo; r < hi; r++ {
			copy(to[r*stride:(r+1)*stride-blockPad], t.from[r*t.cols+k:])
		}
	}
}

func (p *pass) toBlocks(x []float32, rows, cols int, pairs, sums bool) blocks {
	b := blocks{rows: rows, cols: cols, depth: p.scratch.depth, pairs: pairs}
	if sums {
		b.sums = grow(&p.tileSums, (rows+scaledRows-1)/scaledRows*cols/tileDepth*scaledRows)
	}
	if pairs {
		b.cols /= 2
	}
	b.x = grow(&p.blocked, rows*(b.cols+(b.cols+b.depth-1)/b.depth*blockPad))
	p.cut = toBlocks{b, x}
	p.run(rows, 1+1<<14/cols, &p.cut)
	p.cut = toBlocks{}
	return b
}

// prefetchPanel prefetches what panel reads next: tileCols rows of m from o on, so many
// columns from k on, or the first columns of the rows after them. These are short
// pieces in many places, which the hardware does not prefetch by itself.
func (s *scratch) prefetchPanel(m *kernels.Matrix, o, k, cols int) {
	if k >= m.Cols {
		o, k = o+s.tileCols, 0
	}
	if o+s.tileCols > m.Rows {
		return
	}
	bytes := func(cols int) int { return cols / m.Format.BlockCols() * m.Format.BlockBytes() }
	for end := o + s.tileCols; o < end; o += packRows {
		src := m.Data.Bytes()[o*m.RowBytes()+bytes(k):]
		s.packArgs = packArgs{src: (*float32)(unsafe.Pointer(&src[0])), stride: m.RowBytes(), n: bytes(min(cols, m.Cols-k))}
		s.prefetch(&s.packArgs)
	}
}
