package cpu

import (
	"unsafe"

	"github.com/go-openelm/go-openelm/kernels"
)

// bf16Kernels multiply bfloat16 by bfloat16, if the machine has instructions for that,
// in pairs, of which there are a multiple of lanes. Products are exact and sums float32,
// but VDPBF16PS takes denormal numbers, of bfloat16 and of float32, for zero; and BFMMLA
// does, too, and rounds each sum to odd, to one of both neighbours, not always to the
// nearer one.
type bf16Kernels struct {
	gemm []func(*gemmArgs) // isaTable's, of pairs
	pack func(*packArgs)   // of pairs, into gemm's B

	// scaled[r−1] multiplies r rows with scaledCols of weights that are integers and
	// scales: what the formats' unpack makes, and tiles transposes. Nil: there is none.
	scaled []func(*scaledArgs)
	tiles  *tileKernels
}

// scaledCols is how many columns of weights a routine multiplies; scaledRows how many
// rows of activations have their sums side by side.
const (
	scaledCols = 32
	scaledRows = tileRows
)

// paired reports whether rounded prompts are multiplied with w and up as pairs, and
// whether these are integers with scales.
func (r *isaTable) paired(w, up *kernels.Matrix) (pairs, scaled bool) {
	all := func(fits func(m *kernels.Matrix) bool) bool { return fits(w) && (up == nil || fits(up)) }
	switch {
	case r.bf16.scaled != nil && all(func(m *kernels.Matrix) bool { return r.formats[m.Format].unpack.parts == 1 }):
		return true, true
	case r.bf16.gemm != nil && all(func(m *kernels.Matrix) bool { return m.Format == kernels.BF16 && m.Cols%(2*lanes) == 0 }):
		return true, false
	}
	return false, false
}

// packPairs packs depth pairs of weights from pair k on of rows of m, of which there
// are n from o on.
func (s *scratch) packPairs(packed []float32, m *kernels.Matrix, o, n, k, depth int) {
	src, rowBytes := m.Data.Bytes()[o*m.RowBytes()+4*k:], m.RowBytes()
	if n < s.tileCols { // rows that m does not have are zero
		rows := grow(&s.rows, s.tileCols*depth)
		clear(rows[n*depth:])
		to := unsafe.Slice((*byte)(unsafe.Pointer(ptr(rows))), 4*len(rows))
		for i := range n {
			copy(to[4*i*depth:4*(i+1)*depth], src[i*rowBytes:])
		}
		src, rowBytes = to, 4*depth
	}
	s.packPanel(s.bf16.pack, packed, unsafe.Pointer(unsafe.SliceData(src)), rowBytes, depth)
}

// scaledPanel is accumulate for n of 64 rows of integers with scales. A block of them,
// 32 columns, is multiplied exactly but for the order of its sums.
func (t *matmul) scaledPanel(s *scratch, m *kernels.Matrix, c []float32, ldc, o, n int, sum bool) {
	const inBlock = tileDepth / 2 // pairs
	for k := 0; k < t.blocks.cols; k += s.depth {
		depth := min(s.depth, t.blocks.cols-k)
		first, blocks := k/inBlock, depth/inBlock
		w := &s.tileArgs
		*w = tileArgs{groups: 1, steps: blocks}
		s.unpackTiles(w, m, o, n, first, s.bf16.tiles)
		packed := grow(&s.packed, groupRows*depth)
		for i := 0; i < groupRows; i += packRows {
			s.transposeArgs = transposeArgs{
				dst: &packed[i*depth], src: (*float32)(unsafe.Add(unsafe.Pointer(w.w), i*w.wRow)),
				dstRow: 4 * packRows, dstNext: inBlock * 4 * packRows, srcRow: w.wRow, srcNext: w.wStep, rows: inBlock, cols: depth,
			}
			s.bf16.tiles.transpose(&s.transposeArgs)
		}
		x, lda := t.blocks.block(k)
		for col := 0; col < n; col += scaledCols {
			a := &s.scaledArgs
			*a = scaledArgs{b: &packed[col*depth], half: 4 * packRows * depth, lda: 4 * lda, ldc: 4 * ldc, blocks: blocks, scale: at(w.scale, col)}
			if sum || k > 0 {
				a.add = 1
			}
			if s.formats[m.Format].unpack.biased {
				a.bias = at(w.bias, col)
			}
			for r := 0; r < t.rows; r += scaledRows {
				// Of about the same height: a low one is slow.
				rows := min(scaledRows, t.rows-r)
				tiles := (rows + len(s.bf16.scaled) - 1) / len(s.bf16.scaled)
				for i := range tiles {
					lo, hi := r+i*rows/tiles, r+(i+1)*rows/tiles
					a.a, a.c = &x[lo*lda], &c[lo*ldc+col]
					if a.bias != nil {
						a.sums = t.blocks.sum(lo, first)
					}
					s.bf16.scaled[hi-lo-1](a)
				}
			}
		}
	}
}

// sum is the sum of a row's block, and behind it those of the rows after it up to the
// next multiple of scaledRows.
func (b *blocks) sum(row, block int) *float32 {
	blocks := 2 * b.cols / tileDepth
	return &b.sums[(row/scaledRows*blocks+block)*scaledRows+row%scaledRows]
}

// pairRow cuts a row into blocks of pairs, and adds up what is in each block of columns.
func (t *toBlocks) pairRow(r int, s *scratch) {
	from := t.from[2*r*t.cols : 2*(r+1)*t.cols]
	for k := 0; k < t.cols; k += t.depth {
		to, stride := t.block(k)
		s.vectorArgs = vectorArgs{dst: &to[r*stride], x: &from[2*k], n: 2 * (stride - blockPad)}
		s.halves(&s.vectorArgs)
	}
	if t.sums != nil {
		s.sumArgs = sumArgs{dst: t.sum(r, 0), x: &from[0], steps: len(from) / tileDepth}
		s.bf16.tiles.sum32(&s.sumArgs)
	}
}
