package gpu_test

import (
	"context"
	"errors"
	"testing"

	"github.com/go-openelm/go-openelm/kernels"
)

// TestDispatchesPerToken pins what one token costs to launch, for all sizes of
// OpenELM: five dispatches a layer and the two ends, six a layer once keys are
// split among threadgroups, in two command buffers, since an idle GPU begins while
// the rest is recorded; in one while kernels compile.
func TestDispatchesPerToken(t *testing.T) {
	for _, name := range []string{"270M", "450M", "1_1B", "3B"} {
		t.Run(name, func(t *testing.T) {
			sim, b := open(t)
			if !sim.Simulated() {
				t.Skip("only the simulator can leave out the work")
			}
			sim.Set(t, "execute", "0")
			c := config(t, name)
			m, _ := model(t, b, c, kernels.BF16)
			s := session(t, m, 2000)
			layers := int64(len(c.Layers))
			for _, at := range []struct {
				cached     int
				dispatches int64
			}{{0, 5*layers + 2}, {1, 5*layers + 2}, {127, 5*layers + 2}, {128, 6*layers + 2}, {1999, 6*layers + 2}} {
				if n := at.cached - s.Len(); n > 0 {
					if err := s.Append(t.Context(), make([]int32, n)...); err != nil {
						t.Fatal(err)
					}
				}
				before, seen := b.Stats(), sim.Counters()
				if err := s.Append(t.Context(), 1); err != nil {
					t.Fatal(err)
				}
				after, now := b.Stats(), sim.Counters()
				if got := after.Dispatches - before.Dispatches; got != at.dispatches {
					t.Errorf("a token with %d cached: %d dispatches, want %d", at.cached, got, at.dispatches)
				}
				buffers := int64(2)
				if at.cached == 0 {
					buffers = 1
				}
				if got := after.Barriers - before.Barriers; got != at.dispatches-buffers {
					t.Errorf("a token with %d cached: %d barriers, want one between dispatches of a command buffer", at.cached, got)
				}
				if n := now.Commits - seen.Commits; int64(n) != buffers || now.Waits-seen.Waits != n || after.CommandBuffers-before.CommandBuffers != buffers {
					t.Errorf("a token with %d cached: %d commits, %d waits, want %d of each", at.cached, n, now.Waits-seen.Waits, buffers)
				}
			}
		})
	}
}

// TestPieces records a hundred operations on many rows: the GPU has them in pieces,
// two at a time, and a done context ends that.
func TestPieces(t *testing.T) {
	sim, b := open(t)
	sim.Set(t, "mode", "plain")
	const rows, width = kernels.ExactRows + 1, 16
	buf, err := b.NewBuffer(4 * width * (width + 2*rows))
	if err != nil {
		t.Fatal(err)
	}
	defer buf.Release()
	all := kernels.Whole(buf)
	w := kernels.Linear{W: &kernels.Matrix{Rows: width, Cols: width, Format: kernels.F32, Data: all.Slice(0, 4*width*width)}}
	x, in := all.Slice(4*width*width, 4*width*rows), all.Slice(4*width*(width+rows), 4*width*rows)
	for i := range width {
		w.W.Data.Floats()[i*width+i] = 1
	}
	for i := range in.Floats() {
		in.Floats()[i] = float32(i)
	}
	why := errors.New("no longer wanted")
	for _, stop := range []int{100, 50} {
		clear(x.Bytes())
		sim.Reset()
		ctx, cancel := context.WithCancelCause(t.Context())
		ops, err := b.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			if i == stop {
				cancel(why)
			}
			ops.ProjAdd(x, in, rows, w)
		}
		err = ops.Run()
		ops.End()
		cancel(nil)
		if stop < 100 != errors.Is(err, why) {
			t.Errorf("stopped at %d: error %v", stop, err)
		}
		if stop == 100 {
			for i, v := range x.Floats() {
				if v != 100*in.Floats()[i] {
					t.Fatalf("element %d is %v, want %v", i, v, 100*in.Floats()[i])
				}
			}
		}
		if !sim.Simulated() {
			continue
		}
		if n, want := sim.Counters().Commits, uint64((stop+pieceOf-1)/pieceOf); stop == 100 && n != want || stop < 100 && n >= want {
			t.Errorf("stopped at %d: %d command buffers, %d are all until then", stop, n, want)
		}
		flying := 0
		for _, e := range sim.Events() {
			if e.Completed {
				flying--
			} else if flying++; flying > 2 {
				t.Errorf("stopped at %d: %d pieces at a time", stop, flying)
			}
		}
	}
}

// pieceOf is how many dispatches a piece of a pass has.
const pieceOf = 16

// TestCompiledAhead has a prompt and a text after it, past the position where
// threadgroups begin to share keys: the prompt compiles all that the text needs.
func TestCompiledAhead(t *testing.T) {
	sim, b := open(t)
	if !sim.Simulated() {
		t.Skip("only the simulator counts what is compiled")
	}
	sim.Set(t, "execute", "0")
	c := config(t, "270M")
	c.Layers, c.VocabSize, c.ModelDim = c.Layers[:1], 300, 96
	m, _ := model(t, b, c, kernels.F16)
	s := session(t, m, 200)
	if err := s.Append(t.Context(), make([]int32, 20)...); err != nil {
		t.Fatal(err)
	}
	b.WaitCompiled()
	compiled := sim.Counters().Pipelines
	for s.Len() < 140 {
		if err := s.Append(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
	b.WaitCompiled()
	if n := sim.Counters().Pipelines - compiled; n > 0 {
		t.Errorf("%d kernels were compiled in the middle of a text", n)
	}
}

// TestStats holds the backend's own counts to what the GPU saw.
func TestStats(t *testing.T) {
	sim, b := open(t)
	c := config(t, "270M")
	c.Layers, c.VocabSize, c.ModelDim = c.Layers[:2], 300, 96
	m, _ := model(t, b, c, kernels.F16)
	s := session(t, m, 40)
	sim.Reset()
	before := b.Stats()
	for _, n := range []int{1, 30, 2} {
		if err := s.Append(t.Context(), make([]int32, n)...); err != nil {
			t.Fatal(err)
		}
	}
	got, want := b.Stats(), sim.Counters()
	if !sim.Simulated() {
		t.Skip("only the simulator counts")
	}
	if d := got.Dispatches - before.Dispatches; d != int64(want.Dispatches) || d == 0 {
		t.Errorf("%d dispatches, the GPU saw %d", d, want.Dispatches)
	}
	if d := got.Barriers - before.Barriers; d != int64(want.MemoryBarriers) || d == 0 {
		t.Errorf("%d barriers, the GPU saw %d", d, want.MemoryBarriers)
	}
	if d := got.CommandBuffers - before.CommandBuffers; d != int64(want.Commits) || d != 3 {
		t.Errorf("%d command buffers, the GPU saw %d", d, want.Commits)
	}
	if got.GPUTime <= before.GPUTime {
		t.Error("the GPU took no time")
	}
}
