package cpu

import (
	"github.com/go-openelm/go-openelm/kernels"
	"golang.org/x/sys/cpu"
)

// native are the routines in assembly that the machine can run, best first.
func native() []*routines {
	x := &cpu.X86
	if !x.HasAVX2 || !x.HasFMA || !x.HasF16C {
		return nil
	}
	if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL && x.HasAVX512VNNI {
		if x.HasAMXTile && x.HasAMXBF16 && permitAMX() {
			return []*routines{&amx, &avx512, &avx2}
		}
		return []*routines{&avx512, &avx2}
	}
	return []*routines{&avx2}
}

var avx2 = routines{
	isa: AVX2,
	matvec: [formats][3]matvec{
		kernels.F32:     {{mul1xF32AVX2, 2}, {mul2xF32AVX2, 2}, {mul4xF32AVX2, 1}},
		kernels.F16:     {{mul1xF16AVX2, 2}, {mul2xF16AVX2, 2}, {mul4xF16AVX2, 1}},
		kernels.BF16:    {{mul1xBF16AVX2, 2}, {mul2xBF16AVX2, 2}, {mul4xBF16AVX2, 1}},
		kernels.Q8_0:    {{mul1xQ8_0AVX2, 2}, {mul2xQ8_0AVX2, 2}, {mul4xQ8_0AVX2, 2}},
		kernels.Q4_0:    {{mul1xQ4_0AVX2, 2}, {mul2xQ4_0AVX2, 2}, {mul4xQ4_0AVX2, 2}},
		kernels.Q4_1:    {{mul1xQ4_1AVX2, 2}, {mul2xQ4_1AVX2, 2}, {mul4xQ4_1AVX2, 2}},
		kernels.Q4_K:    {{mul1xQ4_KAVX2, 2}, {mul2xQ4_KAVX2, 2}, {mul4xQ4_KAVX2, 1}},
		kernels.Q6_K:    {{mul1xQ6_KAVX2, 2}, {mul2xQ6_KAVX2, 2}, {mul4xQ6_KAVX2, 1}},
		kernels.Affine4: {{mul1xAffine4AVX2, 2}, {mul2xAffine4AVX2, 2}, {mul4xAffine4AVX2, 2}},
		kernels.Affine8: {{mul1xAffine8AVX2, 2}, {mul2xAffine8AVX2, 2}, {mul4xAffine8AVX2, 2}},
	},
	widen: [formats]func(*widenArgs){
		kernels.F32: widenF32AVX2, kernels.F16: widenF16AVX2, kernels.BF16: widenBF16AVX2,
		kernels.Q8_0: widenQ8_0AVX2, kernels.Q4_0: widenQ4_0AVX2, kernels.Q4_1: widenQ4_1AVX2,
		kernels.Q4_K: widenQ4_KAVX2, kernels.Q6_K: widenQ6_KAVX2,
		kernels.Affine4: widenAffine4AVX2, kernels.Affine8: widenAffine8AVX2,
	},
	tileCols: 16,
	gemm:     []func(*gemmArgs){gemm1x16AVX2, gemm2x16AVX2, gemm3x16AVX2, gemm4x16AVX2, gemm5x16AVX2, gemm6x16AVX2},
	pack:     packAVX2,
	prefetch: prefetchAVX2,
	depth:    256,
	rmsNorm:  rmsNormAVX2,
	expSum:   expSumAVX2,
	swiglu:   swigluAVX2,
	rope:     ropeAVX2,
	maximum:  maximumAVX2,
	order: [formats]*arrangement{
		kernels.BF16: pairs, kernels.Q8_0: signedBytes, kernels.Q4_0: q4_0, kernels.Q4_1: q4_1,
		kernels.Affine4: affineNibbles, kernels.Affine8: unsignedBytes,
	},
	arrange: arrangeAVX2,
}

//go:noescape
func mul1xF32AVX2(a *mulArgs)

//go:noescape
func mul1xF16AVX2(a *mulArgs)

//go:noescape
func mul1xBF16AVX2(a *mulArgs)

//go:noescape
func mul1xQ8_0AVX2(a *mulArgs)

//go:noescape
func mul1xQ4_0AVX2(a *mulArgs)

//go:noescape
func mul1xQ4_1AVX2(a *mulArgs)

//go:noescape
func mul1xQ4_KAVX2(a *mulArgs)

//go:noescape
func mul1xQ6_KAVX2(a *mulArgs)

//go:noescape
func mul1xAffine4AVX2(a *mulArgs)

//go:noescape
func mul1xAffine8AVX2(a *mulArgs)

//go:noescape
func mul2xF32AVX2(a *mulArgs)

//go:noescape
func mul2xF16AVX2(a *mulArgs)

//go:noescape
func mul2xBF16AVX2(a *mulArgs)

//go:noescape
func mul2xQ8_0AVX2(a *mulArgs)

//go:noescape
func mul2xQ4_0AVX2(a *mulArgs)

//go:noescape
func mul2xQ4_1AVX2(a *mulArgs)

//go:noescape
func mul2xQ4_KAVX2(a *mulArgs)

//go:noescape
func mul2xQ6_KAVX2(a *mulArgs)

//go:noescape
func mul2xAffine4AVX2(a *mulArgs)

//go:noescape
func mul2xAffine8AVX2(a *mulArgs)

//go:noescape
func mul4xF32AVX2(a *mulArgs)

//go:noescape
func mul4xF16AVX2(a *mulArgs)

//go:noescape
func mul4xBF16AVX2(a *mulArgs)

//go:noescape
func mul4xQ8_0AVX2(a *mulArgs)

//go:noescape
func mul4xQ4_0AVX2(a *mulArgs)

//go:noescape
func mul4xQ4_1AVX2(a *mulArgs)

//go:noescape
func mul4xQ4_KAVX2(a *mulArgs)

//go:noescape
func mul4xQ6_KAVX2(a *mulArgs)

//go:noescape
func mul4xAffine4AVX2(a *mulArgs)

//go:noescape
func mul4xAffine8AVX2(a *mulArgs)

//go:noescape
func widenF32AVX2(a *widenArgs)

//go:noescape
func widenF16AVX2(a *widenArgs)

//go:noescape
func widenBF16AVX2(a *widenArgs)

//go:noescape
func widenQ8_0AVX2(a *widenArgs)

//go:noescape
func widenQ4_0AVX2(a *widenArgs)

//go:noescape
func widenQ4_1AVX2(a *widenArgs)

//go:noescape
func widenQ4_KAVX2(a *widenArgs)

//go:noescape
func widenQ6_KAVX2(a *widenArgs)

//go:noescape
func widenAffine4AVX2(a *widenArgs)

//go:noescape
func widenAffine8AVX2(a *widenArgs)

//go:noescape
func gemm1x16AVX2(a *gemmArgs)

//go:noescape
func gemm2x16AVX2(a *gemmArgs)

//go:noescape
func gemm3x16AVX2(a *gemmArgs)

//go:noescape
func gemm4x16AVX2(a *gemmArgs)

//go:noescape
func gemm5x16AVX2(a *gemmArgs)

//go:noescape
func gemm6x16AVX2(a *gemmArgs)

//go:noescape
func packAVX2(a *packArgs)

//go:noescape
func rmsNormAVX2(a *vectorArgs)

//go:noescape
func expSumAVX2(a *vectorArgs)

//go:noescape
func swigluAVX2(a *vectorArgs)

//go:noescape
func ropeAVX2(a *vectorArgs)

//go:noescape
func maximumAVX2(a *vectorArgs)

//go:noescape
func arrangeAVX2(a *arrangeArgs)

//go:noescape
func prefetchAVX2(a *packArgs)
