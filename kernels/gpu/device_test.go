package gpu_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/internal/metalsim"
	"github.com/go-openelm/go-openelm/internal/testing/golden"
	"github.com/go-openelm/go-openelm/kernels/gpu"
	"github.com/go-openelm/go-openelm/metal"
)

// simulated starts the simulator with settings, for what a Mac cannot play.
func simulated(t *testing.T, settings ...[2]string) *metalsim.Simulator {
	t.Helper()
	sim := metalsim.Start(t)
	if !sim.Simulated() {
		t.Skip("only the simulator plays other devices")
	}
	sim.Set(t, "mode", "plain")
	for _, s := range settings {
		sim.Set(t, s[0], s[1])
	}
	return sim
}

// TestDeviceRefused has devices that cannot run the kernels, or whose drivers
// promise what they do not hold: Open says which and why.
func TestDeviceRefused(t *testing.T) {
	for _, c := range []struct {
		setting, value string
		fault          metalsim.Fault
		says           string
	}{
		{"gpu", "paravirtual", "", "Apple Paravirtual device"},
		{"gpu", "intel", "", "Intel(R) Iris(TM) Plus Graphics"},
		{"gpu", "amd", "", "AMD Radeon RX Vega 64"},
		{"family", "5", "", "Apple A12"},
		{"family", "6", "", "Apple A13"},
		{"os", "12", "", "macOS 13"},
		{"width", "64", "", "SIMD-groups of 64 threads"},
		{"width", "16", "", "SIMD-groups of 16 threads"},
		{"execute", "0", "", "lane 0"}, // what custom kernels did in virtual machines
		{"buffer", "4096", metalsim.FaultBuffer, "no memory"},
		{"os", "15", metalsim.FaultLibrary, "a trial failed"},
		{"os", "15", metalsim.FaultPipeline, "a trial failed"},
		{"os", "15", metalsim.FaultExecution, "a trial failed"},
	} {
		t.Run(fmt.Sprint(c.setting, "=", c.value, " ", c.fault), func(t *testing.T) {
			sim := simulated(t, [2]string{c.setting, c.value})
			if c.fault != "" {
				sim.FailAt(c.fault, 1, int(metal.ErrTimeout))
			}
			b, err := gpu.Open(gpu.Options{})
			if err == nil {
				b.Close()
				t.Fatal("opened")
			}
			var device *gpu.DeviceError
			if !errors.As(err, &device) || !gpu.Unusable(err) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v (%T) is no DeviceError that says %q", err, err, c.says)
			}
			if c.fault != "" && !metal.IsGPUError(err) {
				t.Errorf("%v does not wrap what failed", err)
			}
		})
	}
}

// TestDriverWithoutFeatures: drivers that pass the checks of families still fail
// to build kernels, as those of A12 and AMD do.
func TestDriverWithoutFeatures(t *testing.T) {
	for _, kind := range []string{"paravirtual", "intel", "amd"} {
		t.Run(kind, func(t *testing.T) {
			sim := simulated(t)
			b, err := gpu.Open(gpu.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			sim.Set(t, "gpu", kind)
			var device *gpu.DeviceError
			if err := project(t, b); err == nil || !errors.As(err, &device) && !metal.IsGPUError(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestSystems runs a reference pack on every macOS from the oldest supported one
// on, on every family, and with drivers that lack what they can be without. The
// simulator reports every message that the system or driver has no method for.
func TestSystems(t *testing.T) {
	for _, settings := range [][][2]string{
		{{"os", "13"}, {"family", "7"}},
		{{"os", "14"}, {"family", "8"}},
		{{"os", "15"}, {"family", "9"}},
		{{"os", "26"}, {"family", "9"}},
		{{"os", "15"}, {"lacks", "hasUnifiedMemory recommendedMaxWorkingSetSize currentAllocatedSize isLowPower isHeadless isRemovable newResidencySetWithDescriptor:error: setMathMode:"}},
	} {
		t.Run(fmt.Sprint(settings), func(t *testing.T) {
			simulated(t, settings...)
			b, err := gpu.Open(gpu.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			d := b.Device()
			lacks := settings[1][0] == "lacks"
			if d.HasUnifiedMemory() == lacks || d.RecommendedMaxWorkingSetSize() == 0 != lacks || d.IsLowPower() || d.IsHeadless() || d.IsRemovable() {
				t.Error("other properties than the driver's")
			}
			p := pack(t, "tiny-f32")
			m := load(t, p, b)
			defer m.Close()
			prompt := p.Ints("p0.input_ids")
			got, err := generate(t, m, m, prompt)
			if err != nil {
				t.Fatal(err)
			}
			if want := p.Ints("p0.greedy_ids"); fmt.Sprint(got) != fmt.Sprint(want[:len(got)]) {
				t.Errorf("the text goes on with %d, want %d", got, want)
			}
		})
	}
}

func pack(t *testing.T, name string) *golden.Pack {
	t.Helper()
	for _, p := range golden.Packs(t) {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("no pack %s", name)
	return nil
}
