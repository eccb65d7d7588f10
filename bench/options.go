package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/go-openelm/go-openelm/internal/randommodel"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/cpu"
)

// ErrOptions is wrapped by every error about what a run was asked to do.
var ErrOptions = errors.New("bench: invalid options")

// Options say what to measure. The zero value measures the embedded story
// model on the CPU, in a few seconds.
type Options struct {
	// Models are checkpoints: a path, or a Hugging Face repository's name; "story",
	// the embedded model; or "random:SHAPE:FORMAT", a checkpoint with random weights, such as
	// "random:270M:bf16". Shapes are 270M, 450M, 1.1B and 3B, and olmo-270M and so
	// on for models of as many parameters built as OLMo is; an error names the
	// formats. Default: story.
	Models []string

	// Devices are what to run them on. Default: [CPU].
	Devices []Device

	// Threads are the numbers of threads to run each model with, on devices
	// that have them. Default: all cores.
	Threads []int

	// Activations are what becomes of activations before they are multiplied. Where a
	// device does not round, the report has a note. Default: [Exact].
	Activations []Activations

	// What to measure; none of the four means all of them. A list of nothing but
	// 0 leaves that one out.
	Prefill []int // prompts of so many tokens. Default: 512
	Decode  []int // one token after another, with so many in the KV cache. Default: 10
	Batch   []int // so many sessions of an openelm.Batch decoding, at the first of Decode. Default: 8
	Start   bool  // a process of its own: load, first token, memory. Needs Child

	// Tokens is how many a sample of decoding evaluates. Default: 32.
	Tokens int

	// Repetitions is the number of samples of every measurement, taken in
	// turn: all once, then all again. Default: 5. Warmup is the number of turns
	// before them that do not count. Default: 1; negative: none.
	Repetitions, Warmup int

	// MinTime is the least time of a sample, which evaluates more tokens where
	// it would be shorter. Default: 0.2 s.
	MinTime time.Duration

	// Paper adds, for every random model of an OpenELM shape, the comparison of
	// the OpenELM paper (section 4.4): an OLMo-shaped model of as many
	// parameters, and OpenELM with norms that run one by one.
	Paper bool

	// Tune first finds out which ways to launch kernels are fastest on devices that
	// can tell, which use them from then on, and puts that into the report.
	Tune bool

	// Peers are other engines to run on the same checkpoints.
	Peers []Peer

	// CacheDir is where random checkpoints are kept from one run to the next.
	// Default: openelm-bench in the user's cache. With Remove, those this run made are removed.
	CacheDir string
	Remove   bool

	// Child is the command line of a program that calls [ServeProbe], which is
	// started anew for each sample of Start: a process's memory is its own.
	Child []string

	// Progress, if not nil, is told what is going on, from one goroutine.
	Progress func(Progress)
}

// Progress is how far a run has come.
type Progress struct {
	What        string // what begins now
	Done, Total int    // samples, warm-up included
}

// Device is a kind of backend.
type Device struct {
	Name     string // "cpu", "metal"
	Threaded bool   // whether it runs on a number of threads that Open is given

	// Open makes a backend. One that implements [Counter] has its counts
	// reported.
	Open func(threads int) (kernels.Backend, error)

	// OpenRounded is Open for a backend that rounds activations. Nil if there is none.
	OpenRounded func(threads int) (kernels.Backend, error)

	// Limits takes one sample of the device's limits: the rate at which it
	// reads weights, and its rate of float32 multiply-adds. Nil if unknown.
	Limits func(ctx context.Context, weights [][]byte, threads int) (LimitSample, error)

	// Tune tunes the device, before Open; say is told what is going on. Nil if there
	// is nothing to tune.
	Tune func(ctx context.Context, say func(what string)) (Tuning, error)
}

const cpuName = "cpu"

// CPU is the processor.
func CPU() Device {
	open := func(rounds bool) func(int) (kernels.Backend, error) {
		return func(threads int) (kernels.Backend, error) {
			return cpu.New(cpu.Options{Threads: threads, RoundActivations: rounds}), nil
		}
	}
	return Device{Name: cpuName, Threaded: true, Limits: cpuLimits, Open: open(false), OpenRounded: open(true)}
}

// Activations says what becomes of activations before they are multiplied.
type Activations string

// Activations stay float32, or are rounded to bfloat16 (cpu.Options.RoundActivations).
const (
	Exact   Activations = "exact"
	Rounded Activations = "bf16"
)

func (d *Device) open(threads int, a Activations) (kernels.Backend, error) {
	switch {
	case a != Rounded:
		return d.Open(threads)
	case d.OpenRounded == nil:
		return nil, fmt.Errorf("bench: %s does not round activations: %w", d.Name, errors.ErrUnsupported)
	}
	return d.OpenRounded(threads)
}

// Counter is implemented by backends that count what they ask of a device.
type Counter interface{ Counts() Counts }

// Counts are totals since a backend was opened.
type Counts struct {
	CommandBuffers int64
	Dispatches     int64
	Barriers       int64
	Busy           time.Duration // of the device
}

// withDefaults fills in what is not set, and checks the rest.
func (o Options) withDefaults() (Options, error) {
	if len(o.Models) == 0 {
		o.Models = []string{storyName}
	}
	if len(o.Devices) == 0 {
		o.Devices = []Device{CPU()}
	}
	if len(o.Threads) == 0 {
		o.Threads = []int{runtime.GOMAXPROCS(0)}
	}
	if len(o.Activations) == 0 {
		o.Activations = []Activations{Exact}
	}
	if err := o.choose(); err != nil {
		return o, err
	}
	setDefault(&o.Tokens, 32)
	setDefault(&o.Repetitions, 5)
	setDefault(&o.Warmup, 1)
	o.Warmup = max(o.Warmup, 0)
	if o.MinTime == 0 {
		o.MinTime = 200 * time.Millisecond
	}
	if o.CacheDir == "" {
		dir, err := randommodel.CacheDir()
		if err != nil {
			return o, fmt.Errorf("bench: no place for checkpoints: %w", err)
		}
		o.CacheDir = dir
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	return o, o.check()
}

// choose decides what is measured.
func (o *Options) choose() error {
	off := func(list []int) bool { return len(list) == 1 && list[0] == 0 }
	none := func(list []int) bool { return len(list) == 0 || off(list) }
	noDecode := off(o.Decode)
	if none(o.Prefill) && none(o.Decode) && none(o.Batch) && !o.Start {
		o.Start = len(o.Child) > 0
		if o.Prefill == nil {
			o.Prefill = []int{512}
		}
		if o.Decode == nil {
			o.Decode = []int{10}
		}
		if o.Batch == nil && !noDecode {
			o.Batch = []int{8}
		}
	}
	for _, list := range []*[]int{&o.Prefill, &o.Decode, &o.Batch} {
		if off(*list) {
			*list = nil
		}
	}
	switch {
	case len(o.Batch) > 0 && noDecode:
		return fmt.Errorf("%w: batches are compared with decoding, which is left out", ErrOptions)
	case len(o.Batch) > 0 && len(o.Decode) == 0:
		o.Decode = []int{10}
	case len(o.Prefill)+len(o.Decode) == 0 && !o.Start:
		return fmt.Errorf("%w: nothing to measure", ErrOptions)
	}
	return nil
}

func setDefault(v *int, to int) {
	if *v == 0 {
		*v = to
	}
}

// maxCount bounds every number of tokens, and maxBatch that of sessions: far more
// than makes sense, and few enough that no size computed from them overflows.
const (
	maxCount = 1 << 20
	maxBatch = 1 << 10
)

func (o *Options) check() error {
	for _, n := range []struct {
		what      string
		list      []int
		low, high int
	}{
		{"number of threads", o.Threads, 1, cpu.MaxThreads}, {"prompt length", o.Prefill, 1, maxCount},
		{"context length", o.Decode, 1, maxCount}, {"batch", o.Batch, 2, maxBatch},
		{"number of tokens", []int{o.Tokens}, 1, maxCount}, {"number of repetitions", []int{o.Repetitions}, 1, maxCount},
	} {
		for i, v := range n.list {
			if v < n.low || v > n.high {
				return fmt.Errorf("%w: a %s of %d, want %d to %d", ErrOptions, n.what, v, n.low, n.high)
			}
			if slices.Contains(n.list[:i], v) {
				return fmt.Errorf("%w: a %s of %d twice", ErrOptions, n.what, v)
			}
		}
	}
	for i, a := range o.Activations {
		if a != Exact && a != Rounded {
			return fmt.Errorf("%w: no activations %q; there are %s and %s", ErrOptions, a, Exact, Rounded)
		}
		if slices.Contains(o.Activations[:i], a) {
			return fmt.Errorf("%w: activations %s twice", ErrOptions, a)
		}
		if a == Rounded && !slices.ContainsFunc(o.Devices, func(d Device) bool { return d.OpenRounded != nil }) {
			return fmt.Errorf("%w: activations %s: no device of the run rounds them: %w", ErrOptions, a, errors.ErrUnsupported)
		}
	}
	if o.MinTime < 0 {
		return fmt.Errorf("%w: samples of %v", ErrOptions, o.MinTime)
	}
	if o.Start && len(o.Child) == 0 {
		return fmt.Errorf("%w: measuring the start of a process needs a Child to start", ErrOptions)
	}
	for i, name := range o.Models {
		if slices.Contains(o.Models[:i], name) {
			return fmt.Errorf("%w: model %q twice", ErrOptions, name)
		}
		if _, err := parseModel(name); err != nil {
			return err
		}
	}
	return nil
}
