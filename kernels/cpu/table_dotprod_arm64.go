package cpu

import "github.com/go-openelm/go-openelm/kernels"

// dotProd multiplies few rows of quantised weights with the dot products of
// ARMv8.2. All else is NEON's.
var dotProd = func() isaTable {
	r := neon
	r.isa = DotProd
	r.formats[kernels.Q8_0].matvec = [3]matvecKernel{{matvec1xQ8_0DotProd, 2}, {matvec2xQ8_0DotProd, 2}, {matvec4xQ8_0DotProd, 2}}
	r.formats[kernels.Q8_0].layout = natural
	r.formats[kernels.Q4_0].matvec = [3]matvecKernel{{matvec1xQ4_0DotProd, 2}, {matvec2xQ4_0DotProd, 2}, {matvec4xQ4_0DotProd, 2}}
	r.formats[kernels.Q4_0].layout = natural
	r.formats[kernels.Q4_1].matvec = [3]matvecKernel{{matvec1xQ4_1DotProd, 2}, {matvec2xQ4_1DotProd, 2}, {matvec4xQ4_1DotProd, 2}}
	r.formats[kernels.Q4_1].layout = natural
	r.formats[kernels.Q4_K].matvec = [3]matvecKernel{{matvec1xQ4_KDotProd, 2}, {matvec2xQ4_KDotProd, 2}, {matvec4xQ4_KDotProd, 2}}
	r.formats[kernels.Q4_K].layout = natural
	r.formats[kernels.Q5_0].matvec = [3]matvecKernel{{matvec1xQ5_0DotProd, 2}, {matvec2xQ5_0DotProd, 2}, {matvec4xQ5_0DotProd, 2}}
	r.formats[kernels.Q5_0].layout = natural
	r.formats[kernels.Q5_1].matvec = [3]matvecKernel{{matvec1xQ5_1DotProd, 2}, {matvec2xQ5_1DotProd, 2}, {matvec4xQ5_1DotProd, 2}}
	r.formats[kernels.Q5_1].layout = natural
	r.formats[kernels.Q5_K].matvec = [3]matvecKernel{{matvec1xQ5_KDotProd, 2}, {matvec2xQ5_KDotProd, 2}, {matvec4xQ5_KDotProd, 2}}
	r.formats[kernels.Q5_K].layout = natural
	r.formats[kernels.IQ4_NL].matvec = [3]matvecKernel{{matvec1xIQ4_NLDotProd, 2}, {matvec2xIQ4_NLDotProd, 2}, {matvec4xIQ4_NLDotProd, 2}}
	r.formats[kernels.IQ4_NL].layout = natural
	r.formats[kernels.IQ4_XS].matvec = [3]matvecKernel{{matvec1xIQ4_XSDotProd, 2}, {matvec2xIQ4_XSDotProd, 2}, {matvec4xIQ4_XSDotProd, 2}}
	r.formats[kernels.IQ4_XS].layout = natural
	r.formats[kernels.Q2_K].matvec = [3]matvecKernel{{matvec1xQ2_KDotProd, 2}, {matvec2xQ2_KDotProd, 2}, {matvec4xQ2_KDotProd, 2}}
	r.formats[kernels.Q2_K].layout = eights
	r.formats[kernels.Q3_K].matvec = [3]matvecKernel{{matvec1xQ3_KDotProd, 2}, {matvec2xQ3_KDotProd, 2}, {matvec4xQ3_KDotProd, 2}}
	r.formats[kernels.Q3_K].layout = eights
	r.formats[kernels.Q6_K].matvec = [3]matvecKernel{{matvec1xQ6_KDotProd, 2}, {matvec2xQ6_KDotProd, 2}, {matvec4xQ6_KDotProd, 2}}
	r.formats[kernels.Q6_K].layout = eights
	r.formats[kernels.Affine4].matvec = [3]matvecKernel{{matvec1xAffine4DotProd, 2}, {matvec2xAffine4DotProd, 2}, {matvec4xAffine4DotProd, 2}}
	r.formats[kernels.Affine4].layout = evenColumns
	r.formats[kernels.Affine8].matvec = [3]matvecKernel{{matvec1xAffine8DotProd, 2}, {matvec2xAffine8DotProd, 2}, {matvec4xAffine8DotProd, 2}}
	r.formats[kernels.Affine8].layout = natural
	if hasBF16() {
		r.bf16 = bf16Kernels{pack: packNEONBF16, gemm: []func(*gemmArgs){
			gemm1x16NEONBF16, gemm2x16NEONBF16, gemm3x16NEONBF16, gemm4x16NEONBF16, gemm5x16NEONBF16, gemm6x16NEONBF16,
		}}
	}
	r.int8x3 = int8x3NEON
	return r
}()
