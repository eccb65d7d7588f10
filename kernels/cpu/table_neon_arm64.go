package cpu

import (
	"github.com/go-openelm/go-openelm/kernels"
	"golang.org/x/sys/cpu"
)

// native are the tables that the machine can run, best first.
func native() []*isaTable {
	switch {
	case cpu.ARM64.HasASIMDDP:
		return []*isaTable{&dotProd, &neon}
	case cpu.ARM64.HasASIMD:
		return []*isaTable{&neon}
	}
	return nil
}

// neon needs the Advanced SIMD of ARMv8.0 only.
var neon = isaTable{
	isa: NEON,
	formats: [kernels.NumFormats]formatKernels{
		kernels.F32: {
			matvec: [3]matvecKernel{{matvec1xF32NEON, 4}, {matvec2xF32NEON, 4}, {matvec4xF32NEON, 2}},
			widen:  widenF32NEON,
		},
		kernels.F16: {
			matvec: [3]matvecKernel{{matvec1xF16NEON, 4}, {matvec2xF16NEON, 4}, {matvec4xF16NEON, 2}},
			widen:  widenF16NEON,
		},
		kernels.BF16: {
			matvec: [3]matvecKernel{{matvec1xBF16NEON, 4}, {matvec2xBF16NEON, 4}, {matvec4xBF16NEON, 2}},
			widen:  widenBF16NEON,
		},
		kernels.Q8_0: {
			matvec: [3]matvecKernel{{matvec1xQ8_0NEON, 2}, {matvec2xQ8_0NEON, 2}, {matvec4xQ8_0NEON, 2}},
			widen:  widenQ8_0NEON,
		},
		kernels.Q4_0: {
			matvec: [3]matvecKernel{{matvec1xQ4_0NEON, 2}, {matvec2xQ4_0NEON, 2}, {matvec4xQ4_0NEON, 2}},
			widen:  widenQ4_0NEON,
		},
		kernels.Q4_1: {
			matvec: [3]matvecKernel{{matvec1xQ4_1NEON, 2}, {matvec2xQ4_1NEON, 2}, {matvec4xQ4_1NEON, 2}},
			widen:  widenQ4_1NEON,
			layout: inOrder,
		},
		kernels.Q5_0: {
			matvec: [3]matvecKernel{{matvec1xQ5_0NEON, 2}, {matvec2xQ5_0NEON, 2}, {matvec4xQ5_0NEON, 2}},
			widen:  widenQ5_0NEON,
		},
		kernels.Q5_1: {
			matvec: [3]matvecKernel{{matvec1xQ5_1NEON, 2}, {matvec2xQ5_1NEON, 2}, {matvec4xQ5_1NEON, 2}},
			widen:  widenQ5_1NEON,
			layout: inOrder,
		},
		kernels.Q2_K: {
			widen: widenQ2_KNEON,
		},
		kernels.Q3_K: {
			matvec: [3]matvecKernel{{matvec1xQ3_KNEON, 2}, {matvec2xQ3_KNEON, 2}, {matvec4xQ3_KNEON, 2}},
			widen:  widenQ3_KNEON,
		},
		kernels.Q4_K: {
			matvec: [3]matvecKernel{{matvec1xQ4_KNEON, 2}, {matvec2xQ4_KNEON, 2}, {matvec4xQ4_KNEON, 2}},
			widen:  widenQ4_KNEON,
			layout: inOrder,
		},
		kernels.Q5_K: {
			matvec: [3]matvecKernel{{matvec1xQ5_KNEON, 2}, {matvec2xQ5_KNEON, 2}, {matvec4xQ5_KNEON, 2}},
			widen:  widenQ5_KNEON,
			layout: inOrder,
		},
		kernels.Q6_K: {
			matvec: [3]matvecKernel{{matvec1xQ6_KNEON, 2}, {matvec2xQ6_KNEON, 2}, {matvec4xQ6_KNEON, 2}},
			widen:  widenQ6_KNEON,
		},
		kernels.IQ4_NL: {
			matvec: [3]matvecKernel{{matvec1xIQ4_NLNEON, 2}, {matvec2xIQ4_NLNEON, 2}, {matvec4xIQ4_NLNEON, 2}},
			widen:  widenIQ4_NLNEON,
		},
		kernels.IQ4_XS: {
			matvec: [3]matvecKernel{{matvec1xIQ4_XSNEON, 2}, {matvec2xIQ4_XSNEON, 2}, {matvec4xIQ4_XSNEON, 2}},
			widen:  widenIQ4_XSNEON,
		},
		kernels.Affine4: {
			matvec: [3]matvecKernel{{matvec1xAffine4NEON, 2}, {matvec2xAffine4NEON, 2}, {matvec4xAffine4NEON, 2}},
			widen:  widenAffine4NEON,
			layout: evenNibbles,
		},
		kernels.Affine8: {
			matvec: [3]matvecKernel{{matvec1xAffine8NEON, 2}, {matvec2xAffine8NEON, 2}, {matvec4xAffine8NEON, 2}},
			widen:  widenAffine8NEON,
			layout: inOrder,
		},
	},
	tileCols: 16,
	gemm:     []func(*gemmArgs){gemm1x16NEON, gemm2x16NEON, gemm3x16NEON, gemm4x16NEON, gemm5x16NEON, gemm6x16NEON},
	pack:     packNEON,
	prefetch: prefetchNEON,
	depth:    256,
	rmsNorm:  rmsNormNEON,
	softmax:  softmaxNEON,
	swiglu:   swigluNEON,
	rotate:   rotateNEON,
	scale:    scaleNEON,
	fold:     foldNEON,
	toF16:    toF16NEON,
	round:    roundNEON,
	halves:   halvesNEON,
	permute:  permuteNEON,
}

var (
	// inOrder leaves columns as they are, for the sums that go with them.
	inOrder = layoutOf(1, func(i int) (int, int) { return inPlace(i), 0 })

	// evenNibbles: the low nibbles of an affine format are its even columns.
	evenNibbles = layoutOf(1, func(i int) (int, int) { return evenFirst(i), 0 })
)
