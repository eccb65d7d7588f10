package cpu

import "fmt"

// ISA is the instruction set that a backend's inner loops are written in.
type ISA uint8

// The instruction sets. Auto is the best one that the machine has; Portable is
// Go, and runs everywhere.
const (
	Auto     ISA = iota
	Portable     // Go
	AVX2         // x86-64 with AVX2, FMA and F16C
	AVX512       // x86-64 with AVX-512 F, BW, DQ, VL and VNNI
	AMX          // the same, and AMX for bfloat16
	NEON         // ARMv8 Advanced SIMD
	DotProd      // NEON with the dot products of ARMv8.2
)

func (i ISA) String() string {
	switch i {
	case Auto:
		return "auto"
	case Portable:
		return "portable"
	case AVX2:
		return "AVX2"
	case AVX512:
		return "AVX-512"
	case AMX:
		return "AMX"
	case NEON:
		return "NEON"
	case DotProd:
		return "NEON-DotProd"
	}
	return fmt.Sprintf("ISA(%d)", uint8(i))
}

// ISAs are the instruction sets that this machine can run, the best one first.
func ISAs() []ISA {
	var have []ISA
	for _, r := range available() {
		have = append(have, r.isa)
	}
	return have
}

// available are the routines that this machine can run, the best ones first.
func available() []*isaTable { return append(native(), &portable) }

// choose returns the routines of isa, or the portable ones where the machine
// does not have it.
func choose(isa ISA) *isaTable {
	all := available()
	for _, r := range all {
		if isa == Auto || r.isa == isa {
			return r
		}
	}
	return &portable
}
