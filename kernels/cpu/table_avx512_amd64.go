package cpu

import (
	"github.com/go-openelm/go-openelm/kernels"
	"golang.org/x/sys/cpu"
)

// avx512 multiplies with AVX-512 and, where the weights are quantised and the
// rows few, VNNI; and rounded activations with AVX512_BF16, if there is that. The rest
// is AVX2's: it is a small part of a token.
var avx512 = func() isaTable {
	r := avx2
	r.isa = AVX512
	// A Zen 4 reads one stream without prefetching faster than two with.
	r.formats[kernels.F32].matvec = [3]matvecKernel{{matvec1xF32RunAVX512, 1}, {matvec2xF32AVX512, 2}, {matvec4xF32AVX512, 2}}
	r.formats[kernels.F16].matvec = [3]matvecKernel{{matvec1xF16RunAVX512, 1}, {matvec2xF16AVX512, 2}, {matvec4xF16AVX512, 2}}
	r.formats[kernels.BF16].matvec = [3]matvecKernel{{matvec1xBF16RunAVX512, 1}, {matvec2xBF16AVX512, 2}, {matvec4xBF16AVX512, 2}}
	r.formats[kernels.BF16].layout = wholePairs
	r.formats[kernels.Q8_0].matvec = [3]matvecKernel{{matvec1xQ8_0AVX512, 2}, {matvec2xQ8_0AVX512, 4}, {matvec4xQ8_0AVX512, 4}}
	r.formats[kernels.Q8_0].layout = offset128
	r.formats[kernels.Q4_0].matvec = [3]matvecKernel{{matvec1xQ4_0AVX512, 2}, {matvec2xQ4_0AVX512, 4}, {matvec4xQ4_0AVX512, 4}}
	r.formats[kernels.Q4_0].layout = offset8
	r.formats[kernels.Q4_1].matvec = [3]matvecKernel{{matvec1xQ4_1AVX512, 2}, {matvec2xQ4_1AVX512, 4}, {matvec4xQ4_1AVX512, 4}}
	r.formats[kernels.Q4_1].layout = natural
	r.formats[kernels.Q4_K].matvec = [3]matvecKernel{{matvec1xQ4_KAVX512, 2}, {matvec2xQ4_KAVX512, 4}, {matvec4xQ4_KAVX512, 4}}
	r.formats[kernels.Q4_K].layout = natural
	r.formats[kernels.Q5_0].matvec = [3]matvecKernel{{matvec1xQ5_0AVX512, 2}, {matvec2xQ5_0AVX512, 4}, {matvec4xQ5_0AVX512, 4}}
	r.formats[kernels.Q5_0].layout = offset16
	r.formats[kernels.Q5_1].matvec = [3]matvecKernel{{matvec1xQ5_1AVX512, 2}, {matvec2xQ5_1AVX512, 4}, {matvec4xQ5_1AVX512, 4}}
	r.formats[kernels.Q5_1].layout = natural
	r.formats[kernels.Q5_K].matvec = [3]matvecKernel{{matvec1xQ5_KAVX512, 2}, {matvec2xQ5_KAVX512, 4}, {matvec4xQ5_KAVX512, 4}}
	r.formats[kernels.Q5_K].layout = natural
	r.formats[kernels.IQ4_NL].matvec = [3]matvecKernel{{matvec1xIQ4_NLAVX512, 2}, {matvec2xIQ4_NLAVX512, 4}, {matvec4xIQ4_NLAVX512, 4}}
	r.formats[kernels.IQ4_NL].layout = offset128
	r.formats[kernels.IQ4_XS].matvec = [3]matvecKernel{{matvec1xIQ4_XSAVX512, 2}, {matvec2xIQ4_XSAVX512, 4}, {matvec4xIQ4_XSAVX512, 4}}
	r.formats[kernels.IQ4_XS].layout = offset128
	r.formats[kernels.Q2_K].matvec = [3]matvecKernel{{matvec1xQ2_KAVX512, 2}, {matvec2xQ2_KAVX512, 4}, {matvec4xQ2_KAVX512, 4}}
	r.formats[kernels.Q2_K].layout = eights
	r.formats[kernels.Q3_K].matvec = [3]matvecKernel{{matvec1xQ3_KAVX512, 2}, {matvec2xQ3_KAVX512, 4}, {matvec4xQ3_KAVX512, 4}}
	r.formats[kernels.Q3_K].layout = eights4
	r.formats[kernels.Q6_K].matvec = [3]matvecKernel{{matvec1xQ6_KAVX512, 2}, {matvec2xQ6_KAVX512, 4}, {matvec4xQ6_KAVX512, 4}}
	r.formats[kernels.Q6_K].layout = eights32
	r.formats[kernels.Affine4].matvec = [3]matvecKernel{{matvec1xAffine4AVX512, 2}, {matvec2xAffine4AVX512, 4}, {matvec4xAffine4AVX512, 4}}
	r.formats[kernels.Affine4].layout = evenColumns
	r.formats[kernels.Affine8].matvec = [3]matvecKernel{{matvec1xAffine8AVX512, 2}, {matvec2xAffine8AVX512, 4}, {matvec4xAffine8AVX512, 4}}
	r.formats[kernels.Affine8].layout = natural
	r.tileCols = 32
	r.gemm = []func(*gemmArgs){
		gemm1x32AVX512, gemm2x32AVX512, gemm3x32AVX512, gemm4x32AVX512, gemm5x32AVX512, gemm6x32AVX512,
		gemm7x32AVX512, gemm8x32AVX512, gemm9x32AVX512, gemm10x32AVX512, gemm11x32AVX512, gemm12x32AVX512,
	}
	for format, unpack := range map[kernels.Format]unpacker{
		kernels.Q8_0:    {unpackQ8_0AVX512, 1, false},
		kernels.Q4_0:    {unpackQ4_0AVX512, 1, false},
		kernels.Q4_1:    {unpackQ4_1AVX512, 1, true},
		kernels.Q5_0:    {unpackQ5_0AVX512, 1, false},
		kernels.Q5_1:    {unpackQ5_1AVX512, 1, true},
		kernels.Q3_K:    {unpackQ3_KAVX512, 1, false},
		kernels.Q4_K:    {unpackQ4_KAVX512, 1, true},
		kernels.Q5_K:    {unpackQ5_KAVX512, 1, true},
		kernels.Q6_K:    {unpackQ6_KAVX512, 2, false},
		kernels.IQ4_NL:  {unpackIQ4_NLAVX512, 1, false},
		kernels.IQ4_XS:  {unpackIQ4_XSAVX512, 1, false},
		kernels.Affine4: {unpackAffine4AVX512, 1, true},
		kernels.Affine8: {unpackAffine8AVX512, 1, true},
	} {
		r.formats[format].unpack = unpack
	}
	if cpu.X86.HasAVX512BF16 {
		r.bf16 = bf16Kernels{pack: packAVX2, gemm: []func(*gemmArgs){
			gemm1x32AVX512BF16, gemm2x32AVX512BF16, gemm3x32AVX512BF16, gemm4x32AVX512BF16, gemm5x32AVX512BF16, gemm6x32AVX512BF16,
			gemm7x32AVX512BF16, gemm8x32AVX512BF16, gemm9x32AVX512BF16, gemm10x32AVX512BF16, gemm11x32AVX512BF16, gemm12x32AVX512BF16,
		}, scaled: []func(*scaledArgs){
			scaled1x32AVX512BF16, scaled2x32AVX512BF16, scaled3x32AVX512BF16, scaled4x32AVX512BF16, scaled5x32AVX512BF16, scaled6x32AVX512BF16,
		}, tiles: &avx512Tiles}
	}
	r.int8x3 = int8x3AVX512
	r.softmax = softmaxAVX512
	return r
}()

// avx512Tiles are the routines for tiles that need no AMX.
var avx512Tiles = tileKernels{sum32: sum32AVX512, transpose: transposeAVX512}
