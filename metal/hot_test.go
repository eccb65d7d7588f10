package metal_test

import (
	"testing"

	"github.com/go-openelm/go-openelm/metal"
)

// token is what encoding one token looks like: dispatches with binds buffers, a SetBytes and a barrier each.
type token struct {
	dispatches, binds int
	p                 [2]*metal.ComputePipeline
	buffers           []*metal.Buffer
	params            [8]uint32
}

func newToken(t testing.TB, g *gpu, dispatches, binds int) *token {
	t.Helper()
	tok := &token{dispatches: dispatches, binds: binds, p: [2]*metal.ComputePipeline{g.add, g.scale}}
	for range 8 {
		tok.buffers = append(tok.buffers, g.floats(t, "x", make([]float32, 64)...))
	}
	return tok
}

func (tok *token) encode(e *metal.ComputeEncoder) {
	for i := range tok.dispatches {
		e.SetPipeline(tok.p[i%2])
		for j := range tok.binds {
			e.SetBuffer(tok.buffers[(i+j)%len(tok.buffers)], 0, j)
		}
		metal.SetValue(e, &tok.params, 7)
		e.DispatchThreadgroups(metal.Size{8, 1, 1}, metal.Size{64, 1, 1})
		e.MemoryBarrier()
	}
}

// Setting, dispatching and barriers allocate nothing; a command buffer as a whole a handful of times, whatever it holds.
func TestEncodingDoesNotAllocate(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector makes sync.Pool forget at random")
	}
	g := newGPU(t)
	g.sim.Set(t, "execute", "0")
	tok := newToken(t, g, 100, 8)
	cb := must(g.queue.NewCommandBuffer())(t)
	e := must(cb.ComputeEncoder(metal.Concurrent))(t)
	tok.encode(e)
	if n := testing.AllocsPerRun(20, func() { tok.encode(e) }); n != 0 {
		t.Errorf("encoding 100 dispatches with 8 buffers each: %v allocations, want 0", n)
	}
	if err := e.End(); err != nil {
		t.Fatal(err)
	}
	cb.Release()

	whole := func(dispatches int) float64 {
		tok := newToken(t, g, dispatches, 8)
		return testing.AllocsPerRun(50, func() {
			if err := g.run(t, metal.Concurrent, tok.encode); err != nil {
				t.Fatal(err)
			}
		})
	}
	one, hundred := whole(1), whole(100)
	t.Logf("a command buffer of 1 dispatch: %v allocations, of 100: %v", one, hundred)
	if hundred > one+1 || hundred > 12 {
		t.Errorf("a command buffer of 1 dispatch: %v allocations, of 100: %v; want the same, at most 12", one, hundred)
	}
}

// BenchmarkEncodeToken encodes what one token of the 270M model takes: 83 dispatches with 6 bindings each, in one command
// buffer; the simulator records, and nothing is executed.
func BenchmarkEncodeToken(b *testing.B) {
	g := newGPU(b)
	g.sim.Set(b, "execute", "0")
	tok := newToken(b, g, 83, 5)
	b.Run("Encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			cb := must(g.queue.NewCommandBuffer())(b)
			e := must(cb.ComputeEncoder(metal.Concurrent))(b)
			tok.encode(e)
			if err := e.End(); err != nil {
				b.Fatal(err)
			}
			cb.Release()
		}
	})
	b.Run("EncodeCommitWait", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := g.run(b, metal.Concurrent, tok.encode); err != nil {
				b.Fatal(err)
			}
		}
	})
}
