//go:build linux && amd64

package metal_test

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ebitengine/purego"

	"github.com/go-openelm/go-openelm/internal/metalsim"
	"github.com/go-openelm/go-openelm/internal/testing/gnustep"
	"github.com/go-openelm/go-openelm/metal"
)

// onGNUstep marks the process in which Foundation is GNUstep's and Metal is testdata/gnustep/metal.m. An environment
// variable points package metal to it, as to the simulator; one process has one of them.
const onGNUstep = "METAL_TEST_ON_GNUSTEP"

// Strings, errors, arrays, dictionaries, references, autorelease pools and blocks, as this package uses them, against an
// Objective-C runtime and a Foundation that are not this project's.
func TestFoundationOfGNUstep(t *testing.T) {
	if os.Getenv(onGNUstep) == "" {
		library, err := gnustep.Build("testdata/gnustep/metal.m")
		if err != nil {
			t.Fatal(err)
		}
		child := exec.Command(os.Args[0], "-test.run=^TestFoundationOfGNUstep$", "-test.v", "-test.count=1")
		env, err := gnustep.Environ(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		child.Env = append(env, metalsim.Variable+"="+library, onGNUstep+"=1")
		out, err := child.CombinedOutput()
		// GNUstep writes to standard error about an object autoreleased without a pool.
		if err != nil || !strings.Contains(string(out), "--- PASS: TestFoundationOfGNUstep/Commands") || strings.Contains(string(out), "without pool") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	h := must(purego.Dlopen(os.Getenv(metalsim.Variable), purego.RTLD_NOW|purego.RTLD_GLOBAL))(t)
	var living func() int64
	purego.RegisterLibFunc(&living, h, "livingObjects")
	for name, test := range map[string]func(*testing.T, *metal.Device){
		"Device": foundationDevice, "Library": foundationLibrary, "Pipeline": foundationPipeline, "Buffers": foundationBuffers,
		"Commands": foundationCommands, "Goroutines": foundationGoroutines,
	} {
		t.Run(name, func(t *testing.T) {
			before := living()
			d := must(metal.SystemDefaultDevice())(t)
			test(t, d)
			d.Release()
			if n := living() - before; n != 0 {
				t.Errorf("%d objects were not released, or released once too often", n)
			}
		})
	}
}

func foundationDevice(t *testing.T, d *metal.Device) {
	if d.Name() != "GNUstep's Foundation, größer 🙂" || d.RegistryID() != 0x123456789abcdef0 || d.MaxBufferLength() != 1<<30 {
		t.Errorf("%v, buffers of %d", d, d.MaxBufferLength())
	}
	if !d.SupportsFamily(metal.FamilyApple7) || d.SupportsFamily(metal.FamilyApple8) || !d.HasUnifiedMemory() || d.IsLowPower() {
		t.Error("a BOOL is wrong")
	}
	both := must(metal.Devices())(t)
	if len(both) != 2 || both[0].Name() != both[1].Name() {
		t.Errorf("%v", both)
	}
	for _, o := range both {
		o.Release()
	}
	// Methods and classes that are not there, asked of a runtime that knows.
	var missing *metal.UnavailableError
	if _, err := d.NewResidencySet("set", 1); !errors.As(err, &missing) || missing.Since != "15.0" {
		t.Errorf("residency set: %v", err)
	}
}

func foundationLibrary(t *testing.T, d *metal.Device) {
	_, err := d.NewLibrary("fail", &metal.CompileOptions{
		Label: "l", LanguageVersion: metal.Language3_0, MathMode: metal.MathFast, // setMathMode: is missing: fastMathEnabled
		Macros: map[string]string{"B": "größer", "A": "1", "C": ""},
	})
	var compile *metal.CompileError
	if want := "program_source:1:2: error: version 30000 fast 1 A=1 B=größer C="; !errors.As(err, &compile) || compile.Log != want || compile.Diagnostics[0].Column != 2 {
		t.Errorf("%v, want %s", err, want)
	}
	l := must(d.NewLibrary("warn", &metal.CompileOptions{Label: "größer 🙂"}))(t)
	defer l.Release()
	if w := l.Warnings(); len(w) != 1 || w[0].Line != 3 || w[0].Message != "größer" {
		t.Errorf("warnings %+v", w)
	}
	if names := l.FunctionNames(); !slices.Equal(names, []string{"add", "größe", "scale"}) {
		t.Errorf("%q", names)
	}
	if _, err := l.NewFunction("größe"); !errors.Is(err, metal.ErrFunctionNotFound) || !strings.Contains(err.Error(), "add, größe, scale") {
		t.Error(err)
	}
	_, err = l.NewFunction("add", metal.Constant(3, uint32(7)), metal.NamedConstant("wahr", true), metal.Constant(9, float32(1)))
	var typed *metal.Error
	if !errors.As(err, &typed) || typed.Domain != "MTLLibraryErrorDomain" || typed.Code != 2 || typed.Description != "_3:33=00000007_wahr:53=00000001_9:3=3f800000" {
		t.Errorf("%#v", err)
	}
	// What is not UTF-8 is no NSString.
	if _, err := d.NewLibrary("kernel \xff", nil); !errors.Is(err, metal.ErrInvalidArgument) {
		t.Errorf("source that is not UTF-8: %v", err)
	}
	if _, err := l.NewFunction("\xff"); !errors.Is(err, metal.ErrInvalidArgument) {
		t.Errorf("name that is not UTF-8: %v", err)
	}
	l2 := must(d.NewLibrary("", &metal.CompileOptions{Label: "label \xff"}))(t)
	l2.Release()
}

func foundationPipeline(t *testing.T, d *metal.Device) {
	l := must(d.NewLibrary("", nil))(t)
	defer l.Release()
	f := must(l.NewFunction("add"))(t)
	defer f.Release()
	_, err := d.NewComputePipeline(f, nil)
	var typed *metal.Error
	if !errors.As(err, &typed) || typed.Code != -7 || typed.Domain != "driver" {
		t.Errorf("%#v", err)
	}
	p := must(d.NewComputePipeline(f, &metal.PipelineOptions{WholeSIMDGroups: true, MaxTotalThreadsPerThreadgroup: 96}))(t)
	defer p.Release()
	if p.MaxTotalThreadsPerThreadgroup() != 96 || p.ThreadExecutionWidth() != 32 {
		t.Errorf("%d threads, width %d", p.MaxTotalThreadsPerThreadgroup(), p.ThreadExecutionWidth())
	}
}

func foundationBuffers(t *testing.T, d *metal.Device) {
	b := must(d.NewBuffer(100, 0))(t)
	defer b.Release()
	if len(b.Bytes()) != 100 || b.AllocatedSize() != 16384 {
		t.Errorf("%d bytes, %d allocated", len(b.Bytes()), b.AllocatedSize())
	}
	var missing *metal.UnavailableError
	if _, err := b.GPUAddress(); !errors.As(err, &missing) {
		t.Errorf("GPU address: %v", err)
	}
	page := os.Getpagesize()
	memory := make([]byte, 2*page)
	aligned := memory[page-int(addressOf(memory)%uintptr(page)):][:page]
	wrapped := must(d.NewBufferNoCopy(aligned, 0))(t)
	defer wrapped.Release()
	if &wrapped.Bytes()[0] != &aligned[0] {
		t.Error("the wrapped memory is not the same memory")
	}
}

// commands records every kind of command; told is what metal.m makes of them.
func commands(t testing.TB, d *metal.Device, q *metal.CommandQueue, label string) (cb *metal.CommandBuffer, out *metal.Buffer, told string) {
	l := must(d.NewLibrary("", nil))(t)
	defer l.Release()
	f := must(l.NewFunction("add"))(t)
	defer f.Release()
	p := must(d.NewComputePipeline(f, &metal.PipelineOptions{Label: "größer", WholeSIMDGroups: true, MaxTotalThreadsPerThreadgroup: 96}))(t)
	defer p.Release() // the command buffer keeps it
	out, in := must(d.NewBuffer(4096, 0))(t), must(d.NewBuffer(64, 0))(t)
	defer in.Release()
	out.SetLabel("out 🙂")
	in.SetLabel("in")
	cb = must(q.NewCommandBuffer())(t)
	if label != "" {
		cb.SetLabel(label)
	}
	e := must(cb.ComputeEncoder(metal.Concurrent))(t)
	e.PushDebugGroup("grüppchen")
	e.SetPipeline(p)
	e.SetBuffer(out, 0, 0)
	e.SetBuffer(in, 16, 30)
	e.SetBytes([]byte("sixteen"), 1)
	e.SetThreadgroupMemory(1024, 2)
	e.DispatchThreadgroups(metal.Size{7, 8, 9}, metal.Size{32, 1, 2})
	e.MemoryBarrier()
	e.MemoryBarrierBuffers(in, out)
	e.DispatchThreads(metal.Size{1 << 20, 2, 3}, metal.Size{96, 1, 1})
	e.PopDebugGroup()
	if err := e.End(); err != nil {
		t.Error(err)
	}
	return cb, out, `concurrent
grüppchen
größer
buffer out 🙂 0 0
buffer in 16 30
bytes sixteen 1
memory 1024 2
threadgroups 7 8 9, 32 1 2
barrier
in
out 🙂
threads 1048576 2 3, 96 1 1
pop
end
`
}

func foundationCommands(t *testing.T, d *metal.Device) {
	q := must(d.NewCommandQueue())(t)
	q.SetLabel("queue")
	defer q.Release()
	for range 3 {
		cb, out, told := commands(t, d, q, "")
		if err := cb.Commit(); err != nil {
			t.Fatal(err)
		}
		if err := cb.WaitUntilCompleted(); err != nil {
			t.Error(err)
		}
		if got, _, _ := strings.Cut(string(out.Bytes()), "\x00"); got != told {
			t.Errorf("recorded\n%s\nwant\n%s", got, told)
		}
		if cb.GPUStartTime() != 1.25 || cb.GPUEndTime() != 1.75 || cb.Status() != metal.StatusCompleted {
			t.Errorf("from %v to %v, %v", cb.GPUStartTime(), cb.GPUEndTime(), cb.Status())
		}
		out.Release()
	}
	cb, out, _ := commands(t, d, q, "fails")
	defer out.Release()
	if err := cb.Commit(); err != nil {
		t.Fatal(err)
	}
	var typed *metal.CommandBufferError
	if err := cb.WaitUntilCompleted(); !errors.Is(err, metal.ErrOutOfMemory) || !errors.As(err, &typed) || typed.Description != "Insufficient Memory 🙂" || typed.Domain != "MTLCommandBufferErrorDomain" {
		t.Errorf("%#v", err)
	}
	discarded, out, _ := commands(t, d, q, "discarded")
	discarded.Release()
	out.Release()
}

func foundationGoroutines(t *testing.T, d *metal.Device) {
	q := must(d.NewCommandQueue())(t)
	defer q.Release()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				cb, out, told := commands(t, d, q, "größer")
				runtime.Gosched()
				if err := cb.Commit(); err != nil {
					t.Error(err)
				}
				if err := cb.WaitUntilCompleted(); err != nil {
					t.Error(err)
				}
				if got, _, _ := strings.Cut(string(out.Bytes()), "\x00"); got != told {
					t.Errorf("recorded\n%s", got)
				}
				out.Release()
			}
		})
	}
	wg.Wait()
}
