package cpu

import "github.com/go-openelm/go-openelm/kernels"

// avx512 multiplies with AVX-512 and, where the weights are quantised and the
// rows few, VNNI. The rest is AVX2's: it is a small part of a token.
var avx512 = func() routines {
	r := avx2
	r.isa = AVX512
	// A Zen 4 reads one stream without prefetching faster than two with.
	r.matvec[kernels.F32] = [3]matvec{{mul1xF32RunAVX512, 1}, {mul2xF32AVX512, 2}, {mul4xF32AVX512, 1}}
	r.matvec[kernels.F16] = [3]matvec{{mul1xF16RunAVX512, 1}, {mul2xF16AVX512, 2}, {mul4xF16AVX512, 1}}
	r.matvec[kernels.BF16] = [3]matvec{{mul1xBF16RunAVX512, 1}, {mul2xBF16AVX512, 2}, {mul4xBF16AVX512, 1}}
	r.matvec[kernels.Q8_0] = [3]matvec{{mul1xQ8_0AVX512, 2}, {mul2xQ8_0AVX512, 4}, {mul4xQ8_0AVX512, 4}}
	r.matvec[kernels.Q4_0] = [3]matvec{{mul1xQ4_0AVX512, 2}, {mul2xQ4_0AVX512, 4}, {mul4xQ4_0AVX512, 4}}
	r.matvec[kernels.Q4_1] = [3]matvec{{mul1xQ4_1AVX512, 2}, {mul2xQ4_1AVX512, 4}, {mul4xQ4_1AVX512, 4}}
	r.matvec[kernels.Q4_K] = [3]matvec{{mul1xQ4_KAVX512, 2}, {mul2xQ4_KAVX512, 4}, {mul4xQ4_KAVX512, 4}}
	r.matvec[kernels.Affine4] = [3]matvec{{mul1xAffine4AVX512, 2}, {mul2xAffine4AVX512, 4}, {mul4xAffine4AVX512, 4}}
	r.matvec[kernels.Affine8] = [3]matvec{{mul1xAffine8AVX512, 2}, {mul2xAffine8AVX512, 4}, {mul4xAffine8AVX512, 4}}
	r.tileCols = 32
	r.gemm = []func(*gemmArgs){
		gemm1x32AVX512, gemm2x32AVX512, gemm3x32AVX512, gemm4x32AVX512, gemm5x32AVX512, gemm6x32AVX512,
		gemm7x32AVX512, gemm8x32AVX512, gemm9x32AVX512, gemm10x32AVX512, gemm11x32AVX512, gemm12x32AVX512,
	}
	r.order = [formats]*arrangement{
		kernels.BF16: wholePairs, kernels.Q8_0: offset128, kernels.Q4_0: offset8, kernels.Q4_1: natural,
		kernels.Q4_K: natural, kernels.Affine4: evenColumns, kernels.Affine8: natural,
	}
	r.digits = digitsAVX512
	return r
}()

//go:noescape
func mul1xF32AVX512(a *mulArgs)

//go:noescape
func mul1xF16AVX512(a *mulArgs)

//go:noescape
func mul1xBF16AVX512(a *mulArgs)

//go:noescape
func mul1xQ8_0AVX512(a *mulArgs)

//go:noescape
func mul1xQ4_0AVX512(a *mulArgs)

//go:noescape
func mul1xQ4_1AVX512(a *mulArgs)

//go:noescape
func mul1xQ4_KAVX512(a *mulArgs)

//go:noescape
func mul1xAffine4AVX512(a *mulArgs)

//go:noescape
func mul1xAffine8AVX512(a *mulArgs)

//go:noescape
func mul4xF32AVX512(a *mulArgs)

//go:noescape
func mul4xF16AVX512(a *mulArgs)

//go:noescape
func mul4xBF16AVX512(a *mulArgs)

//go:noescape
func mul4xQ8_0AVX512(a *mulArgs)

//go:noescape
func mul4xQ4_0AVX512(a *mulArgs)

//go:noescape
func mul4xQ4_1AVX512(a *mulArgs)

//go:noescape
func mul4xQ4_KAVX512(a *mulArgs)

//go:noescape
func mul4xAffine4AVX512(a *mulArgs)

//go:noescape
func mul4xAffine8AVX512(a *mulArgs)

//go:noescape
func digitsAVX512(a *digitArgs)

//go:noescape
func mul2xF32AVX512(a *mulArgs)

//go:noescape
func mul2xF16AVX512(a *mulArgs)

//go:noescape
func mul2xBF16AVX512(a *mulArgs)

//go:noescape
func mul2xQ8_0AVX512(a *mulArgs)

//go:noescape
func mul2xQ4_0AVX512(a *mulArgs)

//go:noescape
func mul2xQ4_1AVX512(a *mulArgs)

//go:noescape
func mul2xQ4_KAVX512(a *mulArgs)

//go:noescape
func mul2xAffine4AVX512(a *mulArgs)

//go:noescape
func mul2xAffine8AVX512(a *mulArgs)

//go:noescape
func gemm1x32AVX512(a *gemmArgs)

//go:noescape
func gemm2x32AVX512(a *gemmArgs)

//go:noescape
func gemm3x32AVX512(a *gemmArgs)

//go:noescape
func gemm4x32AVX512(a *gemmArgs)

//go:noescape
func gemm5x32AVX512(a *gemmArgs)

//go:noescape
func gemm6x32AVX512(a *gemmArgs)

//go:noescape
func gemm7x32AVX512(a *gemmArgs)

//go:noescape
func gemm8x32AVX512(a *gemmArgs)

//go:noescape
func gemm9x32AVX512(a *gemmArgs)

//go:noescape
func gemm10x32AVX512(a *gemmArgs)

//go:noescape
func gemm11x32AVX512(a *gemmArgs)

//go:noescape
func gemm12x32AVX512(a *gemmArgs)

//go:noescape
func mul1xF32RunAVX512(a *mulArgs)

//go:noescape
func mul1xF16RunAVX512(a *mulArgs)

//go:noescape
func mul1xBF16RunAVX512(a *mulArgs)
