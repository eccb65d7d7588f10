package metal_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/go-openelm/go-openelm/internal/metalsim"
	"github.com/go-openelm/go-openelm/metal"
)

func TestDevice(t *testing.T) {
	g := newGPU(t)
	if g.Name() == "" || !strings.Contains(g.String(), g.Name()) || g.RegistryID() == 0 {
		t.Errorf("%v has no name or ID", g.Device)
	}
	if !g.HasUnifiedMemory() || g.IsRemovable() || g.IsHeadless() || g.IsLowPower() {
		t.Error("not an Apple GPU")
	}
	if n := g.MaxThreadgroupMemoryLength(); n != 32<<10 {
		t.Errorf("%d bytes of threadgroup memory", n)
	}
	before := g.CurrentAllocatedSize()
	b := must(g.NewBuffer(1<<20, 0))(t)
	if got := g.CurrentAllocatedSize() - before; got < 1<<20 || b.AllocatedSize() < 1<<20 {
		t.Errorf("1 MiB allocated %d bytes, AllocatedSize %d", got, b.AllocatedSize())
	}
	if g.MaxBufferLength() < 1<<28 || g.RecommendedMaxWorkingSetSize() < 1<<28 {
		t.Errorf("buffers up to %d bytes, %d in all", g.MaxBufferLength(), g.RecommendedMaxWorkingSetSize())
	}
	b.Release()
	if !g.sim.Simulated() {
		return // a driver frees when it likes
	}
	if got := g.CurrentAllocatedSize(); got != before {
		t.Errorf("%d bytes allocated after release, %d before", got, before)
	}
	g.sim.Set(t, "family", "7")
	if !g.SupportsFamily(metal.FamilyApple7) || g.SupportsFamily(metal.FamilyApple8) || !g.SupportsFamily(metal.FamilyMetal3) {
		t.Error("families of an M1")
	}
	g.sim.Set(t, "family", "9")
	if !g.SupportsFamily(metal.FamilyApple9) {
		t.Error("families of an M3")
	}
}

func TestDevices(t *testing.T) {
	sim := metalsim.Start(t)
	all := must(metal.Devices())(t)
	if len(all) == 0 {
		t.Fatal("no devices")
	}
	def := must(metal.SystemDefaultDevice())(t)
	found := false
	for _, d := range all {
		found = found || d.RegistryID() == def.RegistryID()
		d.Release()
	}
	def.Release()
	if !found {
		t.Error("the default device is not among all devices")
	}
	if !sim.Simulated() {
		return
	}
	sim.Set(t, "devices", "0")
	if _, err := metal.SystemDefaultDevice(); !errors.Is(err, metal.ErrNoDevice) {
		t.Errorf("default of no devices: %v", err)
	}
	if _, err := metal.Devices(); !errors.Is(err, metal.ErrNoDevice) {
		t.Errorf("list of no devices: %v", err)
	}
}

// Without METALSIM, and with a wrong one, there is an error that says what to do. A process of its own, because this one
// has loaded the simulator.
func TestWithoutSimulator(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("Metal is simulated on Linux only")
	}
	if os.Getenv("METAL_TEST_CHILD") != "" {
		_, err := metal.SystemDefaultDevice()
		_, all := metal.Devices()
		if os.Getenv(metalsim.Variable) == "" {
			if !errors.Is(err, metal.ErrNoDevice) || !errors.Is(all, metal.ErrNoDevice) || !strings.Contains(err.Error(), "METALSIM") {
				t.Errorf("METALSIM unset: %v, %v", err, all)
			}
		} else if err == nil || errors.Is(err, metal.ErrNoDevice) || !strings.Contains(err.Error(), "METALSIM") {
			t.Errorf("METALSIM wrong: %v", err)
		}
		return
	}
	for _, value := range []string{"", "/nonexistent/libmetalsim.so"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestWithoutSimulator$", "-test.v")
		cmd.Env = append(os.Environ(), "METAL_TEST_CHILD=1", metalsim.Variable+"="+value)
		out, err := cmd.CombinedOutput()
		if errors.Is(err, syscall.ENOEXEC) {
			t.Skip("an emulated process cannot start itself:", err)
		}
		if err != nil || !strings.Contains(string(out), "--- PASS: TestWithoutSimulator") {
			t.Errorf("METALSIM=%q: %v\n%s", value, err, out)
		}
	}
}

func TestResidencySet(t *testing.T) {
	g := newGPU(t)
	set, err := g.NewResidencySet("weights", 2)
	if errors.Is(err, metal.ErrUnavailable) && !g.sim.Simulated() {
		t.Skip(err)
	}
	set = must(set, err)(t)
	defer set.Release()
	a, b, c := g.floats(t, "a", 1), g.floats(t, "b", 2), g.floats(t, "c", 0)
	for _, err := range []error{set.Add(a), set.Add(b), set.Add(c), set.Commit(), set.RequestResidency(), g.queue.AddResidencySet(set)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if set.Len() != 3 || set.AllocatedSize() < uint64(3*a.Len()) {
		t.Errorf("%d buffers, %d bytes", set.Len(), set.AllocatedSize())
	}
	cb := must(g.queue.NewCommandBuffer())(t)
	if err := cb.UseResidencySet(set); err != nil {
		t.Fatal(err)
	}
	e := must(cb.ComputeEncoder(metal.Serial))(t)
	(&fixture{gpu: g, a: a, b: b, c: c}).bind(e)
	e.DispatchThreads(metal.Size{1, 1, 1}, metal.Size{1, 1, 1})
	if err := e.End(); err != nil {
		t.Fatal(err)
	}
	if err := cb.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := cb.WaitUntilCompleted(); err != nil || asFloats(c)[0] != 3 {
		t.Errorf("%v, c = %v", err, asFloats(c))
	}
	for _, err := range []error{set.Remove(a), set.RemoveAll(), set.Commit(), set.EndResidency(), g.queue.RemoveResidencySet(set)} {
		if err != nil {
			t.Error(err)
		}
	}
	if set.Len() != 0 {
		t.Errorf("%d buffers left", set.Len())
	}
	if _, err := g.NewResidencySet("", -1); !errors.Is(err, metal.ErrInvalidArgument) {
		t.Errorf("negative capacity: %v", err)
	}
}

// Calls an older system lacks are typed errors that name what is missing, and nothing is sent.
func TestOlderSystem(t *testing.T) {
	g := newGPU(t)
	if !g.sim.Simulated() {
		t.Skip("the system is what it is")
	}
	set := must(g.NewResidencySet("weights", 0))(t)
	defer set.Release()
	buffer := g.floats(t, "b", 1)
	g.sim.Set(t, "os", "12")
	cb := must(g.queue.NewCommandBuffer())(t)
	defer cb.Release()
	_, noSet := g.NewResidencySet("weights", 0)
	_, noAddress := buffer.GPUAddress()
	_, noMath := g.NewLibrary(kernels, &metal.CompileOptions{MathMode: metal.MathRelaxed})
	for _, c := range []struct {
		err    error
		method string
	}{
		{noSet, "newResidencySetWithDescriptor:error:"},
		{g.queue.AddResidencySet(set), "addResidencySet:"},
		{g.queue.RemoveResidencySet(set), "removeResidencySet:"},
		{cb.UseResidencySet(set), "useResidencySet:"},
		{noAddress, "gpuAddress"},
		{noMath, "setMathMode:"},
	} {
		var missing *metal.UnavailableError
		if !errors.Is(c.err, metal.ErrUnavailable) || !errors.As(c.err, &missing) || missing.Method != c.method || missing.Since == "" {
			t.Errorf("%s: %v", c.method, c.err)
		}
	}
	// What it has in another form works.
	for _, mode := range []metal.MathMode{metal.MathDefault, metal.MathSafe, metal.MathFast} {
		must(g.NewLibrary(kernels, &metal.CompileOptions{MathMode: mode}))(t).Release()
	}
	g.sim.Set(t, "os", "15")
	if a := must(buffer.GPUAddress())(t); a == 0 {
		t.Error("no GPU address")
	}
	if err := set.Commit(); err != nil {
		t.Error(err)
	}
}

func TestCapture(t *testing.T) {
	t.Setenv("METAL_CAPTURE_ENABLED", "1")
	g := newGPU(t)
	path := filepath.Join(t.TempDir(), "decode.gputrace")
	c, err := g.StartCapture(path)
	if err != nil && !g.sim.Simulated() {
		t.Skip(err) // macOS reads the variable at start-up only
	}
	c = must(c, err)(t)
	var typed *metal.Error
	if _, err := g.StartCapture(path + "2"); !errors.As(err, &typed) {
		t.Errorf("a second capture: %v", err)
	}
	x := g.floats(t, "x", 1, 2)
	if err := g.run(t, metal.Serial, func(e *metal.ComputeEncoder) {
		e.SetPipeline(g.scale)
		e.SetBuffer(x, 0, 0)
		by := float32(2)
		metal.SetValue(e, &by, 1)
		e.DispatchThreads(metal.Size{2, 1, 1}, metal.Size{2, 1, 1})
	}); err != nil {
		t.Fatal(err)
	}
	c.Stop()
	c.Stop()
	if g.sim.Simulated() {
		if text, err := os.ReadFile(path); err != nil || string(text) != "dispatchThreads scale 2x1x1 2x1x1\n" {
			t.Errorf("captured %q, %v", text, err)
		}
	} else if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	if _, err := g.StartCapture(path); !errors.As(err, &typed) {
		t.Errorf("onto an existing file: %v", err)
	}
	if _, err := g.StartCapture(""); !errors.Is(err, metal.ErrInvalidArgument) {
		t.Errorf("without path: %v", err)
	}
}
