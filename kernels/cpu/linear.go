package cpu

import (
	"math/bits"
	"unsafe"

	"github.com/go-openelm/go-openelm/kernels"
)

// epilogue is what happens to each product before it is stored.
type epilogue uint8

const (
	store epilogue = iota // y = w·x
	add                   // y += w·x
	gated                 // y = silu(w·x) ⊙ (up·x), or silu(w·x) without up
)

// linear is the operation behind everything with a matrix: y[r] = w·x[r].
type linear struct {
	epilogue epilogue
	y        []float32 // [rows, w.Rows]
	x        []float32 // [rows, w.Cols]
	rows     int
	w, up    projection
}

// projection is a matrix with its adapter, if any, and A·x for all rows.
type projection struct {
	m        *kernels.Matrix
	b        *kernels.Matrix
	ax       []float32 // [rows, rank]
	rowScale []float32

	in activations // for few rows: x in the layout of m's format
}

// activations are rows of activations, stride elements apart. A layout with
// sums of each 32 columns has them behind the columns of the row.
type activations struct {
	x      []float32
	stride int
}

// multiply runs y = epilogue(w·x) on all cores.
func (p *pass) multiply(e epilogue, y, x []float32, rows int, w, up kernels.Linear) {
	if p.err != nil {
		return
	}
	x = p.rounded(x)
	t := linear{epilogue: e, y: y, x: x, rows: rows, w: projection{m: w.W}, up: projection{m: up.W}}
	p.adapt(&t.w, &p.lowRank[0], x, rows, w.LoRA)
	p.adapt(&t.up, &p.lowRank[1], x, rows, up.LoRA)
	p.linear(t)
}

// adapt computes A·x of an adapter, into buf.
func (p *pass) adapt(t *projection, buf *[]float32, x []float32, rows int, l *kernels.LowRank) {
	if l == nil {
		return
	}
	t.b, t.ax = &l.B, grow(buf, rows*l.A.Rows)
	p.linear(linear{y: t.ax, x: x, rows: rows, w: projection{m: &l.A}})
	if !l.RowScale.IsZero() {
		t.rowScale = l.RowScale.Floats()
	}
}

func (p *pass) linear(t linear) {
	if t.rows > kernels.ExactRows {
		p.matmul = matmul{linear: t, item: p.scratch.tileCols, panel: 1}
		tiles := p.scratch.tiles
		if p.backend.rounds {
			tiles = p.scratch.roundedTiles
		}
		if tiles != nil {
			p.matmul.tiled = p.toTiles(tiles, t.x, t.rows, t.w.m.Cols, p.scratch.biased(t.w.m, t.up.m))
			p.matmul.item, p.matmul.panel = groupRows, p.scratch.panelGroups(p.matmul.tiled, t.w.m, t.up.m)
		} else {
			pairs := false
			if p.backend.rounds {
				pairs, p.matmul.scaled = p.scratch.paired(t.w.m, t.up.m)
			}
			if p.matmul.scaled {
				p.matmul.item = groupRows
			}
			p.matmul.blocks = p.toBlocks(t.x, t.rows, t.w.m.Cols, pairs, p.matmul.scaled && p.scratch.biased(t.w.m, t.up.m))
		}
		// Pieces of less than half a panel would read the activations too often.
		p.run((t.w.m.Rows+p.matmul.item-1)/p.matmul.item, p.matmul.panel/2, &p.matmul)
		p.matmul = matmul{}
		return
	}
	t.w.in = p.layOut(t.w.m, &p.laidOut[0], t.x, t.rows)
	if t.up.m != nil {
		if t.up.in = t.w.in; p.scratch.formats[t.up.m.Format].layout != p.scratch.formats[t.w.m.Format].layout {
			t.up.in = p.layOut(t.up.m, &p.laidOut[1], t.x, t.rows)
		}
	}
	p.matvec = matvec(t)
	p.run(t.w.m.Rows, wholeStreams(1<<15, t.w.m), &p.matvec) // a few microseconds
	p.matvec = matvec{}
}

// layOut returns rows of x in the layout that the kernels for m take.
func (p *pass) layOut(m *kernels.Matrix, buf *[]float32, x []float32, rows int) activations {
	layout := p.scratch.formats[m.Format].layout
	in := activations{x: x, stride: m.Cols}
	switch {
	case layout == nil:
		return in
	case layout.int8x3:
		in.stride = records(m.Cols) * recordFloats
		in.x = grow(buf, rows*in.stride)
	default:
		in.stride = m.Cols + (m.Cols/32+15)&^15 // whole cache lines
		in.x = grow(buf, rows*in.stride)
	}
	p.layouts = layoutRows{in, layout, x, m.Cols, wholeVectors(m.Format, m.Cols)}
	p.run(rows, 1+1<<14/m.Cols, &p.layouts)
	p.layouts = layoutRows{}
	return in
}

// layoutRows brings activations into a layout. Its items are rows.
type layoutRows struct {
	to     activations
	layout *layout
	from   []float32
	cols   int
	whole  int // columns of whole vectors
}

func (t *layoutRows) run(lo, hi int, s *scratch) {
	for r := lo; r < hi; r++ {
		from, to := t.from[r*t.cols:(r+1)*t.cols], t.to.x[r*t.to.stride:(r+1)*t.to.stride]
		if t.layout.int8x3 {
			s.int8x3Args = int8x3Args{dst: ptr(to), x: ptr(from), index: &t.layout.index[0], blocks: t.cols / 32, factor: t.layout.factor, flat: t.layout.flat}
			s.int8x3(&s.int8x3Args)
			continue
		}
		if t.whole > 0 {
			s.permuteArgs = permuteArgs{
				dst: ptr(to), x: ptr(from), sums: &to[t.cols],
				index: &t.layout.index[0], scale: &t.layout.scale[0], n: t.whole, factor: t.layout.factor,
			}
			s.permute(&s.permuteArgs)
		}
		copy(to[t.whole:t.cols], from[t.whole:])
	}
}

// wholeStreams is how many rows of m have some size in bytes, such that streams and
// vectors of their results come out even.
func wholeStreams(size int, m *kernels.Matrix) int { return max(lanes, size/m.RowBytes()&^(lanes-1)) }

// matvec is a linear operation on at most kernels.ExactRows rows. Its items are rows of w.
type matvec linear

// matvecRows is the largest number of weight rows whose products are held back
// until they go through the epilogue. Where a stream begins nothing has been asked
// for ahead: with 128 rows, Q4_0 was a tenth slower.
const matvecRows = 512

func (t *matvec) run(lo, hi int, s *scratch) {
	most := matvecRows
	if t.rows > 4 { // the next four rows should find the weights in the second-level cache
		most = min(most, wholeStreams(1<<18, t.w.m))
	}
	stride := min(most, hi-lo)
	tile := grow(&s.tile, t.rows*stride)
	for ; lo < hi; lo += most {
		n := min(most, hi-lo)
		t.product(s, &t.w, tile, stride, lo, n)
		var up []float32
		if t.up.m != nil {
			up = grow(&s.upTile, t.rows*stride)
			t.product(s, &t.up, up, stride, lo, n)
		}
		for r := range t.rows {
			y := t.y[r*t.w.m.Rows+lo:][:n]
			wx := tile[r*stride:][:n]
			switch t.epilogue {
			case store:
				copy(y, wx)
			case add:
				for i, v := range wx {
					y[i] += v
				}
			case gated:
				if up == nil {
					s.silu(y, wx, nil)
				} else {
					s.silu(y, wx, up[r*stride:][:n])
				}
			}
		}
	}
}

// silu sets y = silu(g) ⊙ up, or silu(g) without up.
func (s *scratch) silu(y, g, up []float32) {
	if &y[0] != &g[0] {
		copy(y, g)
	}
	if up == nil {
		for i, v := range y {
			y[i] = silu(v)
		}
		return
	}
	n := len(y) &^ (lanes - 1)
	a := &s.vectorArgs
	if n > 0 {
		*a = vectorArgs{dst: ptr(y), x: ptr(up), n: n}
		s.swiglu(a)
	}
	if n < len(y) {
		*a = vectorArgs{dst: ptr(y[n:]), x: ptr(up[n:]), n: len(y) - n}
		portable.swiglu(a)
	}
}

// product sets dst[r·stride + i] = rowScale ⊙ (w·x + B·(A·x)) for rows lo … lo+n
// of w and all rows r of x.
func (t *matvec) product(s *scratch, w *projection, dst []float32, stride, lo, n int) {
	s.mul(dst, stride, w.m, lo, n, w.in, t.rows)
	if w.b != nil {
		sum := grow(&s.sums, t.rows*stride)
		s.mul(sum, stride, w.b, lo, n, activations{x: w.ax, stride: w.b.Cols}, t.rows)
		for i, v := range sum[:(t.rows-1)*stride+n] {
			dst[i] += v
		}
	}
	if w.rowScale != nil {
		for r := range t.rows {
			for i, v := range w.rowScale[lo : lo+n] {
				dst[r*stride+i] *= v
			}
		}
	}
}

// prefetchAhead is what was best, of 256 to 4096, on a Zen 3.
const prefetchAhead = 1024

// mul sets dst[r·stride + i] = w[lo+i]·x[r] for n rows of w. What it adds for a row
// of x, and in which order, depends on nothing else.
func (s *scratch) mul(dst []float32, stride int, w *kernels.Matrix, lo, n int, in activations, rows int) {
	if s.formats[w.Format].matvec[0].run == nil {
		s.mulWidened(dst, stride, w, lo, n, in, rows)
		return
	}
	used := wholeVectors(w.Format, w.Cols)
	size := w.RowBytes()
	data := w.Data.Bytes()[lo*size : (lo+n)*size]
	layout := s.formats[w.Format].layout
	a := &s.matvecArgs
	*a = matvecArgs{
		steps: used / stepCols(w, layout), skip: size - used/w.Format.BlockCols()*w.Format.BlockBytes(),
		xStride: 4 * in.stride, yStride: 4 * stride, ahead: prefetchAhead,
	}
	var scales, biases []float32
	groups := 0
	if w.Format.Affine() {
		groups = w.Cols / w.Group
		buf := grow(&s.scales, 2*n*groups+4) // four are read at a time
		scales, biases = buf[:n*groups], buf[n*groups:2*n*groups]
		s.floats(scales, w.Scales, w.ScaleFormat, lo*groups)
		s.floats(biases, w.Biases, w.ScaleFormat, lo*groups)
		a.affine.blocks = w.Group / groupBlock
		if layout != nil && layout.int8x3 {
			a.int8x3 = scalesByRecord(w, n)
		}
	}
	// run multiplies runs of count rows: from rows0 on, from rows1 on, and pair
	// rows after both.
	run := func(f func(*matvecArgs), r, rows0, rows1, pair, count int) {
		a.y0, a.y1 = &dst[r*stride+rows0], &dst[r*stride+rows1]
		a.w0, a.w1 = &data[rows0*size], &data[rows1*size]
		a.x, a.count, a.done = &in.x[r*in.stride], count, 0
		if in.stride > w.Cols {
			a.sums = &in.x[r*in.stride+w.Cols]
		}
		if groups > 0 {
			a.affine.scale0, a.affine.scale1 = &scales[rows0*groups], &scales[rows1*groups]
			a.affine.bias0, a.affine.bias1 = &biases[rows0*groups], &biases[rows1*groups]
		}
		a.pair, a.yPair, a.int8x3.pair = pair*size, pair*4, pair*4*groups
		f(a)
	}
	for r, xs := 0, 0; r < rows; r += xs {
		log := min(bits.Len(uint(rows-r)), 3) - 1
		f := &s.formats[w.Format].matvec[log]
		xs = 1 << log
		// The streams lie far apart, so that the hardware prefetches each of them.
		count := n / f.streams
		if count > 0 {
			run(f.run, r, 0, count%n, max(0, f.streams-2)*count, count) // rows1 of a single stream does not matter
		}
		for i := count * f.streams; i < n; i++ {
			run(f.run, r, i, i, 0, 1)
		}
	}
	if used < w.Cols {
		s.mulRest(dst, stride, w, data, n, in, rows, used)
	}
}

// scalesByRecord is how a kernel moves in the scales of n rows of w, behind which the
// biases are.
func scalesByRecord(w *kernels.Matrix, n int) affineInt8x3Args {
	inGroup, blocks, rowBytes := w.Group/groupBlock, w.Cols/groupBlock, 4*(w.Cols/w.Group)
	a := affineInt8x3Args{shift: bits.TrailingZeros(uint(inGroup)), bias: n * rowBytes, step: 16 / inGroup}
	if inGroup == 1 {
		a.rest = 4
	}
	a.skip = rowBytes - blocks/4*a.step - blocks%4*a.rest
	return a
}

// mulWidened is mul for a format without routines, two rows at a time.
func (s *scratch) mulWidened(dst []float32, stride int, w *kernels.Matrix, lo, n int, in activations, rows int) {
	buf := grow(&s.whole, 2*w.Cols)
	for i := 0; i < n; i += 2 {
		pair := min(2, n-i)
		for k := range pair {
			s.widenRow(buf[k*w.Cols:(k+1)*w.Cols], w, lo+i+k, 0)
		}
		s.mul(dst[i:], stride, s.float32s(buf[:pair*w.Cols], w.Cols), 0, pair, in, rows)
	}
}

// mulRest adds the products of the columns from first on, which are too few for
// the routines.
func (s *scratch) mulRest(dst []float32, stride int, w *kernels.Matrix, data []byte, n int, in activations, rows, first int) {
	var buf [32]float32
	rest := buf[:w.Cols-first]
	for i := range n {
		kernels.Widen(rest, data[i*w.RowBytes()+first*w.Format.BlockBytes():], w.Format)
		for r := range rows {
			dst[r*stride+i] += dot(rest, in.x[r*in.stride+first:][:len(rest)])
		}
	}
}

// floats widens consecutive values of a floating-point format from the first on.
func (s *scratch) floats(dst []float32, v kernels.View, f kernels.Format, first int) {
	src := v.Bytes()[first*f.BlockBytes():]
	n := wholeVectors(f, len(dst))
	if n > 0 && s.formats[f].widen != nil {
		s.widenArgs = widenArgs{dst: ptr(dst), src: unsafe.SliceData(src), steps: n}
		s.formats[f].widen(&s.widenArgs)
		dst, src = dst[n:], src[n*f.BlockBytes():]
	}
	kernels.Widen(dst, src, f)
}
