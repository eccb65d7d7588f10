package evaluate

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/openelm"
)

// ErrDifferent is wrapped by the error about two models that do not have the same
// tokens.
var ErrDifferent = errors.New("evaluate: the models have different vocabularies")

// Options say how a text is read. The zero value is a good choice.
type Options struct {
	// Context is the tokens in a window, at most the model's context, which is also
	// what 0 means.
	Context int

	// Progress is told how many tokens have been predicted.
	Progress func(done, total int)
}

// Mean is a mean with its standard error.
type Mean struct{ Value, StdErr float64 }

// Perplexity is exp of m, a mean negative log-probability, with its standard error.
func (m Mean) Perplexity() Mean {
	p := math.Exp(m.Value)
	return Mean{p, p * m.StdErr}
}

// Result is how well a model predicts a text.
type Result struct {
	Tokens  int  // that were predicted
	Windows int  // that the text was read in
	NLL     Mean // negative log-probability of a token, in nats
}

// Comparison is how a model predicts a text beside another one.
type Comparison struct {
	Result         // the model's
	Other     Mean // the other one's NLL
	Worse     Mean // the model's NLL less the other one's, token by token
	KL        Mean // divergence from the other one
	MaxKL     float64
	SameTop   float64 // share of places where both find the same token most probable
	MeanLogit float64 // mean absolute difference of a logit
	MaxLogit  float64 // largest absolute difference of a logit
}

// Perplexity has m predict tokens.
func Perplexity(ctx context.Context, m *openelm.Model, tokens []int32, o *Options) (*Result, error) {
	var nll series
	windows, err := read(ctx, []*openelm.Model{m}, tokens, o, func(position int, next int32, logits [][]float32) error {
		lse, err := logSumExp(logits[0], position)
		if err == nil {
			nll.add(lse - float64(logits[0][next]))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Result{Tokens: nll.n, Windows: windows, NLL: nll.mean()}, nil
}

// Compare has m and other predict tokens.
func Compare(ctx context.Context, m, other *openelm.Model, tokens []int32, o *Options) (*Comparison, error) {
	if a, b := m.Config().VocabSize, other.Config().VocabSize; a != b {
		return nil, fmt.Errorf("%w: of %d and %d tokens", ErrDifferent, a, b)
	}
	var (
		c                      Comparison
		nll, theirs, worse, kl series
		same                   int
	)
	windows, err := read(ctx, []*openelm.Model{m, other}, tokens, o, func(position int, next int32, logits [][]float32) error {
		lq, err := logSumExp(logits[0], position)
		if err != nil {
			return err
		}
		lp, err := logSumExp(logits[1], position)
		if err != nil {
			return err
		}
		divergence, difference := 0.0, 0.0
		topQ, topP := 0, 0
		for i, q := range logits[0] {
			p := logits[1][i]
			d := float64(p) - float64(q)
			divergence += math.Exp(float64(p)-lp) * (d - lp + lq)
			difference += math.Abs(d)
			c.MaxLogit = max(c.MaxLogit, math.Abs(d))
			if q > logits[0][topQ] {
				topQ = i
			}
			if p > logits[1][topP] {
				topP = i
			}
		}
		if topQ == topP {
			same++
		}
		a, b := lq-float64(logits[0][next]), lp-float64(logits[1][next])
		nll.add(a)
		theirs.add(b)
		worse.add(a - b)
		divergence = max(divergence, 0) // but for rounding it is not negative
		kl.add(divergence)
		c.MaxKL = max(c.MaxKL, divergence)
		c.MeanLogit += difference / float64(len(logits[0]))
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.Result = Result{Tokens: nll.n, Windows: windows, NLL: nll.mean()}
	c.Other, c.Worse, c.KL = theirs.mean(), worse.mean(), kl.mean()
	c.SameTop, c.MeanLogit = float64(same)/float64(nll.n), c.MeanLogit/float64(nll.n)
	return &c, nil
}

// logSumExp is log Σ exp(x); a logit that is no number is an [*openelm.LogitError].
func logSumExp(x []float32, position int) (float64, error) {
	top := math.Inf(-1)
	for i, v := range x {
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return 0, &openelm.LogitError{Position: position, Token: int32(i), Logit: v}
		}
		top = max(top, float64(v))
	}
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(float64(v) - top)
	}
	return top + math.Log(sum), nil
}

// series adds up values (Welford's method).
type series struct {
	n           int
	avg, moment float64 // moment is the sum of squared distances from the mean
}

func (s *series) add(v float64) {
	s.n++
	d := v - s.avg
	s.avg += d / float64(s.n)
	s.moment += d * (v - s.avg)
}

func (s *series) mean() Mean {
	if s.n < 2 {
		return Mean{s.avg, math.Inf(1)}
	}
	return Mean{s.avg, math.Sqrt(s.moment / float64(s.n-1) / float64(s.n))}
}

// window is tokens that are read together; those from first on are predicted.
type window struct {
	tokens []int32
	first  int
}

// cut makes windows of at most n tokens of a text. Each but the first begins with
// the text's first token, if that is bos.
func cut(tokens []int32, n int, bos int32) (list []window) {
	list = append(list, window{tokens[:min(n, len(tokens))], 1})
	head := tokens[:0:0]
	if bos >= 0 && tokens[0] == bos {
		head = tokens[:1]
	}
	step := max((n-len(head))/2, 1)
	for done := n; done < len(tokens); {
		end := min(done+step, len(tokens))
		start := end - (n - len(head))
		w := append(append(make([]int32, 0, n), head...), tokens[start:end]...)
		list = append(list, window{w, len(w) - (end - done)})
		done = end
	}
	return list
}

// piece is how many tokens are evaluated at a time: their logits are kept until
// all models have them.
const piece = 64

// read shows each the models' logits for every token that is predicted.
func read(ctx context.Context, models []*openelm.Model, tokens []int32, o *Options, each func(position int, next int32, logits [][]float32) error) (windows int, err error) {
	if o == nil {
		o = &Options{}
	}
	if len(tokens) < 2 {
		return 0, fmt.Errorf("evaluate: %w: a text of %d tokens has none to predict", openelm.ErrArgument, len(tokens))
	}
	most := models[0].Config().MaxContext
	for _, m := range models {
		most = min(most, m.Config().MaxContext)
	}
	n := o.Context
	if n == 0 {
		n = most
	}
	if n < 2 || n > most {
		return 0, fmt.Errorf("evaluate: %w: a context of %d tokens; the model's is %d", openelm.ErrArgument, n, most)
	}
	sessions := make([]*openelm.Session, 0, len(models))
	defer func() {
		for _, s := range sessions {
			s.Close()
		}
	}()
	for _, m := range models {
		s, err := m.NewSession(&openelm.SessionOptions{Capacity: n})
		if err != nil {
			return 0, err
		}
		sessions = append(sessions, s)
	}
	list := cut(tokens, n, models[0].Config().BOS)
	r := reader{ctx: ctx, sessions: sessions, vocab: models[0].Config().VocabSize, logits: make([][]float32, len(models)), each: each}
	for range models {
		r.kept = append(r.kept, make([]float32, min(n, piece+kernels.ExactRows)*r.vocab))
	}
	done := 0
	for _, w := range list {
		if err := r.window(w); err != nil {
			return 0, err
		}
		done += len(w.tokens) - w.first
		if o.Progress != nil {
			o.Progress(done, len(tokens)-1)
		}
	}
	return len(list), nil
}

// reader reads windows with all sessions side by side.
type reader struct {
	ctx      context.Context
	sessions []*openelm.Session
	vocab    int
	kept     [][]float32 // of each session, the logits of a piece
	logits   [][]float32
	each     func(position int, next int32, logits [][]float32) error
}

func (r *reader) window(w window) error {
	for done := 0; done < len(w.tokens); {
		n := len(w.tokens) - done
		if n > piece+kernels.ExactRows { // no piece is so short that it is evaluated in another way
			n = piece
		}
		for i, s := range r.sessions {
			keep := func(t int, logits []float32) error {
				copy(r.kept[i][t*r.vocab:], logits)
				return nil
			}
			if err := s.AppendEach(r.ctx, keep, w.tokens[done:done+n]...); err != nil {
				return err
			}
		}
		for t := range n {
			next := done + t + 1
			if next < w.first || next >= len(w.tokens) {
				continue
			}
			for i := range r.kept {
				r.logits[i] = r.kept[i][t*r.vocab : (t+1)*r.vocab]
			}
			if err := r.each(next-1, w.tokens[next], r.logits); err != nil {
				return err
			}
		}
		done += n
	}
	for _, s := range r.sessions {
		if err := s.Truncate(0); err != nil {
			return err
		}
	}
	return nil
}
