package cpu

import (
	"math"

	"github.com/go-openelm/go-openelm/kernels"
)

// epilogue is what happens to each product before it is stored.
type epilogue uint8

const (
	store  epilogue = iota // y = w·x
	add                    // y += w·x
	swiglu                 // y = silu(w·x) ⊙ (up·x), or silu(w·x) without up
)

// tile is the number of weight rows that are widened together, so that an
// activation is loaded once for all of them.
const tile = 4

// linear is the task behind every operation with a matrix: y[r] = w·x[r].
// Its items are rows of w.
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
	ax       []float32
	rank     int
	rowScale []float32
}

// multiply runs y = epilogue(w·x) on all cores.
func (p *pass) multiply(e epilogue, y, x []float32, rows int, w, up kernels.Linear) {
	if p.err != nil {
		return
	}
	t := linear{epilogue: e, y: y, x: x, rows: rows, w: projection{m: w.W}, up: projection{m: up.W}}
	if w.LoRA != nil || (up.W != nil && up.LoRA != nil) {
		p.lowRank = grow(p.lowRank, rows*(rankOf(w.LoRA)+rankOf(up.LoRA)))
		rest := p.adapt(&t.w, p.lowRank, x, rows, w.LoRA)
		p.adapt(&t.up, rest, x, rows, up.LoRA)
	}
	p.linear = t
	// Small enough to share well, large enough not to be bothered: about 64 K weights.
	grain := max(tile, (1<<16)/w.W.Cols/tile*tile)
	p.backend.pool.run(w.W.Rows, grain, &p.linear)
}

func rankOf(l *kernels.LowRank) int {
	if l == nil {
		return 0
	}
	return l.A.Rows
}

// adapt computes A·x into the front of buf and returns what is left of buf.
func (p *pass) adapt(t *projection, buf, x []float32, rows int, l *kernels.LowRank) []float32 {
	if l == nil {
		return buf
	}
	t.rank, t.b = l.A.Rows, &l.B
	n := rows * t.rank
	t.ax = buf[:n]
	p.linear = linear{y: t.ax, x: x, rows: rows, w: projection{m: &l.A}}
	p.backend.pool.run(t.rank, tile, &p.linear)
	if !l.RowScale.IsZero() {
		t.rowScale = l.RowScale.Floats()
	}
	return buf[n:]
}

func (t *linear) run(lo, hi int, s *scratch) {
	cols, outs := t.w.m.Cols, t.w.m.Rows
	buf := s.floats(2*tile*cols + t.w.rank + t.up.rank)
	wRows, upRows, b := buf[:tile*cols], buf[tile*cols:2*tile*cols], buf[2*tile*cols:]
	var wx, ux [tile]float32
	for o := lo; o < hi; o += tile {
		n := min(tile, hi-o)
		t.w.read(wRows, o, n)
		if t.up.m != nil {
			t.up.read(upRows, o, n)
		}
		for r := range t.rows {
			x := t.x[r*cols : (r+1)*cols]
			y := t.y[r*outs+o : r*outs+o+n]
			t.w.apply(&wx, wRows, x, o, n, r, b)
			switch {
			case t.epilogue == store:
				copy(y, wx[:n])
			case t.epilogue == add:
				for i := range y {
					y[i] += wx[i]
				}
			case t.up.m == nil:
				for i := range y {
					y[i] = silu(wx[i])
				}
			default:
				t.up.apply(&ux, upRows, x, o, n, r, b)
				for i := range y {
					y[i] = silu(wx[i]) * ux[i]
				}
			}
		}
	}
}

// read widens n rows of the matrix from row o; rows past n are left as they are.
func (t *projection) read(dst []float32, o, n int) {
	cols := t.m.Cols
	for i := range n {
		t.m.ReadRow(dst[i*cols:(i+1)*cols], o+i)
	}
}

// apply sets out[i] = rowScale ⊙ (w·x + B·(A·x)) for rows o … o+n of w, where w
// holds them widened and r is the row of x.
func (t *projection) apply(out *[tile]float32, w, x []float32, o, n, r int, b []float32) {
	cols := len(x)
	if n == tile {
		*out = dot4(w, x)
	} else {
		for i := range n {
			out[i] = dot(w[i*cols:(i+1)*cols], x)
		}
	}
	if t.b != nil {
		b, ax := b[:t.rank], t.ax[r*t.rank:(r+1)*t.rank]
		for i := range n {
			t.b.ReadRow(b, o+i)
			out[i] += dot(b, ax)
		}
	}
	if t.rowScale != nil {
		for i := range n {
			out[i] *= t.rowScale[o+i]
		}
	}
}

// silu(v) = v / (1 + e^−v).
func silu(v float32) float32 { return v / (1 + float32(math.Exp(float64(-v)))) }

// dot is Σ a_i·b_i, in four sums to keep the multipliers busy.
func dot(a, b []float32) float32 {
	var s0, s1, s2, s3 float32
	b = b[:len(a)]
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += a[i] * b[i]
		s1 += a[i+1] * b[i+1]
		s2 += a[i+2] * b[i+2]
		s3 += a[i+3] * b[i+3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return (s0 + s1) + (s2 + s3)
}

// dot4 is the product of each of w's four rows with x.
func dot4(w, x []float32) [4]float32 {
	n := len(x)
	w0, w1, w2, w3 := w[:n], w[n:2*n], w[2*n:3*n], w[3*n:4*n]
	var s0, s1, s2, s3 float32
	for i, v := range x {
		s0 += w0[i] * v
		s1 += w1[i] * v
		s2 += w2[i] * v
		s3 += w3[i] * v
	}
	return [4]float32{s0, s1, s2, s3}
}
