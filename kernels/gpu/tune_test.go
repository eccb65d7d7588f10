package gpu_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/go-openelm/go-openelm/internal/metalsim"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/gpu"
	"github.com/go-openelm/go-openelm/metal"
)

// TestTune has a GPU on which the variants take what the test says.
func TestTune(t *testing.T) {
	sim, b := open(t)
	if !sim.Simulated() {
		t.Skip("only the simulator takes times of a test's making")
	}
	sim.Set(t, "execute", "0")
	for name, c := range map[string]struct {
		matvec     [4]time.Duration // by SIMD-groups 1, 2, 4, 8
		few, many  time.Duration    // matmul's tiles of 32 and 64
		choose     [3]time.Duration // by threads 256, 512, 1024
		simdgroups int
		matmul     func(threshold int) bool
		threads    int
	}{
		"the defaults are fastest": {[4]time.Duration{12e3, 10e3, 11e3, 12e3}, 5e4, 5e4, [3]time.Duration{9e3, 8e3, 7e3}, 2, func(n int) bool { return n == 128 }, 1024},
		"not by much":              {[4]time.Duration{9.9e3, 10e3, 9.8e3, 9.9e3}, 5e4, 5.01e4, [3]time.Duration{6.9e3, 8e3, 7e3}, 2, func(n int) bool { return n == 128 }, 1024},
		"others":                   {[4]time.Duration{12e3, 10e3, 9e3, 8e3}, 5e4, 4e4, [3]time.Duration{9e3, 5e3, 7e3}, 8, func(n int) bool { return n <= 16 }, 512},
		"small ones":               {[4]time.Duration{5e3, 10e3, 9e3, 8e3}, 3e4, 4e4, [3]time.Duration{4e3, 5e3, 7e3}, 1, func(n int) bool { return n > 512 }, 256},
	} {
		t.Run(name, func(t *testing.T) {
			sim.Reset()
			for i, d := range c.matvec {
				sim.SetTime("matvec_1", 32<<i, d)
			}
			sim.SetTime("matmul_32", 128, c.few)
			sim.SetTime("matmul_64", 128, c.many)
			for i, d := range c.choose {
				sim.SetTime("choose", 256<<i, d)
			}
			trials := 0
			got, err := b.Tune(t.Context(), &gpu.TuneOptions{Formats: []kernels.Format{kernels.Q4_0, kernels.BF16, kernels.Affine4}, Progress: func(trial gpu.Trial) {
				trials++
				if trial.Kernel == "matvec" && trial.Variants[2].Time.Round(time.Nanosecond*10) != c.matvec[2] {
					t.Errorf("%+v, want %v for the third", trial, c.matvec[2])
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Matvec) != 6 || trials != 6*3+6+1 {
				t.Errorf("%d products tuned in %d trials", len(got.Matvec), trials)
			}
			for _, m := range got.Matvec {
				if m.SIMDGroups != [3]int{c.simdgroups, c.simdgroups, c.simdgroups} {
					t.Errorf("%+v, want %d SIMD-groups", m, c.simdgroups)
				}
			}
			if !c.matmul(got.MatmulThreadgroups) || got.ChooseThreads != c.threads {
				t.Errorf("tiles of 64 from %d threadgroups on, %d threads choose", got.MatmulThreadgroups, got.ChooseThreads)
			}
			if err := b.SetTuning(got); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTuneEnds: a context and a failing GPU end it.
func TestTuneEnds(t *testing.T) {
	sim, b := open(t)
	sim.Set(t, "execute", "0")
	ctx, cancel := context.WithCancel(t.Context())
	o := &gpu.TuneOptions{Formats: []kernels.Format{kernels.BF16}, Progress: func(gpu.Trial) { cancel() }}
	if _, err := b.Tune(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := b.Tune(t.Context(), &gpu.TuneOptions{Formats: []kernels.Format{99}}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a format that is none: %v", err)
	}
	if !sim.Simulated() {
		return
	}
	sim.FailAt(metalsim.FaultExecution, 7, int(metal.ErrTimeout))
	if _, err := b.Tune(t.Context(), &gpu.TuneOptions{Formats: []kernels.Format{kernels.BF16}}); !errors.Is(err, metal.ErrTimeout) {
		t.Errorf("the GPU fails: %v", err)
	}
}

// TestSweepPoints: one point for each number of threadgroups and SIMD-groups.
func TestSweepPoints(t *testing.T) {
	sim, b := open(t)
	if !sim.Simulated() {
		t.Skip("a minute of a GPU's time shows nothing here")
	}
	sim.Set(t, "execute", "0")
	for n := 1; n <= 8; n *= 2 {
		sim.SetTime("matvec_1", 32*n, time.Duration(n)*time.Millisecond)
	}
	points, err := b.Sweep(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := 0
	for threadgroups := 4; threadgroups <= 512; threadgroups *= 2 {
		for n := 1; n <= 8; n *= 2 {
			want := gpu.SweepPoint{Threadgroups: threadgroups, SIMDGroups: n, Bytes: threadgroups * n * 4 * 4096 * 2}
			got := points[i]
			if math.Abs(got.Seconds-float64(n)*1e-3) > 1e-5 {
				t.Errorf("%+v took %v ms, want %d", got, got.Seconds*1e3, n)
			}
			if got.Seconds = 0; got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
			i++
		}
	}
	if i != len(points) {
		t.Errorf("%d points, want %d", len(points), i)
	}
}

// TestTunedBits: no variant changes a bit.
func TestTunedBits(t *testing.T) {
	w := newTwins(t)
	w.sim.Set(t, "mode", "plain")
	b := w.side[0].(*gpu.Backend)
	const cols, outs, many = 256, 139, 19
	norm := kernels.Norm{Weight: w.floats(0, cols)[0], Eps: 1e-6}
	x, residual := w.floats(0, many*cols)[0], w.floats(0, many*outs)[0]
	for _, f := range []kernels.Format{kernels.BF16, kernels.Q4_K} {
		gate, up := w.quantised(f, outs, cols)[0], w.quantised(f, outs, cols)[0]
		results := func(tuning *gpu.Tuning) (all []byte) {
			if err := b.SetTuning(tuning); err != nil {
				t.Fatal(err)
			}
			for _, rows := range []int{1, many} {
				h, sum := w.floats(0, rows*outs)[0], w.floats(0, rows*outs)[0]
				token := w.floats(0, 1)[0]
				copy(sum.Bytes(), residual.Bytes())
				w.record(func(ops kernels.Ops) {
					ops.NormSwiGLU(h, x, rows, norm, kernels.Linear{W: gate}, kernels.Linear{W: up})
					ops.ProjAdd(sum, x, rows, kernels.Linear{W: gate})
					ops.(kernels.AsyncOps).Choose(token, sum, 1, rows*outs)
				})
				all = slices.Concat(all, h.Bytes(), sum.Bytes(), token.Bytes())
			}
			return all
		}
		want := results(nil)
		for i, n := range []int{1, 2, 4, 8} {
			tuning := &gpu.Tuning{MatmulThreadgroups: 1 + 999*(i%2), ChooseThreads: 256 << (i % 3)}
			for _, gated := range []bool{false, true} {
				tuning.Matvec = append(tuning.Matvec, gpu.MatvecTuning{Format: f.String(), Gated: gated, SIMDGroups: [3]int{n, n, n}})
			}
			if !slices.Equal(results(tuning), want) {
				t.Errorf("%v: %+v changes results", f, *tuning)
			}
		}
	}
}

func TestTuningRefused(t *testing.T) {
	_, b := open(t)
	for name, change := range map[string]func(*gpu.Tuning){
		"a format":     func(t *gpu.Tuning) { t.Matvec[0].Format = "Q9" },
		"SIMD-groups":  func(t *gpu.Tuning) { t.Matvec[0].SIMDGroups[1] = 3 },
		"threadgroups": func(t *gpu.Tuning) { t.MatmulThreadgroups = 0 },
		"threads":      func(t *gpu.Tuning) { t.ChooseThreads = 2048 },
	} {
		tuning := &gpu.Tuning{Matvec: []gpu.MatvecTuning{{Format: "BF16", SIMDGroups: [3]int{1, 2, 4}}}, MatmulThreadgroups: 1, ChooseThreads: 256}
		if err := b.SetTuning(tuning); err != nil {
			t.Fatal(err)
		}
		change(tuning)
		if err := b.SetTuning(tuning); !errors.Is(err, gpu.ErrTuning) {
			t.Errorf("%s: got %v, want ErrTuning", name, err)
		}
	}
}
