package bench

import (
	"context"
	"errors"
	"testing"
)

// TestReader: whatever the parts, a round reads all of them once, but for an
// odd byte.
func TestReader(t *testing.T) {
	r := reader{parts: [][]byte{make([]byte, 9<<20), make([]byte, 1), make([]byte, 4<<20), make([]byte, 300)}}
	total, turns := 0.0, 0
	for first := true; first || r.part != 0 || r.off != 0; first = false {
		total += r.next(turns%2 == 0)
		turns++
	}
	if want := float64(9<<20 + 4<<20 + 300); total != want || turns != 3+1+1+1 {
		t.Errorf("%g bytes in %d pieces, want %g in 6", total, turns, want)
	}
}

func TestLimitsEnd(t *testing.T) {
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if _, err := cpuLimits(ctx, [][]byte{make([]byte, 1<<20)}, 2); !errors.Is(err, gone) {
		t.Errorf("%v, want the context's cause", err)
	}
}
