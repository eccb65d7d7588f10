package gpu_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/go-openelm/go-openelm/internal/checkpoint"
	"github.com/go-openelm/go-openelm/internal/metalsim"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/cpu"
)

// twins is the same operands on the GPU and on the CPU, whose operations are
// held to the float64 formulas elsewhere. It reaches what random small shapes
// do not: long rows, long caches, wide heads, odd offsets.
type twins struct {
	t    *testing.T
	side [2]kernels.Backend
	sim  *metalsim.Simulator
	rng  *rand.Rand
}

func newTwins(t *testing.T) *twins {
	sim, b := open(t)
	c := cpu.New(cpu.Options{})
	t.Cleanup(func() { c.Close() })
	return &twins{t, [2]kernels.Backend{b, c}, sim, rand.New(rand.NewPCG(1, 2))}
}

type both [2]kernels.View

// bytes makes a view of n bytes that fill writes, after skip bytes of a buffer.
func (w *twins) bytes(skip, n int, fill func([]byte)) (v both) {
	w.t.Helper()
	for i, b := range w.side {
		buf, err := b.NewBuffer(skip + n)
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(buf.Release)
		v[i] = kernels.Whole(buf).Slice(skip, n)
	}
	fill(v[0].Bytes())
	copy(v[1].Bytes(), v[0].Bytes())
	return v
}

// floats is n normally distributed values after skip bytes of a buffer.
func (w *twins) floats(skip, n int) (v both) {
	v = w.bytes(skip, 4*n, func([]byte) {})
	for i := range v[0].Floats() {
		v[0].Floats()[i] = float32(w.rng.NormFloat64())
	}
	copy(v[1].Bytes(), v[0].Bytes())
	return v
}

// matrix is a float matrix after skip bytes of a buffer.
func (w *twins) matrix(f kernels.Format, rows, cols, skip int) (m [2]*kernels.Matrix) {
	size := f.BlockBytes()
	data := w.bytes(skip, rows*cols*size, func(b []byte) {
		for i := range len(b) / size {
			v := math.Float32bits(float32(w.rng.NormFloat64()))
			switch f {
			case kernels.F16: // the sign, an exponent around 1, a fraction
				v = uint32(0x3800|v&0x07ff|v>>16&0x8000) << 16
			case kernels.BF16:
				v &= 0xffff0000
			}
			for j := range size {
				b[i*size+j] = byte(v >> (8 * (4 - size + j)))
			}
		}
	})
	for i := range m {
		m[i] = &kernels.Matrix{Rows: rows, Cols: cols, Format: f, Data: data[i]}
		if err := m[i].Validate(); err != nil {
			w.t.Fatal(err)
		}
	}
	return m
}

// run records op on both sides and runs it.
func (w *twins) run(op func(side int, ops kernels.Ops)) {
	w.t.Helper()
	for i, b := range w.side {
		ops, err := b.Begin(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		op(i, ops)
		err = ops.Run()
		ops.End()
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// compare wants both sides of v to agree to within what two float32 sums of n
// terms differ by.
func (w *twins) compare(name string, v both, n int) {
	w.t.Helper()
	largest := 0.0
	for _, x := range v[1].Floats() {
		largest = max(largest, math.Abs(float64(x)))
	}
	allowed := largest * math.Sqrt(float64(n)) * 0x1p-20
	for i, x := range v[1].Floats() {
		if d := math.Abs(float64(x - v[0].Floats()[i])); !(d <= allowed) {
			w.t.Fatalf("%s: element %d is %v on the GPU, %v on the CPU", name, i, v[0].Floats()[i], x)
		}
	}
}

// TestLongRows has rows of x that do not fit in threadgroup memory, more rows
// of W than one tile for each SIMD-group, and data where vectors cannot be
// loaded.
func TestLongRows(t *testing.T) {
	w := newTwins(t)
	for _, c := range []struct {
		format           kernels.Format
		rows, outs, cols int
		skip             int
	}{
		{kernels.F16, 1, 40, 6151, 2},
		{kernels.F32, 1, 1700, 40, 4},
		{kernels.BF16, 1, 3300, 24, 0},
		{kernels.F16, 2, 70, 3080, 0},
		{kernels.BF16, 7, 30, 2003, 6},
		{kernels.F32, 8, 1700, 800, 0},
		{kernels.BF16, 9, 70, 130, 2},
		{kernels.F16, 40, 70, 131, 8},
		{kernels.F32, 70, 2100, 36, 4}, // enough for tiles of 64 rows
	} {
		x, norm := w.floats(c.skip&^3, c.rows*c.cols), w.floats(4, c.cols)
		y, h := w.floats(0, c.rows*c.outs), w.floats(4, c.rows*c.outs)
		gate, up := w.matrix(c.format, c.outs, c.cols, c.skip), w.matrix(c.format, c.outs, c.cols, c.skip)
		other := w.matrix(kernels.F32, c.outs, c.cols, 4) // cannot share a launch with gate
		mixed := w.floats(0, c.rows*c.outs)
		w.run(func(i int, ops kernels.Ops) {
			n := kernels.Norm{Weight: norm[i], Eps: 1e-6}
			ops.ProjAdd(y[i], x[i], c.rows, kernels.Linear{W: gate[i]})
			ops.NormSwiGLU(h[i], x[i], c.rows, n, kernels.Linear{W: gate[i]}, kernels.Linear{W: up[i]})
			ops.NormSwiGLU(mixed[i], x[i], c.rows, n, kernels.Linear{W: gate[i]}, kernels.Linear{W: other[i]})
		})
		w.compare("ProjAdd", y, c.cols)
		w.compare("NormSwiGLU", h, c.cols)
		w.compare("NormSwiGLU of two formats", mixed, c.cols)
	}
}

// TestLongAttention has caches around the length from which threadgroups share
// the keys of a head, and heads of all sizes that kernels are made for.
func TestLongAttention(t *testing.T) {
	w := newTwins(t)
	for _, c := range []struct{ heads, kvHeads, headDim, pos, rows int }{
		{8, 2, 64, 1023, 1},
		{8, 2, 64, 1024, 1},
		{8, 2, 64, 1025, 1},
		{8, 2, 64, 126, 5}, // across the position where keys are first divided
		{3, 1, 18, 1600, 1},
		{5, 1, 128, 1100, 1}, // more query heads than one threadgroup takes
		{2, 1, 256, 1030, 1},
		{2, 1, 258, 1030, 1},
		{2, 2, 1024, 3, 1},
		{4, 2, 300, 40, 3},
		{4, 2, 256, 40, 3},
		{3, 3, 6, 2, 2},
		{6, 2, 128, 1030, 9},
		{4, 1, 200, 5, 37},
		{3, 1, 18, 30, 40}, // a prompt whose head_dim is no multiple of four
	} {
		capacity := c.pos + c.rows + 2
		width := (c.heads + 2*c.kvHeads) * c.headDim
		qkv, rope := w.floats(4, c.rows*width), w.floats(0, capacity*c.headDim)
		qn, kn := w.floats(0, c.headDim), w.floats(4, c.headDim)
		keys, values := w.floats(8, c.kvHeads*capacity*c.headDim), w.floats(16, c.kvHeads*capacity*c.headDim)
		out := w.floats(0, c.rows*c.heads*c.headDim)
		w.run(func(i int, ops kernels.Ops) {
			ops.Attend(out[i], qkv[i], &kernels.Attention{
				QueryHeads: c.heads, KVHeads: c.kvHeads, HeadDim: c.headDim, Rope: rope[i],
				QueryNorm: kernels.Norm{Weight: qn[i], Eps: 1e-6}, KeyNorm: kernels.Norm{Weight: kn[i], Eps: 1e-6},
			}, []kernels.Span{{Keys: keys[i], Values: values[i], Capacity: capacity, Pos: c.pos, Rows: c.rows}})
		})
		w.compare("Attend", out, capacity)
		w.compare("keys", keys, c.headDim)
		w.compare("values", values, 1)
	}
}

// TestOrderOfThreadgroups runs operations with threadgroups, SIMD-groups and
// lanes in other orders: every bit must be the same.
func TestOrderOfThreadgroups(t *testing.T) {
	sim, b := open(t)
	w := &twins{t, [2]kernels.Backend{b, b}, sim, rand.New(rand.NewPCG(3, 4))}
	const cols, outs, heads, headDim, pos = 200, 150, 4, 16, 1100
	for _, rows := range []int{1, 3, 40} {
		x, norm := w.floats(0, rows*cols), w.floats(0, cols)
		gate, up := w.matrix(kernels.F16, outs, cols, 0), w.matrix(kernels.F16, outs, cols, 0)
		h := w.floats(0, rows*outs)
		qkv, rope := w.floats(0, rows*3*heads*headDim), w.floats(0, (pos+rows)*headDim)
		cache := w.floats(0, 2*heads*(pos+rows)*headDim)
		out := w.floats(0, rows*heads*headDim)
		var first []byte
		for seed := range uint64(6) {
			sim.SetSeed(seed)
			w.run(func(i int, ops kernels.Ops) {
				ops.NormSwiGLU(h[i], x[i], rows, kernels.Norm{Weight: norm[i], Eps: 1e-6}, kernels.Linear{W: gate[i]}, kernels.Linear{W: up[i]})
				half := cache[i].Len / 2
				ops.Attend(out[i], qkv[i], &kernels.Attention{QueryHeads: heads, KVHeads: heads, HeadDim: headDim, Rope: rope[i]},
					[]kernels.Span{{Keys: cache[i].Slice(0, half), Values: cache[i].Slice(half, half), Capacity: pos + rows, Pos: pos, Rows: rows}})
			})
			got := append(append([]byte{}, h[0].Bytes()...), out[0].Bytes()...)
			if seed == 0 {
				first = got
			} else if string(got) != string(first) {
				t.Fatalf("%d rows: results of seed %d differ from those in ascending order", rows, seed)
			}
		}
		sim.SetSeed(0)
	}
}

// quantised is a matrix of any format.
func (w *twins) quantised(f kernels.Format, rows, cols int) (m [2]*kernels.Matrix) {
	values := make([]float32, cols)
	row := func() []float32 {
		for i := range values {
			values[i] = float32(w.rng.NormFloat64())
		}
		return values
	}
	const group = 64
	blank := kernels.Matrix{Rows: rows, Cols: cols, Format: f}
	n := blank.RowBytes()
	var data, scales, biases both
	if f.Affine() {
		const scale = kernels.BF16
		blank.Group, blank.ScaleFormat = group, scale
		groups := cols / group * scale.BlockBytes()
		data, scales, biases = w.bytes(4, rows*n, func([]byte) {}), w.bytes(2, rows*groups, func([]byte) {}), w.bytes(6, rows*groups, func([]byte) {})
		for r := range rows {
			v := row()
			for i := range w.side {
				checkpoint.EncodeAffine(data[i].Bytes()[r*n:][:n], scales[i].Bytes()[r*groups:][:groups], biases[i].Bytes()[r*groups:][:groups],
					v, n*8/cols, group, scale)
			}
		}
	} else {
		data = w.bytes(f.Align(), rows*n, func(b []byte) {
			for r := range rows {
				checkpoint.Encode(b[r*n:][:n], row(), f)
			}
		})
	}
	for i := range m {
		c := blank
		c.Data, c.Scales, c.Biases = data[i], scales[i], biases[i]
		if err := c.Validate(); err != nil {
			w.t.Fatal(err)
		}
		m[i] = &c
	}
	return m
}
