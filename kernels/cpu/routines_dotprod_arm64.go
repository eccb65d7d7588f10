package cpu

import "github.com/go-openelm/go-openelm/kernels"

// dotProd multiplies few rows of quantised weights with the dot products of
// ARMv8.2. All else is NEON's.
var dotProd = func() routines {
	r := neon
	r.isa = DotProd
	r.matvec[kernels.Q8_0] = [3]matvec{{mul1xQ8_0DotProd, 2}, {mul2xQ8_0DotProd, 2}, {mul4xQ8_0DotProd, 2}}
	r.matvec[kernels.Q4_0] = [3]matvec{{mul1xQ4_0DotProd, 2}, {mul2xQ4_0DotProd, 2}, {mul4xQ4_0DotProd, 2}}
	r.matvec[kernels.Q4_1] = [3]matvec{{mul1xQ4_1DotProd, 2}, {mul2xQ4_1DotProd, 2}, {mul4xQ4_1DotProd, 2}}
	r.matvec[kernels.Q4_K] = [3]matvec{{mul1xQ4_KDotProd, 2}, {mul2xQ4_KDotProd, 2}, {mul4xQ4_KDotProd, 2}}
	r.matvec[kernels.Affine4] = [3]matvec{{mul1xAffine4DotProd, 2}, {mul2xAffine4DotProd, 2}, {mul4xAffine4DotProd, 2}}
	r.matvec[kernels.Affine8] = [3]matvec{{mul1xAffine8DotProd, 2}, {mul2xAffine8DotProd, 2}, {mul4xAffine8DotProd, 2}}
	r.order = [formats]*arrangement{
		kernels.Q8_0: natural, kernels.Q4_0: natural, kernels.Q4_1: natural,
		kernels.Q4_K: natural, kernels.Affine4: evenColumns, kernels.Affine8: natural,
	}
	r.digits = digitsNEON
	return r
}()

//go:noescape
func mul1xQ8_0DotProd(a *mulArgs)

//go:noescape
func mul1xQ4_0DotProd(a *mulArgs)

//go:noescape
func mul1xQ4_1DotProd(a *mulArgs)

//go:noescape
func mul1xQ4_KDotProd(a *mulArgs)

//go:noescape
func mul1xAffine4DotProd(a *mulArgs)

//go:noescape
func mul1xAffine8DotProd(a *mulArgs)

//go:noescape
func mul2xQ8_0DotProd(a *mulArgs)

//go:noescape
func mul2xQ4_0DotProd(a *mulArgs)

//go:noescape
func mul2xQ4_1DotProd(a *mulArgs)

//go:noescape
func mul2xQ4_KDotProd(a *mulArgs)

//go:noescape
func mul2xAffine4DotProd(a *mulArgs)

//go:noescape
func mul2xAffine8DotProd(a *mulArgs)

//go:noescape
func mul4xQ8_0DotProd(a *mulArgs)

//go:noescape
func mul4xQ4_0DotProd(a *mulArgs)

//go:noescape
func mul4xQ4_1DotProd(a *mulArgs)

//go:noescape
func mul4xQ4_KDotProd(a *mulArgs)

//go:noescape
func mul4xAffine4DotProd(a *mulArgs)

//go:noescape
func mul4xAffine8DotProd(a *mulArgs)

//go:noescape
func digitsNEON(a *digitArgs)
