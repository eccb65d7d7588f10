package loader_test

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/loader/safetensors"
	"github.com/go-openelm/go-openelm/openelm"
)

const goldenDir = "../testdata/golden"

// packs are the reference models by name.
func packs(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(goldenDir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if len(names) == 0 {
		t.Fatal("no reference packs")
	}
	return names
}

// packPath is what to open for a pack.
func packPath(name string) string {
	dir := filepath.Join(goldenDir, name)
	if file := filepath.Join(dir, "model.gguf"); exists(file) {
		return file
	}
	return dir
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// golden reads values of a pack's golden.safetensors.
type golden struct {
	t *testing.T
	h *safetensors.Header
	f *os.File
}

func openGolden(t *testing.T, pack string) golden {
	t.Helper()
	f, err := os.Open(filepath.Join(goldenDir, pack, "golden.safetensors"))
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
	return golden{t, h, f}
}

func (g golden) raw(name string, want safetensors.DType) ([]byte, []int) {
	g.t.Helper()
	for _, e := range g.h.Tensors {
		if e.Name != name {
			continue
		}
		if e.DType != want {
			g.t.Fatalf("%s is %s", name, e.DType)
		}
		data := make([]byte, e.Size)
		if _, err := g.f.ReadAt(data, e.Offset); err != nil {
			g.t.Fatal(err)
		}
		return data, e.Shape
	}
	g.t.Fatalf("no %s", name)
	return nil, nil
}

func (g golden) floats(name string) []float32 {
	data, _ := g.raw(name, safetensors.F32)
	out := make([]float32, len(data)/4)
	kernels.Widen(out, data, kernels.F32)
	return out
}

func (g golden) ints(name string) []int32 {
	var out []int32
	data, _ := g.raw(name, safetensors.I32)
	for _, f := range func() []float32 {
		v := make([]float32, len(data)/4)
		kernels.Widen(v, data, kernels.F32)
		return v
	}() {
		out = append(out, int32(math.Float32bits(f)))
	}
	return out
}

// f32Tolerance is the pack's bound on logits in float32 arithmetic.
func f32Tolerance(t *testing.T, pack string) float64 {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(goldenDir, pack, "metadata.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Tolerance struct {
			F32 struct{ Max float64 }
		} `json:"tolerance_logit"`
	}
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	if m.Tolerance.F32.Max == 0 {
		t.Fatalf("%s gives no float32 tolerance", pack)
	}
	return m.Tolerance.F32.Max
}

// checkLogits runs p0 through a session and compares the last logits.
func checkLogits(t *testing.T, pack string, s *openelm.Session) {
	t.Helper()
	g := openGolden(t, pack)
	ids := g.ints("p0.input_ids")
	if err := s.Append(t.Context(), ids...); err != nil {
		t.Fatal(err)
	}
	got, all := s.Logits(), g.floats("p0.logits")
	want := all[len(all)-len(got):]
	worst := 0.0
	for i := range want {
		worst = max(worst, math.Abs(float64(got[i]-want[i])))
	}
	if bound := f32Tolerance(t, pack); !(worst <= bound) {
		t.Errorf("logits differ by %.3g, allowed %.3g", worst, bound)
	}
}

func TestOpenGolden(t *testing.T) {
	for _, pack := range packs(t) {
		if exists(filepath.Join(goldenDir, pack, "adapter")) {
			continue // TestOpenAdapterGolden
		}
		t.Run(pack, func(t *testing.T) {
			m, err := loader.Open(context.Background(), packPath(pack), &loader.Options{NoTokenizer: true})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			s, err := m.NewSession(nil)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			checkLogits(t, pack, s)
		})
	}
}

// TestOpenAdapterGolden checks each adapter's logits, and that attaching it
// leaves the base model as it is.
func TestOpenAdapterGolden(t *testing.T) {
	for _, pack := range packs(t) {
		dir := filepath.Join(goldenDir, pack, "adapter")
		if !exists(dir) {
			continue
		}
		t.Run(pack, func(t *testing.T) {
			m, err := loader.Open(t.Context(), packPath(pack), &loader.Options{NoTokenizer: true})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			a, err := loader.OpenAdapter(t.Context(), dir, m, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer a.Release()
			s, err := m.NewSession(&openelm.SessionOptions{Adapter: a})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			checkLogits(t, pack, s)
		})
	}
}
