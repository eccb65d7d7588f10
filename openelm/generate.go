package openelm

import (
	"context"
	"fmt"
	"iter"
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
	// LogProbs asks for Token.LogProb, and TopLogProbs for so many of the most
	// probable tokens in Token.Top besides.
	LogProbs    bool
	TopLogProbs int
	// Constraint, if not nil, says which tokens may come next. It belongs to one
	// generation.
	Constraint Constraint
	// Lookup guesses what comes next from what the text already contains, and
	// evaluates the guesses in one pass. The text is the same, bit by bit; it is
	// faster where it repeats itself or its prompt, and nearly as fast where not.
	Lookup bool

	// Session is for Model.Generate, which makes the session; an error elsewhere.
	// A Capacity of 0 is what prompt and MaxTokens need.
	Session *SessionOptions
}

// Constraint restricts a generation, as to what a grammar or a schema allows.
type Constraint interface {
	// Mask sets the bit of each token that may come next, bit id%64 of
	// allowed[id/64]; all are clear before. A text that is complete allows the
	// model's end-of-text tokens.
	Mask(allowed []uint64)
	// Accept moves on by a token, one that was allowed. An error ends the
	// generation.
	Accept(token int32) error
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
	// itself, before any sampling option; 0 where it was not asked for.
	LogProb float32
	// Top are the most probable tokens, best first, also by the model itself.
	Top []TokenProb
	// Stop is set on the last token only.
	Stop StopReason
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
		rest := *o
		var so SessionOptions
		if o.Session != nil {
			so, rest.Session = *o.Session, nil
		}
		if longest := m.parts.Config.MaxContext; so.Capacity == 0 && o.MaxTokens > 0 && o.MaxTokens < longest-len(tokens) {
			so.Capacity = len(tokens) + o.MaxTokens
		}
		s, err := m.NewSession(&so)
		if err != nil {
			yield(Token{}, err)
			return
		}
		defer s.Close()
		for t, err := range s.Generate(ctx, tokens, &rest) {
			if !yield(t, err) {
				return
			}
		}
	}
}

// Generate adds prompt to the session and continues its text. The session is
// busy until the loop ends; leaving the loop early is fine. Every yielded token
// is then part of the session's text, the last one not yet evaluated, which the
// next call makes up for. The sequence yields one error at most, as its last
// element.
func (s *Session) Generate(ctx context.Context, prompt []int32, o *GenerateOptions) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		if o == nil {
			o = &GenerateOptions{}
		}
		if err := s.enter(); err != nil {
			yield(Token{}, err)
			return
		}
		defer s.leave()
		if err := s.generate(ctx, prompt, o, yield); err != nil {
			yield(Token{}, err)
		}
	}
}

// generate is Generate in a busy session.
func (s *Session) generate(ctx context.Context, prompt []int32, o *GenerateOptions, yield func(Token, error) bool) error {
	g, err := newGeneration(s.model, o)
	if err != nil {
		return err
	}
	if len(s.tokens)+len(prompt) >= s.Capacity() {
		return fmt.Errorf("%w: %d tokens and a prompt of %d leave no room in its capacity of %d",
			ErrContextFull, len(s.tokens), len(prompt), s.Capacity())
	}
	if err := s.extend(ctx, prompt, 0, nil); err != nil {
		return err
	}
	if len(s.tokens) == 0 {
		return fmt.Errorf("%w to continue", ErrEmpty)
	}
	if s.batch != nil {
		s.batch.streams.Add(1)
		defer s.batch.streams.Add(-1)
	}
	g.begin(s.tokens, s.Capacity())
	yielded := len(s.tokens)
	defer func() { s.endGeneration(yielded) }()
	if s.batch == nil && g.greedy() {
		if err := s.beginAhead(ctx, g.limit); err != nil {
			return err
		}
	}
	for rows := s.logits; ; {
		// rows is what the last evaluation predicts: what follows the text, and
		// what follows each token of the draft.
		last, err := g.advance(s, rows)
		if last {
			s.settle()
		} else {
			rows = g.prepare(s)
			s.evaluateAhead()
		}
		for _, t := range g.tokens {
			yielded++
			if !yield(t, nil) {
				return nil
			}
		}
		if last {
			return err
		}
		if err := s.await(ctx); err != nil {
			return err
		}
	}
}

// endGeneration leaves a text of n tokens, the last not yet evaluated.
func (s *Session) endGeneration(n int) {
	if s.batch != nil {
		s.batch.withdraw(s)
	}
	s.endAhead()
	s.draft = nil
	s.rewind(n, max(n-1, 0))
}
