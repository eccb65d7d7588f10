package openelm

import (
	"context"
	"errors"
	"iter"
)

// Score evaluates tokens without generating: it adds them to the session and
// yields each with its log-probability given the text before it, and the top
// most probable tokens. The first token of an empty session has no text before
// it and is not yielded. Leaving the loop early, and an error, take the tokens
// back. The sequence yields one error at most, as its last element; the session
// is busy until the loop ends.
func (s *Session) Score(ctx context.Context, tokens []int32, top int) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		if err := s.enter(); err != nil {
			yield(Token{}, err)
			return
		}
		defer s.leave()
		if err := s.score(ctx, tokens, top, yield); err != nil && err != errLeft {
			yield(Token{}, err)
		}
	}
}

// errLeft is the internal sign that the caller left the loop.
var errLeft = errors.New("openelm: the loop was left")

// score is Score in a busy session.
func (s *Session) score(ctx context.Context, tokens []int32, top int, yield func(Token, error) bool) error {
	if err := checkTop(s.model.Config(), top); err != nil || len(tokens) == 0 {
		return err
	}
	text, err := newTextStream(s.model.parts.Tokenizer, nil)
	if err != nil {
		return err
	}
	text.follow(s.tokens)
	var probs probabilities
	start := len(s.tokens)
	emit := func(i int, logits []float32) error {
		if err := checkLogits(logits, start+i); err != nil {
			return err
		}
		t := Token{ID: tokens[i]}
		t.LogProb, t.Top = probs.of(logits, t.ID, top)
		t.Text, _ = text.next(t.ID)
		if i == len(tokens)-1 {
			t.Text += text.flush()
		}
		if !yield(t, nil) {
			return errLeft
		}
		return nil
	}
	// What follows position p is predicted by row p; the first of tokens may
	// have been predicted before this call, or not at all.
	from := start - 1
	if start == 0 {
		text.follow(tokens[:1])
		from = 0
	} else if s.cached == start {
		if err := emit(0, s.logits); err != nil {
			return err
		}
		from = start
	}
	return s.extend(ctx, tokens, from, func(i int, logits []float32) error {
		if i = from + i + 1 - start; i < len(tokens) {
			return emit(i, logits)
		}
		return nil
	})
}
