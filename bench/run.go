package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/go-openelm/go-openelm/bench/internal/roof"
	"github.com/go-openelm/go-openelm/internal/randommodel"
)

// Run measures. When ctx ends, or something fails, before all is done, it
// returns the error and a report of what it has.
func Run(ctx context.Context, options Options) (*Report, error) {
	o, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &run{Options: o, store: randommodel.NewStore(o.CacheDir), start: time.Now()}
	r.report = &Report{
		Version: Version, Start: r.start.UTC().Truncate(time.Second), Machine: thisMachine(),
		Settings: Settings{o.Tokens, o.Repetitions, o.Warmup, o.MinTime.Seconds()},
	}
	defer r.close()
	if err = r.plan(ctx); err == nil {
		err = r.measure(ctx)
	}
	r.finish(err)
	return r.report, err
}

// run is a run under way.
type run struct {
	Options
	store   *randommodel.Store
	start   time.Time
	report  *Report
	steps   []step
	results []*Result
	closers []func() error
	memory  [][]byte
}

// step is one measurement of a turn. sample takes a sample; keep, called after
// the warm-up, adds it to its result.
type step struct {
	what   string
	sample func(ctx context.Context) (keep func(), err error)
}

func (r *run) close() {
	for i := len(r.closers) - 1; i >= 0; i-- {
		r.closers[i]() // nothing depends on what is left behind
	}
	if r.Remove {
		if err := r.store.Remove(); err != nil {
			r.note("random checkpoints are left in %s: %v", r.CacheDir, err)
		}
	}
}

func (r *run) note(format string, args ...any) {
	r.report.Notes = append(r.report.Notes, fmt.Sprintf(format, args...))
}

// say reports progress that is no sample.
func (r *run) say(format string, args ...any) {
	r.Progress(Progress{What: fmt.Sprintf(format, args...), Total: len(r.steps) * (r.Warmup + r.Repetitions)})
}

// plan opens every side and lists the steps of a turn.
func (r *run) plan(ctx context.Context) error {
	if r.Tune {
		if err := r.tune(ctx); err != nil {
			return err
		}
	}
	for _, threads := range r.Threads {
		r.planMemory(threads)
	}
	for _, name := range r.Models {
		m, err := parseModel(name)
		if err != nil {
			return err
		}
		if err := r.planModel(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) tune(ctx context.Context) error {
	for _, d := range r.Devices {
		if d.Tune == nil {
			continue
		}
		t, err := d.Tune(ctx, func(what string) { r.say("tuning %s: %s", d.Name, what) })
		if err != nil {
			return err
		}
		r.report.Tuning = append(r.report.Tuning, t)
	}
	if len(r.report.Tuning) == 0 {
		r.note("none of the devices can be tuned; a Mac's GPU can")
	}
	return nil
}

func (r *run) planModel(ctx context.Context, m model) error {
	r.say("making %s", m.name)
	if err := m.find(ctx, r.store); err != nil {
		return err
	}
	for _, d := range r.Devices {
		threads := r.Threads
		if !d.Threaded {
			threads = []int{0}
		}
		for i, n := range threads {
			var first *side
			for _, a := range r.Activations {
				if a == Rounded && d.OpenRounded == nil {
					r.note("%s, %s: the device does not round activations", m.name, d.Name)
					continue
				}
				s, err := r.planSide(ctx, m, d, how{n, a, 0})
				if err != nil {
					return err
				}
				if r.Start {
					r.planStart(m, d, s)
				}
				if first == nil {
					first = s
				}
			}
			if first == nil {
				continue
			}
			if err := r.planPeers(ctx, m, first.Subject); err != nil {
				return err
			}
			if r.Paper && i == len(threads)-1 {
				if err := r.planPaper(ctx, m, d, first); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// planPaper adds the sides of the paper's comparison.
func (r *run) planPaper(ctx context.Context, m model, d Device, s *side) error {
	if m.random == nil || m.random.IsOLMo() {
		r.note("%s has no OLMo-shaped counterpart: --paper compares random models of OpenELM's shapes", m.name)
		return nil
	}
	norms := r.result(s.Subject, Test{Kind: NormsAlone})
	r.addStep(norms, func(ctx context.Context) (func(), error) {
		seconds, err := s.normsAlone(ctx, r.MinTime)
		return func() { norms.Samples = append(norms.Samples, seconds) }, err
	})
	for _, passes := range []int{1, naivePasses} {
		if _, err := r.planSide(ctx, m, d, how{s.Threads, s.Activations, passes}); err != nil {
			return err
		}
	}
	olmo := randomModel(m.random.OLMo())
	r.say("making %s", olmo.name)
	if err := olmo.find(ctx, r.store); err != nil {
		return err
	}
	_, err := r.planSide(ctx, olmo, d, how{s.Threads, s.Activations, 0})
	return err
}

// planMemory adds the processor's own limits.
func (r *run) planMemory(threads int) {
	i := len(r.report.Memory)
	r.report.Memory = append(r.report.Memory, ThreadLimit{Threads: threads, Level: roof.Level()})
	var samples []LimitSample
	r.steps = append(r.steps, step{fmt.Sprintf("limits of %d threads", threads), func(ctx context.Context) (func(), error) {
		if r.memory == nil {
			r.memory = memory(memorySize)
		}
		s, err := cpuLimits(ctx, r.memory, threads)
		return func() {
			samples = append(samples, s)
			r.report.Memory[i].Limit = summarizeLimits(samples)
		}, err
	}})
}

func summarizeLimits(samples []LimitSample) Limit {
	of := func(value func(*LimitSample) float64) Summary {
		var list []float64
		for i := range samples {
			if v := value(&samples[i]); v > 0 {
				list = append(list, v)
			}
		}
		return summarize(list)
	}
	return Limit{
		Read:         of(func(s *LimitSample) float64 { return s.Read }),
		MulAdd:       of(func(s *LimitSample) float64 { return s.MulAdd }),
		TileMulAdd:   of(func(s *LimitSample) float64 { return s.TileMulAdd }),
		Loaded:       of(func(s *LimitSample) float64 { return s.Loaded }),
		AddsPerCycle: of(func(s *LimitSample) float64 { return s.AddsPerCycle }),
	}
}

// planSide opens a side and adds its limits and tests.
func (r *run) planSide(ctx context.Context, m model, d Device, h how) (*side, error) {
	r.say("opening %s", m.name)
	s, err := openSide(ctx, m, d, h)
	if err != nil {
		return nil, err
	}
	r.closers = append(r.closers, s.close)
	r.say("filling the context of %s", m.name)
	if err := s.fill(ctx, &r.Options); err != nil {
		return nil, err
	}
	// One sample of the limits serves the tests right behind it.
	var now LimitSample
	if d.Limits != nil {
		r.steps = append(r.steps, step{"limits for " + m.name, func(ctx context.Context) (keep func(), err error) {
			now, err = d.Limits(ctx, s.weights, h.threads)
			return func() {}, err
		}})
	}
	for _, t := range r.tests() {
		result := r.result(s.Subject, t)
		cost := s.cost(t)
		result.Cost = &cost
		r.addStep(result, func(ctx context.Context) (func(), error) {
			sample, err := s.measure(ctx, t, r.MinTime)
			return func() {
				result.Samples = append(result.Samples, float64(sample.tokens)/sample.seconds)
				if d.Limits != nil {
					result.limits = append(result.limits, now)
				}
				result.count(sample, t)
			}, err
		})
	}
	return s, nil
}

// tests are what every side is put to.
func (r *run) tests() []Test {
	var list []Test
	for _, n := range r.Prefill {
		list = append(list, Test{Kind: Prefill, Tokens: n})
	}
	for _, n := range r.Decode {
		list = append(list, Test{Kind: Decode, Tokens: r.Tokens, Context: n})
	}
	for _, n := range r.Batch {
		list = append(list, Test{Kind: Batch, Tokens: r.Tokens, Context: r.Decode[0], Batch: n})
	}
	return list
}

// result adds a result without samples.
func (r *run) result(s Subject, t Test) *Result {
	r.results = append(r.results, &Result{Subject: s, Test: t})
	return r.results[len(r.results)-1]
}

func (r *run) addStep(result *Result, sample func(ctx context.Context) (func(), error)) {
	r.steps = append(r.steps, step{result.Model + ": " + result.Label() + ", " + result.Test.String(), sample})
}

// measure takes turns: every step once, then all again, so that whatever slows
// the machine for a while slows all sides alike.
func (r *run) measure(ctx context.Context) error {
	turns := r.Warmup + r.Repetitions
	for turn := range turns {
		for i, s := range r.steps {
			r.Progress(Progress{What: s.what, Done: turn*len(r.steps) + i, Total: turns * len(r.steps)})
			if err := context.Cause(ctx); err != nil {
				return err
			}
			keep, err := s.sample(ctx)
			if err != nil {
				return fmt.Errorf("bench: %s: %w", s.what, err)
			}
			if turn >= r.Warmup {
				keep()
			}
		}
		// What one turn allocated is not collected during the next one's samples.
		runtime.GC()
	}
	r.Progress(Progress{What: "done", Done: turns * len(r.steps), Total: turns * len(r.steps)})
	return nil
}

// finish computes what follows from the samples.
func (r *run) finish(err error) {
	r.report.Interrupted = err != nil
	r.report.Seconds = time.Since(r.start).Seconds()
	r.report.Machine.LoadAfter = load()
	if err != nil && !errors.Is(err, context.Canceled) {
		r.note("the run ended early: %v", err)
	}
	if m := &r.report.Machine; m.LoadBefore > float64(m.Cores)/2 {
		r.note("the machine was busy before the run began (load %.1f on %d cores): figures are too low, and ratios to engines whose "+
			"threads wait in a loop, as OpenMP's do, are worth nothing", m.LoadBefore, m.Cores)
	}
	for _, result := range r.results {
		if len(result.Samples) > 0 {
			result.summarize()
			r.report.Results = append(r.report.Results, *result)
		}
	}
	r.report.Ratios = compare(r.report.Results)
}

// summarize computes the figures from the samples.
func (r *Result) summarize() {
	r.Summary = summarize(r.Samples)
	if r.Cost == nil || len(r.limits) != len(r.Samples) {
		return
	}
	limit := summarizeLimits(r.limits)
	r.Limit = &limit
	if limit.AddsPerCycle.N > 0 {
		for _, l := range r.limits {
			r.States = append(r.States, l.State)
		}
	}
	fractions := make([]float64, len(r.Samples))
	for i, rate := range r.Samples {
		best, _ := r.Cost.time(r.limits[i])
		fractions[i] = best * rate
	}
	_, bound := r.Cost.time(LimitSample{Read: limit.Read.Median, MulAdd: limit.MulAdd.Median})
	r.Roofline = &Roofline{Fraction: summarize(fractions), Bound: bound}
}

// count averages a sample's device counts.
func (r *Result) count(s sample, t Test) {
	if s.counts == (Counts{}) {
		return
	}
	passes := float64(s.tokens) / float64(max(t.Batch, 1)) // of decoding: one a token
	if t.Kind == Prefill {
		passes = float64(s.tokens) / float64(t.Tokens)
	}
	r.PerPass = &PassCounts{
		CommandBuffers: float64(s.counts.CommandBuffers) / passes,
		Dispatches:     float64(s.counts.Dispatches) / passes,
		Barriers:       float64(s.counts.Barriers) / passes,
		BusySeconds:    s.counts.Busy.Seconds() / passes,
	}
}
