package openelm

import (
	"fmt"
	"math"
	"slices"
)

// generation is what lies between a prediction and a token: it advances one text
// by one token at a time, whoever evaluates it.
type generation struct {
	o       *GenerateOptions
	eos     []int32
	sampler *Sampler
	allowed []uint64 // by the constraint
	text    *textStream
	probs   probabilities
	lookup  lookup
	rows    []float32 // predictions for a draft
	tokens  []Token   // of the last evaluation

	start int // tokens that were not generated
	limit int // tokens at which the text ends
}

func newGeneration(m *Model, o *GenerateOptions) (*generation, error) {
	c := m.Config()
	switch {
	case o.MaxTokens < 0:
		return nil, fmt.Errorf("%w: %d tokens at most", ErrArgument, o.MaxTokens)
	case slices.Contains(o.Stop, ""):
		return nil, fmt.Errorf("%w: an empty stop string", ErrArgument)
	case o.Session != nil:
		return nil, fmt.Errorf("%w: options of a new session for one that exists", ErrArgument)
	}
	if err := checkTop(c, o.TopLogProbs); err != nil {
		return nil, err
	}
	sampler, err := NewSampler(o.Sampling, c.VocabSize)
	if err != nil {
		return nil, err
	}
	text, err := newTextStream(m.parts.Tokenizer, o.Stop)
	if err != nil {
		return nil, err
	}
	g := &generation{o: o, sampler: sampler, text: text}
	if !o.IgnoreEOS {
		g.eos = c.EOS
	}
	if o.Constraint != nil {
		g.allowed = make([]uint64, (c.VocabSize+63)/64)
	}
	return g, nil
}

// begin makes the generation one of text, in a session of that capacity.
func (g *generation) begin(text []int32, capacity int) {
	g.text.follow(text)
	g.start, g.limit = len(text), capacity
	if n := g.o.MaxTokens; n > 0 && n < capacity-len(text) {
		g.limit = len(text) + n
	}
}

// greedy reports whether each token is the one with the largest logit and nothing
// else is asked for: then a device can choose it.
func (g *generation) greedy() bool {
	return g.sampler.o.argMax() && g.o.Constraint == nil && !g.o.LogProbs && g.o.TopLogProbs == 0 && !g.o.Lookup
}

// next chooses the token that follows text, which logits predict.
func (g *generation) next(logits []float32, text []int32) (t Token, err error) {
	if g.allowed != nil {
		clear(g.allowed)
		g.o.Constraint.Mask(g.allowed)
	}
	if t.ID, err = g.sampler.sample(logits, text, g.start, g.allowed); err != nil {
		return t, err
	}
	if g.allowed != nil {
		if err := g.o.Constraint.Accept(t.ID); err != nil {
			return t, fmt.Errorf("openelm: constraint: %w", err)
		}
	}
	if g.o.LogProbs || g.o.TopLogProbs > 0 {
		t.LogProb, t.Top = g.probs.of(logits, t.ID, g.o.TopLogProbs)
	}
	g.decode(&t, len(text))
	return t, nil
}

// decode tells what token t adds to a text of n tokens, and whether it ends it.
func (g *generation) decode(t *Token, n int) {
	if slices.Contains(g.eos, t.ID) {
		t.Text, t.Stop = g.text.flush(), StopEOS
	} else if t.Text, t.Stop = g.text.next(t.ID); t.Stop == "" && n+1 == g.limit {
		t.Text, t.Stop = t.Text+g.text.flush(), StopLength
	}
}

// advance adds to s the tokens that an evaluation has decided, in g.tokens: what
// follows the text, and what follows the draft as far as that was right. rows are
// the predictions, unless the device has chosen. last tells that the generation is
// over, with or without an error.
func (g *generation) advance(s *Session, rows []float32) (last bool, err error) {
	g.tokens = g.tokens[:0]
	vocab := len(s.logits)
	for i := 0; ; i++ {
		var t Token
		if id, ok := s.chosen(); ok {
			t.ID = id
			g.decode(&t, len(s.tokens))
		} else if t, err = g.next(rows[i*vocab:(i+1)*vocab], s.tokens); err != nil {
			return true, err
		}
		s.tokens = append(s.tokens, t.ID)
		g.tokens = append(g.tokens, t)
		if t.Stop != "" {
			return true, nil
		}
		if i == len(s.draft) || s.draft[i] != t.ID {
			break
		}
	}
	g.lookup.learn(len(g.tokens)-1, len(s.draft))
	s.cached = len(s.tokens) - 1 // what was right is evaluated
	return false, nil
}

// prepare makes the next evaluation of s one of the last token and, where that
// is on and pays, of guesses for what follows. It returns where the predictions
// will be.
func (g *generation) prepare(s *Session) []float32 {
	s.draft = s.draft[:0]
	if !g.o.Lookup {
		s.wantLast()
		return s.logits
	}
	if g.rows == nil {
		g.rows = make([]float32, maxDraft*len(s.logits))
	}
	// A guess beyond the last token could not be yielded.
	most, others := min(maxDraft, g.limit-len(s.tokens))-1, 0
	if s.batch != nil {
		others = int(s.batch.streams.Load()) - 1
		most = min(most, maxDraft/(others+1)-1)
	}
	s.draft = g.lookup.propose(s.draft, s.tokens, most, others, &s.model.pace)
	s.wantDraft(g.rows)
	return g.rows
}

func checkTop(c *Config, top int) error {
	if top < 0 || top > c.VocabSize {
		return fmt.Errorf("%w: top %d of a vocabulary of %d", ErrArgument, top, c.VocabSize)
	}
	return nil
}

// probabilities computes log-probabilities by the model itself.
type probabilities struct{ heap candidates }

// of is the log-probability of token id, log softmax, and the top most probable
// tokens. The logits are finite.
func (p *probabilities) of(logits []float32, id int32, top int) (float32, []TokenProb) {
	highest := float64(slices.Max(logits))
	sum := 0.0
	for _, l := range logits {
		sum += math.Exp(float64(l) - highest)
	}
	total := highest + math.Log(sum)
	logProb := float32(float64(logits[id]) - total)
	if top == 0 {
		return logProb, nil
	}
	p.heap = p.heap[:0]
	for i, l := range logits {
		p.heap = append(p.heap, TokenProb{ID: int32(i), LogProb: float32(float64(l) - total)})
	}
	p.heap.build()
	best := make([]TokenProb, top)
	for i := range best {
		best[i] = p.heap.pop()
	}
	return logProb, best
}
