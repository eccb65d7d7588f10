package cpu

import (
	"sync"
	"sync/atomic"
)

// task is work on items [0, n) that may run in any order and in parallel.
// scratch belongs to the calling worker for the duration of the call.
type task interface {
	run(lo, hi int, scratch *scratch)
}

// scratch is a worker's own memory; it grows to what the largest task needs.
type scratch struct{ buf []float32 }

func (s *scratch) floats(n int) []float32 {
	if cap(s.buf) < n {
		s.buf = make([]float32, n)
	}
	return s.buf[:n]
}

// pool runs tasks on a fixed number of goroutines, the caller among them. Idle
// workers wait on a channel and use no CPU.
type pool struct {
	mu      sync.Mutex // one task at a time: each uses all workers
	wake    []chan struct{}
	scratch []scratch
	busy    sync.WaitGroup
	stopped bool

	// The current task.
	task  task
	n     int
	grain int
	next  atomic.Int64
}

func newPool(threads int) *pool {
	p := &pool{wake: make([]chan struct{}, threads-1), scratch: make([]scratch, threads)}
	for i := range p.wake {
		p.wake[i] = make(chan struct{}, 1)
		go p.work(i)
	}
	return p
}

func (p *pool) work(i int) {
	for range p.wake[i] {
		p.drain(&p.scratch[i+1])
		p.busy.Done()
	}
}

func (p *pool) drain(s *scratch) {
	for {
		hi := int(p.next.Add(int64(p.grain)))
		lo := hi - p.grain
		if lo >= p.n {
			return
		}
		p.task.run(lo, min(hi, p.n), s)
	}
}

// run calls t for all n items, grain of them at a time, and returns when all
// are done.
func (p *pool) run(n, grain int, t task) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.task, p.n, p.grain = t, n, max(grain, 1)
	p.next.Store(0)
	helpers := min(len(p.wake), (n-1)/p.grain)
	if p.stopped {
		helpers = 0
	}
	p.busy.Add(helpers)
	for _, w := range p.wake[:helpers] {
		w <- struct{}{}
	}
	p.drain(&p.scratch[0])
	p.busy.Wait()
	p.task = nil
}

// stop ends the workers; later tasks run on their caller alone.
func (p *pool) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	p.stopped = true
	for _, w := range p.wake {
		close(w)
	}
}
