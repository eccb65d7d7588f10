package metaldevice

import (
	"encoding/binary"
	"math"
	"math/bits"
	"os"
	"testing"
	"time"

	"github.com/go-openelm/go-openelm/bench"
	"github.com/go-openelm/go-openelm/internal/metalsim"
	"github.com/go-openelm/go-openelm/internal/tuning"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/gpu"
)

// TestKernels: both kernels do all of the work that the limits count.
func TestKernels(t *testing.T) {
	metalsim.Start(t)
	g, err := newGPU(load{bytes: 16 * 1000, threads: 64, turns: 5})
	if err != nil {
		t.Fatal(err)
	}
	defer g.release()
	memory, out := g.memory.Bytes(), g.out.Bytes()
	want := make([]uint32, g.threads)
	for i := range len(memory) / 4 {
		word := bits.RotateLeft32(uint32(i)*2654435761, 7) & (1 << (i % 32))
		binary.LittleEndian.PutUint32(memory[4*i:], word)
		want[i/4%g.threads] |= word
	}
	if _, err := g.time(t.Context(), g.read, uint32(g.bytes/16)); err != nil {
		t.Fatal(err)
	}
	for i, w := range want {
		if got := binary.LittleEndian.Uint32(out[4*i:]); got != w {
			t.Fatalf("thread %d read %#x, want %#x", i, got, w)
		}
	}
	if _, err := g.time(t.Context(), g.mulAdd, uint32(g.turns)); err != nil {
		t.Fatal(err)
	}
	for i := range g.threads {
		m, sum := 0.5+float64(i&3)*0.125, 0.0
		for start := range 8 {
			a := float64(start)
			for range g.turns {
				a = a*m + 1
			}
			sum += 4 * a
		}
		if got := math.Float32frombits(binary.LittleEndian.Uint32(out[4*i:])); math.Abs(float64(got)-sum) > 1e-4*sum {
			t.Fatalf("thread %d has %g, want %g", i, got, sum)
		}
	}
}

// TestRun: bench measures the GPU, counts its dispatches and knows its limits.
func TestRun(t *testing.T) {
	metalsim.Start(t)
	d := New()
	d.Limits = load{bytes: 1 << 12, threads: 64, turns: 2}.limits
	r, err := bench.Run(t.Context(), bench.Options{
		Devices: []bench.Device{d}, Decode: []int{2}, Tokens: 1, Repetitions: 1, Warmup: -1, MinTime: time.Nanosecond, CacheDir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Results) != 1 {
		t.Fatalf("%d results", len(r.Results))
	}
	result := r.Results[0]
	if result.Device != "metal" || result.Threads != 0 || result.Roofline == nil || !(result.Roofline.Fraction.Median > 0) {
		t.Errorf("%+v", result)
	}
	// The launches of the token are pinned by kernels/gpu; one command buffer
	// and at least one launch for each operation is what must be seen here.
	if c := result.PerPass; c == nil || c.CommandBuffers != 1 || c.Dispatches < float64(result.Operations) {
		t.Errorf("counts of a token: %+v, of %d operations", c, result.Operations)
	}
}

// TestTune: what the tuner finds is kept, and what it and the sweep measure is
// reported.
func TestTune(t *testing.T) {
	sim := metalsim.Start(t)
	dir := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", dir)
	t.Setenv("HOME", dir)
	b, err := gpu.Open(gpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	sim.Set(t, "execute", "0")
	sim.SetTime("matvec_1", 64, 20*time.Microsecond)
	sim.SetTime("matvec_1", 128, 10*time.Microsecond)
	said := 0
	got, err := tuneFormats(t.Context(), b, []kernels.Format{kernels.BF16}, func(string) { said++ })
	if err != nil {
		t.Fatal(err)
	}
	if got.Device != b.Name() || len(got.Trials) != 6+6+1 || len(got.Sweep) != 32 || said != len(got.Trials)+1 {
		t.Errorf("%s: %d trials, %d points, %d steps", got.Device, len(got.Trials), len(got.Sweep), said)
	}
	if v := got.Trials[0].Variants[1]; sim.Simulated() && (v.Name != "2 SIMD-groups" || math.Abs(v.Seconds-20e-6) > 1e-7) {
		t.Errorf("%+v", v)
	}
	path, err := tuning.Path(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}
