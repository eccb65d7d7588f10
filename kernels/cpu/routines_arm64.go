package cpu

import (
	"github.com/go-openelm/go-openelm/kernels"
	"golang.org/x/sys/cpu"
)

// native are the routines in assembly that the machine can run, best first.
func native() []*routines {
	switch {
	case cpu.ARM64.HasASIMDDP:
		return []*routines{&dotProd, &neon}
	case cpu.ARM64.HasASIMD:
		return []*routines{&neon}
	}
	return nil
}

// neon needs the Advanced SIMD of ARMv8.0 only.
var neon = routines{
	isa: NEON,
	matvec: [formats][3]matvec{
		kernels.F32:     {{mul1xF32NEON, 2}, {mul2xF32NEON, 2}, {mul4xF32NEON, 1}},
		kernels.F16:     {{mul1xF16NEON, 2}, {mul2xF16NEON, 2}, {mul4xF16NEON, 1}},
		kernels.BF16:    {{mul1xBF16NEON, 2}, {mul2xBF16NEON, 2}, {mul4xBF16NEON, 1}},
		kernels.Q8_0:    {{mul1xQ8_0NEON, 2}, {mul2xQ8_0NEON, 2}, {mul4xQ8_0NEON, 2}},
		kernels.Q4_0:    {{mul1xQ4_0NEON, 2}, {mul2xQ4_0NEON, 2}, {mul4xQ4_0NEON, 2}},
		kernels.Q4_1:    {{mul1xQ4_1NEON, 2}, {mul2xQ4_1NEON, 2}, {mul4xQ4_1NEON, 2}},
		kernels.Q4_K:    {{mul1xQ4_KNEON, 2}, {mul2xQ4_KNEON, 2}, {mul4xQ4_KNEON, 2}},
		kernels.Q6_K:    {{mul1xQ6_KNEON, 2}, {mul2xQ6_KNEON, 2}, {mul4xQ6_KNEON, 2}},
		kernels.Affine4: {{mul1xAffine4NEON, 2}, {mul2xAffine4NEON, 2}, {mul4xAffine4NEON, 2}},
		kernels.Affine8: {{mul1xAffine8NEON, 2}, {mul2xAffine8NEON, 2}, {mul4xAffine8NEON, 2}},
	},
	widen: [formats]func(*widenArgs){
		kernels.F32: widenF32NEON, kernels.F16: widenF16NEON, kernels.BF16: widenBF16NEON,
		kernels.Q8_0: widenQ8_0NEON, kernels.Q4_0: widenQ4_0NEON, kernels.Q4_1: widenQ4_1NEON,
		kernels.Q4_K: widenQ4_KNEON, kernels.Q6_K: widenQ6_KNEON,
		kernels.Affine4: widenAffine4NEON, kernels.Affine8: widenAffine8NEON,
	},
	tileCols: 16,
	gemm:     []func(*gemmArgs){gemm1x16NEON, gemm2x16NEON, gemm3x16NEON, gemm4x16NEON, gemm5x16NEON, gemm6x16NEON},
	pack:     packNEON,
	prefetch: prefetchNEON,
	depth:    256,
	rmsNorm:  rmsNormNEON,
	expSum:   expSumNEON,
	swiglu:   swigluNEON,
	rope:     ropeNEON,
	maximum:  maximumNEON,
	order: [formats]*arrangement{
		kernels.Q4_1: inOrder, kernels.Q4_K: inOrder, kernels.Affine4: evenNibbles, kernels.Affine8: inOrder,
	},
	arrange: arrangeNEON,
}

var (
	// inOrder leaves columns as they are, for the sums that go with them.
	inOrder = arranged(1, func(i int) (int, int) { return inPlace(i), 0 })

	// evenNibbles: the low nibbles of an affine format are its even columns.
	evenNibbles = arranged(1, func(i int) (int, int) { return evenFirst(i), 0 })
)

//go:noescape
func mul1xF32NEON(a *mulArgs)

//go:noescape
func mul1xF16NEON(a *mulArgs)

//go:noescape
func mul1xBF16NEON(a *mulArgs)

//go:noescape
func mul1xQ8_0NEON(a *mulArgs)

//go:noescape
func mul1xQ4_0NEON(a *mulArgs)

//go:noescape
func mul1xQ4_1NEON(a *mulArgs)

//go:noescape
func mul1xQ4_KNEON(a *mulArgs)

//go:noescape
func mul1xQ6_KNEON(a *mulArgs)

//go:noescape
func mul1xAffine4NEON(a *mulArgs)

//go:noescape
func mul1xAffine8NEON(a *mulArgs)

//go:noescape
func mul2xF32NEON(a *mulArgs)

//go:noescape
func mul2xF16NEON(a *mulArgs)

//go:noescape
func mul2xBF16NEON(a *mulArgs)

//go:noescape
func mul2xQ8_0NEON(a *mulArgs)

//go:noescape
func mul2xQ4_0NEON(a *mulArgs)

//go:noescape
func mul2xQ4_1NEON(a *mulArgs)

//go:noescape
func mul2xQ4_KNEON(a *mulArgs)

//go:noescape
func mul2xQ6_KNEON(a *mulArgs)

//go:noescape
func mul2xAffine4NEON(a *mulArgs)

//go:noescape
func mul2xAffine8NEON(a *mulArgs)

//go:noescape
func mul4xF32NEON(a *mulArgs)

//go:noescape
func mul4xF16NEON(a *mulArgs)

//go:noescape
func mul4xBF16NEON(a *mulArgs)

//go:noescape
func mul4xQ8_0NEON(a *mulArgs)

//go:noescape
func mul4xQ4_0NEON(a *mulArgs)

//go:noescape
func mul4xQ4_1NEON(a *mulArgs)

//go:noescape
func mul4xQ4_KNEON(a *mulArgs)

//go:noescape
func mul4xQ6_KNEON(a *mulArgs)

//go:noescape
func mul4xAffine4NEON(a *mulArgs)

//go:noescape
func mul4xAffine8NEON(a *mulArgs)

//go:noescape
func widenF32NEON(a *widenArgs)

//go:noescape
func widenF16NEON(a *widenArgs)

//go:noescape
func widenBF16NEON(a *widenArgs)

//go:noescape
func widenQ8_0NEON(a *widenArgs)

//go:noescape
func widenQ4_0NEON(a *widenArgs)

//go:noescape
func widenQ4_1NEON(a *widenArgs)

//go:noescape
func widenQ4_KNEON(a *widenArgs)

//go:noescape
func widenQ6_KNEON(a *widenArgs)

//go:noescape
func widenAffine4NEON(a *widenArgs)

//go:noescape
func widenAffine8NEON(a *widenArgs)

//go:noescape
func gemm1x16NEON(a *gemmArgs)

//go:noescape
func gemm2x16NEON(a *gemmArgs)

//go:noescape
func gemm3x16NEON(a *gemmArgs)

//go:noescape
func gemm4x16NEON(a *gemmArgs)

//go:noescape
func gemm5x16NEON(a *gemmArgs)

//go:noescape
func gemm6x16NEON(a *gemmArgs)

//go:noescape
func packNEON(a *packArgs)

//go:noescape
func rmsNormNEON(a *vectorArgs)

//go:noescape
func expSumNEON(a *vectorArgs)

//go:noescape
func swigluNEON(a *vectorArgs)

//go:noescape
func ropeNEON(a *vectorArgs)

//go:noescape
func maximumNEON(a *vectorArgs)

//go:noescape
func arrangeNEON(a *arrangeArgs)

//go:noescape
func prefetchNEON(a *packArgs)
