package cpu

import "github.com/go-openelm/go-openelm/kernels"

// amx multiplies with many activation rows in tiles. What it does with few is AVX-512's.
var amx = func() isaTable {
	r := avx512
	r.isa = AMX
	// Processors with AMX read two streams with prefetching faster than one without.
	r.formats[kernels.F32].matvec[0] = matvecKernel{matvec1xF32AVX512, 2}
	r.formats[kernels.F16].matvec[0] = matvecKernel{matvec1xF16AVX512, 2}
	r.formats[kernels.BF16].matvec[0] = matvecKernel{matvec1xBF16AVX512, 2}
	r.tiles = &amxTiles
	r.roundedTiles = &amxRounded
	return r
}()

var amxTiles = tileKernels{
	parts:     3,
	sums:      [3]func(*tileArgs){tiles1x3AMX, tiles2x3AMX, tiles3x3AMX},
	scaled:    [2]func(*tileArgs){tilesScaled1x3AMX, tilesScaled2x3AMX},
	biased:    tilesBiased1x3AMX,
	split:     [3]func(*splitArgs){bf16x1AVX512, bf16x2AVX512, bf16x3AVX512},
	sum32:     sum32AVX512,
	transpose: transposeAVX512,
}

// amxRounded is for activations that are bfloat16.
var amxRounded = tileKernels{
	parts:     1,
	sums:      [3]func(*tileArgs){tiles1x1AMX, tiles2x1AMX, tiles3x1AMX},
	scaled:    [2]func(*tileArgs){tilesScaled1x1AMX, tilesScaled2x1AMX},
	biased:    tilesBiased1x1AMX,
	split:     amxTiles.split,
	sum32:     sum32AVX512,
	transpose: transposeAVX512,
}
