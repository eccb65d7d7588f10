package cpu

import (
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

// fewRows is the largest number of activation rows for which the weights are
// multiplied as they are read. More rows go through widened panels, which pay
// off sooner if widening costs more.
func fewRows(f kernels.Format) int {
	if f.Float() {
		return mostFewRows
	}
	return 8
}

const mostFewRows = 16

// linear is the operation behind everything with a matrix: y[r] = w·x[r].
type linear struct {
	epilogue epilogue
	y        []float32 // [rows, w.Rows]
	x        []float32 // [rows, w.Cols]; padded if there are at most mostFewRows
	rows     int
	w, up    projection
}

// projection is a matrix with its adapter, if any, and A·x for all rows.
type projection struct {
	m        *kernels.Matrix
	b        *kernels.Matrix
	ax       []float32 // [rows, rank]; padded like x
	rowScale []float32

	// For few rows: x as the routines want it for the format of m, and the sums
	// of each 32 columns of it if they do.
	x, sums []float32
}

// padded is the number of rows that operands of few rows have memory for:
// mul4 takes four.
func padded(rows int) int { return (rows + 3) &^ 3 }

// multiply runs y = epilogue(w·x) on all cores.
func (p *pass) multiply(e epilogue, y, x []float32, rows int, w, up kernels.Linear) {
	if p.err != nil {
		return
	}
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
	t.b, t.ax = &l.B, grow(buf, padded(rows)*l.A.Rows)
	p.linear(linear{y: t.ax, x: x, rows: rows, w: projection{m: &l.A}})
	if !l.RowScale.IsZero() {
		t.rowScale = l.RowScale.Floats()
	}
}

func (p *pass) linear(t linear) {
	if t.rows > fewRows(t.w.m.Format) {
		p.many = many(t)
		p.run((t.w.m.Rows+tileCols-1)/tileCols, 1, &p.many)
		p.many = many{}
		return
	}
	p.arrange(&t.w, &p.arranged[0], t.x)
	p.arrange(&t.up, &p.arranged[1], t.x)
	p.few = few(t)
	// Pieces of some 16 KiB: a few microseconds.
	p.run(t.w.m.Rows, max(2, 1<<14/t.w.m.RowBytes()), &p.few)
	p.few = few{}
}

// arrange sets t.x to x as the routines for t.m want it.
func (p *pass) arrange(t *projection, buf *[]float32, x []float32) {
	t.x = x
	if t.m == nil || p.scratch.order[t.m.Format] == nil {
		return
	}
	order, cols := p.scratch.order[t.m.Format], t.m.Cols
	all := grow(buf, len(x)+len(x)/32)
	t.x, t.sums = all[:len(x)], all[len(x):]
	a := &p.scratch.arrangeArgs
	for r := range len(x) / cols {
		from, to := x[r*cols:(r+1)*cols], t.x[r*cols:(r+1)*cols]
		n := wholeVectors(t.m.Format, cols)
		if n > 0 {
			*a = arrangeArgs{dst: ptr(to), x: ptr(from), sums: &t.sums[r*(cols/32)], index: &order.index[0], scale: &order.scale[0], n: n, factor: order.factor}
			p.scratch.arrange(a)
		}
		copy(to[n:], from[n:])
	}
}

// few is a linear operation on at most fewRows rows. Its items are rows of w.
type few linear

// runRows is the largest number of weight rows whose products are held back
// until they go through the epilogue.
const runRows = 128

func (t *few) run(lo, hi int, s *scratch) {
	most := runRows
	if t.rows > 4 { // the second four rows should find the weights in the cache
		most = max(2, 1<<15/t.w.m.RowBytes())
	}
	stride := min(most, hi-lo)
	tile := grow(&s.tile, padded(t.rows)*stride)
	for ; lo < hi; lo += most {
		n := min(most, hi-lo)
		t.product(s, &t.w, tile, stride, lo, n)
		var up []float32
		if t.up.m != nil {
			up = grow(&s.upTile, padded(t.rows)*stride)
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
	copy(y, g)
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
func (t *few) product(s *scratch, w *projection, dst []float32, stride, lo, n int) {
	s.mul(dst, stride, w.m, lo, n, w.x, w.sums, t.rows)
	if w.b != nil {
		sum := grow(&s.sums, padded(t.rows)*stride)
		s.mul(sum, stride, w.b, lo, n, w.ax, nil, t.rows)
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

// mul sets dst[r·stride + i] = w[lo+i]·x[r] for n rows of w. dst and x have room
// for padded(rows) rows.
func (s *scratch) mul(dst []float32, stride int, w *kernels.Matrix, lo, n int, x, sums []float32, rows int) {
	if s.mul1[w.Format] == nil {
		s.mulWidened(dst, stride, w, lo, n, x, rows)
		return
	}
	used := wholeVectors(w.Format, w.Cols)
	size, half := w.RowBytes(), n/2 // half the rows are one stream, half the other
	data := w.Data.Bytes()[lo*size : (lo+n)*size]
	a := &s.mulArgs
	*a = mulArgs{
		w0: &data[0], cols: steps(w, used), skip: size - used/w.Format.BlockCols()*w.Format.BlockBytes(),
		xStride: 4 * w.Cols, yStride: 4 * stride, group: w.Group / groupBlock, ahead: prefetchAhead,
	}
	var scales, biases []float32
	groups := 0
	if w.Format.Affine() {
		groups = w.Cols / w.Group
		buf := grow(&s.scales, 2*n*groups)
		scales, biases = buf[:n*groups], buf[n*groups:]
		s.floats(scales, w.Scales, w.ScaleFormat, lo*groups)
		s.floats(biases, w.Biases, w.ScaleFormat, lo*groups)
	}
	// rows0 and rows1 are the first of count rows each.
	run := func(f func(*mulArgs), r, rows0, rows1, count int) {
		a.y0, a.y1 = &dst[r*stride+rows0], &dst[r*stride+rows1]
		a.w0, a.w1 = &data[rows0*size], &data[rows1*size]
		a.x, a.count = &x[r*w.Cols], count
		if len(sums) > 0 {
			a.sums = &sums[r*(w.Cols/32)]
		}
		if groups > 0 {
			a.scale0, a.scale1 = &scales[rows0*groups], &scales[rows1*groups]
			a.bias0, a.bias1 = &biases[rows0*groups], &biases[rows1*groups]
		}
		f(a)
	}
	for r := 0; r < rows; r += 4 {
		f := s.mul4[w.Format]
		if rows-r == 1 {
			f = s.mul1[w.Format]
		}
		if half > 0 {
			run(f, r, 0, half, half)
		}
		if n%2 == 1 {
			run(f, r, n-1, n-1, 1)
		}
	}
	if used < w.Cols {
		s.mulRest(dst, stride, w, data, n, x, rows, used)
	}
}

// mulWidened is mul for a format without routines, two rows at a time.
func (s *scratch) mulWidened(dst []float32, stride int, w *kernels.Matrix, lo, n int, x []float32, rows int) {
	buf := grow(&s.row, 2*w.Cols)
	for i := 0; i < n; i += 2 {
		pair := min(2, n-i)
		for k := range pair {
			w.ReadRow(buf[k*w.Cols:(k+1)*w.Cols], lo+i+k)
		}
		s.mul(dst[i:], stride, s.float32s(buf[:pair*w.Cols], w.Cols), 0, pair, x, nil, rows)
	}
}

// mulRest adds the products of the columns from first on, which are too few for
// the routines.
func (s *scratch) mulRest(dst []float32, stride int, w *kernels.Matrix, data []byte, n int, x []float32, rows, first int) {
	var buf [32]float32
	rest := buf[:w.Cols-first]
	for i := range n {
		kernels.Widen(rest, data[i*w.RowBytes()+first*w.Format.BlockBytes():], w.Format)
		for r := range rows {
			dst[r*stride+i] += dot(rest, x[r*w.Cols+first:][:len(rest)])
		}
	}
}

// floats widens consecutive values of a floating-point format from the first on.
func (s *scratch) floats(dst []float32, v kernels.View, f kernels.Format, first int) {
	src := v.Bytes()[first*f.BlockBytes():]
	n := wholeVectors(f, len(dst))
	if n > 0 && s.widen[f] != nil {
		s.widenArgs = widenArgs{dst: ptr(dst), src: unsafe.SliceData(src), cols: n}
		s.widen[f](&s.widenArgs)
		dst, src = dst[n:], src[n*f.BlockBytes():]
	}
	kernels.Widen(dst, src, f)
}
