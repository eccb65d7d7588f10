package openelm

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"

	"github.com/go-openelm/go-openelm/kernels"
)

var (
	// ErrContextFull is wrapped by the error of a call that needs more
	// positions than the session's capacity.
	ErrContextFull = errors.New("openelm: the session is full")
	// ErrToken is wrapped by errors about tokens outside the vocabulary.
	ErrToken = errors.New("openelm: no such token")
	// ErrClosed is returned by a session that was closed.
	ErrClosed = errors.New("openelm: the session is closed")
	// ErrBusy is returned when a session is used from two goroutines at once.
	ErrBusy = errors.New("openelm: the session is in use by another call")
	// ErrEmpty is returned by what needs at least one token.
	ErrEmpty = errors.New("openelm: no tokens")
	// ErrArgument is wrapped by errors about an argument or option that makes
	// no sense.
	ErrArgument = errors.New("openelm: invalid argument")
)

// SessionOptions configure a session. The zero value is usable.
type SessionOptions struct {
	// Capacity is the largest number of tokens; 0 means the model's maximum
	// context length. The whole KV cache is reserved when the session is made.
	Capacity int
	// Adapter is used for every token of the session; nil for the model's own,
	// if it was opened with one. SetAdapter(nil) goes back to the bare model.
	Adapter *Adapter
	// Trace, if not nil, sees the residual stream of each pass, [rows,
	// model_dim]: after the embedding (layer 0) and after each layer (1, 2, …).
	// It makes every layer a pass of its own, which costs speed.
	Trace func(layer int, x []float32)
}

// Session is one text in progress: its tokens and their keys and values. It may
// be used by one goroutine at a time; a second one gets [ErrBusy].
type Session struct {
	model   *Model
	cache   *cache
	rope    kernels.View
	adapter *Adapter

	tokens []int32 // the text; the first cached of them are in the cache
	cached int
	logits []float32 // after the last cached token

	state atomic.Int32 // idle, busy or closed
	trace func(layer int, x []float32)
}

const (
	idle int32 = iota
	busy
	closed
)

// NewSession makes an empty session.
func (m *Model) NewSession(o *SessionOptions) (*Session, error) {
	if o == nil {
		o = &SessionOptions{}
	}
	c := &m.parts.Config
	capacity := o.Capacity
	if capacity == 0 {
		capacity = c.MaxContext
	}
	if capacity < 1 || capacity > maxVocab {
		return nil, fmt.Errorf("%w: a session capacity of %d tokens", ErrArgument, capacity)
	}
	adapter := o.Adapter
	if adapter == nil {
		adapter = m.parts.Adapter
	} else if err := adapter.Validate(m); err != nil {
		return nil, err
	}
	rope, err := m.rope.table(m.parts.Backend, c, capacity)
	if err != nil {
		return nil, err
	}
	kv, err := newCache(m.parts.Backend, c, capacity)
	if err != nil {
		return nil, err
	}
	return &Session{
		model: m, cache: kv, rope: rope, adapter: adapter,
		tokens: make([]int32, 0, min(capacity, 4096)), trace: o.Trace,
		logits: make([]float32, c.VocabSize),
	}, nil
}

// Model is the model that the session runs.
func (s *Session) Model() *Model { return s.model }

// Tokens is a copy of the session's text.
func (s *Session) Tokens() []int32 { return slices.Clone(s.tokens) }

// Len is the number of tokens in the session.
func (s *Session) Len() int { return len(s.tokens) }

// Capacity is the largest number of tokens the session can hold.
func (s *Session) Capacity() int { return s.cache.capacity }

// Logits is the model's prediction of the next token, [vocab], or nil when the
// last token was not evaluated yet. The slice is valid until the next call.
func (s *Session) Logits() []float32 {
	if s.cached == 0 || s.cached != len(s.tokens) {
		return nil
	}
	return s.logits
}

// Adapter is the adapter that new tokens are evaluated with.
func (s *Session) Adapter() *Adapter { return s.adapter }

// SetAdapter attaches another adapter, or none. The tokens so far are
// evaluated again with the next call, since their keys and values depend on it.
func (s *Session) SetAdapter(a *Adapter) error {
	if a != nil {
		if err := a.Validate(s.model); err != nil {
			return err
		}
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if a != s.adapter {
		s.adapter, s.cached = a, 0
	}
	return nil
}

// Append adds tokens to the session and evaluates them. On an error, such as
// the context's, the session holds what it held before.
func (s *Session) Append(ctx context.Context, tokens ...int32) error {
	return s.append(ctx, tokens, nil)
}

// AppendEach is Append, and each sees the prediction after every one of tokens,
// in order: logits, [vocab], is valid during the call only. An error of each
// ends the call and is returned. The session is busy until then.
func (s *Session) AppendEach(ctx context.Context, each func(i int, logits []float32) error, tokens ...int32) error {
	skip := len(s.tokens) - s.cached // evaluated first, but not asked for
	return s.append(ctx, tokens, func(row int, logits []float32) error {
		if row < skip {
			return nil
		}
		return each(row-skip, logits)
	})
}

func (s *Session) append(ctx context.Context, tokens []int32, each func(row int, logits []float32) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if err := s.add(tokens); err != nil {
		return err
	}
	before := len(s.tokens) - len(tokens)
	cached := s.cached
	sessions := [...]*Session{s}
	if err := s.model.evaluate(ctx, sessions[:], each); err != nil {
		s.tokens, s.cached = s.tokens[:before], cached
		return err
	}
	return nil
}

// Step adds tokens[i] to sessions[i] and evaluates them in one pass over the
// weights, which costs little more than one token of one session. The sessions
// must be of one model and use the same adapter. On an error they hold what
// they held before.
func Step(ctx context.Context, sessions []*Session, tokens []int32) (err error) {
	if len(sessions) == 0 || len(sessions) != len(tokens) {
		return fmt.Errorf("%w: %d tokens for %d sessions", ErrArgument, len(tokens), len(sessions))
	}
	first := sessions[0]
	var entered, added int
	defer func() {
		for i, s := range sessions[:entered] {
			if err != nil && i < added {
				s.tokens = s.tokens[:len(s.tokens)-1]
				s.cached = min(s.cached, len(s.tokens))
			}
			s.leave()
		}
	}()
	for i, s := range sessions {
		if s.model != first.model || s.adapter != first.adapter {
			return fmt.Errorf("%w: sessions of different models or adapters", ErrArgument)
		}
		if err := s.enter(); err != nil {
			return err
		}
		entered++
		if err := s.add(tokens[i : i+1]); err != nil {
			return err
		}
		added++
	}
	return first.model.evaluate(ctx, sessions, nil)
}

// Push adds tokens to the text without evaluating them: the next Append, Step
// or Generate does.
func (s *Session) Push(tokens ...int32) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.add(tokens)
}

// add checks tokens and adds them to the text.
func (s *Session) add(tokens []int32) error {
	vocab := s.model.parts.Config.VocabSize
	for i, t := range tokens {
		if t < 0 || int(t) >= vocab {
			return fmt.Errorf("%w: token %d (number %d) is outside the vocabulary of %d", ErrToken, t, i, vocab)
		}
	}
	if len(tokens) > s.cache.capacity-len(s.tokens) {
		return fmt.Errorf("%w: %d tokens and %d more exceed its capacity of %d", ErrContextFull, len(s.tokens), len(tokens), s.cache.capacity)
	}
	s.tokens = append(s.tokens, tokens...)
	return nil
}

// Truncate keeps the first n tokens and forgets the rest.
func (s *Session) Truncate(n int) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if n < 0 || n > len(s.tokens) {
		return fmt.Errorf("%w: truncating %d tokens to %d", ErrArgument, len(s.tokens), n)
	}
	if n < len(s.tokens) {
		s.tokens = s.tokens[:n]
		// The last token is evaluated again when its logits are wanted.
		s.cached = min(s.cached, max(n-1, 0))
	}
	return nil
}

// Fork returns a new session with the same text, keys and values on model m,
// which may be another model object on another backend but must have the same
// configuration; nil means the session's own. The two sessions are independent.
func (s *Session) Fork(m *Model) (*Session, error) {
	if m == nil {
		m = s.model
	}
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	if !reflect.DeepEqual(m.parts.Config, s.model.parts.Config) {
		return nil, fmt.Errorf("%w: forking a session to a model of another configuration", ErrArgument)
	}
	f, err := m.NewSession(&SessionOptions{Capacity: s.cache.capacity})
	if err != nil {
		return nil, err
	}
	f.adapter = s.adapter
	f.tokens = append(f.tokens, s.tokens...)
	f.cached = s.cached
	f.cache.copyFrom(s.cache, s.cached)
	copy(f.logits, s.logits)
	return f, nil
}

// Close releases the session's memory.
func (s *Session) Close() error {
	if s.state.Load() == closed {
		return nil
	}
	if err := s.enter(); err != nil {
		return err
	}
	s.state.Store(closed)
	s.cache.buf.Release()
	return nil
}

func (s *Session) enter() error {
	switch {
	case s.state.CompareAndSwap(idle, busy):
		return nil
	case s.state.Load() == closed:
		return ErrClosed
	default:
		return ErrBusy
	}
}

func (s *Session) leave() { s.state.CompareAndSwap(busy, idle) }
