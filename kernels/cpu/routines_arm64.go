package cpu

import (
	"github.com/go-openelm/go-openelm/kernels"
	"golang.org/x/sys/cpu"
)

// native are the routines in assembly that the machine can run, best first.
func native() []*routines {
	if cpu.ARM64.HasASIMD {
		return []*routines{&neon}
	}
	return nil
}

// neon needs the Advanced SIMD of ARMv8.0 only. Formats that are not here go
// through their definition, and what is not worth it through Go.
var neon = routines{
	isa: NEON,
	mul1: [formats]func(*mulArgs){
		kernels.F32:  mul1xF32NEON,
		kernels.F16:  mul1xF16NEON,
		kernels.BF16: mul1xBF16NEON,
		kernels.Q8_0: mul1xQ8_0NEON,
		kernels.Q4_0: mul1xQ4_0NEON,
	},
	mul4: [formats]func(*mulArgs){
		kernels.F32:  mul4xF32NEON,
		kernels.F16:  mul4xF16NEON,
		kernels.BF16: mul4xBF16NEON,
		kernels.Q8_0: mul4xQ8_0NEON,
		kernels.Q4_0: mul4xQ4_0NEON,
	},
	widen: [formats]func(*widenArgs){
		kernels.F32:  widenF32NEON,
		kernels.F16:  widenF16NEON,
		kernels.BF16: widenBF16NEON,
		kernels.Q8_0: widenQ8_0NEON,
		kernels.Q4_0: widenQ4_0NEON,
	},
	tileCols: 16,
	gemm:     []func(*gemmArgs){gemm1x16NEON, gemm2x16NEON, gemm3x16NEON, gemm4x16NEON, gemm5x16NEON, gemm6x16NEON},
	pack:     pack,
	prefetch: prefetchNEON,
	depth:    256,
	few:      [2]int{16, 8},
	rmsNorm:  rmsNorm,
	expSum:   expSum,
	swiglu:   swiglu,
	rope:     rope,
	maximum:  maximum,
	arrange:  arrange,
}

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
func prefetchNEON(a *packArgs)
