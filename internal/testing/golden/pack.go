// Package golden holds a backend, and everything between a checkpoint and its
// logits, to the reference packs in testdata/golden.
package golden

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader/safetensors"
)

// Pack is one reference model with its inputs and outputs; testdata/README.md
// says how they were made.
type Pack struct {
	Name string
	Dir  string

	// MaxLogit and RMSLogit bound the differences of logits computed in
	// float32; MaxHidden those of the residual stream, by the same rule: five
	// times the worst reference. MaxHidden is 0 for packs without hidden states.
	MaxLogit, RMSLogit, MaxHidden float64

	tensors map[string][]byte
}

// Prompts are the prefixes of a pack's tensors.
var Prompts = []string{"p0", "p1", "p2"}

// Packs reads all packs.
func Packs(t testing.TB) []*Pack {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(file), "..", "..", "..", "testdata", "golden")
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	var packs []*Pack
	for _, e := range entries {
		packs = append(packs, read(t, filepath.Join(root, e.Name())))
	}
	return packs
}

func read(t testing.TB, dir string) *Pack {
	t.Helper()
	p := &Pack{Name: filepath.Base(dir), Dir: dir, tensors: map[string][]byte{}}
	meta, err := os.ReadFile(filepath.Join(dir, "metadata.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Tolerance struct {
			F32 struct{ Max, RMS float64 }
		} `json:"tolerance_logit"`
		Measured []struct {
			Arithmetic string
			MaxHidden  float64 `json:"max_abs_hidden"`
		} `json:"measured_against_golden"`
	}
	if err := json.Unmarshal(meta, &m); err != nil {
		t.Fatal(err)
	}
	p.MaxLogit, p.RMSLogit = m.Tolerance.F32.Max, m.Tolerance.F32.RMS
	for _, r := range m.Measured {
		if r.Arithmetic == "f32" {
			p.MaxHidden = max(p.MaxHidden, 5*r.MaxHidden)
		}
	}
	if p.MaxLogit == 0 || p.RMSLogit == 0 {
		t.Fatalf("%s: metadata.json lacks a float32 tolerance", p.Name)
	}
	data, err := os.ReadFile(filepath.Join(dir, "golden.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(dir, "golden.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h, err := safetensors.ReadHeader(f, int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range h.Tensors {
		p.tensors[e.Name] = data[e.Offset : e.Offset+e.Size]
	}
	return p
}

// Path is what to open: the pack's directory or GGUF file.
func (p *Pack) Path() string {
	gguf := filepath.Join(p.Dir, "model.gguf")
	if _, err := os.Stat(gguf); errors.Is(err, fs.ErrNotExist) {
		return p.Dir
	}
	return gguf
}

// Adapter is the pack's adapter directory, or "".
func (p *Pack) Adapter() string {
	dir := filepath.Join(p.Dir, "adapter")
	if _, err := os.Stat(dir); err != nil {
		return ""
	}
	return dir
}

// Floats is a float32 tensor of the pack, nil if it has none of that name.
func (p *Pack) Floats(name string) []float32 {
	data := p.tensors[name]
	out := make([]float32, len(data)/4)
	kernels.Widen(out, data, kernels.F32)
	return out
}

// Ints is an int32 tensor of the pack.
func (p *Pack) Ints(name string) []int32 {
	data := p.tensors[name]
	out := make([]int32, len(data)/4)
	for i := range out {
		out[i] = int32(uint32(data[4*i]) | uint32(data[4*i+1])<<8 | uint32(data[4*i+2])<<16 | uint32(data[4*i+3])<<24)
	}
	return out
}
