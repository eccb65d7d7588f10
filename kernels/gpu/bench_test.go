package gpu_test

import (
	"testing"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/openelm"
)

// BenchmarkGenerate is the same for a token of a text whose tokens the GPU chooses,
// each pass committed while the one before runs.
func BenchmarkGenerate(b *testing.B) {
	sim, backend := open(b)
	sim.Set(b, "execute", "0")
	m, _ := model(b, backend, config(b, "270M"), kernels.BF16)
	s := session(b, m, 1000)
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range s.Generate(b.Context(), []int32{1}, &openelm.GenerateOptions{IgnoreEOS: true}) {
			if err != nil {
				b.Fatal(err)
			}
		}
		if err := s.Truncate(0); err != nil {
			b.Fatal(err)
		}
	}
	tokens := float64(999 * b.N)
	b.ReportMetric(float64(b.Elapsed().Microseconds())/tokens, "µs/tok")
}

// BenchmarkToken is what the CPU does for a token of the 270M: record, encode,
// commit and wait. The simulator leaves the GPU's work out; a Mac does it.
func BenchmarkToken(b *testing.B) {
	sim, backend := open(b)
	sim.Set(b, "execute", "0")
	cfg := config(b, "270M")
	m, _ := model(b, backend, cfg, kernels.BF16)
	s := session(b, m, 1000)
	before := backend.Stats()
	b.ReportAllocs()
	for b.Loop() {
		if s.Len() == 1000 {
			if err := s.Truncate(0); err != nil {
				b.Fatal(err)
			}
		}
		if err := s.Append(b.Context(), 1); err != nil {
			b.Fatal(err)
		}
	}
	n := float64(b.N)
	after := backend.Stats()
	b.ReportMetric(float64(after.Dispatches-before.Dispatches)/n, "dispatch/tok")
	b.ReportMetric(float64((after.GPUTime-before.GPUTime).Microseconds())/n, "GPU-µs/tok")
}
