package openelm_test

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/openelm"
)

var (
	nan = float32(math.NaN())
	inf = float32(math.Inf(1))
)

// TestTinyTemperatures: as the temperature goes to 0 the choice becomes the most
// probable token, and never anything else.
func TestTinyTemperatures(t *testing.T) {
	for _, temperature := range []float32{1e-37, 1e-40, math.SmallestNonzeroFloat32} {
		for _, filters := range []openelm.Sampling{{}, {TopK: 2}, {TopP: 0.9}, {MinP: 0.1}} {
			for _, c := range []struct {
				logits []float32
				want   int32
			}{
				{[]float32{1, 2, 5, -3}, 2}, {[]float32{-1, -2, -5, -3}, 0}, {[]float32{100, 99, -50}, 0},
				{[]float32{-math.MaxFloat32, math.MaxFloat32}, 1},
			} {
				filters.Temperature = temperature
				s, err := openelm.NewSampler(filters, len(c.logits))
				if err != nil {
					t.Fatal(err)
				}
				for range 20 {
					if got, err := s.Sample(c.logits, nil, 0); err != nil || got != c.want {
						t.Fatalf("%+v over %v: token %d, error %v, want %d", filters, c.logits, got, err, c.want)
					}
				}
			}
		}
	}
}

// TestExtremeOptions: whatever the options, a token that is not banned is drawn.
func TestExtremeOptions(t *testing.T) {
	logits := []float32{3, -3, 0, math.MaxFloat32, -math.MaxFloat32}
	text := []int32{0, 1, 2, 3, 4, 4}
	for _, o := range []openelm.Sampling{
		{RepetitionPenalty: math.SmallestNonzeroFloat32}, {RepetitionPenalty: math.MaxFloat32},
		{PresencePenalty: math.MaxFloat32, FrequencyPenalty: math.MaxFloat32}, {PresencePenalty: -math.MaxFloat32, FrequencyPenalty: -math.MaxFloat32},
		{LogitBias: map[int32]float32{0: math.MaxFloat32, 3: math.MaxFloat32, 1: -inf}},
		{TopP: math.SmallestNonzeroFloat32}, {MinP: math.SmallestNonzeroFloat32}, {TopK: math.MaxInt},
	} {
		for _, o.Temperature = range []float32{0, math.SmallestNonzeroFloat32, 1, math.MaxFloat32} {
			s, err := openelm.NewSampler(o, len(logits))
			if err != nil {
				t.Fatal(err)
			}
			if id, err := s.Sample(logits, text, 0); err != nil && !errors.Is(err, openelm.ErrNoChoice) || id == 1 && o.LogitBias != nil {
				t.Errorf("%+v: token %d, error %v", o, id, err)
			}
			d, err := s.Distribution(logits, text, 0)
			for _, p := range d {
				if p.LogProb != p.LogProb {
					t.Errorf("%+v: %v (error %v)", o, d, err)
					break
				}
			}
		}
	}
	banned := openelm.Sampling{LogitBias: map[int32]float32{0: -inf, 1: -inf}}
	s, err := openelm.NewSampler(banned, 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sample([]float32{1, 2}, nil, 0); !errors.Is(err, openelm.ErrNoChoice) {
		t.Errorf("everything is banned: got error %v, want ErrNoChoice", err)
	}
}

func TestSampleNotFinite(t *testing.T) {
	for _, c := range []struct {
		logits []float32
		token  int32
	}{{[]float32{nan, 1, 5, 2}, 0}, {[]float32{nan, nan}, 0}, {[]float32{1, inf, 5, 2}, 1}, {[]float32{1, 2, -inf}, 2}} {
		for _, temperature := range []float32{0, 0.7} {
			s, err := openelm.NewSampler(openelm.Sampling{Temperature: temperature}, len(c.logits))
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Sample(c.logits, []int32{0, 0, 0}, 0)
			var e *openelm.LogitError
			if !errors.As(err, &e) || e.Position != 3 || e.Token != c.token {
				t.Errorf("%v: got error %v, want a LogitError for position 3, token %d", c.logits, err, c.token)
			}
		}
	}
}

// TestNotFinitePredictions damages a weight so that everything after some
// position is not a number.
func TestNotFinitePredictions(t *testing.T) {
	m := openPack(t, "tiny-f32")
	w := &m.Weights().Embedding
	row := make([]float32, w.Cols)
	for i := range row {
		row[i] = inf
	}
	const damaged = 77
	data := memory(slices.Clone(w.Data.Bytes()))
	w.Data = kernels.Whole(data) // the file is mapped read-only
	copy(w.Data.Floats()[damaged*w.Cols:], row)

	want := func(how string, err error, position int) {
		t.Helper()
		var e *openelm.LogitError
		if !errors.As(err, &e) || e.Position != position {
			t.Errorf("%s: got error %v, want a LogitError for position %d", how, err, position)
		}
	}
	var last error
	for _, last = range newSession(t, m, 20).Generate(t.Context(), []int32{1, 2, damaged}, &openelm.GenerateOptions{IgnoreEOS: true}) {
	}
	want("generating", last, 3)
	s := newSession(t, m, 20)
	if err := s.Append(t.Context(), 1, 2); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, last = range s.Score(t.Context(), []int32{damaged, 4, 5}, 0) {
		n++
	}
	want("scoring", last, 3)
	if n != 2 || s.Len() != 2 {
		t.Errorf("scoring yielded %d elements and left %d tokens, want the damaged token, the error, and 2", n, s.Len())
	}
}
