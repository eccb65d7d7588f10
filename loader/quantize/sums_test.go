package quantize

import (
	"testing"

	"pgregory.net/rapid"
)

// TestSameSums: vector instructions and Go agree in every bit, also where the
// least and the greatest q cut off, where all q are the same, and far outside.
func TestSameSums(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := 4 * rapid.IntRange(1, 9).Draw(r, "fours")
		numbers := func(name string, low, high float32) []float64 {
			list := make([]float64, n)
			for i := range list {
				list[i] = float64(rapid.Float32Range(low, high).Draw(r, name))
			}
			return list
		}
		g := &group{x: numbers("x", -65504, 65504), w: numbers("w", 0, 1e6), wx: make([]float64, n)}
		g.low, g.high = float64(rapid.SampledFrom([]int{0, -32}).Draw(r, "low")), float64(rapid.SampledFrom([]int{15, 31}).Draw(r, "high"))
		g.prepare()
		scale := rapid.OneOf(rapid.Just(0.0), rapid.Float64Range(-1e5, 1e5), rapid.Float64Range(1e-45, 1e-30)).Draw(r, "scale")
		minimum := rapid.Float64Range(0, 65504).Draw(r, "minimum")
		if got, want := g.add(reciprocal(scale), minimum), g.addPortable(reciprocal(scale), minimum); got != want {
			r.Fatalf("%+v, Go makes it %+v", got, want)
		}
	})
}
