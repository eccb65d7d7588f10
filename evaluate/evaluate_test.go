package evaluate_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/evaluate"
	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/story"
	"pgregory.net/rapid"
)

func open(t testing.TB) *openelm.Model {
	t.Helper()
	m, err := story.Open(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

const text = "Once upon a time, there was a little fox. It lived in the forest. The capital of France is Paris. "

func encode(t testing.TB, m *openelm.Model, text string) []int32 {
	t.Helper()
	tokens, err := m.Encode(text)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// TestScore: in one window it is what Session.Score says of each token.
func TestScore(t *testing.T) {
	m := open(t)
	tokens := encode(t, m, strings.Repeat(text, 4))
	s, err := m.NewSession(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var sum, squares float64
	for tok, err := range s.Score(t.Context(), tokens, 0) {
		if err != nil {
			t.Fatal(err)
		}
		sum -= float64(tok.LogProb)
		squares += float64(tok.LogProb) * float64(tok.LogProb)
	}
	n := float64(len(tokens) - 1)
	stderr := math.Sqrt((squares/n - sum/n*sum/n) / (n - 1))
	r, err := evaluate.Perplexity(t.Context(), m, tokens, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Tokens != len(tokens)-1 || r.Windows != 1 || math.Abs(r.NLL.Value-sum/n) > 1e-6 || math.Abs(r.NLL.StdErr-stderr) > 1e-6 {
		t.Errorf("%+v, want %g ± %g over %g", r, sum/n, stderr, n)
	}
	if p := r.NLL.Perplexity(); p.Value != math.Exp(r.NLL.Value) || p.StdErr != p.Value*r.NLL.StdErr {
		t.Errorf("perplexity %+v", p)
	}
}

// TestWindows: every token but the first is predicted once, with half a window
// before it.
func TestWindows(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(2, 40).Draw(r, "n")
		tokens := make([]int32, rapid.IntRange(2, 200).Draw(r, "tokens"))
		for i := range tokens {
			tokens[i] = int32(i)
		}
		bos := rapid.SampledFrom([]int32{-1, 0, 7}).Draw(r, "bos")
		var seen []int32
		for i, w := range evaluate.Cut(tokens, n, bos) {
			if len(w.Tokens) > n || w.First < 1 || i > 0 && w.First < n/2 && n > 2 {
				r.Fatalf("window %d of %d tokens predicts from %d on", i, len(w.Tokens), w.First)
			}
			if i > 0 && bos == 0 && w.Tokens[0] != 0 {
				r.Fatalf("window %d begins with %d", i, w.Tokens[0])
			}
			body := w.Tokens
			if bos == 0 {
				body = body[1:]
			}
			for j := 1; j < len(body); j++ {
				if body[j] != body[j-1]+1 {
					r.Fatalf("window %d: %d after %d", i, body[j], body[j-1])
				}
			}
			seen = append(seen, w.Tokens[w.First:]...)
		}
		if !slices.Equal(seen, tokens[1:]) {
			r.Fatalf("%d are predicted", seen)
		}
	})
}

// TestCompare: a model is no distance from itself, and the others are what their
// formulas say.
func TestCompare(t *testing.T) {
	m := open(t)
	tokens := encode(t, m, strings.Repeat(text, 30))
	if len(tokens) <= 512 {
		t.Fatal("one window")
	}
	done := 0
	same, err := evaluate.Compare(t.Context(), m, m, tokens, &evaluate.Options{Progress: func(d, total int) { done = d }})
	if err != nil {
		t.Fatal(err)
	}
	if same.KL.Value > 1e-12 || same.MaxLogit != 0 || same.SameTop != 1 || same.Worse.Value != 0 || same.Tokens != len(tokens)-1 || done != len(tokens)-1 || same.Windows < 2 {
		t.Errorf("from itself: %+v after %d", same, done)
	}
	// A head of half the size gives half of each logit.
	parts := openelm.Parts{Config: *m.Config(), Weights: *m.Weights(), Backend: m.Backend()}
	buf, err := m.Backend().NewBuffer(m.Weights().Norm.Len)
	if err != nil {
		t.Fatal(err)
	}
	defer buf.Release()
	parts.Weights.Norm.Buf, parts.Weights.Norm.Off = buf, 0
	for i, v := range m.Weights().Norm.Floats() {
		parts.Weights.Norm.Floats()[i] = v / 2
	}
	half, err := openelm.New(parts)
	if err != nil {
		t.Fatal(err)
	}
	tokens = tokens[:100]
	got, err := evaluate.Compare(t.Context(), half, m, tokens, nil)
	if err != nil {
		t.Fatal(err)
	}
	var kl, largest, mean, highest float64
	s, err := m.NewSession(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = s.AppendEach(t.Context(), func(i int, logits []float32) error {
		if i == len(tokens)-1 {
			return nil
		}
		zp, zq := 0.0, 0.0
		for _, v := range logits {
			zp += math.Exp(float64(v))
			zq += math.Exp(float64(v) / 2)
			largest = max(largest, math.Abs(float64(v))/2)
			mean += math.Abs(float64(v)) / 2 / float64(len(logits)*(len(tokens)-1))
		}
		here := 0.0
		for _, v := range logits {
			p := math.Exp(float64(v)) / zp
			here += p * (math.Log(p) - float64(v)/2 + math.Log(zq))
		}
		kl += here / float64(len(tokens)-1)
		highest = max(highest, here)
		return nil
	}, tokens...)
	if err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2]float64{
		"KL": {got.KL.Value, kl}, "largest KL": {got.MaxKL, highest}, "largest logit": {got.MaxLogit, largest}, "mean logit": {got.MeanLogit, mean},
		"difference": {got.Worse.Value, got.NLL.Value - got.Other.Value}, "first choices": {got.SameTop, 1},
	} {
		if math.Abs(pair[0]-pair[1]) > 1e-5*(1+math.Abs(pair[1])) {
			t.Errorf("%s is %g, want %g", name, pair[0], pair[1])
		}
	}
}

func TestRefused(t *testing.T) {
	m := open(t)
	tokens := encode(t, m, text)
	for name, c := range map[string]struct {
		tokens  []int32
		context int
	}{"nothing": {nil, 0}, "one token": {tokens[:1], 0}, "no context": {tokens, 1}, "negative": {tokens, -1}, "long": {tokens, 513}} {
		if _, err := evaluate.Perplexity(t.Context(), m, c.tokens, &evaluate.Options{Context: c.context}); !errors.Is(err, openelm.ErrArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := evaluate.Perplexity(t.Context(), m, []int32{1, 1 << 20}, nil); !errors.Is(err, openelm.ErrToken) {
		t.Errorf("no such token: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := evaluate.Compare(ctx, m, m, tokens, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func ExamplePerplexity() {
	ctx := context.Background()
	model, err := story.Open(ctx, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer model.Close()
	for _, text := range []string{"The capital of France is Paris.", "Paris is France the of capital."} {
		tokens, err := model.Encode(text)
		if err != nil {
			fmt.Println(err)
			return
		}
		result, err := evaluate.Perplexity(ctx, model, tokens, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(text, result.NLL.Perplexity().Value < 10)
	}
	// Output:
	// The capital of France is Paris. true
	// Paris is France the of capital. false
}
