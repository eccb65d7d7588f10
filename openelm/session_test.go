package openelm_test

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/go-openelm/go-openelm/kernels/cpu"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
	"pgregory.net/rapid"
)

// openPack opens a reference model on a CPU backend of its own.
func openPack(t testing.TB, name string) *openelm.Model {
	t.Helper()
	m, err := loader.Open(t.Context(), filepath.Join("..", "testdata", "golden", name), &loader.Options{NoTokenizer: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func newSession(t testing.TB, m *openelm.Model, capacity int) *openelm.Session {
	t.Helper()
	s, err := m.NewSession(&openelm.SessionOptions{Capacity: capacity})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// near reports the largest difference of two predictions.
func near(a, b []float32) float64 {
	if len(a) == 0 || len(a) != len(b) {
		return math.Inf(1)
	}
	d := 0.0
	for i := range a {
		d = max(d, math.Abs(float64(a[i])-float64(b[i])))
	}
	return d
}

// rounding is what the order of float32 sums may change in a logit.
const rounding = 1e-4

// TestSessionEdits holds sessions that were appended to, truncated, forked and
// stepped, in any order, to fresh sessions with the same text.
func TestSessionEdits(t *testing.T) {
	m := openPack(t, "tiny-f32")
	vocab := int32(m.Config().VocabSize)
	rapid.Check(t, func(r *rapid.T) {
		const capacity = 48
		tokens := rapid.SliceOfN(rapid.Int32Range(0, vocab-1), 0, 9)
		fresh := func() *openelm.Session {
			s, err := m.NewSession(&openelm.SessionOptions{Capacity: capacity})
			if err != nil {
				r.Fatal(err)
			}
			return s
		}
		sessions := []*openelm.Session{fresh()}
		texts := [][]int32{nil}
		defer func() {
			for _, s := range sessions {
				s.Close()
			}
		}()
		do := func(err error) {
			if err != nil {
				r.Fatal(err)
			}
		}
		r.Repeat(map[string]func(*rapid.T){
			"append": func(r *rapid.T) {
				i := rapid.IntRange(0, len(sessions)-1).Draw(r, "session")
				add := tokens.Draw(r, "tokens")
				err := sessions[i].Append(t.Context(), add...)
				if len(texts[i])+len(add) > capacity {
					if !errors.Is(err, openelm.ErrContextFull) {
						r.Fatalf("got error %v, want ErrContextFull", err)
					}
					return
				}
				do(err)
				texts[i] = append(texts[i], add...)
			},
			"push": func(r *rapid.T) {
				i := rapid.IntRange(0, len(sessions)-1).Draw(r, "session")
				if len(texts[i]) == capacity {
					return
				}
				do(sessions[i].Push(7))
				texts[i] = append(texts[i], 7)
			},
			"truncate": func(r *rapid.T) {
				i := rapid.IntRange(0, len(sessions)-1).Draw(r, "session")
				n := rapid.IntRange(0, len(texts[i])).Draw(r, "n")
				do(sessions[i].Truncate(n))
				texts[i] = texts[i][:n:n]
			},
			"fork": func(r *rapid.T) {
				if len(sessions) == 4 {
					return
				}
				i := rapid.IntRange(0, len(sessions)-1).Draw(r, "session")
				f, err := sessions[i].Fork(nil)
				do(err)
				sessions, texts = append(sessions, f), append(texts, slices.Clone(texts[i]))
			},
			"step": func(r *rapid.T) {
				next := make([]int32, len(sessions))
				for i := range next {
					if len(texts[i]) == capacity {
						return
					}
					next[i] = rapid.Int32Range(0, vocab-1).Draw(r, "token")
				}
				do(openelm.Step(t.Context(), sessions, next))
				for i := range texts {
					texts[i] = append(texts[i], next[i])
				}
			},
			"": func(r *rapid.T) {
				for i, s := range sessions {
					if !slices.Equal(s.Tokens(), texts[i]) {
						r.Fatalf("session %d holds %v, want %v", i, s.Tokens(), texts[i])
					}
				}
			},
		})
		for i, s := range sessions {
			if len(texts[i]) == 0 {
				continue
			}
			do(s.Append(t.Context())) // what was pushed or truncated
			f := fresh()
			do(f.Append(t.Context(), texts[i]...))
			if d := near(s.Logits(), f.Logits()); d > rounding {
				r.Errorf("session %d predicts %.3g off a fresh one", i, d)
			}
			f.Close()
		}
	})
}

// TestForkToAnotherBackend moves a session in the middle of its text.
func TestForkToAnotherBackend(t *testing.T) {
	a, b := openPack(t, "tiny-f32"), openPack(t, "tiny-f32")
	s := newSession(t, a, 32)
	if err := s.Append(t.Context(), 1, 5, 9, 200); err != nil {
		t.Fatal(err)
	}
	f, err := s.Fork(b)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, s := range []*openelm.Session{s, f} {
		if err := s.Append(t.Context(), 17, 3); err != nil {
			t.Fatal(err)
		}
	}
	if f.Model() != b || near(s.Logits(), f.Logits()) > rounding {
		t.Errorf("the fork on model b predicts something else: off by %g", near(s.Logits(), f.Logits()))
	}
	if _, err := s.Fork(openPack(t, "tiny-mha")); !errors.Is(err, openelm.ErrArgument) {
		t.Errorf("forking to another configuration: got error %v, want ErrArgument", err)
	}
}

// TestConcurrentSessions shares a model among goroutines; the race detector
// watches when it is on.
func TestConcurrentSessions(t *testing.T) {
	m := openPack(t, "tiny-f32")
	want := newSession(t, m, 40)
	if err := want.Append(t.Context(), 1, 2, 3); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		s := newSession(t, m, 40)
		wg.Go(func() {
			for range 5 {
				if err := s.Append(t.Context(), 1, 2, 3); err != nil {
					t.Error(err)
				}
				if d := near(s.Logits(), want.Logits()); d > rounding {
					t.Errorf("off by %g", d)
				}
				if err := s.Truncate(0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestAppendCancelled(t *testing.T) {
	m := openPack(t, "tiny-f32")
	s := newSession(t, m, 400)
	if err := s.Append(t.Context(), 1, 2, 3); err != nil {
		t.Fatal(err)
	}
	before := slices.Clone(s.Logits())
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	n := 0
	err := s.AppendEach(ctx, func(int, []float32) error {
		if n++; n == 20 {
			cancel(cause)
		}
		return nil
	}, make([]int32, 300)...)
	if !errors.Is(err, cause) || n >= 300 {
		t.Fatalf("got error %v after %d tokens, want the context's cause early", err, n)
	}
	if s.Len() != 3 || near(s.Logits(), before) != 0 {
		t.Errorf("the session holds %d tokens after a cancelled call, want the 3 from before with their logits", s.Len())
	}
	if err := s.Append(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	fresh := newSession(t, m, 8)
	if err := fresh.Append(t.Context(), 1, 2, 3, 4); err != nil {
		t.Fatal(err)
	}
	if d := near(s.Logits(), fresh.Logits()); d > rounding {
		t.Errorf("after a cancelled call the session predicts %g off", d)
	}
}

func TestSessionMisuse(t *testing.T) {
	m := openPack(t, "tiny-f32")
	s := newSession(t, m, 4)
	ctx := t.Context()
	check := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: got error %v, want %v", what, err, want)
		}
	}
	if s.Logits() != nil {
		t.Error("an empty session has logits")
	}
	check("no such token", s.Append(ctx, -1), openelm.ErrToken)
	check("no such token", s.Append(ctx, int32(m.Config().VocabSize)), openelm.ErrToken)
	check("too many", s.Append(ctx, 1, 2, 3, 4, 5), openelm.ErrContextFull)
	check("truncating more", s.Truncate(1), openelm.ErrArgument)
	check("truncating less", s.Truncate(-1), openelm.ErrArgument)
	check("step without sessions", openelm.Step(ctx, nil, nil), openelm.ErrArgument)
	check("step twice the same", openelm.Step(ctx, []*openelm.Session{s, s}, []int32{1, 2}), openelm.ErrBusy)
	check("step to another model", openelm.Step(ctx, []*openelm.Session{s, newSession(t, openPack(t, "tiny-mha"), 4)}, []int32{1, 2}), openelm.ErrArgument)
	if s.Len() != 0 {
		t.Errorf("refused calls left %d tokens", s.Len())
	}
	for _, err := range s.Generate(ctx, nil, nil) {
		check("generating from nothing", err, openelm.ErrEmpty)
	}
	for _, err := range s.Generate(ctx, []int32{1, 2, 3, 4}, nil) {
		check("no room", err, openelm.ErrContextFull)
	}
	for _, err := range s.Generate(ctx, []int32{1}, &openelm.GenerateOptions{Stop: []string{"x"}}) {
		check("stop strings without a tokenizer", err, openelm.ErrNoTokenizer)
	}
	for _, err := range m.Generate(ctx, "x", nil) {
		check("text without a tokenizer", err, openelm.ErrNoTokenizer)
	}
	err := s.AppendEach(ctx, func(int, []float32) error {
		check("using a busy session", s.Append(ctx, 1), openelm.ErrBusy)
		check("closing a busy session", s.Close(), openelm.ErrBusy)
		return nil
	}, 1)
	check("append", err, nil)
	_, err = m.NewSession(&openelm.SessionOptions{Capacity: -1})
	check("negative capacity", err, openelm.ErrArgument)
	check("close", s.Close(), nil)
	check("close again", s.Close(), nil)
	check("use after close", s.Append(ctx, 1), openelm.ErrClosed)
}

// TestGenerateSteps holds a generation to the session's own predictions.
func TestGenerateSteps(t *testing.T) {
	m := openPack(t, "tiny-f32")
	s := newSession(t, m, 40)
	o := &openelm.GenerateOptions{Sampling: openelm.Sampling{Temperature: 1, TopP: 0.9, Seed: 3}, MaxTokens: 12, TopLogProbs: 3, IgnoreEOS: true}
	var got []openelm.Token
	for tok, err := range s.Generate(t.Context(), []int32{1, 2}, o) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, tok)
	}
	if len(got) != 12 || got[11].Stop != openelm.StopLength || got[10].Stop != "" {
		t.Fatalf("got %d tokens, the last stops for %q", len(got), got[len(got)-1].Stop)
	}
	check := newSession(t, m, 40)
	if err := check.Append(t.Context(), 1, 2); err != nil {
		t.Fatal(err)
	}
	sampler, err := openelm.NewSampler(o.Sampling, m.Config().VocabSize)
	if err != nil {
		t.Fatal(err)
	}
	for i, tok := range got {
		if want, err := sampler.Sample(check.Logits(), check.Tokens(), 2); err != nil || tok.ID != want {
			t.Fatalf("token %d is %d, want %d (error %v)", i, tok.ID, want, err)
		}
		sum := 0.0
		for _, l := range check.Logits() {
			sum += math.Exp(float64(l))
		}
		if want := float64(check.Logits()[tok.ID]) - math.Log(sum); math.Abs(float64(tok.LogProb)-want) > rounding {
			t.Errorf("token %d: log-probability %v, want %v", i, tok.LogProb, want)
		}
		best := slices.Max(check.Logits())
		if len(tok.Top) != 3 || check.Logits()[tok.Top[0].ID] != best || tok.Top[0].LogProb < tok.Top[1].LogProb || tok.Top[1].LogProb < tok.Top[2].LogProb {
			t.Errorf("token %d: top %v", i, tok.Top)
		}
		if err := check.Append(t.Context(), tok.ID); err != nil {
			t.Fatal(err)
		}
	}
	// The last token was not evaluated yet; the next call makes up for it.
	if err := s.Append(t.Context(), 9); err != nil {
		t.Fatal(err)
	}
	if err := check.Append(t.Context(), 9); err != nil {
		t.Fatal(err)
	}
	if d := near(s.Logits(), check.Logits()); !slices.Equal(s.Tokens(), check.Tokens()) || d > rounding {
		t.Errorf("after the generation the session is off by %g", d)
	}
}

func TestGenerateEnds(t *testing.T) {
	m := openPack(t, "tiny-f32")
	ctx := t.Context()
	t.Run("when the loop is left", func(t *testing.T) {
		s := newSession(t, m, 40)
		for range s.Generate(ctx, []int32{1}, nil) {
			break
		}
		if s.Len() != 2 {
			t.Errorf("the session holds %d tokens, want the prompt and one more", s.Len())
		}
		if err := s.Append(ctx, 3); err != nil {
			t.Errorf("the session is not usable after the loop: %v", err)
		}
	})
	t.Run("when the session is full", func(t *testing.T) {
		s := newSession(t, m, 5)
		var last openelm.Token
		n := 0
		for tok, err := range s.Generate(ctx, []int32{1, 2}, &openelm.GenerateOptions{IgnoreEOS: true}) {
			if err != nil {
				t.Fatal(err)
			}
			last = tok
			n++
		}
		if n != 3 || last.Stop != openelm.StopLength {
			t.Errorf("%d tokens, the last stops for %q; want 3 and length", n, last.Stop)
		}
	})
	t.Run("at an end-of-text token", func(t *testing.T) {
		s := newSession(t, m, 40)
		eos := m.Config().EOS[0]
		o := &openelm.GenerateOptions{Sampling: openelm.Sampling{LogitBias: map[int32]float32{eos: 100}}}
		for tok, err := range s.Generate(ctx, []int32{1}, o) {
			if err != nil || tok.ID != eos || tok.Stop != openelm.StopEOS {
				t.Errorf("got %+v, error %v", tok, err)
			}
		}
	})
	t.Run("when the context is cancelled", func(t *testing.T) {
		s := newSession(t, m, 400)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var err error
		n := 0
		for _, err = range s.Generate(ctx, []int32{1}, &openelm.GenerateOptions{IgnoreEOS: true}) {
			if n++; n == 3 {
				cancel()
			}
		}
		if !errors.Is(err, context.Canceled) || n != 4 {
			t.Errorf("error %v after %d elements, want context.Canceled as the fourth", err, n)
		}
	})
}

func TestScore(t *testing.T) {
	m := openPack(t, "tiny-f32")
	text := []int32{1, 40, 300, 12, 7, 7, 255, 9}
	logProbs := func(s *openelm.Session, tokens []int32) (ids []int32, lp []float64) {
		for tok, err := range s.Score(t.Context(), tokens, 0) {
			if err != nil {
				t.Fatal(err)
			}
			ids, lp = append(ids, tok.ID), append(lp, float64(tok.LogProb))
		}
		return ids, lp
	}
	ids, whole := logProbs(newSession(t, m, 8), text)
	if !slices.Equal(ids, text[1:]) {
		t.Fatalf("scored %v, want all but the first of %v", ids, text)
	}
	check := newSession(t, m, 8)
	for i, id := range text {
		if i > 0 {
			sum := 0.0
			for _, l := range check.Logits() {
				sum += math.Exp(float64(l))
			}
			if want := float64(check.Logits()[id]) - math.Log(sum); math.Abs(whole[i-1]-want) > rounding {
				t.Errorf("token %d: %v, want %v", i, whole[i-1], want)
			}
		}
		if err := check.Append(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	// In two parts, the first evaluated, pushed, or half of each.
	for _, pushed := range []int{0, 1, 3} {
		s := newSession(t, m, 8)
		if err := s.Append(t.Context(), text[:3-pushed]...); err != nil {
			t.Fatal(err)
		}
		if err := s.Push(text[3-pushed : 3]...); err != nil {
			t.Fatal(err)
		}
		ids, part := logProbs(s, text[3:])
		if !slices.Equal(ids, text[3:]) {
			t.Fatalf("%d pushed: scored %v, want %v", pushed, ids, text[3:])
		}
		for i := range part {
			if math.Abs(part[i]-whole[i+2]) > rounding {
				t.Errorf("%d pushed: token %d is %v, in one piece %v", pushed, i, part[i], whole[i+2])
			}
		}
	}
	// Leaving early takes the tokens back.
	s := newSession(t, m, 8)
	for range s.Score(t.Context(), text, 0) {
		break
	}
	if s.Len() != 0 {
		t.Errorf("a loop left early leaves %d tokens", s.Len())
	}
}

// TestStepAllocations pins the hot path: decoding allocates nothing.
func TestStepAllocations(t *testing.T) {
	b := cpu.New(cpu.Options{Threads: 2})
	defer b.Close()
	m, err := loader.Open(t.Context(), "../testdata/golden/tiny-bf16", &loader.Options{Backend: b, NoTokenizer: true})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	s := newSession(t, m, 200)
	ctx := t.Context()
	if err := s.Append(ctx, 1, 2, 3); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		if err := s.Append(ctx, 5); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("decoding a token allocates %v times", n)
	}
}

// TestGenerateAllocations pins the hot path of generating: tokens cost nothing,
// however many, with all that can be asked for but text and lists.
func TestGenerateAllocations(t *testing.T) {
	b := cpu.New(cpu.Options{Threads: 2})
	defer b.Close()
	m, err := loader.Open(t.Context(), "../testdata/golden/tiny-bf16", &loader.Options{Backend: b, NoTokenizer: true})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	s := newSession(t, m, 400)
	allocations := func(tokens int) float64 {
		o := &openelm.GenerateOptions{
			Sampling:  openelm.Sampling{Temperature: 1, TopK: 40, TopP: 0.9, RepetitionPenalty: 1.1},
			MaxTokens: tokens, IgnoreEOS: true, LogProbs: true, Lookup: true,
		}
		return testing.AllocsPerRun(3, func() {
			if err := s.Truncate(0); err != nil {
				t.Fatal(err)
			}
			for _, err := range s.Generate(t.Context(), []int32{1, 2, 3}, o) {
				if err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	// Maps of counts and lists of tokens grow by doubling.
	if few, many := allocations(20), allocations(120); many > few+20 {
		t.Errorf("20 tokens allocate %v times, 120 tokens %v times", few, many)
	}
}
