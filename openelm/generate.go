package openelm

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
)

// GenerateOptions configure a generation. The zero value, and nil, are usable:
// greedy, until the model ends the text or the session is full.
type GenerateOptions struct {
	Sampling

	// MaxTokens is the largest number of tokens generated; 0 means no limit but
	// the session's capacity.
	MaxTokens int
	// Stop ends the text before any of these strings, wherever the tokens lie.
	Stop []string
	// IgnoreEOS goes on after tokens that end a text.
	IgnoreEOS bool
	// TopLogProbs is how many of the most probable tokens Token.Top lists.
	TopLogProbs int
	// Adapter and Capacity are for Model.Generate, which makes the session.
	Adapter  *Adapter
	Capacity int
}

// StopReason says why a generation ended.
type StopReason string

// The reasons for which a generation ends.
const (
	StopEOS    StopReason = "eos"    // the model ended the text
	StopString StopReason = "stop"   // one of the stop strings came up
	StopLength StopReason = "length" // MaxTokens, or the session's capacity
)

// Token is one step of a generation or of a scored text.
type Token struct {
	ID int32
	// Text is what this token adds to the text: whole characters only, so that
	// it is empty while a character is incomplete or while the text may turn
	// out to be a stop string. All Texts joined are the generated text.
	Text string
	// LogProb is the natural logarithm of the token's probability by the model
	// itself, before any sampling option.
	LogProb float32
	// Top are the most probable tokens, best first, also by the model itself.
	Top []TokenProb
	// Stop is set on the last token only.
	Stop StopReason
}

func (o *GenerateOptions) validate(c *Config) error {
	if o.MaxTokens < 0 {
		return fmt.Errorf("%w: %d tokens at most", ErrArgument, o.MaxTokens)
	}
	if o.TopLogProbs < 0 || o.TopLogProbs > c.VocabSize {
		return fmt.Errorf("%w: top %d of a vocabulary of %d", ErrArgument, o.TopLogProbs, c.VocabSize)
	}
	if slices.Contains(o.Stop, "") {
		return fmt.Errorf("%w: an empty stop string", ErrArgument)
	}
	return nil
}

// Encode returns a whole text as tokens: what the tokenizer makes of it and, if
// the model's files ask for them, the token that begins a text in front and
// the one that ends it behind (add_bos_token and add_eos_token).
func (m *Model) Encode(text string) ([]int32, error) { return m.encode(text, true) }

// EncodePrompt is [Model.Encode] for a text that is to be continued: without
// the token that ends it.
func (m *Model) EncodePrompt(text string) ([]int32, error) { return m.encode(text, false) }

func (m *Model) encode(text string, whole bool) ([]int32, error) {
	if m.parts.Tokenizer == nil {
		return nil, ErrNoTokenizer
	}
	bos, eos := m.parts.Config.BOS, int32(-1)
	if f, ok := m.parts.Tokenizer.(Framer); ok {
		bos, eos = f.Frame()
	}
	var tokens []int32
	if bos >= 0 {
		tokens = append(tokens, bos)
	}
	tokens = append(tokens, m.parts.Tokenizer.Encode(text)...)
	if whole && eos >= 0 {
		tokens = append(tokens, eos)
	}
	return tokens, nil
}

// Generate continues prompt in a session of its own, which is closed when the
// loop ends, however it ends. The sequence yields one error at most, as its
// last element.
func (m *Model) Generate(ctx context.Context, prompt string, o *GenerateOptions) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		if o == nil {
			o = &GenerateOptions{}
		}
		tokens, err := m.EncodePrompt(prompt)
		if err != nil {
			yield(Token{}, err)
			return
		}
		s, err := m.NewSession(&SessionOptions{Capacity: o.Capacity, Adapter: o.Adapter})
		if err != nil {
			yield(Token{}, err)
			return
		}
		defer s.Close()
		for t, err := range s.Generate(ctx, tokens, o) {
			if !yield(t, err) {
				return
			}
		}
	}
}

// Generate adds prompt to the session and continues its text. The session must
// not be used until the loop ends; leaving the loop early is fine. Every yielded
// token is then part of the session's text, the last one not yet evaluated,
// which the next call makes up for. The sequence yields one error at most, as
// its last element; it may be ranged over once.
func (s *Session) Generate(ctx context.Context, prompt []int32, o *GenerateOptions) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		if o == nil {
			o = &GenerateOptions{}
		}
		if err := s.generate(ctx, prompt, o, yield); err != nil {
			yield(Token{}, err)
		}
	}
}

func (s *Session) generate(ctx context.Context, prompt []int32, o *GenerateOptions, yield func(Token, error) bool) error {
	c := s.model.Config()
	if err := o.validate(c); err != nil {
		return err
	}
	sampler, err := NewSampler(o.Sampling, c.VocabSize)
	if err != nil {
		return err
	}
	text, err := newTextStream(s.model.parts.Tokenizer, o.Stop)
	if err != nil {
		return err
	}
	if len(s.tokens)+len(prompt) >= s.Capacity() {
		return fmt.Errorf("%w: %d tokens and a prompt of %d leave no room in its capacity of %d",
			ErrContextFull, len(s.tokens), len(prompt), s.Capacity())
	}
	if err := s.Append(ctx, prompt...); err != nil {
		return err
	}
	if s.Logits() == nil {
		return fmt.Errorf("%w to continue", ErrEmpty)
	}
	text.follow(s.tokens)
	start := len(s.tokens)
	for n := 1; ; n++ {
		t := Token{ID: sampler.Sample(s.logits, s.tokens, start)}
		t.LogProb, t.Top = logProbs(s.logits, t.ID, o.TopLogProbs)
		if err := s.Push(t.ID); err != nil {
			return err
		}
		if !o.IgnoreEOS && slices.Contains(c.EOS, t.ID) {
			t.Text, t.Stop = text.flush(), StopEOS
		} else if t.Text, t.Stop = text.next(t.ID); t.Stop == "" && (n == o.MaxTokens || len(s.tokens) == s.Capacity()) {
			t.Text, t.Stop = t.Text+text.flush(), StopLength
		}
		if !yield(t, nil) || t.Stop != "" {
			return nil
		}
		if err := s.Append(ctx); err != nil {
			return err
		}
	}
}

// Score evaluates tokens without generating: it adds them to the session and
// yields each with its log-probability given the text before it. The first
// token of an empty session has no text before it and is not yielded. Leaving
// the loop early, and an error, take the tokens back. The sequence yields one
// error at most, as its last element; the session is busy until the loop ends.
func (s *Session) Score(ctx context.Context, tokens []int32, top int) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		if err := s.score(ctx, tokens, top, yield); err != nil && err != errLeft {
			yield(Token{}, err)
		}
	}
}

// errLeft is the internal sign that the caller left the loop.
var errLeft = errors.New("openelm: the loop was left")

func (s *Session) score(ctx context.Context, tokens []int32, top int, yield func(Token, error) bool) error {
	o := GenerateOptions{TopLogProbs: top}
	if err := o.validate(s.model.Config()); err != nil {
		return err
	}
	text, err := newTextStream(s.model.parts.Tokenizer, nil)
	if err != nil {
		return err
	}
	text.follow(s.tokens)
	start, next := len(s.tokens), s.cached+1
	emit := func(i int, logits []float32) error {
		t := Token{ID: tokens[i]}
		t.LogProb, t.Top = logProbs(logits, t.ID, top)
		t.Text, _ = text.next(t.ID)
		if i == len(tokens)-1 {
			t.Text += text.flush()
		}
		if !yield(t, nil) {
			return errLeft
		}
		return nil
	}
	switch {
	case len(tokens) == 0:
		return nil
	case start == 0:
		text.follow(tokens[:1])
	case s.Logits() != nil:
		// The first token was predicted before this call. s.logits is
		// overwritten only after the last token.
		if err := emit(0, s.logits); err != nil {
			return err
		}
	}
	return s.append(ctx, tokens, func(row int, logits []float32) error {
		if i := next + row - start; i >= 0 && i < len(tokens) {
			return emit(i, logits)
		}
		return nil
	})
}

// logProbs is the log-probability of token id by the model, log softmax, and
// the top most probable tokens.
func logProbs(logits []float32, id int32, top int) (float32, []TokenProb) {
	highest := math.Inf(-1)
	for _, l := range logits {
		highest = max(highest, float64(l))
	}
	sum := 0.0
	for _, l := range logits {
		sum += math.Exp(float64(l) - highest)
	}
	total := highest + math.Log(sum)
	if top == 0 {
		return float32(float64(logits[id]) - total), nil
	}
	all := make(candidates, len(logits))
	for i, l := range logits {
		all[i] = TokenProb{ID: int32(i), LogProb: float32(float64(l) - total)}
	}
	all.build()
	best := make([]TokenProb, 0, top)
	for range top {
		best = append(best, all.pop())
	}
	return float32(float64(logits[id]) - total), best
}
