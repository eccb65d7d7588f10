package bench

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-openelm/go-openelm/internal/checkpoint"
	"github.com/go-openelm/go-openelm/internal/randommodel"
	"github.com/go-openelm/go-openelm/kernels"
)

// quick are options for what a test can wait for.
func quick(t *testing.T) Options {
	return Options{
		Threads: []int{1, 2}, Prefill: []int{16}, Decode: []int{4, 20}, Batch: []int{3}, Tokens: 2,
		Repetitions: 2, Warmup: -1, MinTime: time.Microsecond, CacheDir: t.TempDir(),
	}
}

// TestRun goes all the way: two thread counts, every kind of measurement, a
// peer, a child process, and the report in every format.
func TestRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model")
	if err := checkpoint.WriteDir(t.Context(), path, checkpoint.Spec{Config: tiny, Format: kernels.F32}); err != nil {
		t.Fatal(err)
	}
	o := quick(t)
	o.Models = []string{storyName, path}
	o.Activations = []Activations{Exact, Rounded}
	o.Start, o.Child = true, []string{actAs(t, "probe")}
	o.Peers = []Peer{fakePeer{}, brokenPeer{}, absentPeer{}}
	last := Progress{}
	o.Progress = func(p Progress) {
		if p.Done < last.Done || p.Done > p.Total {
			t.Errorf("progress %+v after %+v", p, last)
		}
		last = p
	}
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if last.Done != last.Total {
		t.Errorf("ended with %+v", last)
	}
	for _, want := range []string{"broken failed at", "absent did not run"} {
		if n := strings.Count(strings.Join(r.Notes, "\n"), want); n != 2 { // once for each number of threads
			t.Errorf("%d notes %q: %q", n, want, r.Notes)
		}
	}
	seen := map[string]int{}
	for i := range r.Results {
		result := &r.Results[i]
		if result.Summary.N != o.Repetitions || result.Summary.Min <= 0 {
			t.Errorf("%s, %s: %+v", result.name(), result.Test, result.Summary)
		}
		if ours := result.Engine == Engine && result.Kind.Rate(); ours != (result.Roofline != nil) {
			t.Errorf("%s, %s: roofline %v", result.name(), result.Test, result.Roofline)
		}
		if known := runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64"; result.Roofline != nil && (len(result.States) == len(result.Samples)) != known {
			t.Errorf("%s, %s: states %v of the machine", result.name(), result.Test, result.States)
		}
		for _, s := range result.States {
			if s.Loaded <= 0 || s.AddsPerCycle < 0.5 || s.AddsPerCycle > 20 {
				t.Errorf("%s, %s: state %+v", result.name(), result.Test, s)
			}
		}
		if result.Parameters == 0 || result.WeightBytes == 0 || result.Format == "" {
			t.Errorf("%s does not say what it is: %+v", result.name(), result.Subject)
		}
		seen[result.Engine+" "+string(result.Kind)]++
	}
	sides := len(o.Models) * len(o.Threads) * len(o.Activations)
	for what, want := range map[string]int{
		"openelm prefill": sides, "openelm decode": 2 * sides, "openelm batch": sides, "openelm load": sides, "openelm first-token": sides,
		"fake prefill": 2, "fake decode": 4, // only the one that has a path
	} {
		if seen[what] != want {
			t.Errorf("%d results of %s, want %d", seen[what], what, want)
		}
	}
	ratios := map[string]int{}
	for _, q := range r.Ratios {
		ratios[q.What]++
	}
	for what, want := range map[string]int{
		"3 sessions over one": sides, "20 cached tokens over 4": sides + 2, "2 threads over 1": 2 * 2 * 4, "over fake": 2 * 6,
		"rounded over exact activations": 4 * sides / 2,
	} {
		if ratios[what] != want {
			t.Errorf("%d ratios %q, want %d: %v", ratios[what], what, want, ratios)
		}
	}
	if err := validate(compileSchema(t), write(t, r.WriteJSON)); err != nil {
		t.Error(err)
	}
	if text := write(t, r.WriteTable); !strings.Contains(text, "decode 3 at 4") {
		t.Errorf("the table lacks the batch:\n%s", text)
	}
}

type fakePeer struct{}

func (fakePeer) Name() string { return "fake" }
func (fakePeer) Start(context.Context, Checkpoint, string, int) (PeerSession, error) {
	return fakePeer{}, nil
}
func (fakePeer) Measure(context.Context, Test) (float64, error) { return 1, nil }
func (fakePeer) Close() error                                   { return nil }

// brokenPeer starts and then fails; absentPeer does not even start.
type brokenPeer struct{ fakePeer }

func (brokenPeer) Name() string { return "broken" }
func (p brokenPeer) Start(context.Context, Checkpoint, string, int) (PeerSession, error) {
	return p, nil
}
func (brokenPeer) Measure(context.Context, Test) (float64, error) { return 0, errors.New("it broke") }

type absentPeer struct{ fakePeer }

func (absentPeer) Name() string { return "absent" }
func (absentPeer) Start(context.Context, Checkpoint, string, int) (PeerSession, error) {
	return nil, ErrUnsupported
}

// TestInterrupted: a run that is ended has what was measured by then.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	o := quick(t)
	o.Progress = func(p Progress) {
		if p.Total > 0 && p.Done == p.Total/2+3 {
			cancel(gone)
		}
	}
	r, err := Run(ctx, o)
	if !errors.Is(err, gone) {
		t.Fatalf("%v, want the context's cause", err)
	}
	if !r.Interrupted || len(r.Results) == 0 {
		t.Errorf("interrupted %v, %d results", r.Interrupted, len(r.Results))
	}
	for i := range r.Results {
		if n := r.Results[i].Summary.N; n < 1 || n > o.Repetitions {
			t.Errorf("%s: %d samples", r.Results[i].Test, n)
		}
	}
	if err := validate(compileSchema(t), write(t, r.WriteJSON)); err != nil {
		t.Error(err)
	}
}

// TestLeftOut: a zero leaves a measurement out, where the default would be all.
func TestLeftOut(t *testing.T) {
	for _, c := range []struct{ given, want [3][]int }{
		{[3][]int{}, [3][]int{{512}, {10}, {8}}},
		{[3][]int{nil, nil, {0}}, [3][]int{{512}, {10}, nil}},
		{[3][]int{{0}, nil, {0}}, [3][]int{nil, {10}, nil}},
		{[3][]int{nil, {0}, nil}, [3][]int{{512}, nil, nil}},
		{[3][]int{{4}, nil, {0}}, [3][]int{{4}, nil, nil}},
		{[3][]int{nil, nil, {2}}, [3][]int{nil, {10}, {2}}},
	} {
		o, err := Options{Prefill: c.given[0], Decode: c.given[1], Batch: c.given[2], CacheDir: t.TempDir()}.withDefaults()
		if got := [3][]int{o.Prefill, o.Decode, o.Batch}; err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("prefill, decode, batch %v: %v (%v), want %v", c.given, got, err, c.want)
		}
	}
}

func TestBadOptions(t *testing.T) {
	for want, o := range map[string]Options{
		"threads of 0":           {Threads: []int{0}},
		"threads of 1000000":     {Threads: []int{1000000}},
		"batch of 1000000":       {Batch: []int{1000000}},
		"nothing to measure":     {Prefill: []int{0}, Decode: []int{0}},
		"compared with decoding": {Decode: []int{0}, Batch: []int{2}},
		"context length of -1":   {Decode: []int{-1}},
		"batch of 1":             {Batch: []int{1}},
		"prompt length of":       {Prefill: []int{math.MaxInt}},
		"twice":                  {Models: []string{storyName, storyName}},
		"no path":                {Models: []string{"nowhere"}},
		"no shape \"5T\"":        {Models: []string{"random:5T:bf16"}},
		"no format \"q9\"":       {Models: []string{"random:270M:q9"}},
		"random:SHAPE:FORMAT":    {Models: []string{"random:270M"}},
		"needs a Child":          {Start: true},
		"number of repetitions":  {Repetitions: -2},
		"number of tokens of -1": {Tokens: -1},
		"no activations \"f8\"":  {Activations: []Activations{"f8"}},
		"exact twice":            {Activations: []Activations{Exact, Exact}},
		"no device of the run":   {Activations: []Activations{Rounded}, Devices: []Device{{Name: "gpu"}}},
	} {
		r, err := Run(t.Context(), o)
		if !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), want) || r != nil {
			t.Errorf("%v; want an ErrOptions with %q and no report", err, want)
		}
	}
}

// TestRandomModel: a random model is made, and is what its name says.
func TestRandomModel(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 150 MB")
	}
	m, err := parseModel("random:270M:q4_0")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.find(t.Context(), randommodel.NewStore(t.TempDir())); err != nil {
		t.Fatal(err)
	}
	side, err := openSide(t.Context(), m, CPU(), how{1, Exact, 0})
	if err != nil {
		t.Fatal(err)
	}
	defer side.close()
	if side.Format != "Q4_0" || side.Parameters != 271527168 {
		t.Errorf("%+v", side.Subject)
	}
}

// TestTune: devices that can be tuned are, before anything runs; without one the
// report says so.
func TestTune(t *testing.T) {
	why := errors.New("no GPU")
	r := &run{Options: Options{Devices: []Device{CPU()}, Progress: func(Progress) {}}, report: &Report{}}
	if err := r.tune(t.Context()); err != nil || len(r.report.Notes) != 1 || !strings.Contains(r.report.Notes[0], "can be tuned") {
		t.Errorf("a CPU: %v, notes %q", err, r.report.Notes)
	}
	r.report = &Report{}
	var said []string
	r.Progress = func(p Progress) { said = append(said, p.What) }
	r.Devices = append(r.Devices, Device{Name: "gpu", Tune: func(_ context.Context, say func(string)) (Tuning, error) {
		say("one")
		return Tuning{Device: "a GPU"}, nil
	}})
	if err := r.tune(t.Context()); err != nil || len(r.report.Notes) != 0 || len(r.report.Tuning) != 1 || r.report.Tuning[0].Device != "a GPU" {
		t.Errorf("a GPU: %v, report %+v", err, r.report)
	}
	if len(said) != 1 || said[0] != "tuning gpu: one" {
		t.Errorf("said %q", said)
	}
	r.Devices[1].Tune = func(context.Context, func(string)) (Tuning, error) { return Tuning{}, why }
	if err := r.tune(t.Context()); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
}
