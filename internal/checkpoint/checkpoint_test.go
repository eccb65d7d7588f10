package checkpoint_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-openelm/go-openelm/internal/checkpoint"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
)

// small has what configurations can have: widths that differ by layer, groups
// of heads, a head of its own. All widths are whole blocks of 256.
var small = openelm.Config{
	VocabSize: 512, ModelDim: 256, HeadDim: 64, QKNorm: true, GLU: true, TiedHead: false,
	Layers:   []openelm.LayerConfig{{QueryHeads: 4, KVHeads: 2, FFNDim: 256}, {QueryHeads: 8, KVHeads: 2, FFNDim: 512}},
	RopeBase: 10000, MaxContext: 64, NormEps: 1e-6, BOS: 1, EOS: []int32{2},
}

// kinds are the checkpoints that can be made, with the error that the format
// leaves of each group of weights, as a part of the group's range.
var kinds = []struct {
	name string
	gguf bool
	spec checkpoint.Spec
	step float64
}{
	{"f32", false, checkpoint.Spec{Format: kernels.F32}, 0},
	{"f16", false, checkpoint.Spec{Format: kernels.F16}, 0x1p-11},
	{"bf16", false, checkpoint.Spec{Format: kernels.BF16}, 0x1p-8},
	{"bf16-sharded", false, checkpoint.Spec{Format: kernels.BF16, Shards: 3}, 0x1p-8},
	{"mlx-4", false, checkpoint.Spec{Format: kernels.Affine4}, 0.51 / 15},
	{"mlx-4-g32-bf16", false, checkpoint.Spec{Format: kernels.Affine4, Group: 32, ScaleFormat: kernels.BF16}, 0.55 / 15},
	{"mlx-8-g128-f32", false, checkpoint.Spec{Format: kernels.Affine8, Group: 128, ScaleFormat: kernels.F32}, 0.51 / 255},
	{"gguf-f32", true, checkpoint.Spec{Format: kernels.F32}, 0},
	{"gguf-f16", true, checkpoint.Spec{Format: kernels.F16}, 0x1p-11},
	{"gguf-bf16", true, checkpoint.Spec{Format: kernels.BF16}, 0x1p-8},
	{"gguf-q8_0", true, checkpoint.Spec{Format: kernels.Q8_0}, 0.51 / 127},
	{"gguf-q4_0", true, checkpoint.Spec{Format: kernels.Q4_0}, 1.01 / 8}, // the far end of the range is cut off
	{"gguf-q4_1", true, checkpoint.Spec{Format: kernels.Q4_1}, 0.51 / 15},
	{"gguf-q5_0", true, checkpoint.Spec{Format: kernels.Q5_0}, 1.01 / 32}, // as in Q4_0
	{"gguf-q5_1", true, checkpoint.Spec{Format: kernels.Q5_1}, 0.51 / 31},
	{"gguf-q2_K", true, checkpoint.Spec{Format: kernels.Q2_K}, 0.75 / 3},
	{"gguf-q3_K", true, checkpoint.Spec{Format: kernels.Q3_K}, 1.13 / 8},
	{"gguf-q4_K", true, checkpoint.Spec{Format: kernels.Q4_K}, 0.75 / 15},
	{"gguf-q5_K", true, checkpoint.Spec{Format: kernels.Q5_K}, 0.75 / 31},
	{"gguf-iq4_NL", true, checkpoint.Spec{Format: kernels.IQ4_NL}, 14.1 / 254}, // 113 is the far end
	{"gguf-iq4_XS", true, checkpoint.Spec{Format: kernels.IQ4_XS}, 18 / 254.},
	{"gguf-q6_K", true, checkpoint.Spec{Format: kernels.Q6_K}, 1.05 / 32},
}

func makeModel(t *testing.T, i int, seed uint64) (path string) {
	t.Helper()
	k := kinds[i]
	k.spec.Config, k.spec.Seed = small, seed
	path = filepath.Join(t.TempDir(), "model")
	write := checkpoint.WriteDir
	if k.gguf {
		path += ".gguf"
		write = checkpoint.WriteGGUF
	}
	if err := write(t.Context(), path, k.spec); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, path string) *openelm.Model {
	t.Helper()
	m, err := loader.Open(t.Context(), path, &loader.Options{NoTokenizer: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// TestFormats holds every kind of checkpoint to the float32 one of the same
// seed: the same configuration, every weight within the format's step, and
// logits of a sane size.
func TestFormats(t *testing.T) {
	exact := open(t, makeModel(t, 0, 7))
	for i, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			m := open(t, makeModel(t, i, 7))
			if got, want := fmt.Sprint(*m.Config()), fmt.Sprint(small); got != want {
				t.Fatalf("configuration %s, want %s", got, want)
			}
			compare := func(name string, got, want *kernels.Matrix) {
				a, b := make([]float32, got.Cols), make([]float32, want.Cols)
				for r := range want.Rows {
					got.ReadRow(a, r)
					want.ReadRow(b, r)
					var span float64
					for _, v := range b {
						span = max(span, math.Abs(float64(v)))
					}
					if !k.spec.Format.Float() {
						span *= 2
					}
					for c := range b {
						if d := math.Abs(float64(a[c] - b[c])); d > k.step*span {
							t.Fatalf("%s[%d,%d] is %g, want %g ± %g", name, r, c, a[c], b[c], k.step*span)
						}
					}
				}
			}
			g, w := m.Weights(), exact.Weights()
			compare("embedding", &g.Embedding, &w.Embedding)
			compare("head", &g.Head, &w.Head)
			for l := range w.Layers {
				compare("qkv", &g.Layers[l].QKV, &w.Layers[l].QKV)
				compare("out", &g.Layers[l].Out, &w.Layers[l].Out)
				compare("gate", &g.Layers[l].Gate, &w.Layers[l].Gate)
				compare("up", &g.Layers[l].Up, &w.Layers[l].Up)
				compare("down", &g.Layers[l].Down, &w.Layers[l].Down)
			}
			s, err := m.NewSession(nil)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.Append(t.Context(), 1, 2, 3, 4, 5); err != nil {
				t.Fatal(err)
			}
			var sum float64
			for _, v := range s.Logits() {
				sum += float64(v) * float64(v)
			}
			if std := math.Sqrt(sum / float64(len(s.Logits()))); !(std > 0.5 && std < 2) {
				t.Errorf("logits have a standard deviation of %g, about 1 is expected", std)
			}
		})
	}
}

// TestStatistics holds a stream to the mean and deviation it is asked for, and
// to be the same whatever the number of cores.
func TestStatistics(t *testing.T) {
	m := open(t, makeModel(t, 0, 1))
	row := make([]float32, 256)
	var sum, squares float64
	e := &m.Weights().Embedding
	for r := range e.Rows {
		e.ReadRow(row, r)
		for _, v := range row {
			sum += float64(v)
			squares += float64(v) * float64(v)
		}
	}
	n := float64(e.Rows * e.Cols)
	if mean := sum / n; math.Abs(mean) > 4/16.0/math.Sqrt(n) { // four standard errors
		t.Errorf("mean %g", mean)
	}
	if std := math.Sqrt(squares / n); math.Abs(std*16-1) > 0.01 {
		t.Errorf("standard deviation %g, want 1/16", std)
	}
}

// TestBytes pins what a seed makes, so that measurements on made models stay
// comparable. A change of the generator changes the sums.
func TestBytes(t *testing.T) {
	sum := func(seed uint64) string {
		h := sha256.New()
		data, err := os.ReadFile(filepath.Join(makeModel(t, 2, seed), "model.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		h.Write(data)
		return hex.EncodeToString(h.Sum(nil)[:8])
	}
	if a, b := sum(1), sum(2); a == b {
		t.Error("two seeds make the same weights")
	}
	if got, want := sum(1), "9efbc12d639b277c"; got != want {
		t.Errorf("seed 1 makes %s, want %s", got, want)
	}
}

// TestUnwritable: what a kind of file cannot hold is an error, and leaves no
// file behind.
func TestUnwritable(t *testing.T) {
	odd := small
	odd.ModelDim = 96
	for name, err := range map[string]error{
		"no format":      checkpoint.WriteDir(t.Context(), t.TempDir(), checkpoint.Spec{Config: small}),
		"GGUF in a dir":  checkpoint.WriteDir(t.Context(), t.TempDir(), checkpoint.Spec{Config: small, Format: kernels.Q8_0}),
		"MLX in GGUF":    checkpoint.WriteGGUF(t.Context(), filepath.Join(t.TempDir(), "m"), checkpoint.Spec{Config: small, Format: kernels.Affine4}),
		"partial blocks": checkpoint.WriteGGUF(t.Context(), filepath.Join(t.TempDir(), "m"), checkpoint.Spec{Config: odd, Format: kernels.Q4_K}),
		"no config":      checkpoint.WriteDir(t.Context(), t.TempDir(), checkpoint.Spec{Format: kernels.F32}),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// BenchmarkWrite270M makes Apple's smallest model, to the file system of the
// temporary directory.
func BenchmarkWrite270M(b *testing.B) {
	config, err := loader.ParseConfig([]byte(`{"model_name": "OpenELM-270M"}`))
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	for _, f := range []kernels.Format{kernels.BF16, kernels.Affine4} {
		b.Run(f.String(), func(b *testing.B) {
			b.SetBytes(config.Parameters())
			for b.Loop() {
				if err := checkpoint.WriteDir(b.Context(), dir, checkpoint.Spec{Config: *config, Format: f}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("Q4_K", func(b *testing.B) {
		b.SetBytes(config.Parameters())
		for b.Loop() {
			if err := checkpoint.WriteGGUF(b.Context(), filepath.Join(dir, "m.gguf"), checkpoint.Spec{Config: *config, Format: kernels.Q4_K}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
