package cpu

import "github.com/go-openelm/go-openelm/kernels"

// amx multiplies bfloat16 weights with many activation rows in tiles. What it
// does with few, and with other formats, is AVX-512's.
var amx = func() routines {
	r := avx512
	r.isa = AMX
	// Processors with AMX read two streams with prefetching faster than one without.
	r.matvec[kernels.F32][0] = matvec{mul1xF32AVX512, 2}
	r.matvec[kernels.F16][0] = matvec{mul1xF16AVX512, 2}
	r.matvec[kernels.BF16][0] = matvec{mul1xBF16AVX512, 2}
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
