package gpu_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/go-openelm/go-openelm/internal/metalsim"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/cpu"
	"github.com/go-openelm/go-openelm/kernels/gpu"
	"github.com/go-openelm/go-openelm/metal"
)

// pages is n whole pages of memory that begin at a page boundary.
func pages(t *testing.T, n int) []byte {
	t.Helper()
	size := os.Getpagesize()
	mem := make([]byte, (n+1)*size)
	skip := size - int(address(mem)%uintptr(size))
	return mem[skip%size:][: n*size : n*size]
}

func TestWrapBuffer(t *testing.T) {
	_, b := open(t)
	mem := pages(t, 2)
	mem[5] = 42
	shared, ok, err := b.WrapBuffer(mem)
	if err != nil || !ok || address(shared.Bytes()) != address(mem) {
		t.Fatalf("whole pages: shared %v, error %v", ok, err)
	}
	shared.Release()
	shared.Release()
	if mem[5] != 42 {
		t.Error("Release changed the memory")
	}
	copied, ok, err := b.WrapBuffer(mem[1:100])
	if err != nil || ok || len(copied.Bytes()) != 99 || copied.Bytes()[4] != 42 {
		t.Fatalf("a part of a page: shared %v, error %v", ok, err)
	}
	copied.Release()
}

func TestBufferSize(t *testing.T) {
	_, b := open(t)
	var size *gpu.BufferSizeError
	for _, n := range []int{-1, 0, b.Device().MaxBufferLength() + 1} {
		if _, err := b.NewBuffer(n); !errors.As(err, &size) || size.Size != n || size.Max != b.Device().MaxBufferLength() {
			t.Errorf("NewBuffer(%d): %v, want a BufferSizeError", n, err)
		}
	}
	if _, _, err := b.WrapBuffer(nil); !errors.As(err, &size) {
		t.Errorf("WrapBuffer(nil): %v, want a BufferSizeError", err)
	}
}

func TestForeignBuffers(t *testing.T) {
	_, b := open(t)
	c := cpu.New(cpu.Options{Threads: 1})
	defer c.Close()
	theirs, err := c.NewBuffer(256)
	if err != nil {
		t.Fatal(err)
	}
	mine, err := b.NewBuffer(256)
	if err != nil {
		t.Fatal(err)
	}
	defer mine.Release()
	w := &kernels.Matrix{Rows: 4, Cols: 4, Format: kernels.F32, Data: kernels.Whole(mine).Slice(0, 64)}
	ops, err := b.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer ops.End()
	for name, v := range map[string]kernels.View{"of the CPU": kernels.Whole(theirs), "of nothing": {Len: 16}} {
		ops.ProjAdd(kernels.Whole(mine), v, 1, kernels.Linear{W: w})
		if err := ops.Run(); !errors.Is(err, gpu.ErrForeignBuffer) {
			t.Errorf("a view %s: %v, want ErrForeignBuffer", name, err)
		}
	}
	ops.ProjAdd(kernels.Whole(mine), kernels.View{Buf: mine, Off: 250, Len: 16}, 1, kernels.Linear{W: w})
	if err := ops.Run(); !errors.Is(err, kernels.ErrShape) {
		t.Errorf("a view past the end: %v, want ErrShape", err)
	}
	ops.ProjAdd(kernels.Whole(mine), kernels.Whole(mine).Slice(2, 64), 1, kernels.Linear{W: w})
	if err := ops.Run(); !errors.Is(err, kernels.ErrShape) {
		t.Errorf("a misaligned view: %v, want ErrShape", err)
	}
}

func TestHeadDimTooLarge(t *testing.T) {
	w := newTwins(t)
	v := w.floats(0, 3*1026)
	ops, err := w.side[0].Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer ops.End()
	ops.Attend(v[0], v[0], &kernels.Attention{QueryHeads: 1, KVHeads: 1, HeadDim: 1026, Rope: v[0]},
		[]kernels.Span{{Keys: v[0], Values: v[0], Capacity: 1, Rows: 1}})
	var dim *gpu.HeadDimError
	if err := ops.Run(); !errors.As(err, &dim) || dim.HeadDim != 1026 {
		t.Errorf("got %v, want a HeadDimError", err)
	}
}

// TestEveryFormat has a matrix in each format, all of which have kernels.
func TestEveryFormat(t *testing.T) {
	w := newTwins(t)
	w.sim.Set(t, "execute", "0")
	v := w.bytes(0, 4096, func([]byte) {})[0]
	for f := kernels.F32; f.Valid(); f++ {
		m := &kernels.Matrix{Rows: 1, Cols: 256, Format: f, Data: v, Group: 64, ScaleFormat: kernels.F16, Scales: v, Biases: v}
		ops, err := w.side[0].Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ops.NormQKV(v, v, 1, kernels.Norm{Weight: v}, kernels.Linear{W: m})
		err = ops.Run()
		ops.End()
		if err != nil {
			t.Errorf("%v: %v", f, err)
		}
	}
}

func TestClosed(t *testing.T) {
	_, b := open(t)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	if _, err := b.Begin(t.Context()); !errors.Is(err, gpu.ErrClosed) {
		t.Errorf("Begin: %v, want ErrClosed", err)
	}
	if _, err := b.NewBuffer(16); !errors.Is(err, gpu.ErrClosed) {
		t.Errorf("NewBuffer: %v, want ErrClosed", err)
	}
}

// TestCompiledOnce opens two backends of one device.
func TestCompiledOnce(t *testing.T) {
	sim, first := open(t)
	if !sim.Simulated() {
		t.Skip("only the simulator counts what is compiled")
	}
	second, err := gpu.Open(gpu.Options{Device: first.Device()})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	for range 2 {
		for _, b := range []*gpu.Backend{first, second} {
			if err := project(t, b); err != nil {
				t.Fatal(err)
			}
		}
	}
	// One kernel besides that of Open's trial.
	if c := sim.Counters(); c.Libraries != 2 || c.Pipelines != 2 {
		t.Errorf("compiled %d libraries and %d pipelines for one kernel and the trial", c.Libraries, c.Pipelines)
	}
}

// project runs one small operation.
func project(t *testing.T, b *gpu.Backend) error {
	buf, err := b.NewBuffer(4 * (16 + 4 + 4))
	if err != nil {
		return err
	}
	defer buf.Release()
	v := kernels.Whole(buf)
	for i := range v.Floats() {
		v.Floats()[i] = float32(i)
	}
	ops, err := b.Begin(t.Context())
	if err != nil {
		return err
	}
	defer ops.End()
	ops.ProjAdd(v.Slice(80, 16), v.Slice(64, 16), 1,
		kernels.Linear{W: &kernels.Matrix{Rows: 4, Cols: 4, Format: kernels.F32, Data: v.Slice(0, 64)}})
	if err := ops.Run(); err != nil {
		return err
	}
	if got, want := v.Slice(80, 16).Floats(), []float32{20 + 110, 21 + 390, 22 + 670, 23 + 950}; !slices.Equal(got, want) {
		t.Errorf("x + W·in = %v, want %v", got, want)
	}
	return nil
}

// TestFaults makes each kind of call fail: the error tells what happened, and
// the backend works again afterwards.
func TestFaults(t *testing.T) {
	for fault, code := range map[metalsim.Fault]metal.CommandBufferErrorCode{
		metalsim.FaultBuffer: 0, metalsim.FaultLibrary: 0, metalsim.FaultFunction: 0, metalsim.FaultPipeline: 0,
		metalsim.FaultCommandBuffer: 0, metalsim.FaultEncoder: 0, metalsim.FaultExecution: metal.ErrTimeout,
	} {
		t.Run(string(fault), func(t *testing.T) {
			sim, b := open(t)
			if !sim.Simulated() {
				t.Skip("only the simulator fails on demand")
			}
			sim.FailAt(fault, 1, int(code))
			err := project(t, b)
			if err == nil {
				t.Fatal("no error")
			}
			t.Log(err)
			var compile *metal.CompileError
			if fault != metalsim.FaultLibrary && fault != metalsim.FaultFunction && !metal.IsGPUError(err) || fault == metalsim.FaultLibrary && !errors.As(err, &compile) && !metal.IsGPUError(err) {
				t.Errorf("%v is of type %T, which does not tell that the GPU failed", err, err)
			}
			if code != 0 && !errors.Is(err, code) {
				t.Errorf("%v is not %v", err, code)
			}
			if err := project(t, b); err != nil {
				t.Errorf("after the failure: %v", err)
			}
		})
	}
}

func TestLostDevice(t *testing.T) {
	sim, b := open(t)
	if !sim.Simulated() {
		t.Skip("only the simulator loses devices")
	}
	sim.FailAt(metalsim.FaultExecution, 1, int(metal.ErrDeviceRemoved))
	for range 2 {
		if err := project(t, b); !errors.Is(err, metal.ErrDeviceRemoved) {
			t.Errorf("got %v, want ErrDeviceRemoved", err)
		}
	}
}

// TestCancelled cancels between recording and Run: nothing is committed.
func TestCancelled(t *testing.T) {
	sim, b := open(t)
	before := sim.Counters().Commits
	buf, err := b.NewBuffer(256)
	if err != nil {
		t.Fatal(err)
	}
	defer buf.Release()
	v := kernels.Whole(buf)
	ctx, cancel := context.WithCancelCause(t.Context())
	ops, err := b.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer ops.End()
	ops.ProjAdd(v.Slice(80, 16), v.Slice(64, 16), 1,
		kernels.Linear{W: &kernels.Matrix{Rows: 4, Cols: 4, Format: kernels.F32, Data: v.Slice(0, 64)}})
	why := errors.New("no longer wanted")
	cancel(why)
	if err := ops.Run(); !errors.Is(err, why) {
		t.Errorf("got %v, want the context's cause", err)
	}
	if n := sim.Counters().Commits - before; n != 0 {
		t.Errorf("%d command buffers were committed", n)
	}
}

// TestRecordingDoesNotAllocate pins the hot path: an operation that was compiled
// before is recorded without allocating.
func TestRecordingDoesNotAllocate(t *testing.T) {
	sim, b := open(t)
	sim.Set(t, "execute", "0")
	cfg := config(t, "270M")
	cfg.Layers = cfg.Layers[:1]
	cfg.VocabSize = 256
	m, _ := model(t, b, cfg, kernels.BF16)
	w := m.Weights()
	buf, err := b.NewBuffer(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	defer buf.Release()
	v := kernels.Whole(buf)
	ops, err := b.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer ops.End()
	l, lc := &w.Layers[0], cfg.Layers[0]
	norm := func(v kernels.View) kernels.Norm { return kernels.Norm{Weight: v, Eps: cfg.NormEps} }
	a := &kernels.Attention{QueryHeads: lc.QueryHeads, KVHeads: lc.KVHeads, HeadDim: cfg.HeadDim, QueryNorm: norm(l.QNorm), KeyNorm: norm(l.KNorm), Rope: v}
	spans := []kernels.Span{{Keys: v, Values: v, Capacity: 8, Pos: 3, Rows: 1}}
	record := func() {
		ops.Embed(v, kernels.Linear{W: &w.Embedding}, v, 1)
		ops.NormQKV(v, v, 1, norm(l.AttnNorm), kernels.Linear{W: &l.QKV})
		ops.Attend(v, v, a, spans)
		ops.ProjAdd(v, v, 1, kernels.Linear{W: &l.Out})
		ops.NormSwiGLU(v, v, 1, norm(l.FFNNorm), kernels.Linear{W: &l.Gate}, kernels.Linear{W: &l.Up})
		ops.ProjAdd(v, v, 1, kernels.Linear{W: &l.Down})
		ops.NormLogits(v, v, 1, norm(w.Norm), kernels.Linear{W: &w.Embedding})
	}
	record()
	if err := ops.Run(); err != nil {
		t.Fatal(err)
	}
	runs := testing.AllocsPerRun(10, func() {
		if err := ops.Run(); err != nil {
			t.Fatal(err)
		}
	})
	if runs != 0 {
		t.Errorf("an empty Run allocates %v times", runs)
	}
	all := testing.AllocsPerRun(10, func() {
		for range 20 {
			record()
		}
		if err := ops.Run(); err != nil {
			t.Fatal(err)
		}
	})
	once := testing.AllocsPerRun(10, func() {
		record()
		if err := ops.Run(); err != nil {
			t.Fatal(err)
		}
	})
	if all > 2*once { // there are two command buffers
		t.Errorf("recording allocates: %v allocations for 20 layers, %v for one", all, once)
	}
}
