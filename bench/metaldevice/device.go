package metaldevice

import (
	"context"
	"log/slog"

	"github.com/go-openelm/go-openelm/bench"
	"github.com/go-openelm/go-openelm/internal/tuning"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/gpu"
)

// New is the system's default GPU. Opening it fails where there is none.
func New() bench.Device {
	return bench.Device{Name: "metal", Open: open, Limits: fullSize.limits, Tune: tune}
}

// tune tunes the GPU, keeps what it finds for whoever opens the GPU from now on, and
// sweeps.
func tune(ctx context.Context, say func(string)) (bench.Tuning, error) {
	b, err := gpu.Open(gpu.Options{})
	if err != nil {
		return bench.Tuning{}, err
	}
	defer b.Close()
	return tuneFormats(ctx, b, nil, say)
}

func tuneFormats(ctx context.Context, b *gpu.Backend, formats []kernels.Format, say func(string)) (bench.Tuning, error) {
	found := bench.Tuning{Device: b.Name()}
	t, err := b.Tune(ctx, &gpu.TuneOptions{Formats: formats, Progress: func(t gpu.Trial) {
		say(t.Kernel + ", " + t.Launch)
		trial := bench.Trial{Kernel: t.Kernel, Launch: t.Launch, Chosen: t.Chosen}
		for _, v := range t.Variants {
			trial.Variants = append(trial.Variants, bench.Variant{Name: v.Name, Seconds: v.Time.Seconds()})
		}
		found.Trials = append(found.Trials, trial)
	}})
	if err != nil {
		return found, err
	}
	if _, err := tuning.Save(ctx, b, t); err != nil {
		return found, err
	}
	say("threadgroups and SIMD-groups")
	points, err := b.Sweep(ctx)
	for _, p := range points {
		found.Sweep = append(found.Sweep, bench.SweepPoint(p))
	}
	return found, err
}

func open(int) (kernels.Backend, error) {
	b, err := gpu.Open(gpu.Options{})
	if err != nil {
		return nil, err
	}
	tuning.Use(b, slog.New(slog.DiscardHandler)) // a broken file is the one that Tune replaces
	return counting{b}, nil
}

// counting is a GPU backend whose counts bench can read.
type counting struct{ *gpu.Backend }

var _ bench.Counter = counting{}

func (c counting) Counts() bench.Counts {
	s := c.Stats()
	return bench.Counts{CommandBuffers: s.CommandBuffers, Dispatches: s.Dispatches, Barriers: s.Barriers, Busy: s.GPUTime}
}

// load is how much the limits are measured with.
type load struct {
	bytes   int // memory read by one dispatch, at most
	threads int // of a dispatch
	turns   int // of the multiply-adds
}

var fullSize = load{bytes: 512 << 20, threads: 1 << 17, turns: 1 << 10}

// limits takes one sample: memory of the weights' size is read, and numbers
// are multiplied, in one dispatch each, timed by the GPU. Weights that fit into
// the GPU's last cache are held to that cache's rate, as on the CPU.
func (l load) limits(ctx context.Context, weights [][]byte, _ int) (bench.LimitSample, error) {
	size := 0
	for _, w := range weights {
		size += len(w)
	}
	l.bytes = max(16, min(l.bytes, size)/16*16)
	g, err := newGPU(l)
	if err != nil {
		return bench.LimitSample{}, err
	}
	defer g.release()
	var s bench.LimitSample
	// The first dispatch finds clocks low and pages unmapped; the best of three
	// is what the GPU can do.
	for range 3 {
		seconds, err := g.time(ctx, g.read, uint32(l.bytes/16))
		if err != nil {
			return s, err
		}
		s.Read = max(s.Read, float64(l.bytes)/seconds)
		if seconds, err = g.time(ctx, g.mulAdd, uint32(l.turns)); err != nil {
			return s, err
		}
		s.MulAdd = max(s.MulAdd, float64(l.threads)*float64(l.turns)*8*4*2/seconds)
	}
	return s, nil
}
