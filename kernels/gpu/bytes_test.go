package gpu_test

import (
	"testing"

	"github.com/go-openelm/go-openelm/kernels"
)

// TestBytesPerToken counts what the kernels read and write for one token of the
// 270M: every weight once and next to nothing else.
//
// Unique bytes count each byte once for a dispatch, which is what memory has to
// deliver as long as x, a few kilobytes, stays in a cache. Arguments, which come
// with the commands, are not counted.
func TestBytesPerToken(t *testing.T) {
	const cached = 64
	for _, format := range []kernels.Format{kernels.BF16, kernels.Q8_0, kernels.Q4_0} {
		t.Run(format.String(), func(t *testing.T) {
			sim, b := open(t)
			if !sim.Simulated() {
				t.Skip("the GPU does not count bytes")
			}
			sim.Set(t, "mode", "count")
			sim.Set(t, "coverage", "0")
			cfg := config(t, "270M")
			m, weights := model(t, b, cfg, format)
			s := session(t, m, 128)
			sim.Set(t, "execute", "0") // the cache's contents do not matter
			if err := s.Append(t.Context(), make([]int32, cached)...); err != nil {
				t.Fatal(err)
			}
			sim.Set(t, "execute", "1")
			sim.Reset()
			if err := s.Append(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			counters := sim.Counters()
			got, args := counters.Bytes, counters.Labels["setBytes"]
			ideal := float64(weights) + float64(cached+1)*float64(cfg.CacheBytes())
			unique := float64(got.UniqueRead+got.UniqueWritten-args.UniqueRead) / ideal
			t.Logf("%.1f MB of weights and cache; %.4f of that", ideal/1e6, unique)
			if unique > 1.02 {
				t.Errorf("%.4f of the ideal, want at most 1.02", unique)
			}
			if unique < 1 {
				t.Errorf("%.4f of the weights: some were not read, or the count is wrong", unique)
			}
		})
	}
}
