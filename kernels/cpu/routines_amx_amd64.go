package cpu

import "github.com/go-openelm/go-openelm/kernels"

// amx multiplies bfloat16 weights with many activation rows in tiles. What it
// does with few, and with other formats, is AVX-512's.
var amx = func() routines {
	r := avx512
	r.isa = AMX
	// Processors with AMX read two runs with prefetching faster than one without.
	for f, mul := range map[kernels.Format]func(*mulArgs){kernels.F32: mul1xF32AVX512, kernels.F16: mul1xF16AVX512, kernels.BF16: mul1xBF16AVX512} {
		r.mul1[f], r.oneRun[f] = mul, false
	}
	r.tiles = [2]func(*tileArgs){tiles1AMX, tiles2AMX}
	r.parts = partsAVX512
	return r
}()

//go:noescape
func tiles1AMX(a *tileArgs)

//go:noescape
func tiles2AMX(a *tileArgs)

//go:noescape
func partsAVX512(a *partArgs)
