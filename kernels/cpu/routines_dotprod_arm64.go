package cpu

import "github.com/go-openelm/go-openelm/kernels"

// dotProd multiplies few rows of quantised weights with the dot products of
// ARMv8.2. All else is NEON's.
var dotProd = func() routines {
	r := neon
	r.isa = DotProd
	r.mul1[kernels.Q8_0] = mul1xQ8_0DotProd
	r.mul1[kernels.Q4_0] = mul1xQ4_0DotProd
	r.mul1[kernels.Q4_1] = mul1xQ4_1DotProd
	r.mul1[kernels.Q4_K] = mul1xQ4_KDotProd
	r.mul1[kernels.Affine4] = mul1xAffine4DotProd
	r.mul1[kernels.Affine8] = mul1xAffine8DotProd
	r.mul2[kernels.Q8_0] = mul2xQ8_0DotProd
	r.mul2[kernels.Q4_0] = mul2xQ4_0DotProd
	r.mul2[kernels.Q4_1] = mul2xQ4_1DotProd
	r.mul2[kernels.Q4_K] = mul2xQ4_KDotProd
	r.mul2[kernels.Affine4] = mul2xAffine4DotProd
	r.mul2[kernels.Affine8] = mul2xAffine8DotProd
	r.mul4[kernels.Q8_0] = mul4xQ8_0DotProd
	r.mul4[kernels.Q4_0] = mul4xQ4_0DotProd
	r.mul4[kernels.Q4_1] = mul4xQ4_1DotProd
	r.mul4[kernels.Q4_K] = mul4xQ4_KDotProd
	r.mul4[kernels.Affine4] = mul4xAffine4DotProd
	r.mul4[kernels.Affine8] = mul4xAffine8DotProd
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
