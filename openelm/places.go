package openelm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// ErrQueueFull is wrapped by the error of Batch.Enter when as many callers wait
// as may.
var ErrQueueFull = errors.New("openelm: the batch's queue is full")

// places is a number of places, and who waits for one, first come first served.
type places struct {
	mu      sync.Mutex
	free    int
	waiting []chan struct{}
	queue   int // of waiting, at most
}

// Enter waits for one of the batch's places, first come first served, and returns
// what gives it back, to be called once. It is for those who must bound how many
// sessions there are, and how many wait: a server enters before it makes a
// request's session, and leaves when that is closed. The error wraps
// [ErrQueueFull], or is ctx's.
func (b *Batch) Enter(ctx context.Context) (leave func(), err error) {
	p := &b.places
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	p.mu.Lock()
	if p.free > 0 {
		p.free--
		p.mu.Unlock()
		return sync.OnceFunc(p.leave), nil
	}
	if len(p.waiting) >= p.queue {
		p.mu.Unlock()
		return nil, fmt.Errorf("%w: %d wait already", ErrQueueFull, p.queue)
	}
	turn := make(chan struct{})
	p.waiting = append(p.waiting, turn)
	p.mu.Unlock()
	select {
	case <-turn:
		return sync.OnceFunc(p.leave), nil
	case <-ctx.Done():
		p.mu.Lock()
		i := slices.Index(p.waiting, turn)
		if i >= 0 {
			p.waiting = slices.Delete(p.waiting, i, i+1)
		}
		p.mu.Unlock()
		if i < 0 { // the place came at the same time
			p.leave()
		}
		return nil, context.Cause(ctx)
	}
}

// TryEnter is Enter for who would rather go without than wait: ok tells whether
// there was a place that nobody waits for.
func (b *Batch) TryEnter() (leave func(), ok bool) {
	p := &b.places
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free == 0 {
		return nil, false
	}
	p.free--
	return sync.OnceFunc(p.leave), true
}

// leave gives a place to the first who waits.
func (p *places) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) == 0 {
		p.free++
		return
	}
	close(p.waiting[0])
	p.waiting = slices.Delete(p.waiting, 0, 1)
}
