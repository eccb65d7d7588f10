package cpu

import (
	"sync"
	"sync/atomic"
)

// task is work on items [0, n) that may run in any order and in parallel.
// scratch belongs to the calling goroutine for the duration of the call.
type task interface {
	run(lo, hi int, s *scratch)
}

// pool runs tasks on at most a fixed number of goroutines at once, callers
// included. A caller holds one place while its pass computes; each of its tasks
// takes as many helpers as there are free places. So one session uses the whole
// machine, and several share it without waiting for each other at every task.
type pool struct {
	mu      sync.Mutex
	turn    sync.Cond // places were granted
	free    int       // places nobody has
	waiting int       // callers without a place
	granted int       // places given to waiting callers that they have not taken yet
	idle    []*worker
	stopped bool
}

// worker is a goroutine that helps callers.
type worker struct {
	pool    *pool
	job     atomic.Pointer[job] // nil: none yet
	wake    chan struct{}
	scratch scratch
}

// job is one task being shared out. Its owner reuses it.
type job struct {
	task  task
	n     int
	least int // items
	parts int // goroutines that may take part
	next  atomic.Int64
	// state counts the helpers that are not done; sleeping is added while the
	// owner waits on done.
	state atomic.Int64
	done  chan struct{}
}

const sleeping = 1 << 32

// parked is the job of a worker that sleeps, stop that of one that is to end.
var parked, stop = new(job), new(job)

const (
	// helperSpins is how long a worker looks for the next task before it
	// sleeps, in pauses of 15 to 50 ns: longer than the serial work between two
	// operations of a pass, and far shorter than a token.
	helperSpins = 1000
	// ownerSpins is how long a caller looks for its helpers' end before it sleeps.
	ownerSpins = 2000
)

func newPool(threads int, r *isaTable) *pool {
	p := &pool{free: threads}
	p.turn.L = &p.mu
	for range threads - 1 {
		w := &worker{pool: p, wake: make(chan struct{}, 1)}
		w.scratch.isaTable = r
		p.idle = append(p.idle, w)
		go w.loop()
	}
	return p
}

// enter waits for a place.
func (p *pool) enter() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free > 0 && p.waiting == 0 {
		p.free--
		return
	}
	p.waiting++
	for p.granted == 0 {
		p.turn.Wait()
	}
	p.granted--
}

// leave gives the caller's place back.
func (p *pool) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release()
}

// release hands a place to a waiting caller, if any. p.mu is held.
func (p *pool) release() {
	if p.waiting == 0 {
		p.free++
		return
	}
	p.waiting--
	p.granted++
	p.turn.Signal()
}

// run calls t for all n items and returns when all are done. Pieces have at
// least least items, except for the last. The caller has a place.
func (p *pool) run(j *job, n, least int, t task, s *scratch) {
	j.task, j.n, j.least = t, n, max(least, 1)
	j.next.Store(0)
	helpers := p.start(j, (n-1)/j.least)
	j.drain(s)
	if helpers > 0 {
		j.wait()
	}
	j.task = nil
}

// start wakes up to want helpers and returns their number.
func (p *pool) start(j *job, want int) int {
	p.mu.Lock()
	n := max(0, min(want, p.free, len(p.idle)))
	if p.stopped {
		n = 0
	}
	p.free -= n
	j.parts = n + 1
	j.state.Store(int64(n))
	helpers := p.idle[len(p.idle)-n:]
	p.idle = p.idle[:len(p.idle)-n]
	for _, w := range helpers {
		if w.job.Swap(j) == parked {
			w.wake <- struct{}{}
		}
	}
	p.mu.Unlock()
	return n
}

// drain runs pieces until none are left. They shrink, so that all goroutines
// end at about the same time.
func (j *job) drain(s *scratch) {
	for {
		lo := j.next.Load()
		left := j.n - int(lo)
		if left <= 0 {
			return
		}
		size := left
		if j.parts > 1 {
			size = min(max(left*3/(4*j.parts)/j.least*j.least, j.least), left)
		}
		if j.next.CompareAndSwap(lo, lo+int64(size)) {
			j.task.run(int(lo), int(lo)+size, s)
		}
	}
}

// wait returns when no helper is busy with j.
func (j *job) wait() {
	for spins := 0; ; spins++ {
		busy := j.state.Load()
		if busy == 0 {
			return
		}
		if spins < ownerSpins {
			pause()
		} else if j.state.CompareAndSwap(busy, busy+sleeping) {
			<-j.done
			return
		}
	}
}

func (w *worker) loop() {
	for {
		j := w.next()
		if j == stop {
			return
		}
		j.drain(&w.scratch)
		p := w.pool
		p.mu.Lock()
		p.idle = append(p.idle, w) // first, so that the owner's next task finds it
		p.release()
		stopped := p.stopped
		p.mu.Unlock()
		if j.state.Add(-1) == sleeping {
			j.done <- struct{}{}
		}
		if stopped {
			return
		}
	}
}

// next waits for a job: a short while awake, then asleep.
func (w *worker) next() *job {
	for range helperSpins {
		if j := w.job.Load(); j != nil {
			w.job.Store(nil)
			return j
		}
		pause()
	}
	if w.job.CompareAndSwap(nil, parked) {
		<-w.wake
	}
	return w.job.Swap(nil)
}

// close ends the workers; later tasks run on their caller alone. No pass may
// be running.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	for _, w := range p.idle {
		if w.job.Swap(stop) == parked {
			w.wake <- struct{}{}
		}
	}
	p.idle = nil
}
