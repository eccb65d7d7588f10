package cpu

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// count adds up the items it is given.
type count struct{ items, calls atomic.Int64 }

func (c *count) run(lo, hi int, _ *scratch) {
	c.items.Add(int64(hi - lo))
	c.calls.Add(1)
}

// TestPool shares tasks of callers who are more than the threads.
func TestPool(t *testing.T) {
	for _, threads := range []int{1, 2, 5} {
		p := newPool(threads, &portable)
		var wg sync.WaitGroup
		for caller := range 4 {
			wg.Go(func() {
				j := job{done: make(chan struct{}, 1)}
				for n := 1; n < 300; n++ {
					var c count
					p.enter()
					p.run(&j, n, 1+n%(caller+3), &c, new(scratch))
					p.leave()
					if c.items.Load() != int64(n) {
						t.Errorf("%d threads: %d items of %d were run", threads, c.items.Load(), n)
					}
				}
			})
		}
		wg.Wait()
		p.close()
		if p.free != threads {
			t.Errorf("%d of %d places were given back", p.free, threads)
		}
	}
}

// TestPoolSleeps would not end if an idle worker kept spinning or were lost:
// synctest waits until every goroutine in it sleeps, or has ended.
func TestPoolSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(4, &portable)
		j := job{done: make(chan struct{}, 1)}
		for range 20 {
			var c count
			p.enter()
			p.run(&j, 1000, 1, &c, new(scratch))
			p.leave()
			synctest.Wait()
			if len(p.idle) != 3 {
				t.Fatalf("%d of 3 workers are idle", len(p.idle))
			}
			for _, w := range p.idle {
				if w.job.Load() != parked {
					t.Error("an idle worker is awake")
				}
			}
		}
		p.close()
	})
}
