package gpu_test

import (
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
