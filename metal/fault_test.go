package metal_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/go-openelm/go-openelm/internal/metalsim"
	"github.com/go-openelm/go-openelm/metal"
)

var codes = map[metal.CommandBufferErrorCode]string{
	metal.ErrInternal: "internal", metal.ErrTimeout: "timeout", metal.ErrPageFault: "page fault", metal.ErrAccessRevoked: "access revoked",
	metal.ErrNotPermitted: "not permitted", metal.ErrOutOfMemory: "out of memory", metal.ErrInvalidResource: "invalid resource",
	metal.ErrMemoryless: "memoryless", metal.ErrDeviceRemoved: "device removed", metal.ErrStackOverflow: "stack overflow",
}

func needSimulator(t *testing.T, g *gpu) {
	t.Helper()
	if !g.sim.Simulated() {
		t.Skip("a real GPU does not fail on demand")
	}
}

// A command buffer fails with each of Metal's codes at the n-th commit: a typed error, and, unless the device is gone, the
// next one runs.
func TestCommandBufferErrors(t *testing.T) {
	for code, name := range codes {
		t.Run(name, func(t *testing.T) {
			g := newGPU(t)
			needSimulator(t, g)
			x := g.floats(t, "x", 1)
			double := func() error {
				cb := g.encode(t, metal.Serial, func(e *metal.ComputeEncoder) {
					e.SetPipeline(g.scale)
					e.SetBuffer(x, 0, 0)
					by := float32(2)
					metal.SetValue(e, &by, 1)
					e.DispatchThreads(metal.Size{1, 1, 1}, metal.Size{1, 1, 1})
				})
				cb.SetLabel("token")
				if err := cb.Commit(); err != nil {
					t.Fatal(err)
				}
				err := cb.WaitUntilCompleted()
				if (err != nil) != (cb.Status() == metal.StatusError) || !errors.Is(cb.Err(), err) {
					t.Errorf("status %v, Err %v after %v", cb.Status(), cb.Err(), err)
				}
				return err
			}
			g.sim.FailAt(metalsim.FaultExecution, 2, int(code))
			if err := double(); err != nil {
				t.Fatal(err)
			}
			err := double()
			var typed *metal.CommandBufferError
			if !errors.Is(err, code) || !errors.As(err, &typed) || typed.Label != "token" || typed.Domain != "MTLCommandBufferErrorDomain" || typed.Description == "" {
				t.Errorf("%#v", err)
			}
			for other := range codes {
				if other != code && errors.Is(err, other) {
					t.Errorf("%v is also %v", err, other)
				}
			}
			if !metal.IsGPUError(err) {
				t.Errorf("%v is not a GPU error", err)
			}
			err = double()
			if gone := code == metal.ErrDeviceRemoved || code == metal.ErrAccessRevoked; gone != errors.Is(err, code) || !gone && err != nil {
				t.Errorf("after the failure: %v", err)
			}
		})
	}
}

// Every call that can be refused is, in turn; each refusal is a typed error the program can answer by using the CPU, and
// nothing leaks (newGPU checks).
func TestRefusals(t *testing.T) {
	work := func(d *metal.Device) (err error) {
		lib, err := d.NewLibrary(kernels, nil)
		if err != nil {
			return err
		}
		defer lib.Release()
		f, err := lib.NewFunction("scale")
		if err != nil {
			return err
		}
		defer f.Release()
		p, err := d.NewComputePipeline(f, nil)
		if err != nil {
			return err
		}
		defer p.Release()
		x, err := d.NewBuffer(64, 0)
		if err != nil {
			return err
		}
		defer x.Release()
		q, err := d.NewCommandQueue()
		if err != nil {
			return err
		}
		defer q.Release()
		set, err := d.NewResidencySet("set", 1)
		if err != nil {
			return err
		}
		defer set.Release()
		cb, err := q.NewCommandBuffer()
		if err != nil {
			return err
		}
		defer cb.Release()
		e, err := cb.ComputeEncoder(metal.Concurrent)
		if err != nil {
			return err
		}
		e.SetPipeline(p)
		e.SetBuffer(x, 0, 0)
		e.SetBytes(make([]byte, 4), 1)
		e.DispatchThreads(metal.Size{16, 1, 1}, metal.Size{16, 1, 1})
		if err := e.End(); err != nil {
			return err
		}
		if err := cb.Commit(); err != nil {
			return err
		}
		return cb.WaitUntilCompleted()
	}
	g := newGPU(t)
	needSimulator(t, g)
	if err := work(g.Device); err != nil {
		t.Fatal(err)
	}
	for _, fault := range []metalsim.Fault{
		metalsim.FaultBuffer, metalsim.FaultLibrary, metalsim.FaultFunction, metalsim.FaultPipeline, metalsim.FaultQueue,
		metalsim.FaultCommandBuffer, metalsim.FaultEncoder, metalsim.FaultExecution, metalsim.FaultResidencySet,
	} {
		g.sim.FailAt(fault, 2, int(metal.ErrTimeout))
		first, second, third := work(g.Device), work(g.Device), work(g.Device)
		if first != nil || !metal.IsGPUError(second) || third != nil {
			t.Errorf("%s: %v, then %v, then %v", fault, first, second, third)
		}
		t.Logf("%s: %v", fault, second)
	}
}

// Waiting ends with the context; the GPU goes on.
func TestWaitContext(t *testing.T) {
	g := newGPU(t)
	x := g.floats(t, "x", 1)
	cb := g.encode(t, metal.Serial, func(e *metal.ComputeEncoder) {
		e.SetPipeline(g.scale)
		e.SetBuffer(x, 0, 0)
		e.SetBytes([]byte{0, 0, 0x40, 0x40}, 1) // 3.0
		e.DispatchThreads(metal.Size{1, 1, 1}, metal.Size{1, 1, 1})
	})
	if err := cb.Commit(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	// The command buffer may have finished by now; then either answer is right.
	if err := cb.Wait(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	select {
	case <-cb.Done():
	case <-time.After(time.Minute):
		t.Fatal("the command buffer never finished")
	}
	if err := cb.Err(); err != nil || asFloats(x)[0] != 3 {
		t.Errorf("%v, x = %v", err, asFloats(x))
	}
}

// Many goroutines compile, allocate, encode and wait at once; the scheduler may move them between threads at any call.
func TestManyGoroutines(t *testing.T) {
	g := newGPU(t)
	workers := 4 * runtime.GOMAXPROCS(0)
	buffers := make([]*metal.Buffer, workers)
	for i := range buffers {
		buffers[i] = g.floats(t, "x", make([]float32, 64)...)
	}
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			x := asFloats(buffers[i])
			x[63] = 1
			for round := range 20 {
				if round%8 == 0 {
					b, err := g.NewBuffer(4096*(i+1), 0)
					if err != nil {
						t.Error(err)
						return
					}
					b.SetLabel("short-lived")
					defer b.Release()
				}
				runtime.Gosched()
				err := g.run(t, metal.Concurrent, func(e *metal.ComputeEncoder) {
					e.PushDebugGroup("round")
					e.SetPipeline(g.scale)
					e.SetBuffer(buffers[i], 0, 0)
					by := float32(round%2*3/2 + 1) // 1, 2, 1, 2, ...
					metal.SetValue(e, &by, 1)
					e.DispatchThreads(metal.Size{64, 1, 1}, metal.Size{32, 1, 1})
					e.PopDebugGroup()
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
			if x[63] != 1024 {
				t.Errorf("worker %d: %v, want 1024", i, x[63])
			}
		})
	}
	wg.Wait()
}

// More command buffers than a queue allows at once: making one waits for room.
func TestCommandBufferLimit(t *testing.T) {
	g := newGPU(t)
	x := g.floats(t, "x", 1)
	var last *metal.CommandBuffer
	for range 200 {
		last = g.encode(t, metal.Serial, func(e *metal.ComputeEncoder) {
			e.SetPipeline(g.scale)
			e.SetBuffer(x, 0, 0)
			e.SetBytes([]byte{0, 0, 0x80, 0x3f}, 1) // 1.0
			e.DispatchThreads(metal.Size{1, 1, 1}, metal.Size{1, 1, 1})
		})
		if err := last.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if err := last.WaitUntilCompleted(); err != nil {
		t.Fatal(err)
	}
	if n := g.sim.Counters().CommandBuffers; g.sim.Simulated() && n != 200 {
		t.Errorf("%d command buffers", n)
	}
}

// A command buffer may complete, and its handler release it, while -commit is still running.
func TestCompletionBeforeCommitReturns(t *testing.T) {
	testFinish(t, "early")
}

// The handler is for the command buffer it was added to, whatever object it is called with.
func TestCompletionOfAnotherObject(t *testing.T) {
	testFinish(t, "another")
}

func testFinish(t *testing.T, when string) {
	g := newGPU(t)
	g.sim.Set(t, "finish", when)
	var wg sync.WaitGroup
	for range 3 { // with completion blocks in use for the first time, together, and again
		x := g.floats(t, "x", 1)
		wg.Go(func() {
			for range 5 {
				cb := g.encode(t, metal.Serial, func(e *metal.ComputeEncoder) {
					e.SetPipeline(g.scale)
					e.SetBuffer(x, 0, 0)
					e.SetBytes([]byte{0, 0, 0, 0x40}, 1) // 2.0
					e.DispatchThreads(metal.Size{1, 1, 1}, metal.Size{1, 1, 1})
				})
				if err := cb.Commit(); err != nil {
					t.Error(err)
					return
				}
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				if err := cb.Wait(ctx); err != nil {
					t.Error(err)
				}
				cancel()
			}
			if got := asFloats(x)[0]; got != 32 {
				t.Errorf("x = %v, want 32", got)
			}
		})
	}
	wg.Wait()
}
