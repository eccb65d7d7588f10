package optest

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/go-openelm/go-openelm/kernels"
)

// maker makes random operands in buffers of a backend, and releases them when
// the test ends.
type maker struct {
	t   testing.TB
	b   kernels.Backend
	rng *rand.Rand
}

func (m *maker) buffer(n int) kernels.View {
	m.t.Helper()
	b, err := m.b.NewBuffer(n)
	if err != nil {
		m.t.Fatalf("NewBuffer(%d): %v", n, err)
	}
	m.t.Cleanup(b.Release)
	return kernels.Whole(b)
}

// floats is n normally distributed values.
func (m *maker) floats(n int, scale float64) kernels.View {
	v := m.buffer(4 * n)
	for i := range v.Floats() {
		v.Floats()[i] = float32(scale * m.rng.NormFloat64())
	}
	return v
}

// cache is n random elements of a KV cache.
func (m *maker) cache(n int, f kernels.Format) kernels.View {
	v := m.buffer(n * f.BlockBytes())
	m.fill(v.Bytes(), f, 1)
	return v
}

// garbage is n values that no result may depend on.
func (m *maker) garbage(n int) kernels.View {
	v := m.buffer(4 * n)
	for i := range v.Floats() {
		v.Floats()[i] = float32(math.NaN())
	}
	return v
}

func (m *maker) norm(n int) kernels.Norm {
	eps := float32(1e-6)
	if m.rng.IntN(4) == 0 {
		eps = 0.5 // large enough that leaving it out shows
	}
	return kernels.Norm{Weight: m.floats(n, 1), Eps: eps}
}

// Layouts are all formats a matrix can have: affine ones with every group and
// every format of scales, not with every pair of them.
func Layouts() []kernels.Layout {
	l := []kernels.Layout{}
	for f := kernels.F32; !f.Affine(); f++ {
		l = append(l, kernels.Layout{Format: f})
	}
	scales := []kernels.Format{kernels.F32, kernels.F16, kernels.BF16}
	for i, f := range []kernels.Format{kernels.Affine4, kernels.Affine8} {
		for j, group := range []int{32, 64, 128} {
			l = append(l, kernels.Layout{Format: f, Group: group, ScaleFormat: scales[(i+j)%len(scales)]})
		}
	}
	return l
}

// matrix is a random matrix: every bit pattern of the quantised weights, and
// scales for which the widened values are of order one.
func (m *maker) matrix(l kernels.Layout, rows, cols int) *kernels.Matrix {
	w := l.Matrix(rows, cols)
	w.Data = m.buffer(w.Data.Len)
	data := w.Data.Bytes()
	switch l.Format {
	case kernels.F32, kernels.F16, kernels.BF16:
		m.fill(data, l.Format, 1)
	default:
		for i := range data {
			data[i] = byte(m.rng.Uint32())
		}
		m.blockScales(data, l.Format)
	}
	if l.Format.Affine() {
		w.Scales, w.Biases = m.buffer(w.Scales.Len), m.buffer(w.Biases.Len)
		m.fill(w.Scales.Bytes(), l.ScaleFormat, 1.0/8)
		m.fill(w.Biases.Bytes(), l.ScaleFormat, 1)
	}
	if err := w.Validate(); err != nil {
		m.t.Fatal(err)
	}
	return &w
}

// HalfScales tells where in a block of a GGUF format the f16 scales are, and a size
// of them for which the weights are of order one.
func HalfScales(f kernels.Format) (at []int, size float64) {
	switch f {
	case kernels.Q8_0, kernels.IQ4_NL:
		return []int{0}, 1.0 / 64
	case kernels.Q4_0, kernels.Q5_0:
		return []int{0}, 1.0 / 8
	case kernels.Q4_1, kernels.Q5_1:
		return []int{0, 2}, 1.0 / 8
	case kernels.Q2_K:
		return []int{80, 82}, 1.0 / 32
	case kernels.Q3_K:
		return []int{108}, 1.0 / 64
	case kernels.Q4_K, kernels.Q5_K:
		return []int{0, 2}, 1.0 / 256
	case kernels.Q6_K:
		return []int{208}, 1.0 / 2048
	case kernels.IQ4_XS:
		return []int{0}, 1.0 / 2048
	}
	return nil, 0
}

// blockScales replaces the random scale bits of GGUF blocks by sane values.
func (m *maker) blockScales(data []byte, f kernels.Format) {
	at, size := HalfScales(f)
	for b := 0; len(at) > 0 && b < len(data); b += f.BlockBytes() {
		for _, o := range at {
			m.fill(data[b+o:b+o+2], kernels.F16, size)
		}
	}
}

// fill writes normally distributed values of a float format, among them a few
// subnormal ones.
func (m *maker) fill(data []byte, f kernels.Format, scale float64) {
	for i := 0; i < len(data); i += f.BlockBytes() {
		v := float32(scale * m.rng.NormFloat64())
		switch f {
		case kernels.F32:
			binary.LittleEndian.PutUint32(data[i:], math.Float32bits(v))
		case kernels.BF16:
			binary.LittleEndian.PutUint16(data[i:], uint16(math.Float32bits(v)>>16))
		case kernels.F16:
			bits := kernels.ToF16(v)
			if m.rng.IntN(16) == 0 {
				bits = bits&0x8000 | uint16(m.rng.IntN(1<<10)) // subnormal or zero
			}
			binary.LittleEndian.PutUint16(data[i:], bits)
		}
	}
}

// lowRank is a LoRA or DoRA adapter for w, or none.
func (m *maker) lowRank(w *kernels.Matrix) *kernels.LowRank {
	kind := m.rng.IntN(3)
	if kind == 0 {
		return nil
	}
	rank := 1 + m.rng.IntN(40)
	f32 := kernels.Layout{Format: kernels.F32}
	l := &kernels.LowRank{A: *m.matrix(f32, rank, w.Cols), B: *m.matrix(f32, w.Rows, rank)}
	if kind == 2 {
		l.RowScale = m.floats(w.Rows, 1)
	}
	return l
}
