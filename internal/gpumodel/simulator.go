package gpumodel

import "github.com/go-openelm/go-openelm/internal/metalsim"

// threadgroupMemory is what a core has for its threadgroups together, in bytes; metal-benchmarks, README.
const threadgroupMemory = 60 << 10

// FromSimulator is a token as the simulator ran it in mode "count", with weights in one format; host is the time of the CPU
// that the GPU waits for, in seconds. Issue slots and loads in flight are taken relative to those counted of ggml's kernel
// of the format. Registers are not known: a core is taken to hold as many threadgroups as its threadgroup memory does.
func FromSimulator(dispatches []metalsim.Dispatch, f Format, host float64) Token {
	k := formats[f].kernel
	t := Token{Host: host}
	stage := -1
	for _, d := range dispatches {
		if d.Stage != stage || len(t.Stages) == 0 {
			t.Stages, stage = append(t.Stages, nil), d.Stage
		}
		last := &t.Stages[len(t.Stages)-1]
		n := Dispatch{
			Threadgroups: d.Threadgroups, SIMDGroups: ceil(d.Threads, simdWidth), Bytes: d.Bytes,
			Slots: d.Slots * k.slots / k.countedSlots, InFlight: d.InFlight * k.inFlight / k.countedInFlight,
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
