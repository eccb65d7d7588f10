package bench

import (
	"fmt"
	"time"
)

// Engine is this project's name in reports.
const Engine = "openelm"

// Version is the version of the report's layout (report.schema.json).
const Version = 1

// Report is what a run found out.
type Report struct {
	Version     int       `json:"version"`
	Start       time.Time `json:"start"`
	Seconds     float64   `json:"seconds"` // that the run took
	Interrupted bool      `json:"interrupted"`
	Machine     Machine   `json:"machine"`
	Settings    Settings  `json:"settings"`

	// Memory is the read rate and multiply-add rate of the processor itself, by
	// number of threads.
	Memory []ThreadLimit `json:"memory"`

	// Tuning is what was found out about devices before they ran, with Options.Tune.
	Tuning []Tuning `json:"tuning,omitempty"`

	Results []Result `json:"results"`
	Ratios  []Ratio  `json:"ratios"`
	Notes   []string `json:"notes"`
}

// Settings are how a run measured.
type Settings struct {
	Tokens      int     `json:"tokens"`
	Repetitions int     `json:"repetitions"`
	Warmup      int     `json:"warmup"`
	MinSeconds  float64 `json:"min_seconds"`
}

// Tuning is which ways to launch kernels a device was found to be fastest with, and
// how fast so many of its cores read.
type Tuning struct {
	Device string       `json:"device"` // its own name, such as "Apple M2"
	Trials []Trial      `json:"trials"`
	Sweep  []SweepPoint `json:"sweep"`
}

// Trial is a launch whose variants were timed.
type Trial struct {
	Kernel   string    `json:"kernel"`
	Launch   string    `json:"launch"`
	Variants []Variant `json:"variants"`
	Chosen   int       `json:"chosen"` // index of the one that is used
}

// Variant is a way to launch a kernel.
type Variant struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// SweepPoint is a product of one row and bfloat16 weights that was timed, each
// SIMD-group with the same to do: what internal/gpumodel reads.
type SweepPoint struct {
	Threadgroups int     `json:"threadgroups"`
	SIMDGroups   int     `json:"simdgroups"` // of a threadgroup
	Bytes        int     `json:"bytes"`      // of weights
	Seconds      float64 `json:"seconds"`
}

// ThreadLimit is what the processor can do with a number of threads.
type ThreadLimit struct {
	Threads int    `json:"threads"`
	Level   string `json:"level"` // the instructions it was measured with
	Limit
}

// Subject is what was measured.
type Subject struct {
	Engine  string `json:"engine"` // [Engine] or a peer's name
	Model   string `json:"model"`
	Variant string `json:"variant,omitempty"` // what is different from the plain engine
	Format  string `json:"format"`
	Device  string `json:"device"`
	Threads int    `json:"threads"` // 0 where the device has none

	Activations Activations `json:"activations,omitempty"` // of the engine

	Parameters  int64 `json:"parameters"`
	WeightBytes int64 `json:"weight_bytes"`
	Norms       int   `json:"norms"`      // that a token passes
	Operations  int   `json:"operations"` // of a pass of the engine; 0 if unknown
}

// Label names the subject without its model.
func (s *Subject) Label() string {
	label := s.Engine
	if s.Variant != "" {
		label += ", " + s.Variant
	}
	if s.Activations == Rounded {
		label += ", rounded"
	}
	return label
}

// Kind is a kind of measurement.
type Kind string

// The kinds of measurement and their units. Rates count all sessions' tokens.
const (
	Prefill    Kind = "prefill"     // tokens/s of evaluating a prompt
	Decode     Kind = "decode"      // tokens/s, one token after another
	Batch      Kind = "batch"       // tokens/s of several sessions of an openelm.Batch
	Load       Kind = "load"        // seconds to open the model
	NormsAlone Kind = "norms"       // seconds that a token's norms take, with nothing else
	FirstToken Kind = "first-token" // seconds from the start of the process
	Steady     Kind = "memory"      // bytes resident after decoding
	Peak       Kind = "memory-peak" // bytes resident, at most
)

// Unit is what a kind's samples are measured in.
func (k Kind) Unit() string {
	switch k {
	case Prefill, Decode, Batch:
		return "tok/s"
	case Load, FirstToken, NormsAlone:
		return "s"
	default:
		return "B"
	}
}

// Rate reports whether more is better.
func (k Kind) Rate() bool { return k.Unit() == "tok/s" }

// Test is what was done.
type Test struct {
	Kind    Kind `json:"kind"`
	Tokens  int  `json:"tokens,omitempty"`  // evaluated in each session: the prompt, or one after another
	Context int  `json:"context,omitempty"` // tokens in the KV cache before
	Batch   int  `json:"batch,omitempty"`   // sessions
}

// total is the number of tokens that all sessions evaluate.
func (t Test) total() int { return t.Tokens * max(t.Batch, 1) }

func (t Test) String() string {
	switch t.Kind {
	case Prefill:
		return fmt.Sprintf("prefill %d", t.Tokens)
	case Decode:
		return fmt.Sprintf("decode at %d", t.Context)
	case Batch:
		return fmt.Sprintf("decode %d at %d", t.Batch, t.Context)
	case FirstToken:
		return fmt.Sprintf("first token of %d", t.Tokens)
	case NormsAlone:
		return "a token's norms"
	case Steady:
		return "resident memory"
	case Peak:
		return "peak memory"
	default:
		return string(t.Kind)
	}
}

// Result is one measurement.
type Result struct {
	Subject
	Test
	Samples []float64 `json:"samples"` // in order of repetition
	Summary Summary   `json:"summary"`

	// Cost is the least that a token costs; of a process's memory, the bytes of
	// its weights and KV cache.
	Cost *Cost `json:"cost,omitempty"`

	// The roofline's fraction is the shortest possible time for a token, under
	// the limits measured just before, over the time it took. Rates only.
	Limit    *Limit    `json:"limit,omitempty"`
	Roofline *Roofline `json:"roofline,omitempty"`

	// States are what state the machine was in just before each sample, where that is
	// known.
	States []State `json:"states,omitempty"`

	// PerPass is what a pass made the device do, if its backend counts.
	PerPass *PassCounts `json:"per_pass,omitempty"`

	limits []LimitSample
}

// Roofline is how much of the possible speed was reached.
type Roofline struct {
	Fraction Summary `json:"fraction"`
	Bound    string  `json:"bound"` // memory or compute
}

// PassCounts are a device's counts for one pass: one token, or one of every
// session of a batch, or a prompt.
type PassCounts struct {
	CommandBuffers float64 `json:"command_buffers"`
	Dispatches     float64 `json:"dispatches"`
	Barriers       float64 `json:"barriers"`
	BusySeconds    float64 `json:"busy_seconds"`
}

// Ratio compares two results of one run: A's samples over B's, repetition by
// repetition.
type Ratio struct {
	What  string  `json:"what"` // what the ratio tells
	Test  string  `json:"test"`
	A     string  `json:"a"`
	B     string  `json:"b"`
	Value Summary `json:"value"`
}
