package optest

import (
	"math"

	"github.com/go-openelm/go-openelm/kernels"
)

// unit is the rounding unit of float32: half the distance from 1 to the next.
const unit = 1.0 / (1 << 24)

// value is a float64 result and how far a float32 computation of it may be off.
type value struct{ want, tolerance float64 }

// sumTolerance bounds the error of a float32 sum of n products whose absolute
// values add up to abs, in any order of summation: the rounding errors behave
// like a random walk, with some room for the factors' own errors.
func sumTolerance(n int, abs float64) float64 {
	return (2*math.Sqrt(float64(n)) + 24) * unit * abs
}

// dense is a matrix with its adapter in float64.
type dense struct{ w, a, b, scale [][]float64 }

func expand(l kernels.Linear) *dense {
	d := &dense{w: readRows(l.W)}
	if l.LoRA != nil {
		d.a, d.b = readRows(&l.LoRA.A), readRows(&l.LoRA.B)
		if !l.LoRA.RowScale.IsZero() {
			d.scale = rows(l.LoRA.RowScale, 1)
		}
	}
	return d
}

// product is w·x for output o.
func (d *dense) product(o int, x []float64) value {
	want, abs := dot(d.w[o], x)
	n := len(x)
	if d.b != nil {
		for k, b := range d.b[o] {
			ax, aax := dot(d.a[k], x)
			want += b * ax
			abs += math.Abs(b) * aax
		}
		n += len(x) + len(d.a)
	}
	v := value{want, sumTolerance(n, abs)}
	if d.scale != nil {
		v = mul(v, value{d.scale[o][0], 0})
	}
	return v
}

// element is the matrix at row o and column c.
func (d *dense) element(o, c int) value {
	want := d.w[o][c]
	v := value{want, 2 * unit * math.Abs(want)}
	if d.b != nil {
		abs := math.Abs(want)
		for k, b := range d.b[o] {
			v.want += b * d.a[k][c]
			abs += math.Abs(b * d.a[k][c])
		}
		v.tolerance = sumTolerance(len(d.b[o])+1, abs)
	}
	if d.scale != nil {
		v = mul(v, value{d.scale[o][0], 0})
	}
	return v
}

// dot is Σ a·b and Σ |a·b|.
func dot(a, b []float64) (sum, abs float64) {
	for i, v := range a {
		sum += v * b[i]
		abs += math.Abs(v * b[i])
	}
	return sum, abs
}

func readRows(m *kernels.Matrix) [][]float64 {
	r := make([][]float64, m.Rows)
	for i := range r {
		r[i] = readRow(m, i)
	}
	return r
}

func readRow(m *kernels.Matrix, row int) []float64 {
	f := make([]float32, m.Cols)
	m.ReadRow(f, row)
	return widen(f)
}

func widen(f []float32) []float64 {
	d := make([]float64, len(f))
	for i, v := range f {
		d[i] = float64(v)
	}
	return d
}

// rmsNorm is x_i · w_i / sqrt(mean(x²) + eps).
func rmsNorm(x []float64, n kernels.Norm) []float64 {
	w := n.Weight.Floats()
	sum := 0.0
	for _, v := range x {
		sum += v * v
	}
	scale := 1 / math.Sqrt(sum/float64(len(x))+float64(n.Eps))
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = v * scale * float64(w[i])
	}
	return y
}

func silu(v value) value {
	s := 1 / (1 + math.Exp(-v.want))
	// The derivative of silu is at most 1.1.
	return value{v.want * s, 1.1*v.tolerance + 32*unit*math.Abs(v.want*s)}
}

func mul(a, b value) value {
	return value{a.want * b.want, a.tolerance*math.Abs(b.want) + b.tolerance*math.Abs(a.want) + a.tolerance*b.tolerance + 2*unit*math.Abs(a.want*b.want)}
}

// attention is the whole of Attend for one query row of one sequence, on
// queries, keys and values that are normalised and rotated already: the first
// n cached positions of one key-value head.
func attention(q []float64, keys, values [][]float64) []value {
	hd := len(q)
	scores := make([]float64, len(keys))
	top, slack := math.Inf(-1), 0.0
	for j, k := range keys {
		sum, abs := dot(q, k)
		scores[j] = sum / math.Sqrt(float64(hd))
		slack = max(slack, 2*sumTolerance(hd, abs)/math.Sqrt(float64(hd)))
		top = max(top, scores[j])
	}
	sum := 0.0
	for j := range scores {
		scores[j] = math.Exp(scores[j] - top)
		sum += scores[j]
	}
	out := make([]value, hd)
	for i := range out {
		abs := 0.0
		for j, s := range scores {
			out[i].want += s / sum * values[j][i]
			abs += s / sum * math.Abs(values[j][i])
		}
		out[i].tolerance = (2*slack+32*unit)*abs + sumTolerance(len(keys), abs)
	}
	return out
}

// rotate applies the head norm and RoPE at position pos to a head.
func rotate(x []float64, n kernels.Norm, rope []float32, pos int) []float64 {
	if !n.Weight.IsZero() {
		x = rmsNorm(x, n)
	}
	hd := len(x)
	half := hd / 2
	y := make([]float64, hd)
	for i := range half {
		cos, sin := float64(rope[pos*hd+i]), float64(rope[pos*hd+half+i])
		y[i] = x[i]*cos - x[half+i]*sin
		y[half+i] = x[half+i]*cos + x[i]*sin
	}
	return y
}
