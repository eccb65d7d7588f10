package openelm_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-openelm/go-openelm/openelm"
	"pgregory.net/rapid"
)

// TestSessionIsBusy: a session belongs to a loop from its first token to its end.
func TestSessionIsBusy(t *testing.T) {
	m := fakeModel(t, &fake{})
	s := newSession(t, m, 20)
	for range s.Generate(t.Context(), []int32{1}, &openelm.GenerateOptions{MaxTokens: 3}) {
		for what, err := range map[string]error{
			"Append": s.Append(t.Context(), 1), "Push": s.Push(1), "Truncate": s.Truncate(0), "Close": s.Close(),
			"Step": openelm.Step(t.Context(), []*openelm.Session{s}, []int32{1}), "SetAdapter": s.SetAdapter(nil),
			"Fork": second(s.Fork(nil)), "Rebase": second(s.Rebase(nil)),
		} {
			if !errors.Is(err, openelm.ErrBusy) {
				t.Errorf("%s in the loop: got error %v, want ErrBusy", what, err)
			}
		}
		for _, err := range s.Generate(t.Context(), nil, nil) {
			if !errors.Is(err, openelm.ErrBusy) {
				t.Errorf("Generate in the loop: got error %v, want ErrBusy", err)
			}
		}
	}
	if s.Len() != 4 {
		t.Errorf("the session holds %d tokens, want 4", s.Len())
	}
	if err := s.Append(t.Context()); err != nil {
		t.Errorf("after the loop: %v", err)
	}
}

func TestOptionsThatDoNothing(t *testing.T) {
	m := fakeModel(t, &fake{})
	for _, err := range newSession(t, m, 20).Generate(t.Context(), []int32{1}, &openelm.GenerateOptions{Session: &openelm.SessionOptions{}}) {
		if !errors.Is(err, openelm.ErrArgument) {
			t.Errorf("got error %v, want ErrArgument", err)
		}
	}
}

// TestLogProbsOnDemand: they are there when asked for, either way, and not
// otherwise.
func TestLogProbsOnDemand(t *testing.T) {
	m := fakeModel(t, &fake{})
	for _, c := range []struct{ on, top int }{{0, 0}, {1, 0}, {0, 2}, {1, 2}} {
		for _, tok := range collect(t, newSession(t, m, 20), []int32{1}, &openelm.GenerateOptions{MaxTokens: 3, LogProbs: c.on == 1, TopLogProbs: c.top}) {
			if (tok.LogProb != 0) != (c.on+c.top > 0) || len(tok.Top) != c.top {
				t.Errorf("asked for %d, top %d: %+v", c.on, c.top, tok)
			}
		}
	}
}

// TestModelGenerateCapacity: a model whose context is larger than memory
// generates a few tokens in a session that is large enough for them.
func TestModelGenerateCapacity(t *testing.T) {
	m := fakeModel(t, &fake{largest: 1 << 16})
	n := 0
	for _, err := range m.Generate(t.Context(), "once", &openelm.GenerateOptions{MaxTokens: 5}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 5 {
		t.Errorf("%d tokens, want 5", n)
	}
	for _, err := range m.Generate(t.Context(), "once", nil) {
		if want := "openelm: not enough memory: a KV cache for 4096 tokens needs 65536 bytes: no memory"; !errors.Is(err, openelm.ErrMemory) || err.Error() != want {
			t.Errorf("got error %v, want %q", err, want)
		}
	}
}

// alternate allows even and odd tokens in turn.
type alternate struct {
	odd      bool
	accepted []int32
	err      error
}

func (a *alternate) Mask(allowed []uint64) {
	for i := range allowed {
		if allowed[i] != 0 {
			panic("a mask that is not clear")
		}
		allowed[i] = 0x5555555555555555
		if a.odd {
			allowed[i] <<= 1
		}
	}
}

func (a *alternate) Accept(token int32) error {
	a.accepted = append(a.accepted, token)
	a.odd = !a.odd
	return a.err
}

func TestConstraint(t *testing.T) {
	m := fakeModel(t, &fake{})
	for _, lookup := range []bool{false, true} {
		for _, temperature := range []float32{0, 1} {
			a := &alternate{}
			tokens := ids(collect(t, newSession(t, m, 300), []int32{1, 2}, &openelm.GenerateOptions{
				Sampling: openelm.Sampling{Temperature: temperature}, Constraint: a, MaxTokens: 200, Lookup: lookup,
			}))
			for i, id := range tokens {
				if int(id)%2 != i%2 {
					t.Fatalf("token %d is %d", i, id)
				}
			}
			if !slices.Equal(tokens, a.accepted) {
				t.Errorf("the constraint saw %v, the caller %v", a.accepted, tokens)
			}
		}
	}
	failed := errors.New("dead end")
	for tok, err := range newSession(t, m, 20).Generate(t.Context(), []int32{1}, &openelm.GenerateOptions{Constraint: &alternate{err: failed}}) {
		if !errors.Is(err, failed) {
			t.Errorf("got %+v with error %v, want the constraint's", tok, err)
		}
	}
	for _, err := range newSession(t, m, 20).Generate(t.Context(), []int32{1}, &openelm.GenerateOptions{Constraint: nothing{}}) {
		if !errors.Is(err, openelm.ErrNoChoice) {
			t.Errorf("got error %v, want ErrNoChoice", err)
		}
	}
}

// nothing allows no token.
type nothing struct{}

func (nothing) Mask([]uint64)      {}
func (nothing) Accept(int32) error { return nil }

// TestLookup: guessing changes neither tokens nor seeds nor what the session
// holds, whenever the loop ends.
func TestLookup(t *testing.T) {
	f := &fake{}
	m := fakeModel(t, f)
	rapid.Check(t, func(r *rapid.T) {
		token := rapid.Int32Range(0, fakeVocab-1)
		phrase := rapid.SliceOfN(token, 3, 12).Draw(r, "phrase")
		// A text that repeats itself, by options that make it.
		o := openelm.GenerateOptions{
			Sampling:  openelm.Sampling{Temperature: rapid.SampledFrom([]float32{0, 0.5, 1}).Draw(r, "temperature"), Seed: 3, TopK: 3},
			MaxTokens: rapid.IntRange(1, 80).Draw(r, "tokens"), TopLogProbs: rapid.IntRange(0, 2).Draw(r, "top"),
		}
		var start []int32
		for range rapid.IntRange(1, 8).Draw(r, "times") {
			start = append(start, phrase...)
		}
		leave := rapid.IntRange(1, 100).Draw(r, "leave")
		capacity := len(start) + rapid.IntRange(1, 100).Draw(r, "room")
		type result struct {
			tokens []string
			text   []int32
			logits []float32
		}
		run := func(lookup bool) (x result) {
			s, err := m.NewSession(&openelm.SessionOptions{Capacity: capacity})
			if err != nil {
				r.Fatal(err)
			}
			defer s.Close()
			o := o
			o.Lookup = lookup
			o.Constraint = &parrot{phrase: phrase, wrong: len(phrase)}
			for tok, err := range s.Generate(t.Context(), start, &o) {
				if err != nil {
					r.Fatal(err)
				}
				x.tokens = append(x.tokens, fmt.Sprint(tok))
				if len(x.tokens) == leave {
					break
				}
			}
			x.text = s.Tokens()
			if err := s.Append(t.Context()); err != nil {
				r.Fatal(err)
			}
			x.logits = slices.Clone(s.Logits())
			return x
		}
		plain := run(false)
		f.taken()
		guessed := run(true)
		if !slices.Equal(plain.tokens, guessed.tokens) || !slices.Equal(plain.text, guessed.text) || !slices.Equal(plain.logits, guessed.logits) {
			r.Fatalf("with lookup %v\nwithout %v", guessed, plain)
		}
	})
}

// parrot allows the next token of a phrase, again and again, but for one in so
// many.
type parrot struct {
	phrase   []int32
	n, wrong int
}

func (p *parrot) Mask(allowed []uint64) {
	id := p.phrase[p.n%len(p.phrase)]
	if p.n%(2*p.wrong+1) == p.wrong {
		id = (id + 1) % fakeVocab
	}
	allowed[id/64] |= 1 << (id % 64)
}

func (p *parrot) Accept(int32) error { p.n++; return nil }

// TestLookupPays: a text that repeats itself takes few passes, one that does not
// hardly more than its tokens.
func TestLookupPays(t *testing.T) {
	f := &fake{perPass: 10 * time.Millisecond, perRow: time.Millisecond}
	m := fakeModel(t, f)
	synctest.Test(t, func(t *testing.T) { lookupPays(t, m, f) })
}

func lookupPays(t *testing.T, m *openelm.Model, f *fake) {
	rows := func(c openelm.Constraint) (passes, rows int) {
		f.taken()
		collect(t, newSession(t, m, 1000), []int32{1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3}, &openelm.GenerateOptions{Constraint: c, MaxTokens: 400, Lookup: true})
		for _, n := range f.taken()[1:] {
			passes, rows = passes+1, rows+n
		}
		return passes, rows
	}
	if p, n := rows(&parrot{phrase: []int32{4, 5, 6, 7, 8, 1, 2, 3}, wrong: 1 << 30}); p > 80 || n > 500 {
		t.Errorf("a text that repeats itself: 400 tokens in %d passes of %d rows", p, n)
	}
	if p, n := rows(nil); p < 350 || n > 440 {
		t.Errorf("a text that does not: 400 tokens in %d passes of %d rows", p, n)
	}
}

// TestRebase: what is kept is what a new session would compute.
func TestRebase(t *testing.T) {
	f := &fake{}
	m := fakeModel(t, f)
	long := make([]int32, 100)
	for i := range long {
		long[i] = int32(i * i % fakeVocab)
	}
	s := newSession(t, m, 300)
	rebase := func(want int, text ...int32) {
		t.Helper()
		kept, err := s.Rebase(text)
		if err != nil || kept != want {
			t.Errorf("kept %d of %d tokens, error %v, want %d", kept, len(text), err, want)
		}
		f.taken()
		if err := s.Append(t.Context()); err != nil {
			t.Fatal(err)
		}
		rows := 0
		for _, n := range f.taken() {
			rows += n
		}
		fresh := newSession(t, m, 300)
		if err := fresh.Append(t.Context(), text...); err != nil {
			t.Fatal(err)
		}
		if rows != len(text)-want || !slices.Equal(s.Tokens(), text) || !slices.Equal(s.Logits(), fresh.Logits()) {
			t.Errorf("%d rows were evaluated for %d tokens of %d", rows, len(text)-want, len(text))
		}
	}
	rebase(0, long[:10]...)                           // short: one by one
	rebase(0, long[:50]...)                           // what was evaluated one by one is no prompt's
	rebase(50, append(long[:50:50], long[:40]...)...) // goes on
	rebase(33, long[:50]...)                          // 17 are left, as a prompt's last piece has at least
	rebase(20, append(long[:20:20], long[50:]...)...) // differs from there
	collect(t, s, nil, &openelm.GenerateOptions{MaxTokens: 9})
	text := append(s.Tokens(), long...)
	rebase(70, text...) // the generated ones were evaluated one by one
	if _, err := s.Rebase([]int32{-1}); !errors.Is(err, openelm.ErrToken) || !slices.Equal(s.Tokens(), text) {
		t.Errorf("got error %v, want ErrToken and the text as it was", err)
	}
	if _, err := s.Rebase(make([]int32, 301)); !errors.Is(err, openelm.ErrContextFull) {
		t.Errorf("got error %v, want ErrContextFull", err)
	}
}
