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
	// ErrMemory is wrapped by the error of a session that is too large, which
	// says how much it would need.
	ErrMemory = errors.New("openelm: not enough memory")
	// ErrArgument is wrapped by errors about an argument or option that makes
	// no sense.
	ErrArgument = errors.New("openelm: invalid argument")
)

// SessionOptions configure a session. The zero value is usable.
type SessionOptions struct {
	// Capacity is the largest number of tokens; 0 means the model's maximum
	// context length. The whole KV cache is reserved when the session is made.
	Capacity int
	// CacheFormat is how keys and values are stored: kernels.F32, which is also
	// the zero value, or kernels.F16, in half the memory.
	CacheFormat kernels.Format
	// Adapter is used for every token of the session; nil for the model's own,
	// if it was opened with one. SetAdapter(nil) goes back to the bare model.
	Adapter *Adapter
	// Batch, if not nil, is what runs the session's calls: in passes that they
	// share with those of its other sessions, of the same model.
	Batch *Batch
	// Trace, if not nil, sees the residual stream of each pass, [rows,
	// model_dim]: after the embedding (layer 0) and after each layer (1, 2, …).
	// It makes every layer a pass of its own, which costs speed. A session in a
	// batch cannot be traced.
	Trace func(layer int, x []float32)
}

// Session is one text in progress: its tokens and their keys and values. It may
// be used by one goroutine at a time; a second one gets [ErrBusy].
//
// What a session predicts depends, in every bit, on its tokens and on the calls
// that added them, and on nothing else: not on the sessions it shares passes
// with. At most [kernels.ExactRows] tokens added by one call are evaluated as if
// one by one; more are evaluated in another order of sums, the same one wherever
// the text is cut into several such calls.
type Session struct {
	model   *Model
	cache   *cache
	rope    kernels.View
	adapter *Adapter
	batch   *Batch

	tokens []int32   // the text
	cached int       // how many of them are in the cache
	exact  int       // how many from the start were evaluated as a prompt's are
	logits []float32 // after the last cached token

	// What is evaluated next: the text and the draft, proposals for what follows
	// it, up to position upTo. wanted takes the predictions after the last few.
	draft  []int32
	upTo   int
	wanted []float32
	states []float64 // sums of the hidden states, of an embedding
	turn   turn      // in the batch
	ahead  *ahead    // while the device chooses the tokens

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
	if capacity < 1 || capacity > maxPositions {
		return nil, fmt.Errorf("%w: a session capacity of %d tokens", ErrArgument, capacity)
	}
	if o.Batch != nil && (o.Batch.model != m || o.Trace != nil) {
		return nil, fmt.Errorf("%w: a traced session, or one of another model, in a batch", ErrArgument)
	}
	adapter := o.Adapter
	if adapter == nil {
		adapter = m.parts.Adapter
	} else if err := adapter.Validate(m); err != nil {
		return nil, err
	}
	kv, err := newCache(m.parts.Backend, c, capacity, o.CacheFormat)
	if err != nil {
		return nil, err
	}
	rope, err := m.rope.table(m.parts.Backend, c, capacity)
	if err != nil {
		kv.buf.Release()
		return nil, err
	}
	s := &Session{
		model: m, cache: kv, rope: rope, adapter: adapter, batch: o.Batch,
		tokens: make([]int32, 0, min(capacity, 4096)), trace: o.Trace,
		logits: make([]float32, c.VocabSize),
	}
	if s.batch != nil {
		s.turn.done = make(chan struct{}, 1)
	}
	return s, nil
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
		s.adapter, s.cached, s.exact = a, 0, 0
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
	return s.append(ctx, tokens, each)
}

func (s *Session) append(ctx context.Context, tokens []int32, each func(i int, logits []float32) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.extend(ctx, tokens, len(s.tokens), each)
}

// extend adds tokens and evaluates them, in a busy session. each, if not nil,
// sees the predictions after the tokens from position from on.
func (s *Session) extend(ctx context.Context, tokens []int32, from int, each func(i int, logits []float32) error) error {
	before, cached := len(s.tokens), s.cached
	err := s.add(tokens)
	switch {
	case err != nil:
		return err
	case each != nil:
		err = s.evaluateEach(ctx, from, each)
	default:
		s.wantLast()
		err = s.evaluate(ctx)
	}
	if err != nil {
		s.rewind(before, cached)
	}
	return err
}

// rewind goes back to n tokens, of which some are cached.
func (s *Session) rewind(n, cached int) {
	s.tokens = s.tokens[:n]
	s.cached = min(s.cached, cached)
	s.exact = min(s.exact, cached)
}

// eachRows is how many predictions are kept at once for who wants to see them
// all: enough for a pass over the weights to be worth it.
const eachRows = 64

// evaluateEach evaluates the pending tokens and shows the predictions after
// those from position from on.
func (s *Session) evaluateEach(ctx context.Context, from int, each func(i int, logits []float32) error) error {
	vocab := len(s.logits)
	rows := make([]float32, min(len(s.tokens)-s.cached, eachRows)*vocab)
	var last []float32
	for s.cached < len(s.tokens) {
		first, n := s.cached, cut(len(s.tokens)-s.cached, eachRows)
		s.upTo, s.wanted = first+n, rows[:n*vocab]
		if err := s.evaluate(ctx); err != nil {
			return err
		}
		for i := range n {
			last = rows[i*vocab : (i+1)*vocab]
			if first+i < from {
				continue
			}
			if err := each(first+i-from, last); err != nil {
				return err
			}
		}
	}
	copy(s.logits, last)
	return nil
}

// wantLast makes the next evaluation one of the whole text, which leaves the
// prediction after it.
func (s *Session) wantLast() { s.upTo, s.wanted = len(s.tokens), s.logits }

// wantDraft makes the next evaluation one of the text, which has one token that
// is not cached, and of the draft. rows takes the predictions after that token
// and after each one of the draft.
func (s *Session) wantDraft(rows []float32) {
	s.upTo = len(s.tokens) + len(s.draft)
	s.wanted = rows[:(1+len(s.draft))*len(s.logits)]
}

// pending is how many tokens the next evaluation has left to do.
func (s *Session) pending() int { return s.upTo - s.cached }

// predictFrom is the position of the first token whose prediction is wanted.
func (s *Session) predictFrom() int { return s.upTo - len(s.wanted)/len(s.logits) }

// copyTokens sets dst to the tokens that follow the cached ones.
func (s *Session) copyTokens(dst []int32) {
	n := copy(dst, s.tokens[min(s.cached, len(s.tokens)):])
	copy(dst[n:], s.draft)
}

// evaluate runs the pending tokens, in the session's batch if it has one.
func (s *Session) evaluate(ctx context.Context) error {
	if s.pending() == 0 {
		return context.Cause(ctx)
	}
	if s.batch != nil {
		s.batch.submit(s)
		defer s.batch.withdraw(s)
		return s.batch.wait(ctx, s)
	}
	sessions := [...]*Session{s}
	return s.model.evaluate(ctx, sessions[:])
}

// evaluateAhead begins an evaluation that await waits for: at once in a batch and
// where the device chooses the tokens, while the caller looks at its token, and
// otherwise not before await.
func (s *Session) evaluateAhead() {
	switch {
	case s.batch != nil:
		s.batch.submit(s)
	case s.ahead != nil:
		s.ahead.start()
	}
}

func (s *Session) await(ctx context.Context) error {
	if s.batch != nil {
		return s.batch.wait(ctx, s)
	}
	if s.ahead != nil {
		if err := s.ahead.take(ctx); err != nil || s.ahead.token >= 0 {
			return err
		}
		s.endAhead() // the CPU is to say what is wrong with the prediction
	}
	return s.evaluate(ctx)
}

// settle tells the batch not to wait for what the session does next.
func (s *Session) settle() {
	if s.batch != nil {
		s.batch.withdraw(s)
	}
}

// Step adds tokens[i] to sessions[i] and evaluates them, as many in one pass over
// the weights as possible, which costs little more than one token of one session.
// The sessions must be of one model; those that share an adapter share passes. On
// an error they hold what they held before. A [Batch] does the same for sessions
// that come and go.
func Step(ctx context.Context, sessions []*Session, tokens []int32) (err error) {
	if len(sessions) == 0 || len(sessions) != len(tokens) {
		return fmt.Errorf("%w: %d tokens for %d sessions", ErrArgument, len(tokens), len(sessions))
	}
	m := sessions[0].model
	var entered, added int
	defer func() {
		for i, s := range sessions[:entered] {
			if err != nil && i < added {
				n := len(s.tokens) - 1
				s.rewind(n, n)
			}
			s.leave()
		}
	}()
	for i, s := range sessions {
		if s.model != m {
			return fmt.Errorf("%w: sessions of different models", ErrArgument)
		}
		if err := s.enter(); err != nil {
			return err
		}
		entered++
		if err := s.add(tokens[i : i+1]); err != nil {
			return err
		}
		added++
		s.wantLast()
	}
	return m.evaluate(ctx, sessions)
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
	if err := s.check(len(s.tokens), tokens); err != nil {
		return err
	}
	s.tokens = append(s.tokens, tokens...)
	return nil
}

// check tells whether tokens exist, and fit behind a text of n.
func (s *Session) check(n int, tokens []int32) error {
	vocab := s.model.parts.Config.VocabSize
	for i, t := range tokens {
		if t < 0 || int(t) >= vocab {
			return fmt.Errorf("%w: token %d (number %d) is outside the vocabulary of %d", ErrToken, t, i, vocab)
		}
	}
	if len(tokens) > s.cache.capacity-n {
		return fmt.Errorf("%w: %d tokens and %d more exceed its capacity of %d", ErrContextFull, n, len(tokens), s.cache.capacity)
	}
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
		s.rewind(n, max(n-1, 0))
	}
	return nil
}

// Rebase makes tokens the session's text. It keeps what is evaluated of it
// already as far as that cannot be told from evaluating all of tokens, in one
// call, in a new session, and returns how many tokens that is: for a text of
// more than [kernels.ExactRows] tokens the longest common beginning that was
// evaluated by calls with more than so many, if as many are left to evaluate. The
// rest is evaluated by the next call.
func (s *Session) Rebase(tokens []int32) (kept int, err error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	if err := s.check(0, tokens); err != nil {
		return 0, err
	}
	most := min(s.exact, len(s.tokens), len(tokens)-kernels.ExactRows-1)
	for kept < most && s.tokens[kept] == tokens[kept] {
		kept++
	}
	s.rewind(kept, kept)
	s.tokens = append(s.tokens, tokens[kept:]...)
	return kept, nil
}

// Fork returns a new session with the same text, keys and values on model m,
// which may be another model object on another backend but must have the same
// configuration; nil means the session's own. The two sessions are independent;
// on the same model they are of the same batch.
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
	o := &SessionOptions{Capacity: s.cache.capacity, CacheFormat: s.cache.format}
	if m == s.model {
		o.Batch = s.batch
	}
	f, err := m.NewSession(o)
	if err != nil {
		return nil, err
	}
	f.adapter = s.adapter
	f.tokens = append(f.tokens, s.tokens...)
	f.cached = s.cached
	if m == s.model {
		f.exact = s.exact
	}
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
