package openelm

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// distribution is what a Sampling should draw from, straight from its
// definition: every step on the whole vocabulary, in float64.
func distribution(o Sampling, logits []float32, text []int32, prompt int) map[int32]float64 {
	z := make([]float64, len(logits))
	for i, l := range logits {
		z[i] = float64(l) + float64(o.LogitBias[int32(i)])
	}
	window := text
	if o.PenaltyWindow > 0 && len(text) > o.PenaltyWindow {
		window = text[len(text)-o.PenaltyWindow:]
	}
	generated := window[min(len(window), max(0, prompt-(len(text)-len(window)))):]
	for i := range z {
		if r := float64(o.RepetitionPenalty); r != 0 && slices.Contains(window, int32(i)) {
			if z[i] > 0 {
				z[i] /= r
			} else {
				z[i] *= r
			}
		}
		n := 0
		for _, t := range generated {
			if t == int32(i) {
				n++
			}
		}
		if n > 0 {
			z[i] -= float64(o.PresencePenalty) + float64(n)*float64(o.FrequencyPenalty)
		}
	}
	ids := make([]int32, len(z))
	for i := range ids {
		ids[i] = int32(i)
	}
	slices.SortStableFunc(ids, func(a, b int32) int { return cmp.Compare(z[b], z[a]) })
	if o.Temperature == 0 {
		return map[int32]float64{ids[0]: 1}
	}
	weight := func(id int32) float64 { return math.Exp((z[id] - z[ids[0]]) / float64(o.Temperature)) }
	total := func(ids []int32) (t float64) {
		for _, id := range ids {
			t += weight(id)
		}
		return t
	}
	if o.TopK > 0 && o.TopK < len(ids) {
		ids = ids[:o.TopK]
	}
	if o.TopP > 0 && o.TopP < 1 {
		all, sum, n := total(ids), 0.0, 0
		for n < len(ids) && sum < float64(o.TopP) {
			sum += weight(ids[n]) / all
			n++
		}
		ids = ids[:n]
	}
	ids = slices.DeleteFunc(slices.Clone(ids), func(id int32) bool { return weight(id) == 0 || weight(id) < float64(o.MinP) })
	p := map[int32]float64{}
	all := total(ids)
	for _, id := range ids {
		p[id] = weight(id) / all
	}
	return p
}

// drawSampling draws options; no threshold is a value that sums of simple
// fractions hit exactly, where rounding would decide.
func drawSampling(r *rapid.T, vocab int) Sampling {
	option := func(name string, values ...float32) float32 { return rapid.SampledFrom(values).Draw(r, name) }
	o := Sampling{
		Temperature:       option("temperature", 0, 0.3, 0.7, 1, 2),
		TopK:              rapid.IntRange(0, vocab+2).Draw(r, "topK"),
		TopP:              option("topP", 0, 0.1237, 0.5213, 0.9307, 1),
		MinP:              option("minP", 0, 0, 0.01301, 0.21007, 1),
		RepetitionPenalty: option("repetition", 0, 0, 1, 1.3),
		PresencePenalty:   option("presence", 0, 0, 0.7, -0.4),
		FrequencyPenalty:  option("frequency", 0, 0, 0.3),
		PenaltyWindow:     rapid.IntRange(0, 6).Draw(r, "window"),
		Seed:              rapid.Uint64().Draw(r, "seed"),
	}
	if rapid.Bool().Draw(r, "bias") {
		o.LogitBias = map[int32]float32{0: float32(math.Inf(-1)), 1: 2.5}
	}
	return o
}

func TestSamplerDistribution(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		vocab := rapid.IntRange(2, 40).Draw(r, "vocab")
		o := drawSampling(r, vocab)
		logits := make([]float32, vocab) // apart by more than rounding, or equal
		for i, n := range rapid.SliceOfN(rapid.IntRange(-400, 400), vocab, vocab).Draw(r, "logits") {
			logits[i] = float32(n) / 64
		}
		text := rapid.SliceOfN(rapid.Int32Range(0, int32(vocab-1)), 0, 12).Draw(r, "text")
		prompt := rapid.IntRange(0, len(text)).Draw(r, "prompt")
		s, err := NewSampler(o, vocab)
		if err != nil {
			r.Fatal(err)
		}
		before := slices.Clone(logits)
		want := distribution(o, logits, text, prompt)
		got, err := s.Distribution(logits, text, prompt)
		if err != nil {
			r.Fatal(err)
		}
		if !slices.Equal(logits, before) {
			r.Fatal("Distribution changed its logits")
		}
		if !slices.IsSortedFunc(got, func(a, b TokenProb) int { return cmp.Compare(b.LogProb, a.LogProb) }) {
			r.Fatalf("not sorted: %v", got)
		}
		difference, sum := 0.0, 0.0
		for _, g := range got {
			p := math.Exp(float64(g.LogProb))
			sum += p
			difference = max(difference, math.Abs(p-want[g.ID]))
		}
		if math.Abs(sum-1) > 1e-4 {
			r.Fatalf("probabilities add up to %v", sum)
		}
		if len(got) != len(want) || difference > 1e-4 {
			r.Fatalf("%+v:\ngot  %v\nwant %v", o, got, want)
		}
		for range 20 {
			if id, err := s.Sample(logits, text, prompt); err != nil || want[id] == 0 {
				r.Fatalf("%+v: drew token %d, which has no probability", o, id)
			}
		}
	})
}

// TestSamplerFrequencies draws often and compares with the distribution: a
// chi-squared statistic of 9 degrees of freedom exceeds 33.7 once in 10,000
// times, and the seed is fixed.
func TestSamplerFrequencies(t *testing.T) {
	logits := []float32{2, 1.5, 1, 0.5, 0, -0.5, -1, -1.5, -2, -2.5}
	for _, o := range []Sampling{
		{Temperature: 1, Seed: 7},
		{Temperature: 0.7, Seed: 8},
		{Temperature: 1, TopK: 10, TopP: 0.9999, Seed: 9},
	} {
		s, err := NewSampler(o, len(logits))
		if err != nil {
			t.Fatal(err)
		}
		const draws = 200_000
		counts := make([]float64, len(logits))
		for range draws {
			id, err := s.Sample(logits, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			counts[id]++
		}
		chi := 0.0
		for id, p := range distribution(o, logits, nil, 0) {
			chi += math.Pow(counts[id]-draws*p, 2) / (draws * p)
		}
		if chi > 33.7 {
			t.Errorf("%+v: chi-squared %.1f, counts %v", o, chi, counts)
		}
	}
}

func TestSamplerSeed(t *testing.T) {
	logits := make([]float32, 1000)
	draw := func(seed uint64) (ids []int32) {
		s, err := NewSampler(Sampling{Temperature: 1, Seed: seed}, len(logits))
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			id, err := s.Sample(logits, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		return ids
	}
	if a, b := draw(1), draw(1); !slices.Equal(a, b) {
		t.Errorf("the same seed drew %v and %v", a, b)
	}
	if a, b := draw(1), draw(2); slices.Equal(a, b) {
		t.Errorf("seeds 1 and 2 both drew %v", a)
	}
}

func TestSamplerRejects(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, o := range []Sampling{
		{Temperature: -1}, {Temperature: nan}, {Temperature: inf}, {TopK: -1}, {TopP: -0.1}, {TopP: 1.1}, {TopP: nan},
		{MinP: -1}, {MinP: 2}, {RepetitionPenalty: -1}, {RepetitionPenalty: inf}, {PresencePenalty: nan},
		{FrequencyPenalty: inf}, {PenaltyWindow: -1}, {LogitBias: map[int32]float32{0: nan}}, {LogitBias: map[int32]float32{0: inf}},
	} {
		if _, err := NewSampler(o, 5); !errors.Is(err, ErrArgument) {
			t.Errorf("%+v: got error %v, want ErrArgument", o, err)
		}
	}
	if _, err := NewSampler(Sampling{LogitBias: map[int32]float32{5: 1}}, 5); !errors.Is(err, ErrToken) {
		t.Errorf("bias outside the vocabulary: got error %v, want ErrToken", err)
	}
}

func BenchmarkSample(b *testing.B) {
	logits := make([]float32, 32000)
	for i := range logits {
		logits[i] = float32(math.Sin(float64(i)*1.7)) * 8
	}
	for name, o := range map[string]Sampling{
		"greedy": {}, "temperature": {Temperature: 1}, "topk": {Temperature: 1, TopK: 40}, "topp": {Temperature: 0.7, TopP: 0.9},
	} {
		b.Run(name, func(b *testing.B) {
			s, err := NewSampler(o, len(logits))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				s.Sample(logits, nil, 0)
			}
		})
	}
}
