package cpu

import "github.com/go-openelm/go-openelm/kernels"

// amx multiplies bfloat16 weights with many activation rows in tiles. What it
// does with few, and with other formats, is AVX-512's.
var amx = func() isaTable {
	r := avx512
	r.isa = AMX
	// Processors with AMX read two streams with prefetching faster than one without.
	r.formats[kernels.F32].matvec[0] = matvecKernel{matvec1xF32AVX512, 2}
	r.formats[kernels.F16].matvec[0] = matvecKernel{matvec1xF16AVX512, 2}
	r.formats[kernels.BF16].matvec[0] = matvecKernel{matvec1xBF16AVX512, 2}
	r.tiles = [2]func(*tileArgs){tiles1AMX, tiles2AMX}
	r.bf16x3 = bf16x3AVX512
	return r
}()
