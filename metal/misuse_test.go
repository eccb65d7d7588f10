package metal_test

import (
	"context"
	"errors"
	"math"
	"os"
	"testing"

	"github.com/go-openelm/go-openelm/metal"
)

// recorded is a recording that is wrong in one way, and its right twin.
type recorded struct {
	name         string
	want         error
	wrong, right func(*fixture, *metal.ComputeEncoder)
}

type fixture struct {
	*gpu
	a, b, c, gone     *metal.Buffer
	foreign           *metal.Buffer
	foreignPipeline   *metal.ComputePipeline
	released, limited *metal.ComputePipeline
}

func newFixture(t *testing.T) *fixture {
	g := newGPU(t)
	g.sim.Set(t, "devices", "2")
	f := &fixture{gpu: g, a: g.floats(t, "a", make([]float32, 64)...), b: g.floats(t, "b", make([]float32, 64)...), c: g.floats(t, "c", make([]float32, 64)...)}
	f.gone = must(g.NewBuffer(256, 0))(t)
	f.gone.Release()
	lib := must(g.NewLibrary(kernels, nil))(t)
	defer lib.Release()
	f.released = pipeline(t, lib, g.Device, "add")
	f.released.Release()
	fn := must(lib.NewFunction("add"))(t)
	defer fn.Release()
	f.limited = must(g.NewComputePipeline(fn, &metal.PipelineOptions{MaxTotalThreadsPerThreadgroup: 64, WholeSIMDGroups: true}))(t)
	t.Cleanup(f.limited.Release)
	devices := must(metal.Devices())(t)
	for _, d := range devices {
		t.Cleanup(d.Release)
		if d.RegistryID() == g.RegistryID() {
			continue
		}
		f.foreign = must(d.NewBuffer(256, 0))(t)
		t.Cleanup(f.foreign.Release)
		other := must(d.NewLibrary(kernels, nil))(t)
		defer other.Release()
		f.foreignPipeline = pipeline(t, other, d, "add")
		t.Cleanup(f.foreignPipeline.Release)
	}
	return f
}

// bind binds everything the kernel add takes.
func (f *fixture) bind(e *metal.ComputeEncoder) {
	e.SetPipeline(f.add)
	e.SetBuffer(f.a, 0, 0)
	e.SetBuffer(f.b, 0, 1)
	e.SetBuffer(f.c, 0, 2)
}

func (f *fixture) dispatch(e *metal.ComputeEncoder) {
	e.DispatchThreadgroups(metal.Size{2, 1, 1}, metal.Size{32, 1, 1})
}

var misuses = []recorded{
	{"dispatch without pipeline", metal.ErrState,
		func(f *fixture, e *metal.ComputeEncoder) { f.dispatch(e) },
		func(f *fixture, e *metal.ComputeEncoder) { f.bind(e); f.dispatch(e) }},
	{"nil pipeline", metal.ErrReleased,
		func(f *fixture, e *metal.ComputeEncoder) { e.SetPipeline(nil) },
		func(f *fixture, e *metal.ComputeEncoder) { e.SetPipeline(f.add) }},
	{"released pipeline", metal.ErrReleased,
		func(f *fixture, e *metal.ComputeEncoder) { e.SetPipeline(f.released) },
		func(f *fixture, e *metal.ComputeEncoder) { e.SetPipeline(f.limited) }},
	{"another device's pipeline", metal.ErrForeignDevice,
		func(f *fixture, e *metal.ComputeEncoder) { e.SetPipeline(f.foreignPipeline) },
		func(f *fixture, e *metal.ComputeEncoder) { e.SetPipeline(f.scale) }},
	{"nil buffer", metal.ErrReleased,
		func(f *fixture, e *metal.ComputeEncoder) { e.SetBuffer(nil, 0, 0) },
		func(f *fixture, e *metal.ComputeEncoder) { e.SetBuffer(f.a, 0, 0) }},
	{"released buffer", metal.ErrReleased,
		func(f *fixture, e *metal.ComputeEncoder) { e.SetBuffer(f.gone, 0, 0) },
		func(f *fixture, e *metal.ComputeEncoder) { e.SetBuffer(f.b, 0, 0) }},
	{"another device's buffer", metal.ErrForeignDevice,
		func(f *fixture, e *metal.ComputeEncoder) { e.SetBuffer(f.foreign, 0, 0) },
		func(f *fixture, e *metal.ComputeEncoder) { e.SetBuffer(f.c, 0, 0) }},
	{"buffer 31", metal.ErrInvalidArgument,
		func(f *fixture, e *metal.ComputeEncoder) { e.SetBuffer(f.a, 0, 31) },
		func(f *fixture, e *metal.ComputeEncoder) { e.SetBuffer(f.a, 0, 30) }},
	{"buffer -1", metal.ErrInvalidArgument,
		func(f *fixture, e *metal.ComputeEncoder) { e.SetBuffer(f.a, 0, -1) },
		func(f *fixture, e *metal.ComputeEncoder) { e.SetBuffer(f.a, 0, 1) }},
	{"offset past the end", metal.ErrInvalidArgument,
		func(f *fixture, e *metal.ComputeEncoder) { e.SetBuffer(f.a, 256, 0) },
		func(f *fixture, e *metal.ComputeEncoder) { e.SetBuffer(f.a, 252, 0) }},
	{"negative offset", metal.ErrInvalidArgument,
		func(f *fixture, e *metal.ComputeEncoder) { e.SetBuffer(f.a, -4, 0) },
		func(f *fixture, e *metal.ComputeEncoder) { e.SetBuffer(f.a, 4, 0) }},
	{"more than 4 KiB of bytes", metal.ErrInvalidArgument,
		func(f *fixture, e *metal.ComputeEncoder) { e.SetBytes(make([]byte, 4097), 0) },
		func(f *fixture, e *metal.ComputeEncoder) { e.SetBytes(make([]byte, 4096), 0) }},
	{"no bytes", metal.ErrInvalidArgument,
		func(f *fixture, e *metal.ComputeEncoder) { e.SetBytes(nil, 0) },
		func(f *fixture, e *metal.ComputeEncoder) { e.SetBytes([]byte{1}, 0) }},
	{"bytes at index 31", metal.ErrInvalidArgument,
		func(f *fixture, e *metal.ComputeEncoder) { e.SetBytes([]byte{1}, 31) },
		func(f *fixture, e *metal.ComputeEncoder) { e.SetBytes([]byte{1}, 30) }},
	{"nil value", metal.ErrInvalidArgument,
		func(f *fixture, e *metal.ComputeEncoder) { metal.SetValue[int32](e, nil, 0) },
		func(f *fixture, e *metal.ComputeEncoder) { metal.SetValue(e, new(int32), 0) }},
	{"threadgroup memory not a multiple of 16", metal.ErrInvalidArgument,
		func(f *fixture, e *metal.ComputeEncoder) { e.SetThreadgroupMemory(24, 0) },
		func(f *fixture, e *metal.ComputeEncoder) { e.SetThreadgroupMemory(32, 0) }},
	{"threadgroup memory above 32 KiB", metal.ErrInvalidArgument,
		func(f *fixture, e *metal.ComputeEncoder) { e.SetThreadgroupMemory(32<<10+16, 0) },
		func(f *fixture, e *metal.ComputeEncoder) { e.SetThreadgroupMemory(32<<10, 0) }},
	{"threadgroup memory above 32 KiB in sum", metal.ErrInvalidArgument,
		func(f *fixture, e *metal.ComputeEncoder) {
			e.SetThreadgroupMemory(20<<10, 0)
			e.SetThreadgroupMemory(20<<10, 1)
			f.bind(e)
			f.dispatch(e)
		},
		func(f *fixture, e *metal.ComputeEncoder) {
			e.SetThreadgroupMemory(20<<10, 0)
			e.SetThreadgroupMemory(20<<10, 1)
			e.SetThreadgroupMemory(0, 0)
			f.bind(e)
			f.dispatch(e)
		}},
	{"empty grid", metal.ErrInvalidArgument,
		func(f *fixture, e *metal.ComputeEncoder) {
			f.bind(e)
			e.DispatchThreadgroups(metal.Size{0, 1, 1}, metal.Size{32, 1, 1})
		},
		func(f *fixture, e *metal.ComputeEncoder) {
			f.bind(e)
			e.DispatchThreadgroups(metal.Size{1, 1, 1}, metal.Size{32, 1, 1})
		}},
	{"negative threadgroup", metal.ErrInvalidArgument,
		func(f *fixture, e *metal.ComputeEncoder) {
			f.bind(e)
			e.DispatchThreads(metal.Size{64, 1, 1}, metal.Size{-8, -1, 1})
		},
		func(f *fixture, e *metal.ComputeEncoder) {
			f.bind(e)
			e.DispatchThreads(metal.Size{64, 1, 1}, metal.Size{8, 1, 1})
		}},
	{"threadgroup above the pipeline's limit", metal.ErrInvalidArgument,
		func(f *fixture, e *metal.ComputeEncoder) {
			f.bind(e)
			e.SetPipeline(f.limited)
			e.DispatchThreads(metal.Size{64, 1, 1}, metal.Size{128, 1, 1})
		},
		func(f *fixture, e *metal.ComputeEncoder) {
			f.bind(e)
			e.SetPipeline(f.limited)
			e.DispatchThreads(metal.Size{64, 1, 1}, metal.Size{64, 1, 1})
		}},
	{"threadgroup whose product overflows", metal.ErrInvalidArgument,
		func(f *fixture, e *metal.ComputeEncoder) {
			f.bind(e)
			e.DispatchThreads(metal.Size{64, 1, 1}, metal.Size{math.MaxInt32, math.MaxInt32, 8})
		},
		func(f *fixture, e *metal.ComputeEncoder) {
			f.bind(e)
			e.DispatchThreads(metal.Size{64, 1, 1}, metal.Size{16, 4, 2})
		}},
	{"not whole SIMD-groups", metal.ErrInvalidArgument,
		func(f *fixture, e *metal.ComputeEncoder) {
			f.bind(e)
			e.SetPipeline(f.limited)
			e.DispatchThreadgroups(metal.Size{1, 1, 1}, metal.Size{48, 1, 1})
		},
		func(f *fixture, e *metal.ComputeEncoder) {
			f.bind(e)
			e.SetPipeline(f.limited)
			e.DispatchThreadgroups(metal.Size{1, 1, 1}, metal.Size{64, 1, 1})
		}},
	{"barrier for no buffers", metal.ErrInvalidArgument,
		func(f *fixture, e *metal.ComputeEncoder) { e.MemoryBarrierBuffers() },
		func(f *fixture, e *metal.ComputeEncoder) { e.MemoryBarrier() }},
	{"barrier for a released buffer", metal.ErrReleased,
		func(f *fixture, e *metal.ComputeEncoder) { e.MemoryBarrierBuffers(f.a, f.gone) },
		func(f *fixture, e *metal.ComputeEncoder) { e.MemoryBarrierBuffers(f.a, f.b) }},
	{"pop without push", metal.ErrState,
		func(f *fixture, e *metal.ComputeEncoder) { e.PopDebugGroup() },
		func(f *fixture, e *metal.ComputeEncoder) { e.PushDebugGroup("layer 0"); e.PopDebugGroup() }},
	{"push without pop", metal.ErrState,
		func(f *fixture, e *metal.ComputeEncoder) { e.PushDebugGroup("layer 0") },
		func(f *fixture, e *metal.ComputeEncoder) { e.SetLabel("layer 0") }},
}

// A wrong recording is refused with a typed error before Metal sees it; its right twin runs. newGPU's clean-up fails the
// test for whatever reaches the simulator wrongly, and for leaks.
func TestMisuseOfEncoder(t *testing.T) {
	f := newFixture(t)
	for _, m := range misuses {
		t.Run(m.name, func(t *testing.T) {
			if m.want == metal.ErrForeignDevice && f.foreign == nil {
				t.Skip("there is one device")
			}
			cb := must(f.queue.NewCommandBuffer())(t)
			e := must(cb.ComputeEncoder(metal.Serial))(t)
			m.wrong(f, e)
			f.bind(e) // does nothing any more
			f.dispatch(e)
			if err := e.End(); !errors.Is(err, m.want) {
				t.Errorf("End: %v, want %v", err, m.want)
			}
			if err := e.Err(); !errors.Is(err, m.want) {
				t.Errorf("Err: %v, want %v", err, m.want)
			}
			if err := cb.Commit(); !errors.Is(err, m.want) {
				t.Errorf("Commit: %v, want %v", err, m.want)
			}
			if err := cb.WaitUntilCompleted(); !errors.Is(err, m.want) {
				t.Errorf("Wait: %v, want %v", err, m.want)
			}
			if got := cb.Status(); got != metal.StatusError {
				t.Errorf("status %v", got)
			}
			if err := f.run(t, metal.Serial, func(e *metal.ComputeEncoder) { m.right(f, e) }); err != nil {
				t.Errorf("the right twin: %v", err)
			}
		})
	}
}

// Every method of every type can be called on nil and after Release.
func TestNilAndReleasedObjects(t *testing.T) {
	g := newGPU(t)
	lib := must(g.NewLibrary(kernels, nil))(t)
	fn := must(lib.NewFunction("add"))(t)
	for _, release := range []interface{ Release() }{lib, fn} {
		release.Release()
		release.Release() // idempotent
	}
	gone := must(g.NewBuffer(64, 0))(t)
	gone.Release()
	gone.Release()
	other := must(metal.SystemDefaultDevice())(t)
	other.Release()
	other.Release()
	queue := must(g.NewCommandQueue())(t)
	queue.Release()
	cb := must(g.queue.NewCommandBuffer())(t)
	cb.Release()
	cb.Release()

	for _, d := range []*metal.Device{nil, other} {
		_ = d.String()
		d.HasUnifiedMemory()
		d.SupportsFamily(metal.FamilyApple7)
		if d.RegistryID() != 0 || d.CurrentAllocatedSize() != 0 || d.RecommendedMaxWorkingSetSize() != 0 {
			t.Error("a released device has properties")
		}
		_, err1 := d.NewBuffer(1, 0)
		_, err2 := d.NewBufferNoCopy(make([]byte, 1), 0)
		_, err3 := d.NewLibrary(kernels, nil)
		_, err4 := d.NewComputePipeline(fn, nil)
		_, err5 := d.NewCommandQueue()
		_, err6 := d.NewResidencySet("", 0)
		_, err7 := d.StartCapture("x")
		for i, err := range []error{err1, err2, err3, err4, err5, err6, err7} {
			if !errors.Is(err, metal.ErrReleased) {
				t.Errorf("device %v, call %d: %v", d != nil, i, err)
			}
		}
		d.Release()
	}
	for _, b := range []*metal.Buffer{nil, gone} {
		b.SetLabel("x")
		if b.Bytes() != nil || b.AllocatedSize() != 0 {
			t.Error("a released buffer has memory")
		}
		if _, err := b.GPUAddress(); !errors.Is(err, metal.ErrReleased) {
			t.Error(err)
		}
		b.Release()
	}
	for _, l := range []*metal.Library{nil, lib} {
		if _, err := l.NewFunction("add"); !errors.Is(err, metal.ErrReleased) {
			t.Error(err)
		}
		if l.FunctionNames() != nil || l.Warnings() != nil {
			t.Error("a released library has functions")
		}
		l.Release()
	}
	for _, f := range []*metal.Function{nil, fn} {
		if _, err := g.NewComputePipeline(f, nil); !errors.Is(err, metal.ErrReleased) {
			t.Error(err)
		}
		_ = f.Name()
		f.Release()
	}
	for _, q := range []*metal.CommandQueue{nil, queue} {
		q.SetLabel("x")
		_, err := q.NewCommandBuffer()
		for _, err := range []error{err, q.AddResidencySet(nil), q.RemoveResidencySet(nil)} {
			if !errors.Is(err, metal.ErrReleased) {
				t.Error(err)
			}
		}
		q.Release()
	}
	for _, c := range []*metal.CommandBuffer{nil, cb} {
		c.SetLabel("x")
		<-c.Done()
		_, err := c.ComputeEncoder(metal.Serial)
		for i, err := range []error{err, c.Commit(), c.WaitUntilCompleted(), c.Err(), c.UseResidencySet(nil)} {
			if !errors.Is(err, metal.ErrReleased) && !errors.Is(err, metal.ErrState) {
				t.Errorf("command buffer %v, call %d: %v", c != nil, i, err)
			}
		}
		if c.Status() != metal.StatusError || c.GPUTime() != 0 || c.GPUStartTime() != 0 || c.GPUEndTime() != 0 {
			t.Error("a discarded command buffer ran")
		}
		c.Release()
	}
	var e *metal.ComputeEncoder
	e.SetPipeline(g.add)
	e.SetBuffer(gone, 0, 0)
	e.SetBytes([]byte{1}, 0)
	e.SetThreadgroupMemory(16, 0)
	e.DispatchThreadgroups(metal.Size{1, 1, 1}, metal.Size{1, 1, 1})
	e.DispatchThreads(metal.Size{1, 1, 1}, metal.Size{1, 1, 1})
	e.MemoryBarrier()
	e.MemoryBarrierBuffers(gone)
	e.SetLabel("x")
	e.PushDebugGroup("x")
	e.PopDebugGroup()
	if !errors.Is(e.End(), metal.ErrReleased) || !errors.Is(e.Err(), metal.ErrReleased) {
		t.Error("a nil encoder ended")
	}
	var p *metal.ComputePipeline
	if p.Label() != "" || p.MaxTotalThreadsPerThreadgroup() != 0 || p.ThreadExecutionWidth() != 0 || p.StaticThreadgroupMemoryLength() != 0 {
		t.Error("a nil pipeline has properties")
	}
	p.Release()
	var r *metal.ResidencySet
	for _, err := range []error{r.Add(nil), r.Remove(nil), r.RemoveAll(), r.Commit(), r.RequestResidency(), r.EndResidency()} {
		if !errors.Is(err, metal.ErrReleased) {
			t.Error(err)
		}
	}
	if r.Len() != 0 || r.AllocatedSize() != 0 {
		t.Error("a nil residency set has buffers")
	}
	r.Release()
	var c *metal.Capture
	c.Stop()
}

func TestCommandBufferStates(t *testing.T) {
	g := newGPU(t)
	f := &fixture{gpu: g, a: g.floats(t, "a", 1), b: g.floats(t, "b", 2), c: g.floats(t, "c", 0)}
	is := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	cb := must(g.queue.NewCommandBuffer())(t)
	is(cb.WaitUntilCompleted(), metal.ErrState)
	_, err := cb.ComputeEncoder(7)
	is(err, metal.ErrInvalidArgument)
	e := must(cb.ComputeEncoder(metal.Concurrent))(t)
	_, err = cb.ComputeEncoder(metal.Concurrent)
	is(err, metal.ErrState)
	is(cb.Commit(), metal.ErrState) // still recording: not fatal
	f.bind(e)
	e.DispatchThreads(metal.Size{1, 1, 1}, metal.Size{1, 1, 1})
	is(e.End(), nil)
	second := must(cb.ComputeEncoder(metal.Serial))(t)
	second.SetPipeline(g.scale)
	second.SetBuffer(f.c, 0, 0)
	by := float32(5)
	metal.SetValue(second, &by, 1)
	second.DispatchThreads(metal.Size{1, 1, 1}, metal.Size{1, 1, 1})
	is(second.End(), nil)
	is(cb.Commit(), nil)
	is(cb.WaitUntilCompleted(), nil)
	is(cb.Err(), nil)
	if got := asFloats(f.c)[0]; got != 15 {
		t.Errorf("c = %v, want 15", got)
	}
	is(cb.Commit(), metal.ErrState)
	_, err = cb.ComputeEncoder(metal.Serial)
	is(err, metal.ErrState)
	e.SetPipeline(g.add)
	is(e.Err(), metal.ErrState)
	is(e.End(), metal.ErrState)
	is(cb.Err(), nil) // what is done stays done

	// Discarding one with an encoder that has not ended.
	cb = must(g.queue.NewCommandBuffer())(t)
	e = must(cb.ComputeEncoder(metal.Serial))(t)
	f.bind(e)
	cb.Release()
	f.dispatch(e)
	is(e.End(), metal.ErrState)
	is(cb.WaitUntilCompleted(), metal.ErrReleased)
}

// Objects released while a command buffer uses them live until it has completed.
func TestReleaseWhileInFlight(t *testing.T) {
	g := newGPU(t)
	queue := must(g.NewCommandQueue())(t)
	lib := must(g.NewLibrary(kernels, nil))(t)
	p := pipeline(t, lib, g.Device, "add")
	a, b := must(g.NewBuffer(256, 0))(t), must(g.NewBuffer(256, 0))(t)
	c := g.floats(t, "c", make([]float32, 64)...)
	asFloats(a)[63], asFloats(b)[63] = 3, 4
	cb := must(queue.NewCommandBuffer())(t)
	e := must(cb.ComputeEncoder(metal.Serial))(t)
	e.SetPipeline(p)
	e.SetBuffer(a, 0, 0)
	e.SetBuffer(b, 0, 1)
	a.Release() // the message binding it has not even been sent
	e.SetBuffer(c, 0, 2)
	e.DispatchThreads(metal.Size{64, 1, 1}, metal.Size{64, 1, 1})
	if err := e.End(); err != nil {
		t.Fatal(err)
	}
	for _, o := range []interface{ Release() }{b, p, lib, queue} {
		o.Release()
	}
	if err := cb.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := cb.Wait(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := asFloats(c)[63]; got != 7 {
		t.Errorf("c = %v, want 7", got)
	}
}

func TestBadBuffers(t *testing.T) {
	g := newGPU(t)
	for _, n := range []int{0, -1, math.MinInt} {
		if _, err := g.NewBuffer(n, 0); !errors.Is(err, metal.ErrInvalidArgument) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := g.NewBuffer(16, 0x30); !errors.Is(err, metal.ErrInvalidArgument) {
		t.Errorf("memoryless buffer: %v", err)
	}
	var refused *metal.AllocationError
	if _, err := g.NewBuffer(math.MaxInt, 0); !errors.Is(err, metal.ErrOutOfMemory) || !errors.As(err, &refused) || refused.Length != math.MaxInt {
		t.Errorf("everything there is: %v", err)
	}
	page := os.Getpagesize()
	memory := make([]byte, 3*page)
	aligned := memory[page-int(addressOf(memory)%uintptr(page)):]
	var misaligned *metal.AlignmentError
	for _, bad := range [][]byte{aligned[1 : page+1], aligned[:page-1], aligned[:1]} {
		if _, err := g.NewBufferNoCopy(bad, 0); !errors.As(err, &misaligned) || !errors.Is(err, metal.ErrInvalidArgument) {
			t.Errorf("wrapping %d bytes: %v", len(bad), err)
		}
	}
	if _, err := g.NewBufferNoCopy(nil, 0); !errors.Is(err, metal.ErrInvalidArgument) {
		t.Errorf("wrapping nothing: %v", err)
	}
	if _, err := g.NewBufferNoCopy(aligned[:page], metal.StorageModePrivate); !errors.Is(err, metal.ErrInvalidArgument) {
		t.Errorf("wrapping as private: %v", err)
	}
	wrapped := must(g.NewBufferNoCopy(aligned[:page], 0))(t)
	defer wrapped.Release()
	aligned[5] = 42
	if b := wrapped.Bytes(); len(b) != page || b[5] != 42 || &b[0] != &aligned[0] {
		t.Error("the wrapped memory is not the same memory")
	}
	private := must(g.NewBuffer(64, metal.StorageModePrivate))(t)
	defer private.Release()
	if private.Bytes() != nil || private.Len() != 64 {
		t.Error("a private buffer is visible")
	}
}
