package gpu_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"github.com/go-openelm/go-openelm/internal/checkpoint"
	"github.com/go-openelm/go-openelm/internal/metalsim"
	"github.com/go-openelm/go-openelm/internal/testing/optest"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/gpu"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
)

// open starts the simulator (on macOS there is none), with these names and
// values of settings, and a backend, which the test's end closes.
func open(t testing.TB, settings ...string) (*metalsim.Simulator, *gpu.Backend) {
	t.Helper()
	sim := metalsim.Start(t)
	for i := 0; i < len(settings) && sim.Simulated(); i += 2 {
		sim.Set(t, settings[i], settings[i+1])
	}
	b, err := gpu.Open(gpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return sim, b
}

// TestConformance runs every operation and format over random shapes, every
// kernel under the whole checker.
func TestConformance(t *testing.T) {
	// A check is a few milliseconds on the CPU but a second or two here, most of it
	// compiling kernels. The soak draws as many as it takes to see all of them.
	checks := "3"
	if soak {
		checks = "30"
	}
	f := flag.Lookup("rapid.checks")
	before := f.Value.String()
	if err := f.Value.Set(checks); err != nil {
		t.Fatal(err)
	}
	defer f.Value.Set(before)
	_, b := open(t)
	optest.Conformance(t, b, kernels.F32, kernels.F16)
}

// config is the configuration of one of Apple's models.
func config(t testing.TB, name string) *openelm.Config {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../testdata/configs", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := loader.ParseConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// model makes a model of zeros. It returns the bytes of the weights that a token
// reads whole.
func model(t testing.TB, b kernels.Backend, c *openelm.Config, format kernels.Format) (*openelm.Model, int64) {
	t.Helper()
	m, read, err := checkpoint.Zeros(b, c, kernels.Layout{Format: format})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m, read
}

func session(t testing.TB, m *openelm.Model, capacity int) *openelm.Session {
	t.Helper()
	s, err := m.NewSession(&openelm.SessionOptions{Capacity: capacity})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
