package openelm

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
)

// Sampling is how the next token is chosen from the model's prediction. The
// zero value is greedy: always the most probable token.
//
// The steps run in this order: LogitBias; penalties; Temperature; then the
// filters TopK, TopP and MinP, each on the tokens that the one before left,
// renormalised.
type Sampling struct {
	// Temperature divides the logits; 0 is greedy.
	Temperature float32
	// TopK keeps the k most probable tokens; 0 keeps all.
	TopK int
	// TopP keeps the fewest most probable tokens whose probabilities reach p
	// together (Holtzman et al. 2020); 0 or 1 keeps all.
	TopP float32
	// MinP keeps tokens at least p times as probable as the most probable one
	// (Nguyen et al. 2024); 0 keeps all.
	MinP float32

	// RepetitionPenalty divides the positive logits and multiplies the negative
	// logits of tokens that occur in the text (Keskar et al. 2019); 0 or 1 is off.
	RepetitionPenalty float32
	// PresencePenalty is subtracted once from the logits of tokens that were
	// generated, FrequencyPenalty once for each time (OpenAI's API).
	PresencePenalty, FrequencyPenalty float32
	// PenaltyWindow is how many of the last tokens the penalties look at; 0
	// means all.
	PenaltyWindow int

	// LogitBias is added to the logits of single tokens; −Inf bans a token.
	LogitBias map[int32]float32

	// Seed chooses the random numbers: the same seed, model, text and options
	// give the same tokens.
	Seed uint64
}

func (o *Sampling) validate(vocab int) error {
	bad := func(name string, v any) error { return fmt.Errorf("%w: %s %v", ErrArgument, name, v) }
	switch {
	case !(o.Temperature >= 0) || math.IsInf(float64(o.Temperature), 0):
		return bad("temperature", o.Temperature)
	case o.TopK < 0:
		return bad("top-k", o.TopK)
	case !(o.TopP >= 0 && o.TopP <= 1):
		return bad("top-p", o.TopP)
	case !(o.MinP >= 0 && o.MinP <= 1):
		return bad("min-p", o.MinP)
	case !(o.RepetitionPenalty >= 0) || math.IsInf(float64(o.RepetitionPenalty), 0):
		return bad("repetition penalty", o.RepetitionPenalty)
	case !finite(o.PresencePenalty):
		return bad("presence penalty", o.PresencePenalty)
	case !finite(o.FrequencyPenalty):
		return bad("frequency penalty", o.FrequencyPenalty)
	case o.PenaltyWindow < 0:
		return bad("penalty window", o.PenaltyWindow)
	}
	for id, b := range o.LogitBias {
		if id < 0 || int(id) >= vocab {
			return fmt.Errorf("%w: logit bias for token %d in a vocabulary of %d", ErrToken, id, vocab)
		}
		if math.IsNaN(float64(b)) || math.IsInf(float64(b), 1) {
			return bad("logit bias", b)
		}
	}
	return nil
}

// argMax reports whether the token is always that of the largest logit.
func (o *Sampling) argMax() bool {
	return o.Temperature == 0 && len(o.LogitBias) == 0 && (o.RepetitionPenalty == 0 || o.RepetitionPenalty == 1) &&
		o.PresencePenalty == 0 && o.FrequencyPenalty == 0
}

func finite(v float32) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }

// TokenProb is a token and the natural logarithm of its probability.
type TokenProb struct {
	ID      int32
	LogProb float32
}

// Sampler draws tokens. It is used by one goroutine.
type Sampler struct {
	o   Sampling
	rng *rand.Rand

	logits []float32 // adjusted
	best   int32     // the first of the largest
	heap   candidates
	kept   []TokenProb
	counts map[int32]int
}

// NewSampler returns a sampler for predictions over vocab tokens. Errors wrap
// [ErrArgument] or [ErrToken].
func NewSampler(o Sampling, vocab int) (*Sampler, error) {
	if err := o.validate(vocab); err != nil {
		return nil, err
	}
	return &Sampler{
		o: o, rng: rand.New(rand.NewPCG(o.Seed, 0x6f70656e656c6d)),
		logits: make([]float32, vocab), counts: map[int32]int{},
	}, nil
}

// ErrNoChoice is returned when every token is banned.
var ErrNoChoice = errors.New("openelm: no token may come next")

// LogitError says that a prediction is not made of numbers, as when weights are
// damaged, or too large for float32.
type LogitError struct {
	Position int     // of the token that was predicted, from 0
	Token    int32   // the first whose logit is wrong
	Logit    float32 // NaN or infinite
}

func (e *LogitError) Error() string {
	return fmt.Sprintf("openelm: the prediction for position %d is not finite: the logit of token %d is %v", e.Position, e.Token, e.Logit)
}

// checkLogits returns a [*LogitError] if not all of logits are finite.
func checkLogits(logits []float32, position int) error {
	const exponent = 0x7f800000
	for i, l := range logits {
		if math.Float32bits(l)&exponent == exponent {
			return &LogitError{Position: position, Token: int32(i), Logit: l}
		}
	}
	return nil
}

// Sample draws the next token. logits is the model's prediction and is not
// changed; text is the tokens so far, of which the first prompt were not
// generated. Errors are [*LogitError] or [ErrNoChoice].
func (s *Sampler) Sample(logits []float32, text []int32, prompt int) (int32, error) {
	return s.sample(logits, text, prompt, nil)
}

// sample is Sample among the allowed tokens, one bit each; nil allows all.
func (s *Sampler) sample(logits []float32, text []int32, prompt int, allowed []uint64) (int32, error) {
	if err := s.adjust(logits, text, prompt, allowed); err != nil {
		return 0, err
	}
	if s.o.Temperature == 0 {
		return s.best, nil
	}
	s.gather()
	if !s.filters() { // no need to put the vocabulary in order
		return draw(s.heap, s.rng.Float64()), nil
	}
	s.filter()
	return draw(s.kept, s.rng.Float64()), nil
}

// Distribution is what Sample draws from, most probable token first. The slice
// is valid until the next call. Errors are those of Sample.
func (s *Sampler) Distribution(logits []float32, text []int32, prompt int) ([]TokenProb, error) {
	if err := s.adjust(logits, text, prompt, nil); err != nil {
		return nil, err
	}
	if s.o.Temperature == 0 {
		s.kept = append(s.kept[:0], TokenProb{ID: s.best})
		return s.kept, nil
	}
	s.gather()
	s.filter()
	total := logSumExp(s.kept)
	for i := range s.kept {
		s.kept[i].LogProb -= float32(total)
	}
	return s.kept, nil
}

// adjust sets s.logits to logits with bias and penalties, and −Inf for what is
// not allowed, and s.best to the first of the largest.
func (s *Sampler) adjust(logits []float32, text []int32, prompt int, allowed []uint64) error {
	if err := checkLogits(logits, len(text)); err != nil {
		return err
	}
	copy(s.logits, logits)
	for id, b := range s.o.LogitBias {
		s.set(id, s.logits[id]+b)
	}
	from := 0
	if w := s.o.PenaltyWindow; w > 0 {
		from = max(0, len(text)-w)
	}
	if r := s.o.RepetitionPenalty; r != 0 && r != 1 {
		clear(s.counts)
		for _, id := range text[from:] {
			if s.counts[id]++; s.counts[id] > 1 {
				continue
			}
			if l := s.logits[id]; l > 0 {
				s.set(id, l/r)
			} else {
				s.set(id, l*r)
			}
		}
	}
	if s.o.PresencePenalty != 0 || s.o.FrequencyPenalty != 0 {
		clear(s.counts)
		for _, id := range text[max(from, min(prompt, len(text))):] {
			if s.counts[id]++; s.counts[id] == 1 {
				s.set(id, s.logits[id]-s.o.PresencePenalty)
			}
			s.set(id, s.logits[id]-s.o.FrequencyPenalty)
		}
	}
	if allowed != nil {
		for id := range s.logits {
			if allowed[id/64]>>(id%64)&1 == 0 {
				s.logits[id] = banned
			}
		}
	}
	s.best = argMax(s.logits)
	if s.logits[s.best] == banned {
		return ErrNoChoice
	}
	return nil
}

// banned is the logit of a token that cannot be drawn.
var banned = float32(math.Inf(-1))

// set keeps extreme options from making logits +Inf, whose differences would
// not be numbers; −Inf bans.
func (s *Sampler) set(id int32, logit float32) { s.logits[id] = min(logit, math.MaxFloat32) }

// gather fills the heap with every token that is not banned and its tempered
// logit, less the largest: 0 for the best, however small the temperature.
func (s *Sampler) gather() {
	s.heap = s.heap[:0]
	highest, perDegree := float64(s.logits[s.best]), 1/float64(s.o.Temperature) // finite for every float32
	for id, l := range s.logits {
		if l > banned {
			s.heap = append(s.heap, TokenProb{ID: int32(id), LogProb: float32((float64(l) - highest) * perDegree)})
		}
	}
}

// filters reports whether top-k, top-p or min-p is on.
func (s *Sampler) filters() bool {
	return s.o.TopK > 0 || s.o.topP() || s.o.MinP > 0
}

func (o *Sampling) topP() bool { return o.TopP > 0 && o.TopP < 1 }

// filter moves the tokens that the filters leave from the heap to s.kept, most
// probable first. Only what is looked at is put in order.
func (s *Sampler) filter() {
	s.heap.build()
	s.kept = s.kept[:0]
	limit := len(s.heap)
	total := 0.0 // log of the sum of what top-k leaves
	if k := s.o.TopK; k > 0 && k < limit {
		limit = k
		for range k {
			s.kept = append(s.kept, s.heap.pop())
		}
		total = logSumExp(s.kept)
	} else if s.o.topP() {
		total = logSumExp(s.heap)
	}
	least := float32(math.Inf(-1))
	sum := 0.0
	n := 0
	for ; n < limit; n++ {
		if n == len(s.kept) {
			s.kept = append(s.kept, s.heap.pop())
		}
		t := s.kept[n].LogProb
		if n == 0 && s.o.MinP > 0 {
			least = t + float32(math.Log(float64(s.o.MinP)))
		}
		if t < least || n > 0 && s.o.topP() && sum >= float64(s.o.TopP) {
			break
		}
		sum += math.Exp(float64(t) - total)
	}
	s.kept = s.kept[:n]
}

// draw returns the token at u, in [0, 1), of the distribution proportional to
// the exponentials of c.
func draw(c []TokenProb, u float64) int32 {
	total := logSumExp(c)
	last := c[0].ID
	for _, t := range c {
		p := math.Exp(float64(t.LogProb) - total)
		if u -= p; u < 0 {
			return t.ID
		}
		if p > 0 {
			last = t.ID
		}
	}
	return last // rounding
}

// logSumExp is log Σ e^LogProb.
func logSumExp(c []TokenProb) float64 {
	top := math.Inf(-1)
	for _, t := range c {
		top = max(top, float64(t.LogProb))
	}
	sum := 0.0
	for _, t := range c {
		sum += math.Exp(float64(t.LogProb) - top)
	}
	return top + math.Log(sum)
}

// argMax is the first of the largest values.
func argMax(v []float32) int32 {
	best := 0
	for i, x := range v {
		if x > v[best] {
			best = i
		}
	}
	return int32(best)
}

// candidates is a binary heap with the most probable token on top. (With
// container/heap every token taken out would be an allocation.)
type candidates []TokenProb

// before tells which token comes first: of equals, the one with the lower id.
func (c candidates) before(i, j int) bool {
	return c[i].LogProb > c[j].LogProb || c[i].LogProb == c[j].LogProb && c[i].ID < c[j].ID
}

func (c candidates) build() {
	for i := len(c)/2 - 1; i >= 0; i-- {
		c.down(i)
	}
}

func (c candidates) down(i int) {
	for {
		first := i
		for _, child := range [...]int{2*i + 1, 2*i + 2} {
			if child < len(c) && c.before(child, first) {
				first = child
			}
		}
		if first == i {
			return
		}
		c[i], c[first] = c[first], c[i]
		i = first
	}
}

func (c *candidates) pop() TokenProb {
	h := *c
	top, last := h[0], len(h)-1
	h[0] = h[last]
	*c = h[:last]
	c.down(0)
	return top
}
