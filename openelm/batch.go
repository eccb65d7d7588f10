package openelm

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-openelm/go-openelm/kernels"
)

// BatchOptions configure a batch. The zero value, and nil, are usable.
type BatchOptions struct {
	// MaxDelay is how long the evaluation of prompts may hold up the texts that
	// are being generated at a time; 0 means 100 ms. Prompts are evaluated in
	// pieces that take about as long, and no fewer than 34 tokens.
	MaxDelay time.Duration
	// Places is how many callers Enter lets in at a time; 0 means 16, as many as
	// share one pass.
	Places int
	// Queue is how many more wait in Enter; 0 means 64, less than 0 none.
	Queue int
}

// Batch runs the calls of many sessions of one model together: those that
// generate share passes over the weights, and a long prompt is evaluated in
// pieces between them, so that it delays nobody for long. Sessions belong to it
// by [SessionOptions], and otherwise are used as ever, each by a goroutine of its
// own; they may come and go at any time.
//
// What a session gets is the same, bit by bit, as without the batch. A caller that
// is slow to take its tokens holds up nobody but itself, and one whose context is
// done leaves after the pass under way, at most. An error of the device, or a
// panic, in a pass of several sessions makes each of them go alone: those that
// fail again get it.
//
// A batch needs no closing: what it runs in ends with the last call.
type Batch struct {
	model    *Model
	maxDelay time.Duration
	places   places

	mu      sync.Mutex
	decided sync.Cond
	queue   []*Session         // who waits for an evaluation
	flight  []*Session         // who is in the pass under way
	members int                // of flight, those that still want it
	cancel  context.CancelFunc // of the pass under way
	running bool               // the goroutine is there

	// deciding counts the sessions that were given a prediction and have not yet
	// said how they go on. The next round waits for them: they choose their
	// tokens at the same time, in their own goroutines.
	deciding int

	perRow  float64      // seconds that a row of a prompt takes
	streams atomic.Int64 // sessions that are past their prompts, and generate
}

// turn is where a session stands in its batch.
type turn struct {
	state    turnState
	waiting  bool // its caller waits for the evaluation
	deciding bool
	left     bool // its caller does not want it any more
	done     chan struct{}
	err      error
}

type turnState uint8

const (
	idleTurn turnState = iota
	queued
	inFlight
	evaluated
)

// panicked is a panic on its way to the goroutine of the caller it belongs to.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("%v\n\nin a batch:\n%s", p.value, p.stack) }

// NewBatch makes a batch of m's sessions. Errors wrap [ErrArgument].
func NewBatch(m *Model, o *BatchOptions) (*Batch, error) {
	if o == nil {
		o = &BatchOptions{}
	}
	if o.MaxDelay < 0 || o.Places < 0 {
		return nil, fmt.Errorf("%w: a batch with a delay of %v and %d places", ErrArgument, o.MaxDelay, o.Places)
	}
	b := &Batch{model: m, maxDelay: o.MaxDelay, places: places{free: o.Places, queue: max(o.Queue, 0)}}
	if b.maxDelay == 0 {
		b.maxDelay = 100 * time.Millisecond
	}
	if o.Places == 0 {
		b.places.free = kernels.ExactRows
	}
	if o.Queue == 0 {
		b.places.queue = 64
	}
	b.decided.L = &b.mu
	return b, nil
}

// submit queues the pending tokens of s.
func (b *Batch) submit(s *Session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.settle(s)
	s.turn.state = queued
	b.queue = append(b.queue, s)
	if !b.running {
		b.running = true
		go b.run()
	}
}

// wait returns when s is evaluated, or when ctx is done and no pass uses s. What
// s does next is then waited for, until it submits or withdraws.
func (b *Batch) wait(ctx context.Context, s *Session) error {
	if err := ctx.Err(); err != nil {
		b.withdraw(s)
		return context.Cause(ctx)
	}
	b.mu.Lock()
	s.turn.waiting = true
	b.mu.Unlock()
	select {
	case <-s.turn.done:
	case <-ctx.Done():
		b.withdraw(s)
		return context.Cause(ctx)
	}
	err := s.turn.err
	s.turn.state, s.turn.waiting, s.turn.err = idleTurn, false, nil
	if p, ok := err.(*panicked); ok {
		panic(p)
	}
	return err
}

// withdraw takes back what s has submitted and nobody waits for; after it, no
// pass uses s.
func (b *Batch) withdraw(s *Session) {
	b.mu.Lock()
	b.settle(s)
	switch s.turn.state {
	case queued:
		b.queue = slices.DeleteFunc(b.queue, func(q *Session) bool { return q == s })
	case inFlight:
		s.turn.left = true
		if b.members--; b.members == 0 {
			b.cancel()
		}
		b.mu.Unlock()
		<-s.turn.done
		b.mu.Lock()
	case evaluated:
		<-s.turn.done
	}
	s.turn = turn{done: s.turn.done}
	b.mu.Unlock()
}

// settle ends the wait for what s does next.
func (b *Batch) settle(s *Session) {
	if s.turn.deciding {
		s.turn.deciding = false
		if b.deciding--; b.deciding == 0 {
			b.decided.Signal()
		}
	}
}

// run evaluates what is queued, in rounds, until nothing is: first whoever
// generates takes a step, then a piece of a prompt is evaluated.
func (b *Batch) run() {
	for {
		b.mu.Lock()
		for b.deciding > 0 {
			b.decided.Wait()
		}
		if len(b.queue) == 0 {
			b.running = false
			b.mu.Unlock()
			return
		}
		steps := 0
		for _, s := range b.queue {
			if !s.isPrompt() {
				steps++
			}
		}
		piece := b.piece()
		b.mu.Unlock()
		for steps > 0 {
			n := b.pass(false, kernels.ExactRows)
			if n == 0 {
				break
			}
			steps -= n
		}
		b.pass(true, piece)
	}
}

// piece is how many rows of prompts to evaluate at once.
func (b *Batch) piece() int {
	most := max(b.model.parts.Backend.PassRows(), minPassRows)
	switch {
	case b.streams.Load() == 0: // nobody is delayed
		return most
	case b.perRow == 0: // unknown yet
		return minPassRows
	}
	return int(min(max(b.maxDelay.Seconds()/b.perRow, minPassRows), float64(most)))
}

// pass evaluates at most limit rows of who is first in the queue, of its class,
// and of others that can share the pass. It returns how many took part.
func (b *Batch) pass(prompts bool, limit int) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b.mu.Lock()
	b.take(prompts, limit)
	sessions := b.flight
	b.members, b.cancel = len(sessions), cancel
	b.mu.Unlock()
	if len(sessions) == 0 {
		return 0
	}
	err := b.evaluate(ctx, sessions, limit)
	for _, s := range sessions {
		if s.turn.err = err; err != nil && len(sessions) > 1 && ctx.Err() == nil {
			s.turn.err = b.evaluate(ctx, []*Session{s}, limit)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range sessions {
		b.deliver(s)
	}
	clear(sessions)
	b.flight = sessions[:0]
	return len(sessions)
}

// take moves the sessions of the next pass from the queue to b.flight.
func (b *Batch) take(prompts bool, limit int) {
	rows := 0
	var adapter *Adapter
	b.queue = slices.DeleteFunc(b.queue, func(s *Session) bool {
		if s.isPrompt() != prompts || rows > 0 && (s.adapter != adapter || s.pending() > limit-rows) {
			return false
		}
		rows += s.pending()
		adapter = s.adapter
		s.turn.state = inFlight
		b.flight = append(b.flight, s)
		return true
	})
}

// evaluate runs one pass. A panic is an error here.
func (b *Batch) evaluate(ctx context.Context, sessions []*Session, limit int) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicked{v, debug.Stack()}
		}
	}()
	prompts := sessions[0].isPrompt()
	start := time.Now()
	return b.model.inPass(ctx, prompts, func(ops kernels.Ops, ws *workspace) error {
		ws.pass.fill(ws, sessions, limit)
		if err := b.model.run(ops, ws); err != nil {
			return err
		}
		if prompts {
			mix(&b.perRow, time.Since(start).Seconds()/float64(ws.pass.rows), 4)
		}
		return nil
	})
}

// deliver tells the caller of s that it is evaluated, or puts what is left of a
// prompt at the end of the queue.
func (b *Batch) deliver(s *Session) {
	if s.turn.err == nil && s.pending() > 0 && !s.turn.left {
		s.turn.state = queued
		b.queue = append(b.queue, s)
		return
	}
	s.turn.state = evaluated
	if s.turn.waiting && !s.turn.left {
		s.turn.deciding = true
		b.deciding++
	}
	s.turn.done <- struct{}{}
}
