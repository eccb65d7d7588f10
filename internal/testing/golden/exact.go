package golden

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
)

// Load is how much of Exact to run.
type Load struct {
	Packs   []string
	Prompts []int // lengths
	Company []int // sessions in a pass
	Tokens  int   // that follow a prompt
}

// Full is every threshold, on a pack for every kind of weights.
var Full = Load{
	Packs: []string{"tiny-f32", "tiny-bf16", "tiny-mha", "mlx-q4", "gguf-q4_0", "gguf-q4_K_M", "gguf-q8_0",
		"gguf-q5_0", "gguf-q5_1", "gguf-q2_K", "gguf-q3_K_M", "gguf-q5_K_M", "gguf-iq4_NL", "gguf-iq4_XS", "dora-peft"},
	Prompts: []int{1, 2, 3, 7, 15, 16, 17, 18, 33, 34, 35, 60, 100},
	Company: []int{2, 3, 4, 5, 8, 9, 16, 17, 21},
	Tokens:  6,
}

// Short is for slow machines.
var Short = Load{
	Packs:   []string{"tiny-f32", "gguf-q4_K_M", "dora-peft"},
	Prompts: []int{3, 16, 17, 40},
	Company: []int{2, 5, 17},
	Tokens:  3,
}

// Exact holds a backend to [kernels.ExactRows] as a user sees it: what a session
// gets is the same in every bit whoever shares its passes, however its prompt is
// cut, in a batch and with guesses.
func Exact(t *testing.T, b kernels.Backend, load Load) {
	for _, p := range Packs(t) {
		if !slices.Contains(load.Packs, p.Name) {
			continue
		}
		t.Run(p.Name, func(t *testing.T) {
			m, err := loader.Open(t.Context(), p.Path(), &loader.Options{Backend: b, NoTokenizer: true, Adapter: p.Adapter()})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { m.Close() })
			for _, format := range cacheFormats(t, m) {
				t.Run(format.String(), func(t *testing.T) { newExact(t, m, format, load).run() })
			}
		})
	}
}

// cacheFormats are those that the model's backend has.
func cacheFormats(t *testing.T, m *openelm.Model) []kernels.Format {
	list := []kernels.Format{kernels.F32}
	s, err := m.NewSession(&openelm.SessionOptions{Capacity: 1, CacheFormat: kernels.F16})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	switch err := s.Append(t.Context(), 1); {
	case err == nil:
		list = append(list, kernels.F16)
	case !errors.Is(err, errors.ErrUnsupported):
		t.Error(err)
	}
	return list
}

// exact is a model and what a few texts get from it alone.
type exact struct {
	*testing.T
	m       *openelm.Model
	format  kernels.Format
	load    Load
	rng     *rand.Rand
	prompts [][]int32
	next    []int32     // tokens after every prompt
	want    [][]float32 // predictions after each prompt, and after each token that follows
}

func newExact(t *testing.T, m *openelm.Model, format kernels.Format, load Load) *exact {
	e := &exact{T: t, m: m, format: format, load: load, rng: rand.New(rand.NewPCG(1, 2))}
	e.next = e.tokens(load.Tokens)
	for _, n := range load.Prompts {
		p := e.tokens(n)
		s := e.session(nil)
		e.append(s, p...)
		logits := slices.Clone(s.Logits())
		for _, id := range e.next {
			e.append(s, id)
			logits = append(logits, s.Logits()...)
		}
		e.prompts, e.want = append(e.prompts, p), append(e.want, logits)
	}
	return e
}

func (e *exact) run() {
	e.company()
	e.pieces()
	e.rows()
	e.generate()
}

func (e *exact) tokens(n int) []int32 {
	list := make([]int32, n)
	for i := range list {
		list[i] = e.rng.Int32N(int32(e.m.Config().VocabSize))
	}
	return list
}

func (e *exact) session(b *openelm.Batch) *openelm.Session {
	e.Helper()
	s, err := e.m.NewSession(&openelm.SessionOptions{Capacity: 160, CacheFormat: e.format, Batch: b})
	if err != nil {
		e.Fatal(err)
	}
	e.Cleanup(func() { s.Close() })
	return s
}

func (e *exact) append(s *openelm.Session, tokens ...int32) {
	e.Helper()
	if err := s.Append(e.Context(), tokens...); err != nil {
		e.Fatal(err)
	}
}

// same compares a prediction with the one after prompt i and n tokens.
func (e *exact) same(how string, i, n int, got []float32) {
	e.Helper()
	vocab := e.m.Config().VocabSize
	if want := e.want[i][n*vocab : (n+1)*vocab]; !slices.Equal(got, want) {
		var d difference
		d.add(got, want)
		e.Errorf("%s: the prediction after a prompt of %d and %d more tokens is off by %g", how, len(e.prompts[i]), n, d.max)
	}
}

// company steps sessions together, as many as a pass can hold and more.
func (e *exact) company() {
	for _, n := range e.load.Company {
		var sessions []*openelm.Session
		var of []int
		for range n {
			i := e.rng.IntN(len(e.prompts))
			s := e.session(nil)
			e.append(s, e.prompts[i]...)
			sessions, of = append(sessions, s), append(of, i)
		}
		for k, id := range e.next {
			if err := openelm.Step(e.Context(), sessions, slices.Repeat([]int32{id}, n)); err != nil {
				e.Fatal(err)
			}
			for j, s := range sessions {
				e.same(fmt.Sprintf("in company of %d", n), of[j], k+1, s.Logits())
			}
		}
	}
}

// pieces evaluates long prompts in pieces of more than 16 tokens, and short ones
// token by token.
func (e *exact) pieces() {
	for i, p := range e.prompts {
		s := e.session(nil)
		for left := p; len(left) > 0; {
			n := len(left)
			switch {
			case len(p) <= kernels.ExactRows:
				n = 1
			case n >= 2*(kernels.ExactRows+1):
				n = kernels.ExactRows + 1 + e.rng.IntN(n-2*kernels.ExactRows-1)
			}
			e.append(s, left[:n]...)
			left = left[n:]
		}
		e.same("in pieces", i, 0, s.Logits())
		for k, id := range e.next {
			e.append(s, id)
			e.same("in pieces", i, k+1, s.Logits())
		}
	}
}

// rows looks at the predictions after every token of one call.
func (e *exact) rows() {
	for i, p := range e.prompts {
		s := e.session(nil)
		err := s.AppendEach(e.Context(), func(row int, logits []float32) error {
			if row == len(p)-1 {
				e.same("shown each", i, 0, logits)
			}
			return nil
		}, p...)
		if err != nil {
			e.Fatal(err)
		}
		err = s.AppendEach(e.Context(), func(row int, logits []float32) error {
			e.same("tokens at once", i, row+1, logits)
			return nil
		}, e.next...)
		if err != nil {
			e.Fatal(err)
		}
	}
}

// generate runs all prompts in one batch, with guesses and without, and alone.
func (e *exact) generate() {
	tokens := func(b *openelm.Batch, i int, lookup bool) (list []openelm.Token) {
		o := &openelm.GenerateOptions{
			Sampling:  openelm.Sampling{Temperature: float32(i%2) * 0.8, RepetitionPenalty: 1 + float32(i%3)/10, Seed: uint64(i)},
			MaxTokens: 5 * e.load.Tokens, IgnoreEOS: true, TopLogProbs: 2, Lookup: lookup,
		}
		for tok, err := range e.session(b).Generate(e.Context(), e.prompts[i], o) {
			if err != nil {
				e.Error(err)
			}
			list = append(list, tok)
		}
		return list
	}
	b, err := openelm.NewBatch(e.m, nil)
	if err != nil {
		e.Fatal(err)
	}
	var wg sync.WaitGroup
	for i, p := range e.prompts {
		want := fmt.Sprint(tokens(nil, i, false))
		if got := fmt.Sprint(tokens(nil, i, true)); got != want {
			e.Errorf("a prompt of %d with lookup: %v\nwithout %v", len(p), got, want)
		}
		for _, lookup := range []bool{false, true} {
			wg.Go(func() {
				if got := fmt.Sprint(tokens(b, i, lookup)); got != want {
					e.Errorf("a prompt of %d in a batch, lookup %v: %v\nalone %v", len(p), lookup, got, want)
				}
			})
		}
	}
	wg.Wait()
}
