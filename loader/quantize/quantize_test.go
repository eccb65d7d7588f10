package quantize

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader/safetensors"
	"pgregory.net/rapid"
)

// vectors are the tensors of testdata/vectors.safetensors, by name; see make.py.
func vectors(t *testing.T) map[string][]byte {
	t.Helper()
	file, err := os.ReadFile("testdata/vectors.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	h, err := safetensors.ReadHeader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, x := range h.Tensors {
		all[x.Name] = file[x.Offset:][:x.Size]
	}
	return all
}

func floats(b []byte) []float32 {
	f := make([]float32, len(b)/4)
	kernels.Widen(f, b, kernels.F32)
	return f
}

const cols = 512

func rowsOf(x []float32) [][]float32 {
	var rows [][]float32
	for ; len(x) > 0; x = x[cols:] {
		rows = append(rows, x[:cols])
	}
	return rows
}

// memory is a buffer of a test.
type memory []byte

func (m memory) Bytes() []byte { return m }
func (m memory) Release()      {}

func view(b []byte) kernels.View { return kernels.Whole(memory(b)) }

// read is what a stored row stands for.
func read(b []byte, n int, f kernels.Format) []float32 {
	m := kernels.Matrix{Rows: 1, Cols: n, Format: f, Data: view(b)}
	row := make([]float32, n)
	m.ReadRow(row, 0)
	return row
}

func encode(t testing.TB, x []float32, f kernels.Format, importance []float32) []byte {
	t.Helper()
	b := make([]byte, len(x)/f.BlockCols()*f.BlockBytes())
	if err := Row(b, x, f, importance); err != nil {
		t.Fatal(err)
	}
	return b
}

// squares is Σ w·(x − y)².
func squares(x, y, w []float32) (sum float64) {
	for i := range x {
		d := float64(x[i]) - float64(y[i])
		if w != nil {
			d *= math.Sqrt(float64(w[i]))
		}
		sum += d * d
	}
	return sum
}

func TestSameBytesAsGGUF(t *testing.T) {
	v := vectors(t)
	for _, f := range []kernels.Format{kernels.Q8_0, kernels.Q4_0} {
		want := v["gguf."+f.String()]
		size := cols / f.BlockCols() * f.BlockBytes()
		for i, x := range rowsOf(floats(v["x"])) {
			if got := encode(t, x, f, nil); !bytes.Equal(got, want[i*size:(i+1)*size]) {
				t.Errorf("%v: row %d differs from the gguf package's", f, i)
			}
		}
	}
}

func TestSameBytesAsMLX(t *testing.T) {
	v := vectors(t)
	for _, kind := range []kernels.Format{kernels.F32, kernels.F16, kernels.BF16} {
		for _, bits := range []int{4, 8} {
			for _, group := range []int{32, 64, 128} {
				key := fmt.Sprintf("mlx.%v.%d.%d.", kind, bits, group)
				for i, x := range rowsOf(floats(v["x"])) {
					row := make([]float32, cols) // in the type that MLX was given
					for c := range x {
						var b [4]byte
						row[c] = kernels.PutFloat(b[:], x[c], kind)
					}
					n := cols / group * kind.BlockBytes()
					q, s, b := make([]byte, cols*bits/8), make([]byte, n), make([]byte, n)
					if err := Affine(q, s, b, row, bits, group, kind); err != nil {
						t.Fatal(err)
					}
					for part, got := range map[string][]byte{"q": q, "scales": s, "biases": b} {
						if !bytes.Equal(got, v[key+part][i*len(got):][:len(got)]) {
							t.Errorf("%s%s: row %d differs from MLX's", key, part, i)
						}
					}
				}
			}
		}
	}
}

// TestErrorOfKFormats: no row has a larger sum of squares than llama.cpp's.
func TestErrorOfKFormats(t *testing.T) {
	v := vectors(t)
	importance := floats(v["importance"])
	for _, f := range []kernels.Format{kernels.Q4_K, kernels.Q5_K, kernels.Q6_K} {
		for use, w := range [][]float32{nil, importance} {
			want := v[fmt.Sprintf("llama.%v.%d", f, use)]
			var ratios strings.Builder
			for i, x := range rowsOf(floats(v["x"])) {
				theirs := math.Float64frombits(binary.LittleEndian.Uint64(want[8*i:]))
				ours := squares(x, read(encode(t, x, f, w), cols, f), w)
				if ours > theirs*(1+1e-12) { // equal, but for the order of the sum
					t.Errorf("%v, importance %v: row %d: error %g, llama.cpp's %g", f, w != nil, i, ours, theirs)
				}
				fmt.Fprintf(&ratios, " %.3f", math.Sqrt(ours/theirs))
			}
			t.Logf("%v, importance %v: root mean square error over llama.cpp's, by row:%s", f, w != nil, ratios.String())
		}
	}
}

// TestImportance: weights of the errors lower the weighted error.
func TestImportance(t *testing.T) {
	v := vectors(t)
	w := floats(v["importance"])
	for _, f := range []kernels.Format{kernels.Q4_K, kernels.Q5_K, kernels.Q6_K} {
		var with, without float64
		for _, x := range rowsOf(floats(v["x"]))[:5] {
			with += squares(x, read(encode(t, x, f, w), cols, f), w)
			without += squares(x, read(encode(t, x, f, nil), cols, f), w)
		}
		if with >= without {
			t.Errorf("%v: weighted error %g with importance, %g without", f, with, without)
		}
	}
}

// TestBound holds every format to the step that its values are apart.
func TestBound(t *testing.T) {
	steps := map[kernels.Format]float64{
		kernels.F32: 0, kernels.F16: 0x1p-11, kernels.BF16: 0x1p-8,
		kernels.Q8_0: 1.0 / 127, kernels.Q4_0: 1.0 / 7, kernels.Q4_K: 1.0 / 7, kernels.Q5_K: 1.0 / 15, kernels.Q6_K: 1.0 / 31,
	}
	rapid.Check(t, func(r *rapid.T) {
		f := rapid.SampledFrom([]kernels.Format{kernels.F32, kernels.F16, kernels.BF16, kernels.Q8_0, kernels.Q4_0, kernels.Q4_K, kernels.Q5_K, kernels.Q6_K}).Draw(r, "format")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 1))
		size := math.Exp2(rapid.Float64Range(-8, 8).Draw(r, "size"))
		shift := rapid.SampledFrom([]float64{0, 0, 3, -3}).Draw(r, "shift")
		x := make([]float32, 256*rapid.IntRange(1, 2).Draw(r, "blocks"))
		for i := range x {
			x[i] = float32(size * (rng.NormFloat64() + shift))
		}
		got := read(encode(t, x, f, nil), len(x), f)
		block := max(f.BlockCols(), 1)
		for i := range x {
			top := 0.0
			for _, v := range x[i/block*block:][:block] {
				top = max(top, math.Abs(float64(v)))
			}
			if f.Float() {
				top = math.Abs(float64(x[i]))
			}
			// A search may give up one weight for the others, but not by much; the
			// f16 numbers near zero are 2^-24 apart.
			if d := math.Abs(float64(x[i]) - float64(got[i])); d > 2*steps[f]*top+1e-7*top+0x1p-24 {
				r.Fatalf("%v: weight %d of %g is %g; the largest beside it is %g", f, i, x[i], got[i], top)
			}
		}
	})
}

func TestRefused(t *testing.T) {
	x := make([]float32, 256)
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 1e9} {
		for _, f := range []kernels.Format{kernels.F16, kernels.Q8_0, kernels.Q4_0, kernels.Q4_K, kernels.Q6_K} {
			x[77] = bad
			err := Row(make([]byte, 256/f.BlockCols()*f.BlockBytes()), x, f, nil)
			if err == nil || !strings.Contains(err.Error(), "column 77") {
				t.Errorf("%v of %g: %v", f, bad, err)
			}
		}
	}
	if err := Row(nil, x, kernels.Q2_K, nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Q2_K: %v", err)
	}
	for _, n := range []int{0, 143, 145} {
		if err := Row(make([]byte, n), x[:256], kernels.Q4_K, nil); err == nil {
			t.Errorf("%d bytes are enough", n)
		}
	}
	if err := Affine(make([]byte, 128), make([]byte, 8), make([]byte, 8), x, 3, 64, kernels.F16); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("3 bits: %v", err)
	}
}

func BenchmarkRow(b *testing.B) {
	x := make([]float32, 4096)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	for _, f := range []kernels.Format{kernels.Q8_0, kernels.Q4_0, kernels.Q4_K, kernels.Q5_K, kernels.Q6_K} {
		b.Run(f.String(), func(b *testing.B) {
			dst := make([]byte, len(x)/f.BlockCols()*f.BlockBytes())
			for b.Loop() {
				if err := Row(dst, x, f, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*float64(len(x))/b.Elapsed().Seconds()/1e6, "Mweights/s")
		})
	}
}

func ExampleRow() {
	x := []float32{-8, -4, -2, -1, 0, 1, 2, 4, 7, 0, 0, 0, 0, 0, 0, 0, -7, 6, -6, 5, -5, 4, -4, 3, -3, 2, -2, 1, -1, 0, 0, 0}
	block := make([]byte, 18)
	if err := Row(block, x, kernels.Q4_0, nil); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("% x\n", block)
	// Output: 00 3c 10 e4 26 d7 38 c9 4a bc 5f a8 68 98 78 88 88 88
}
