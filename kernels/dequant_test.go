package kernels_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader/safetensors"
)

// vectors reads testdata/dequant.safetensors, which make_dequant.py wrote.
type vectors struct {
	t *testing.T
	f *os.File
	h *safetensors.Header
}

func openVectors(t *testing.T) vectors {
	t.Helper()
	f, err := os.Open("testdata/dequant.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	h, err := safetensors.ReadHeader(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	return vectors{t, f, h}
}

type memory []byte

func (m memory) Bytes() []byte { return m }
func (m memory) Release()      {}

func (v vectors) view(name string) kernels.View {
	v.t.Helper()
	for _, e := range v.h.Tensors {
		if e.Name == name {
			data := make([]byte, e.Size)
			if _, err := v.f.ReadAt(data, e.Offset); err != nil {
				v.t.Fatal(err)
			}
			return kernels.Whole(memory(data))
		}
	}
	v.t.Fatalf("no tensor %s", name)
	return kernels.View{}
}

// check compares rows with the other implementation's; slack is how far apart
// they may be, over the row's largest value.
func (v vectors) check(name string, m kernels.Matrix, slack float64) {
	v.t.Helper()
	if err := m.Validate(); err != nil {
		v.t.Fatal(err)
	}
	want := make([]float32, m.Rows*m.Cols)
	kernels.Widen(want, v.view(name+".want").Bytes(), kernels.F32)
	got := make([]float32, m.Cols)
	for r := range m.Rows {
		m.ReadRow(got, r)
		scale := 0.0
		for _, w := range want[r*m.Cols : (r+1)*m.Cols] {
			scale = max(scale, math.Abs(float64(w)))
		}
		for c := range got {
			w := want[r*m.Cols+c]
			if d := math.Abs(float64(got[c]) - float64(w)); !(d <= scale*slack) {
				v.t.Fatalf("%s: row %d, column %d is %g, want %g", name, r, c, got[c], w)
			}
		}
	}
}

// TestReadRowGGUF: all that the gguf package computes before its last rounding
// is exact in float32, so that it gives the very same values.
func TestReadRowGGUF(t *testing.T) {
	v := openVectors(t)
	for f := kernels.Q8_0; !f.Affine(); f++ {
		t.Run(f.String(), func(t *testing.T) {
			v.t = t
			v.check(f.String(), kernels.Matrix{Rows: 4, Cols: 2 * f.BlockCols(), Format: f, Data: v.view(f.String() + ".data")}, 0)
		})
	}
}

// TestReadRowAffine: MLX rounds after each step where ReadRow rounds once, a few
// units in the last place apart.
func TestReadRowAffine(t *testing.T) {
	v := openVectors(t)
	for _, f := range []kernels.Format{kernels.Affine4, kernels.Affine8} {
		for _, group := range []int{32, 64, 128} {
			name := fmt.Sprintf("%s.%d", f, group)
			t.Run(name, func(t *testing.T) {
				v.t = t
				v.check(name, kernels.Matrix{
					Rows: 4, Cols: 256, Format: f, Data: v.view(name + ".data"),
					Group: group, ScaleFormat: kernels.F32, Scales: v.view(name + ".scales"), Biases: v.view(name + ".biases"),
				}, 0x1p-22)
			})
		}
	}
}

// TestFromF16 holds every one of the 65,536 values to the definition.
func TestFromF16(t *testing.T) {
	for h := range 1 << 16 {
		got := kernels.FromF16(uint16(h))
		exp, frac := h>>10&31, float64(h&1023)
		want := math.Ldexp(1+frac/1024, exp-15)
		switch {
		case exp == 31 && frac == 0:
			want = math.Inf(1)
		case exp == 31:
			want = math.NaN()
		case exp == 0:
			want = math.Ldexp(frac/1024, -14)
		}
		if h>>15 == 1 {
			want = -want
		}
		if same := float64(got) == want && math.Signbit(float64(got)) == math.Signbit(want); !same && !(math.IsNaN(want) && got != got) {
			t.Fatalf("%#04x is %g, want %g", h, got, want)
		}
	}
}

func TestReadRowFloats(t *testing.T) {
	data := make([]byte, 12)
	binary.LittleEndian.PutUint32(data[8:], math.Float32bits(-1.5))
	m := kernels.Matrix{Rows: 3, Cols: 1, Format: kernels.F32, Data: kernels.Whole(memory(data))}
	var got [1]float32
	if m.ReadRow(got[:], 2); got[0] != -1.5 {
		t.Errorf("F32: %g", got[0])
	}
	m = kernels.Matrix{Rows: 1, Cols: 6, Format: kernels.BF16, Data: kernels.Whole(memory(data))}
	var row [6]float32
	if m.ReadRow(row[:], 0); row[5] != -1.5 {
		t.Errorf("BF16: %g", row)
	}
}

// TestPutFloat: what is returned is what Widen reads.
func TestPutFloat(t *testing.T) {
	for _, f := range []kernels.Format{kernels.F32, kernels.F16, kernels.BF16} {
		for _, v := range []float32{0, 1, -0.1, 65504, 1e-7} {
			var b [4]byte
			var read [1]float32
			stored := kernels.PutFloat(b[:], v, f)
			if kernels.Widen(read[:], b[:], f); read[0] != stored || math.Abs(float64(stored-v)) > math.Abs(float64(v))/128 && f != kernels.F16 {
				t.Errorf("%s: %v is stored as %v, said %v", f, v, read[0], stored)
			}
		}
	}
}

// TestRounding holds ToF16 and ToBF16 to be the nearest value, halves to even.
func TestRounding(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		v := math.Float32frombits(rng.Uint32())
		if v != v || math.Abs(float64(v)) >= 65520 {
			continue
		}
		nearest(t, v, kernels.ToF16(v), kernels.FromF16)
		nearest(t, v, kernels.ToBF16(v), kernels.FromBF16)
	}
	// Halfway between two neighbours, where the even one is right.
	for _, v := range []float32{1 + 0x1p-11, 1 + 3*0x1p-11, 0x1p-25, 3 * 0x1p-25, 65504, 1 - 0x1p-12} {
		nearest(t, v, kernels.ToF16(v), kernels.FromF16)
		nearest(t, v, kernels.ToBF16(v), kernels.FromBF16)
	}
	if got := kernels.FromBF16(kernels.ToBF16(math.Float32frombits(0x7f800001))); got == got {
		t.Errorf("a NaN becomes %g", got)
	}
	if got := kernels.FromF16(kernels.ToF16(65520)); !math.IsInf(float64(got), 1) {
		t.Errorf("65520 becomes %g", got)
	}
}

func nearest(t *testing.T, v float32, got uint16, widen func(uint16) float32) {
	t.Helper()
	d := math.Abs(float64(widen(got)) - float64(v))
	for _, other := range []uint16{got - 1, got + 1} {
		o := math.Abs(float64(widen(other)) - float64(v))
		if o < d || o == d && got&1 == 1 {
			t.Fatalf("%g becomes %g, %g is nearer", v, widen(got), widen(other))
		}
	}
}
