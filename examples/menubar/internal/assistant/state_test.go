package assistant_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
)

// TestWatch: who watches is told of the last state, never twice at a time, and no more
// once they stop.
func TestWatch(t *testing.T) {
	a := start(t, options(t, nil))
	var under atomic.Int32
	kept := make(chan bool, 1000)
	stop := a.Watch(func(desktop.State) {
		if under.Add(1) > 1 {
			t.Error("it is told twice at a time")
		}
		kept <- a.Settings().KeepLoaded // it may ask
		under.Add(-1)
	})
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if err := a.Change(func(s *desktop.Settings) { s.KeepLoaded = i%2 == 0 }); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := a.Change(func(s *desktop.Settings) { s.KeepLoaded = true }); err != nil {
		t.Fatal(err)
	}
	for last := false; !last; last = <-kept {
	}
	stop()
	stop()
	told := len(kept)
	if err := a.Change(func(s *desktop.Settings) { s.KeepLoaded = false }); err != nil {
		t.Fatal(err)
	}
	quit(t, a)
	if len(kept) > told+1 { // one may have been under way
		t.Error("who stopped is told")
	}
}

// TestManyQuestions: more questions than there is room for are answered or told to come
// again, and all the memory is given back.
func TestManyQuestions(t *testing.T) {
	a := start(t, options(t, nil))
	c := connect(t, a, http.DefaultClient)
	var answered, refused atomic.Int32
	var all sync.WaitGroup
	for range 14 {
		all.Go(func() {
			switch s := c.ask(ask(desktop.Fix, "Once upon a time"), nil); {
			case s.done != nil:
				answered.Add(1)
			case strings.Contains(s.err, "too many questions"):
				refused.Add(1)
			default:
				t.Errorf("%+v", s)
			}
		})
	}
	all.Wait()
	if answered.Load() < 2 {
		t.Errorf("%d were answered, %d told to come again", answered.Load(), refused.Load())
	}
	done := make(chan struct{})
	defer a.Watch(func(s desktop.State) {
		if s.MemoryBytes == 0 {
			close(done)
		}
	})()
	a.Unload()
	<-done
}
