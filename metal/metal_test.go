package metal_test

import (
	"testing"
	"unsafe"

	"github.com/go-openelm/go-openelm/internal/metalsim"
	"github.com/go-openelm/go-openelm/metal"
)

// kernels are what most tests run.
const kernels = `#include <metal_stdlib>
using namespace metal;
kernel void add(device const float* a [[buffer(0)]], device const float* b [[buffer(1)]], device float* c [[buffer(2)]],
                uint i [[thread_position_in_grid]]) {
  c[i] = a[i] + b[i];
}
kernel void scale(device float* x [[buffer(0)]], constant float& by [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  x[i] *= by;
}
`

// gpu is a device with a queue and the pipelines of kernels.
type gpu struct {
	*metal.Device
	sim        *metalsim.Simulator
	queue      *metal.CommandQueue
	add, scale *metal.ComputePipeline
}

func newGPU(t testing.TB) *gpu {
	t.Helper()
	g := &gpu{sim: metalsim.Start(t)}
	g.Device = must(metal.SystemDefaultDevice())(t)
	g.queue = must(g.NewCommandQueue())(t)
	lib := must(g.NewLibrary(kernels, &metal.CompileOptions{Label: "kernels"}))(t)
	defer lib.Release()
	g.add = pipeline(t, lib, g.Device, "add")
	g.scale = pipeline(t, lib, g.Device, "scale")
	t.Cleanup(func() {
		g.add.Release()
		g.scale.Release()
		g.queue.Release()
		g.Device.Release()
	})
	return g
}

func pipeline(t testing.TB, lib *metal.Library, d *metal.Device, name string, constants ...metal.FunctionConstant) *metal.ComputePipeline {
	t.Helper()
	f := must(lib.NewFunction(name, constants...))(t)
	defer f.Release()
	return must(d.NewComputePipeline(f, nil))(t)
}

// floats makes a buffer of n floats, released at the end of the test.
func (g *gpu) floats(t testing.TB, label string, values ...float32) *metal.Buffer {
	t.Helper()
	b := must(g.NewBuffer(4*len(values), metal.StorageModeShared))(t)
	b.SetLabel(label)
	copy(asFloats(b), values)
	t.Cleanup(b.Release)
	return b
}

func asFloats(b *metal.Buffer) []float32 {
	bytes := b.Bytes()
	return unsafe.Slice((*float32)(unsafe.Pointer(&bytes[0])), len(bytes)/4)
}

// must fails the test on an error: must(f())(t).
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// encode records with f into a new command buffer and returns it, ended, not committed.
func (g *gpu) encode(t testing.TB, kind metal.DispatchType, f func(*metal.ComputeEncoder)) *metal.CommandBuffer {
	t.Helper()
	cb := must(g.queue.NewCommandBuffer())(t)
	e := must(cb.ComputeEncoder(kind))(t)
	f(e)
	e.End() // its error is Commit's, too
	return cb
}

// run executes what f records.
func (g *gpu) run(t testing.TB, kind metal.DispatchType, f func(*metal.ComputeEncoder)) error {
	t.Helper()
	cb := g.encode(t, kind, f)
	if err := cb.Commit(); err != nil {
		return err
	}
	return cb.WaitUntilCompleted()
}

func TestVectorAdd(t *testing.T) {
	g := newGPU(t)
	a, b, c := g.floats(t, "a", 1, 2, 3, 4), g.floats(t, "b", 10, 20, 30, 40), g.floats(t, "c", 0, 0, 0, 0)
	cb := g.encode(t, metal.Serial, func(e *metal.ComputeEncoder) {
		e.SetPipeline(g.add)
		e.SetBuffer(a, 0, 0)
		e.SetBuffer(b, 0, 1)
		e.SetBuffer(c, 0, 2)
		e.DispatchThreads(metal.Size{4, 1, 1}, metal.Size{2, 1, 1})
		e.SetPipeline(g.scale)
		e.SetBuffer(c, 8, 0)
		by := float32(2)
		metal.SetValue(e, &by, 1)
		e.DispatchThreadgroups(metal.Size{1, 1, 1}, metal.Size{2, 1, 1})
	})
	if got := cb.Status(); got != metal.StatusNotEnqueued {
		t.Errorf("status before commit: %v", got)
	}
	if err := cb.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := cb.WaitUntilCompleted(); err != nil {
		t.Fatal(err)
	}
	if got, want := asFloats(c), []float32{11, 22, 66, 88}; got[0] != want[0] || got[1] != want[1] || got[2] != want[2] || got[3] != want[3] {
		t.Errorf("c = %v, want %v", got, want)
	}
	if got := cb.Status(); got != metal.StatusCompleted {
		t.Errorf("status: %v", got)
	}
	if cb.GPUStartTime() <= 0 || cb.GPUEndTime() < cb.GPUStartTime() || cb.GPUTime() < 0 {
		t.Errorf("GPU times %v to %v", cb.GPUStartTime(), cb.GPUEndTime())
	}
}

func addressOf(b []byte) uintptr { return uintptr(unsafe.Pointer(&b[0])) }
