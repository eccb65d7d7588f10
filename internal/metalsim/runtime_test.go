//go:build linux && (amd64 || arm64)

package metalsim_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/ebitengine/purego"

	"github.com/go-openelm/go-openelm/internal/metalsim"
)

func TestAutoreleaseWithoutPool(t *testing.T) {
	c := newClient(t)
	leaked := c.send(c.device, "name")
	if v := c.sim.TakeViolations(); len(v) != 1 || v[0].Kind != "autorelease pool" {
		t.Errorf("%v", v)
	}
	if n := c.sim.Objects()["NSString"]; n == 0 {
		t.Error("the string did not leak")
	}
	c.send(leaked, "release")
	pool := c.call(c.push)
	name := c.send(c.device, "name")
	c.send(name, "retain")
	c.call(c.pop, pool)
	before := c.sim.Objects()["NSString"]
	c.send(name, "release")
	if after := c.sim.Objects()["NSString"]; after != before-1 {
		t.Errorf("%d strings, then %d", before, after)
	}
}

func TestCounters(t *testing.T) {
	c := newClient(t)
	c.sim.Reset()
	pool := c.call(c.push)
	b := c.buffer(1024)
	c.send(b, "setLabel:", c.str("activations"))
	for range 3 {
		c.run(func(e uintptr) {
			c.bound(e)
			c.send(e, setBuffer, b, 0, 0)
			c.dispatch(e, threadgroups, size{2, 1, 1}, size{64, 1, 1})
			c.send(e, "memoryBarrierWithScope:", 1)
			c.dispatch(e, "dispatchThreads:threadsPerThreadgroup:", size{100, 1, 1}, size{64, 1, 1})
		})
	}
	c.call(c.pop, pool)
	got := c.sim.Counters()
	if got.CommandBuffers != 3 || got.Commits != 3 || got.Waits != 3 || got.Encoders != 3 || got.Dispatches != 6 || got.MemoryBarriers != 3 || got.Buffers != 4 {
		t.Errorf("%+v", got)
	}
	if k := got.Kernels["scale"]; k.Dispatches != 6 || k.Threadgroups != 12 || k.Threads != 3*(128+100) || k.Seconds <= 0 {
		t.Errorf("%+v", k)
	}
	bytes := uint64(3 * (128 + 100) * 4)
	if l := got.Labels["activations"]; l.Read != bytes || l.Written != bytes || l.UniqueRead != bytes || l.UniqueWritten != bytes {
		t.Errorf("activations: %+v, want %d", l, bytes)
	}
	if l := got.Labels["setBytes"]; l.UniqueRead != 6*4 || l.Written != 0 {
		t.Errorf("setBytes: %+v", l)
	}
	if got.Bytes.Read != bytes+got.Labels["setBytes"].Read {
		t.Errorf("in all %+v", got.Bytes)
	}
	events := c.sim.Events()
	if len(events) != 6 {
		t.Fatalf("%d events of 3 command buffers", len(events))
	}
	for i := 0; i < len(events); i += 2 {
		if e := events[i : i+2]; e[0].Completed || !e[1].Completed || e[0].CommandBuffer != e[1].CommandBuffer || e[0].CommandBuffer != events[0].CommandBuffer+uint64(i/2) {
			t.Errorf("events %+v, want a command buffer's commit and its completion", e)
		}
	}
	stage := -1
	for i, d := range c.sim.Dispatches() { // of serial encoders: each a stage
		threads := []int{128, 100}[i%2]
		if d.Kernel != "scale" || d.Stage <= stage || d.Threadgroups != 2 || d.Threads != 64 || d.Memory != 0 || d.Bytes != float64(2*4*threads) {
			t.Errorf("dispatch %d: %+v", i, d)
		}
		stage = d.Stage
	}
	c.sim.Reset()
	if got := c.sim.Counters(); got.Dispatches != 0 || len(got.Kernels) != 0 || len(got.Labels) != 0 || len(c.sim.Events()) != 0 {
		t.Errorf("after reset: %+v", got)
	}
}

// Dispatches of a concurrent encoder are of one stage until a barrier.
func TestStages(t *testing.T) {
	c := newClient(t)
	c.sim.Reset()
	pool := c.call(c.push)
	defer c.call(c.pop, pool)
	x, y := c.buffer(256), c.buffer(256)
	cb := c.send(c.queue, "commandBuffer")
	e := c.send(cb, "computeCommandEncoderWithDispatchType:", 1)
	c.bound(e)
	for _, b := range []uintptr{x, y, 0, x} {
		if b == 0 {
			c.send(e, "memoryBarrierWithScope:", 1)
			continue
		}
		c.send(e, setBuffer, b, 0, 0)
		c.dispatch(e, threadgroups, size{1, 1, 1}, size{64, 1, 1})
	}
	c.send(e, "endEncoding")
	c.send(cb, "commit")
	c.send(cb, "waitUntilCompleted")
	d := c.sim.Dispatches()
	if len(d) != 3 || d[0].Stage != d[1].Stage || d[2].Stage <= d[1].Stage {
		t.Errorf("%+v", d)
	}
}

// A line that ran is hit, one that did not is listed all the same.
func TestCoverage(t *testing.T) {
	c := newClient(t)
	c.sim.Set(t, "coverage", "1")
	pool := c.call(c.push)
	defer c.call(c.pop, pool)
	source := `#include <metal_stdlib>
using namespace metal;
kernel void half_used(device float* x [[buffer(0)]], constant uint& n [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  if (n > 0)
    x[i] = 1.0f;
  else
    x[i] = 2.0f;
}
`
	library := c.send(c.device, "newLibraryWithSource:options:error:", c.str(source), 0, 0)
	f := c.send(library, "newFunctionWithName:", c.str("half_used"))
	p := c.own(c.send(c.device, "newComputePipelineStateWithFunction:error:", f, 0))
	c.send(f, "release")
	c.send(library, "release")
	c.run(func(e uintptr) { c.bound(e); c.send(e, setPipeline, p); c.dispatch(e, threadgroups, small, small) })
	got := map[int]int{}
	for _, l := range c.sim.Coverage() {
		got[l.Line] = l.Hit
	}
	for line, want := range map[int]int{4: 1, 5: 0, 7: 1} {
		if hit, listed := got[line]; !listed || hit != want {
			t.Errorf("line %d: hit %d, listed %v, want %d", line, hit, listed, want)
		}
	}
}

// blockLiteral is a block as a compiler lays it out on the stack: the runtime must copy it before it keeps it.
type blockLiteral struct {
	isa        uintptr
	flags      int32
	_          int32
	invoke     uintptr
	descriptor *blockDescriptor
}

type blockDescriptor struct{ _, size, copy, dispose uintptr }

const hasCopyDispose = 1 << 25

var blockCalls struct{ invoked, freed, copied, disposed atomic.Int32 }

var (
	onInvoke = sync.OnceValue(func() uintptr { return purego.NewCallback(func(block, object uintptr) { blockCalls.invoked.Add(1) }) })
	onFree   = sync.OnceValue(func() uintptr {
		return purego.NewCallback(func(block, memory, length uintptr) { blockCalls.freed.Add(int32(length)) })
	})
	onCopy    = sync.OnceValue(func() uintptr { return purego.NewCallback(func(to, from uintptr) { blockCalls.copied.Add(1) }) })
	onDispose = sync.OnceValue(func() uintptr { return purego.NewCallback(func(block uintptr) { blockCalls.disposed.Add(1) }) })
)

// Blocks on the stack are copied when handed over, called later from another thread, and disposed of.
func TestBlocks(t *testing.T) {
	c := newClient(t)
	pool := c.call(c.push)
	blockCalls.invoked.Store(0)
	blockCalls.freed.Store(0)
	blockCalls.copied.Store(0)
	blockCalls.disposed.Store(0)
	d := heap(blockDescriptor{size: unsafe.Sizeof(blockLiteral{}), copy: onCopy(), dispose: onDispose()})
	handler := heap(blockLiteral{flags: hasCopyDispose, invoke: onInvoke(), descriptor: d})
	cb := c.encode(func(uintptr) {})
	for range 2 {
		c.send(cb, "addCompletedHandler:", uintptr(unsafe.Pointer(handler)))
	}
	handler.invoke = 0 // as if the stack frame were gone
	c.send(cb, "commit")
	c.send(cb, "waitUntilCompleted")
	if n := blockCalls.invoked.Load(); n != 2 {
		t.Errorf("%d calls of completion handlers when waiting ended, want 2", n)
	}

	b := c.buffer(1 << 16)
	free := heap(blockLiteral{flags: hasCopyDispose, invoke: onFree(), descriptor: d})
	wrapped := c.send(c.device, "newBufferWithBytesNoCopy:length:options:deallocator:", c.send(b, "contents"), 1<<16, 0, uintptr(unsafe.Pointer(free)))
	runtime.KeepAlive(free)
	if n := blockCalls.freed.Load(); n != 0 {
		t.Error("memory freed early")
	}
	c.send(wrapped, "release")
	if n := blockCalls.freed.Load(); n != 1<<16 {
		t.Errorf("deallocator called for %d bytes", n)
	}
	if copied, disposed := blockCalls.copied.Load(), blockCalls.disposed.Load(); copied != 3 || disposed != 3 {
		t.Errorf("%d blocks copied, %d disposed of, want 3", copied, disposed)
	}
	c.call(c.pop, pool)
}

// A setting that does not exist is a mistake in a test.
func TestSettings(t *testing.T) {
	sim := metalsim.Start(t)
	for _, bad := range [][2]string{{"os", "3"}, {"family", "m1"}, {"mode", "fast"}, {"nonsense", "1"}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s=%s was accepted", bad[0], bad[1])
				}
			}()
			sim.Configure(bad[0], bad[1])
		}()
	}
	sim.Set(t, "family", "apple7")
	sim.SetSeed(42)
	sim.SetSeed(0)
}
