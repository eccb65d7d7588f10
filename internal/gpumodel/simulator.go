package gpumodel

import (
	"strings"

	"github.com/go-openelm/go-openelm/internal/metalsim"
)

// threadgroupMemory is what a core has for its threadgroups together, in bytes; metal-benchmarks, README.
const threadgroupMemory = 60 << 10

const (
	// OwnRegisters is what a lane of matvec holds in its loop, unrolled twice, by hand: the words of four rows of W, and x
	// and the norm, twice; sums and addresses. What Apple's compiler makes of it nobody has seen.
	OwnRegisters = 80
	// ownPrologue is what attention takes until it loads its first key: queries and the new key are normalised and
	// rotated, and a barrier passed.
	ownPrologue = 1.5e-6
)

// FromSimulator is a token of this project's kernels as the simulator ran it in mode "count", with weights in one format;
// host is an estimate of the time of the CPU that the GPU waits for, in seconds. Issue slots and loads in flight are taken
// relative to those counted of ggml's kernel of the format, of attention relative to that of 16 bits.
func FromSimulator(dispatches []metalsim.Dispatch, f Format, host float64) Token {
	t := Token{HostGuess: host}
	stage := -1
	for _, d := range dispatches {
		if d.Stage != stage || len(t.Stages) == 0 {
			t.Stages, stage = append(t.Stages, nil), d.Stage
		}
		last := &t.Stages[len(t.Stages)-1]
		product := strings.HasPrefix(d.Kernel, "matvec")
		k := kernel16
		if product {
			k = formats[f].kernel
		}
		n := Dispatch{
			Threadgroups: d.Threadgroups, SIMDGroups: ceil(d.Threads, simdWidth), Bytes: d.Bytes,
			Slots: d.Slots * k.slots / k.countedSlots, InFlight: d.InFlight * k.inFlight / k.countedInFlight,
		}
		switch {
		case product:
			n.Registers = OwnRegisters
		case strings.HasPrefix(d.Kernel, "attend_decode"):
			n.Registers, n.Prologue = OwnRegisters, ownPrologue
		}
		if d.Memory > 0 {
			n.Resident = max(1, threadgroupMemory/d.Memory)
		}
		if n.InFlight == 0 {
			n.InFlight = 4 // a dispatch that was not counted, or loads nothing: one float
		}
		*last = append(*last, n)
	}
	return t
}
