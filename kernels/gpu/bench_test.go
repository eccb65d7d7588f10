package gpu_test

import (
	"testing"

	"github.com/go-openelm/go-openelm/kernels"
)

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
