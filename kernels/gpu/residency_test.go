package gpu

import (
	"testing"
	"testing/synctest"
	"time"
)

// residencyCalls counts what a residency set is told.
type residencyCalls struct{ requests, ends int }

func (c *residencyCalls) RequestResidency() error { c.requests++; return nil }
func (c *residencyCalls) EndResidency() error     { c.ends++; return nil }

// TestResidency requests residency while passes run, again and again, and
// withdraws it once after a while without one.
func TestResidency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c residencyCalls
		r := &residency{set: &c}
		r.use()
		r.use()
		if c != (residencyCalls{1, 0}) {
			t.Errorf("two passes: %+v, want one request", c)
		}
		time.Sleep(time.Second + time.Millisecond)
		if c != (residencyCalls{3, 0}) {
			t.Errorf("after a second: %+v, want two more requests", c)
		}
		time.Sleep(2 * residencyIdle)
		idle := c
		if c.ends != 1 || c.requests > int(residencyIdle/residencyHeartbeat)+1 {
			t.Errorf("after a long while: %+v, want one end", c)
		}
		time.Sleep(2 * residencyIdle)
		if c != idle {
			t.Errorf("%+v while nothing was resident, before %+v", c, idle)
		}
		r.use()
		r.end()
		r.end()
		time.Sleep(2 * residencyIdle)
		if want := (residencyCalls{idle.requests + 1, idle.ends + 1}); c != want {
			t.Errorf("used again and ended twice: %+v, want %+v", c, want)
		}
	})
	var none *residency // before macOS 15
	none.use()
	none.end()
}
