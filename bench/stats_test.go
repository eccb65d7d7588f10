package bench

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The wanted values are those of NumPy: np.quantile(x, …), and
// np.median(np.abs(x - np.median(x))).
func TestSummarize(t *testing.T) {
	for _, test := range []struct {
		samples []float64
		want    Summary
	}{
		{nil, Summary{}},
		{[]float64{7}, Summary{N: 1, Median: 7, Q1: 7, Q3: 7, Min: 7, Max: 7}},
		{[]float64{4, 1}, Summary{N: 2, Median: 2.5, MAD: 1.5, Q1: 1.75, Q3: 3.25, Min: 1, Max: 4}},
		{[]float64{9, 1, 2, 3, 100}, Summary{N: 5, Median: 3, MAD: 2, Q1: 2, Q3: 9, Min: 1, Max: 100}},
		{[]float64{1, 1, 2, 2, 4, 6, 9, 10}, Summary{N: 8, Median: 3, MAD: 2, Q1: 1.75, Q3: 6.75, Min: 1, Max: 10}},
	} {
		if diff := cmp.Diff(test.want, summarize(test.samples)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test.samples, diff)
		}
	}
}

func TestSummarizeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		samples := rapid.SliceOfN(rapid.Float64Range(-1e6, 1e6), 1, 40).Draw(t, "samples")
		s := summarize(samples)
		if !(s.Min <= s.Q1 && s.Q1 <= s.Median && s.Median <= s.Q3 && s.Q3 <= s.Max) {
			t.Fatalf("out of order: %+v", s)
		}
		below, above := 0, 0
		for _, v := range samples {
			if v < s.Median {
				below++
			}
			if v > s.Median {
				above++
			}
		}
		if below > len(samples)/2 || above > len(samples)/2 {
			t.Fatalf("%d samples below the median, %d above, of %d", below, above, len(samples))
		}
		// Moving and scaling the samples moves and scales the summary.
		moved := make([]float64, len(samples))
		for i, v := range samples {
			moved[i] = 4*v + 32
		}
		m := summarize(moved)
		if math.Abs(m.Median-(4*s.Median+32)) > 1e-8 || math.Abs(m.MAD-4*s.MAD) > 1e-8 {
			t.Fatalf("%+v became %+v", s, m)
		}
	})
}

func TestRatios(t *testing.T) {
	got := ratios([]float64{2, 9, 8, 1}, []float64{1, 3, 0})
	if diff := cmp.Diff([]float64{2, 3}, got); diff != "" {
		t.Errorf("pairs without a positive base, or without one at all, must be left out:\n%s", diff)
	}
}
