package bench

import (
	"math"
	"slices"
)

// Summary describes repeated measurements by what outliers hardly move: a
// machine that does something else for a moment makes one sample slow, and a
// mean with it.
type Summary struct {
	N      int     `json:"n"`
	Median float64 `json:"median"`
	MAD    float64 `json:"mad"` // median absolute deviation from the median
	Q1     float64 `json:"q1"`  // quartiles
	Q3     float64 `json:"q3"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// summarize describes samples; the zero Summary if there are none.
func summarize(samples []float64) Summary {
	if len(samples) == 0 {
		return Summary{}
	}
	s := slices.Clone(samples)
	slices.Sort(s)
	sum := Summary{
		N: len(s), Median: quantile(s, 0.5), Q1: quantile(s, 0.25), Q3: quantile(s, 0.75), Min: s[0], Max: s[len(s)-1],
	}
	for i, v := range s {
		s[i] = math.Abs(v - sum.Median)
	}
	slices.Sort(s)
	sum.MAD = quantile(s, 0.5)
	return sum
}

// quantile interpolates linearly between order statistics of sorted: type 7 of
// Hyndman and Fan (1996), the default of R and NumPy.
func quantile(sorted []float64, p float64) float64 {
	h := p * float64(len(sorted)-1)
	low := int(h)
	if low == len(sorted)-1 {
		return sorted[low]
	}
	return sorted[low] + (h-float64(low))*(sorted[low+1]-sorted[low])
}

// ratios pairs samples of the same repetition, which ran one shortly after the
// other: what slows the machine slows both, and falls out of the quotient.
func ratios(a, b []float64) []float64 {
	n := min(len(a), len(b))
	r := make([]float64, 0, n)
	for i := range n {
		if b[i] > 0 {
			r = append(r, a[i]/b[i])
		}
	}
	return r
}
