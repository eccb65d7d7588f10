package cpu

import (
	"github.com/go-openelm/go-openelm/kernels"
	"golang.org/x/sys/cpu"
)

// native are the tables that the machine can run, best first.
func native() []*isaTable {
	x := &cpu.X86
	if !x.HasAVX2 || !x.HasFMA || !x.HasF16C {
		return nil
	}
	if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL && x.HasAVX512VNNI {
		if x.HasAMXTile && x.HasAMXBF16 && permitAMX() {
			return []*isaTable{&amx, &avx512, &avx2}
		}
		return []*isaTable{&avx512, &avx2}
	}
	return []*isaTable{&avx2}
}

var avx2 = isaTable{
	isa: AVX2,
	formats: [kernels.NumFormats]formatKernels{
		kernels.F32: {
			matvec: [3]matvecKernel{{matvec1xF32AVX2, 4}, {matvec2xF32AVX2, 4}, {matvec4xF32AVX2, 2}},
			widen:  widenF32AVX2,
		},
		kernels.F16: {
			matvec: [3]matvecKernel{{matvec1xF16AVX2, 4}, {matvec2xF16AVX2, 4}, {matvec4xF16AVX2, 2}},
			widen:  widenF16AVX2,
		},
		kernels.BF16: {
			matvec: [3]matvecKernel{{matvec1xBF16AVX2, 4}, {matvec2xBF16AVX2, 4}, {matvec4xBF16AVX2, 2}},
			widen:  widenBF16AVX2,
			layout: pairs,
		},
		kernels.Q8_0: {
			matvec: [3]matvecKernel{{matvec1xQ8_0AVX2, 2}, {matvec2xQ8_0AVX2, 2}, {matvec4xQ8_0AVX2, 2}},
			widen:  widenQ8_0AVX2,
			layout: signedBytes,
		},
		kernels.Q4_0: {
			matvec: [3]matvecKernel{{matvec1xQ4_0AVX2, 2}, {matvec2xQ4_0AVX2, 2}, {matvec4xQ4_0AVX2, 2}},
			widen:  widenQ4_0AVX2,
			layout: offset8,
		},
		kernels.Q4_1: {
			matvec: [3]matvecKernel{{matvec1xQ4_1AVX2, 2}, {matvec2xQ4_1AVX2, 2}, {matvec4xQ4_1AVX2, 2}},
			widen:  widenQ4_1AVX2,
			layout: natural,
		},
		kernels.Q5_0: {
			matvec: [3]matvecKernel{{matvec1xQ5_0AVX2, 2}, {matvec2xQ5_0AVX2, 2}, {matvec4xQ5_0AVX2, 2}},
			widen:  widenQ5_0AVX2,
			layout: offset16,
		},
		kernels.Q5_1: {
			matvec: [3]matvecKernel{{matvec1xQ5_1AVX2, 2}, {matvec2xQ5_1AVX2, 2}, {matvec4xQ5_1AVX2, 2}},
			widen:  widenQ5_1AVX2,
			layout: natural,
		},
		kernels.Q2_K: {
			matvec: [3]matvecKernel{{matvec1xQ2_KAVX2, 2}, {matvec2xQ2_KAVX2, 2}, {matvec4xQ2_KAVX2, 2}},
			widen:  widenQ2_KAVX2,
			layout: flat,
		},
		kernels.Q3_K: {
			matvec: [3]matvecKernel{{matvec1xQ3_KAVX2, 2}, {matvec2xQ3_KAVX2, 2}, {matvec4xQ3_KAVX2, 2}},
			widen:  widenQ3_KAVX2,
			layout: flat,
		},
		kernels.Q4_K: {
			matvec: [3]matvecKernel{{matvec1xQ4_KAVX2, 2}, {matvec2xQ4_KAVX2, 2}, {matvec4xQ4_KAVX2, 2}},
			widen:  widenQ4_KAVX2,
			layout: flat,
		},
		kernels.Q5_K: {
			matvec: [3]matvecKernel{{matvec1xQ5_KAVX2, 2}, {matvec2xQ5_KAVX2, 2}, {matvec4xQ5_KAVX2, 2}},
			widen:  widenQ5_KAVX2,
			layout: flat,
		},
		kernels.Q6_K: {
			matvec: [3]matvecKernel{{matvec1xQ6_KAVX2, 2}, {matvec2xQ6_KAVX2, 2}, {matvec4xQ6_KAVX2, 2}},
			widen:  widenQ6_KAVX2,
			layout: flat,
		},
		kernels.IQ4_NL: {
			matvec: [3]matvecKernel{{matvec1xIQ4_NLAVX2, 2}, {matvec2xIQ4_NLAVX2, 2}, {matvec4xIQ4_NLAVX2, 2}},
			widen:  widenIQ4_NLAVX2,
			layout: signedBytes,
		},
		kernels.IQ4_XS: {
			matvec: [3]matvecKernel{{matvec1xIQ4_XSAVX2, 2}, {matvec2xIQ4_XSAVX2, 2}, {matvec4xIQ4_XSAVX2, 2}},
			widen:  widenIQ4_XSAVX2,
			layout: signedBytes,
		},
		kernels.Affine4: {
			matvec: [3]matvecKernel{{matvec1xAffine4AVX2, 2}, {matvec2xAffine4AVX2, 2}, {matvec4xAffine4AVX2, 2}},
			widen:  widenAffine4AVX2,
			layout: affineNibbles,
		},
		kernels.Affine8: {
			matvec: [3]matvecKernel{{matvec1xAffine8AVX2, 2}, {matvec2xAffine8AVX2, 2}, {matvec4xAffine8AVX2, 2}},
			widen:  widenAffine8AVX2,
			layout: unsignedBytes,
		},
	},
	tileCols: 16,
	gemm:     []func(*gemmArgs){gemm1x16AVX2, gemm2x16AVX2, gemm3x16AVX2, gemm4x16AVX2, gemm5x16AVX2, gemm6x16AVX2},
	pack:     packAVX2,
	prefetch: prefetchAVX2,
	depth:    256,
	rmsNorm:  rmsNormAVX2,
	softmax:  softmaxAVX2,
	swiglu:   swigluAVX2,
	rotate:   rotateAVX2,
	scale:    scaleAVX2,
	fold:     foldAVX2,
	toF16:    toF16AVX2,
	round:    roundAVX2,
	halves:   halvesAVX2,
	permute:  permuteAVX2,
	int8x3:   int8x3AVX2,
}
