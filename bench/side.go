package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/openelm"
)

// side is one of the things compared: a model on a device, with a number of
// threads. It stays open, with its sessions filled, while others are measured.
type side struct {
	Subject
	device  Device
	backend kernels.Backend
	model   *openelm.Model
	weights [][]byte
	tokens  []int32 // to feed

	prompt  *openelm.Session
	decode  map[int]*openelm.Session // by context
	batch   []*openelm.Session       // of one openelm.Batch, at the first of Options.Decode
	closers []func() error
}

// how a model runs. passes, if positive, has norms run one by one.
type how struct {
	threads     int
	activations Activations
	passes      int
}

// openSide opens the model.
func openSide(ctx context.Context, m model, d Device, h how) (_ *side, err error) {
	s := &side{device: d, decode: map[int]*openelm.Session{}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.backend, err = d.open(h.threads, h.activations); err != nil {
		return nil, fmt.Errorf("bench: device %s: %w", d.Name, err)
	}
	s.closers = append(s.closers, s.backend.Close)
	runs := s.backend
	if h.passes > 0 {
		runs = runOneByOne(s.backend, h.passes)
		s.closers = append(s.closers, runs.Close)
	}
	if s.model, err = open(ctx, m.path, runs); err != nil {
		return nil, err
	}
	s.closers = append(s.closers, s.model.Close)
	c, w := s.model.Config(), s.model.Weights()
	s.Subject = Subject{
		Engine: Engine, Model: m.name, Format: w.Layers[0].QKV.Format.String(), Device: d.Name, Threads: h.threads, Activations: h.activations,
		Norms: countNorms(c), Operations: 5*len(c.Layers) + 2, Parameters: c.Parameters(), WeightBytes: weightBytes(c, w),
	}
	if h.passes > 0 {
		s.Variant = fmt.Sprintf("norms one by one, %d pass", h.passes)
		if h.passes > 1 {
			s.Variant += "es"
		}
		s.Operations += h.passes * s.Norms
	}
	for t := range w.Tensors(c) {
		if t.Matrix == nil {
			continue
		}
		for _, v := range []kernels.View{t.Matrix.Data, t.Matrix.Scales, t.Matrix.Biases} {
			if v.Len > 0 {
				s.weights = append(s.weights, v.Bytes())
			}
		}
	}
	return s, nil
}

// fill makes the sessions: an empty one for prompts, one for each context, and
// those of a batch. Each has room for its own test and no more, since a KV cache
// is the larger part of what a side keeps for itself.
func (s *side) fill(ctx context.Context, o *Options) error {
	prompt, longest, batch := largest(o.Prefill), largest(o.Decode), largest(o.Batch)
	s.tokens = randomTokens(s.model.Config().VocabSize, max(prompt, longest+o.Tokens))
	var err error
	if prompt > 0 {
		if s.prompt, err = s.session(openelm.SessionOptions{Capacity: prompt}); err != nil {
			return err
		}
	}
	for _, c := range o.Decode {
		if s.decode[c], err = s.session(openelm.SessionOptions{Capacity: c + o.Tokens + 1}); err != nil {
			return err
		}
		if err := s.decode[c].Append(ctx, s.tokens[:c]...); err != nil {
			return err
		}
	}
	if batch > 0 {
		return s.fillBatch(ctx, o.Decode[0], o.Tokens, batch)
	}
	return nil
}

// fillBatch makes n sessions of one batch, each with context tokens.
func (s *side) fillBatch(ctx context.Context, context, tokens, n int) error {
	b, err := openelm.NewBatch(s.model, nil)
	if err != nil {
		return err
	}
	first, err := s.session(openelm.SessionOptions{Capacity: context + tokens + 1, Batch: b})
	if err != nil {
		return err
	}
	if err := first.Append(ctx, s.tokens[:context]...); err != nil {
		return err
	}
	for s.batch = append(s.batch, first); len(s.batch) < n; {
		f, err := first.Fork(nil)
		if err != nil {
			return err
		}
		s.closers = append(s.closers, f.Close)
		s.batch = append(s.batch, f)
	}
	return nil
}

// largest is the largest of list, 0 if it is empty.
func largest(list []int) int {
	if len(list) == 0 {
		return 0
	}
	return slices.Max(list)
}

// session is an empty session that is closed with the side.
func (s *side) session(o openelm.SessionOptions) (*openelm.Session, error) {
	session, err := s.model.NewSession(&o)
	if err == nil {
		s.closers = append(s.closers, session.Close)
	}
	return session, err
}

func (s *side) close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	return errors.Join(errs...)
}

// sample is one measurement of a test.
type sample struct {
	seconds float64 // for tokens
	tokens  int
	counts  Counts
}

// measure runs t once, or as often as minTime asks.
func (s *side) measure(ctx context.Context, t Test, minTime time.Duration) (sample, error) {
	var total sample
	for {
		if err := s.prepare(ctx, t); err != nil {
			return total, err
		}
		counts := s.counts()
		start := time.Now()
		err := s.run(ctx, t)
		total.seconds += time.Since(start).Seconds()
		if err != nil {
			return total, err
		}
		total.tokens += t.total()
		total.counts.add(s.counts(), counts)
		if total.seconds >= minTime.Seconds() {
			return total, nil
		}
	}
}

// prepare puts the sessions back to where t begins. A cut session evaluates its
// last token again, which must not be in the time of what follows.
func (s *side) prepare(ctx context.Context, t Test) error {
	cut := func(session *openelm.Session) error {
		if err := session.Truncate(t.Context - 1); err != nil {
			return err
		}
		return session.Append(ctx, s.tokens[t.Context-1])
	}
	switch t.Kind {
	case Prefill:
		return s.prompt.Truncate(0)
	case Decode:
		return cut(s.decode[t.Context])
	default:
		for _, session := range s.batch[:t.Batch] {
			if err := cut(session); err != nil {
				return err
			}
		}
		return nil
	}
}

func (s *side) run(ctx context.Context, t Test) error {
	switch t.Kind {
	case Prefill:
		return s.prompt.Append(ctx, s.tokens[:t.Tokens]...)
	case Decode:
		return generate(ctx, s.decode[t.Context], t.Tokens)
	default:
		errs := make([]error, t.Batch)
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() { errs[i] = generate(ctx, s.batch[i], t.Tokens) })
		}
		all.Wait()
		return errors.Join(errs...)
	}
}

// generate is what a user gets, sampling included. The first token is predicted
// already; the last is not evaluated.
func generate(ctx context.Context, s *openelm.Session, tokens int) error {
	for _, err := range s.Generate(ctx, nil, &openelm.GenerateOptions{MaxTokens: tokens + 1, IgnoreEOS: true}) {
		if err != nil {
			return err
		}
	}
	return nil
}

// cost is the least that one token of t costs, on average.
func (s *side) cost(t Test) Cost {
	c, w := s.model.Config(), s.model.Weights()
	switch t.Kind {
	case Prefill:
		return passCost(c, w, 1, t.Tokens, 0).per(t.Tokens)
	default:
		sequences := max(t.Batch, 1)
		// The middle of the sample: contexts grow by a token each step.
		return passCost(c, w, sequences, 1, t.Context+t.Tokens/2).per(sequences)
	}
}

func (s *side) counts() Counts {
	if c, ok := s.backend.(Counter); ok {
		return c.Counts()
	}
	return Counts{}
}

// add adds what happened between two states of a counter.
func (c *Counts) add(after, before Counts) {
	c.CommandBuffers += after.CommandBuffers - before.CommandBuffers
	c.Dispatches += after.Dispatches - before.Dispatches
	c.Barriers += after.Barriers - before.Barriers
	c.Busy += after.Busy - before.Busy
}

// randomTokens are n tokens, the same ones every time, without the first few,
// which have meanings of their own.
func randomTokens(vocab, n int) []int32 {
	r := rand.New(rand.NewPCG(1, 2))
	special := min(3, vocab-1)
	list := make([]int32, n)
	for i := range list {
		list[i] = int32(special + r.IntN(vocab-special))
	}
	return list
}
