package gpumodel

import "math"

// Dispatch is what decides how long one dispatch takes: counts, the same on every chip.
type Dispatch struct {
	Threadgroups int
	SIMDGroups   int     // of a threadgroup
	Resident     int     // threadgroups that fit a core at a time, for their memory and registers; 0: enough to fill it
	Bytes        float64 // of device memory, each counted once
	Slots        float64 // issue slots of all lanes together, in the unit of SlotsPerWeight
	InFlight     float64 // bytes of independent loads that a lane waits for at a time
	Prologue     float64 // seconds until its first load of weights: staging, a barrier; an estimate
	Registers    float64 // 32-bit ones of a lane, an estimate; 0: few enough
}

// Stage are dispatches between two barriers.
type Stage []Dispatch

// Token is what one token launches.
type Token struct {
	Stages    []Stage
	Host      float64 // seconds of the CPU that the GPU waits for
	HostGuess float64 // the same of a host that no published figure has in it: an estimate
	StageCost float64 // of the engine's kernels, relative to ggml's: scales t0; 0 means 1
}

// Dispatches is how many there are.
func (t Token) Dispatches() int {
	n := 0
	for _, s := range t.Stages {
		n += len(s)
	}
	return n
}

// Bytes is what all dispatches read and write.
func (t Token) Bytes() float64 {
	var b float64
	for _, s := range t.Stages {
		for _, d := range s {
			b += d.Bytes
		}
	}
	return b
}

// parameters of the model. Times are in seconds, clocks in GHz.
type parameters struct {
	Efficiency float64 // η: share of the stated bandwidth that is reached
	Start      float64 // t0: what a stage takes beside its work, at 1.3 GHz
	ClockPower float64 // g
	TwoDies    float64 // u: factor of t0 on chips of two dies
	Another    float64 // t1: each further dispatch of a stage
	Power      float64 // p: how far the three times overlap (∞: the longest counts)
	Port       float64 // b: bytes a cycle that a core can take in
	Latency    float64 // of a load from memory
}

// fitted are the parameters found for the 33 figures of the table's set "fit": by random search over all but Port and
// Latency, minimising the mean of |ln(model/published)|^1.3, small models and newer builds counted twice. Port is between
// what microbenchmarks (philipturner/metal-benchmarks) give for one core and for all: published speeds exclude less than 15
// and nothing above. Latency likewise: they exclude more than a microsecond.
var fitted = parameters{
	Efficiency: Efficiency,
	Start:      4.575060942335106e-6,
	ClockPower: 0.6455140217489146,
	TwoDies:    1.3677699894930686,
	Another:    0.4539951079926109e-6,
	Power:      2.6677293493852634,
	Port:       18,
	Latency:    0.5e-6,
}

// Efficiency is the share of the stated bandwidth that kernels reach, fitted.
const Efficiency = 0.92

// Issue slots a weight takes in ggml's matrix-vector kernels, fitted with the other parameters: an effective number, which
// includes what keeps the units from issuing in each cycle. Those of 16 and 8 bits are at the bound of what was searched.
// Another kernel's are these times the ratio of both kernels' counted instructions.
const (
	Slots16 = 2.0
	Slots8  = 1.8
	Slots4  = 4.271444456980891
)

// MLXStageCost is the StageCost of MLX's kernels, fitted, at the bound of what was searched.
const MLXStageCost = 0.3

// Of every Apple GPU; philipturner/metal-benchmarks, README.
const (
	lanes        = 128.0 // of a core's units
	simdWidth    = 32
	fullALU      = 24.0      // SIMD-groups a core that keep its units busy
	maxResidents = 48.0      // SIMD-groups a core can hold at all
	registerFile = 208 << 10 // bytes a core
)

// time is how long a token takes with these parameters, in seconds.
func (p parameters) time(c Chip, t Token) float64 {
	cost := t.StageCost
	if cost == 0 {
		cost = 1
	}
	start := p.Start * math.Pow(1.3/c.ClockGHz, p.ClockPower) * cost
	if c.Dies > 1 {
		start *= p.TwoDies
	}
	total := t.Host + t.HostGuess
	known := map[Dispatch]float64{} // layers are alike
	for _, s := range t.Stages {
		total += start
		if len(s) != 1 {
			total += p.stage(c, s)
			continue
		}
		v, ok := known[s[0]]
		if !ok {
			v = p.stage(c, s)
			known[s[0]] = v
		}
		total += v
	}
	return total
}

// stage is the time of a stage beyond its start.
func (p parameters) stage(c Chip, s Stage) float64 {
	var threadgroups int
	var bytes, slots, simdgroups, inFlight, prologue float64
	residents := maxResidents
	for _, d := range s {
		n := float64(d.Threadgroups * d.SIMDGroups)
		threadgroups += d.Threadgroups
		bytes += d.Bytes
		slots += d.Slots
		simdgroups += n
		inFlight += n * d.InFlight
		prologue = max(prologue, d.Prologue)
		if d.Resident > 0 {
			residents = min(residents, float64(d.Resident*d.SIMDGroups))
		}
		if d.Registers > 0 {
			residents = min(residents, registerFile/(4*simdWidth*d.Registers))
		}
	}
	if threadgroups == 0 {
		return 0
	}
	// With few threadgroups some cores have none, and the last round of them leaves more idle.
	cores := float64(c.Cores)
	if threadgroups < 8*c.Cores {
		rounds := math.Ceil(float64(threadgroups) / cores)
		cores = float64(threadgroups) / rounds
	}
	inFlight /= simdgroups
	perCore := min(simdgroups/cores, residents)
	clock := c.ClockGHz * 1e9
	alu := slots / (cores * lanes * clock * min(1, math.Sqrt(perCore/fullALU)))
	bandwidth := bytes / (p.Efficiency * c.Bandwidth)
	latency := bytes / (cores * min(p.Port*clock, perCore*simdWidth*inFlight/p.Latency))
	together := math.Pow(math.Pow(bandwidth, p.Power)+math.Pow(alu, p.Power)+math.Pow(latency, p.Power), 1/p.Power)
	return p.Another*float64(len(s)-1) + prologue + together
}
