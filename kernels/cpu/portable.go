package cpu

import (
	"math"
	"slices"
	"unsafe"

	"github.com/go-openelm/go-openelm/kernels"
)

// portable is what every routine means.
var portable = isaTable{
	isa: Portable,
	formats: [kernels.NumFormats]formatKernels{
		kernels.F32: {matvec: [3]matvecKernel{{matvec1x, 2}, {matvec2x, 2}, {matvec4x, 2}}, widen: widen},
	},
	gemm:     []func(*gemmArgs){gemm(1), gemm(2), gemm(3), gemm(4), gemm(5), gemm(6)},
	tileCols: 16,
	pack:     pack,
	prefetch: func(*packArgs) {},
	depth:    256,
	rmsNorm:  rmsNorm,
	softmax:  softmax,
	swiglu:   swiglu,
	round:    round,
	halves:   halves,
	rotate:   rotateHeads,
	scale:    scale,
	fold:     fold,
	toF16:    toF16,
	permute:  permute,
	int8x3:   int8x3,
}

func matvec1x(a *matvecArgs) { matvecRowwise(a, 1) }
func matvec2x(a *matvecArgs) { matvecRowwise(a, 2) }
func matvec4x(a *matvecArgs) { matvecRowwise(a, 4) }

func matvecRowwise(a *matvecArgs, xs int) {
	for i, w := range [2]*byte{a.w0, a.w1} {
		y := [2]*float32{a.y0, a.y1}[i]
		for o := range a.count {
			row := unsafe.Slice((*float32)(unsafe.Add(unsafe.Pointer(w), o*(4*a.steps+a.skip))), a.steps)
			for r := range xs {
				*at(y, o+r*a.yStride/4) = dot(row, unsafe.Slice(at(a.x, r*a.xStride/4), a.steps))
			}
		}
	}
}

func widen(a *widenArgs) {
	copy(unsafe.Slice(a.dst, a.steps), unsafe.Slice((*float32)(unsafe.Pointer(a.src)), a.steps))
}

func gemm(rows int) func(*gemmArgs) {
	return func(a *gemmArgs) {
		for r := range rows {
			x := unsafe.Slice(at(a.a, r*a.lda/4), a.k)
			c := unsafe.Slice(at(a.c, r*a.ldc/4), 16)
			var before [16]float32
			switch a.add {
			case 0:
				clear(c)
			case 1:
				copy(before[:], c)
				clear(c)
			}
			for j := 0; j < 16; j += 4 {
				from := at(a.b, j/8*(a.half/4)+j%8)
				s0, s1, s2, s3 := c[j], c[j+1], c[j+2], c[j+3]
				for k, v := range x {
					b := (*[4]float32)(unsafe.Pointer(at(from, k*a.ldb/4)))
					s0 += v * b[0]
					s1 += v * b[1]
					s2 += v * b[2]
					s3 += v * b[3]
				}
				c[j], c[j+1], c[j+2], c[j+3] = before[j]+s0, before[j+1]+s1, before[j+2]+s2, before[j+3]+s3
			}
		}
	}
}

func pack(a *packArgs) {
	for r := range packRows {
		for c, v := range unsafe.Slice(at(a.src, r*a.stride/4), a.n) {
			*at(a.dst, c*packRows+r) = v
		}
	}
}

func rmsNorm(a *vectorArgs) {
	dst, x, w := unsafe.Slice(a.dst, a.n), unsafe.Slice(a.x, a.n), unsafe.Slice(a.w, a.n)
	scale := 1 / float32(math.Sqrt(float64(dot(x, x)/float32(a.n)+a.scalar)))
	for i, v := range x {
		dst[i] = v * scale * w[i]
	}
}

func softmax(a *vectorArgs) {
	a.scalar, a.sum = max(a.scalar, slices.Max(unsafe.Slice(a.dst, a.n))), 0
	for i, x := range unsafe.Slice(a.dst, a.n) {
		e := float32(math.Exp2(float64(x - a.scalar)))
		*at(a.dst, i) = e
		a.sum += e
	}
}

func swiglu(a *vectorArgs) {
	up := unsafe.Slice(a.x, a.n)
	for i, g := range unsafe.Slice(a.dst, a.n) {
		*at(a.dst, i) = silu(g) * up[i]
	}
}

// silu(v) = v / (1 + e^−v).
func silu(v float32) float32 { return v / (1 + float32(math.Exp(float64(-v)))) }

func rotateHeads(a *rotateArgs) {
	hd := 2 * a.n
	w, angle := unsafe.Slice(a.w, hd), unsafe.Slice(a.angle, hd)
	for h := range a.heads {
		dst, x := unsafe.Slice(at(a.dst, h*hd), hd), unsafe.Slice(at(a.x, h*hd), hd)
		factor := a.factor
		if a.norm != 0 {
			factor /= float32(math.Sqrt(float64(dot(x, x)/float32(hd) + a.eps)))
		}
		for i := range a.n {
			p, q := x[i]*factor*w[i], x[a.n+i]*factor*w[a.n+i]
			cos, sin := angle[i], angle[a.n+i]
			dst[i], dst[a.n+i] = p*cos-q*sin, q*cos+p*sin
		}
	}
}

func scale(a *vectorArgs) {
	for i, x := range unsafe.Slice(a.x, a.n) {
		*at(a.dst, i) = x * a.scalar
	}
}

func fold(a *vectorArgs) {
	dst := unsafe.Slice(a.dst, a.n)
	for i, x := range unsafe.Slice(a.x, a.n) {
		dst[i] = dst[i]*a.scalar + x
	}
}

func toF16(a *vectorArgs) {
	dst := unsafe.Slice((*uint16)(unsafe.Pointer(a.dst)), a.n)
	for i, x := range unsafe.Slice(a.x, a.n) {
		dst[i] = kernels.ToF16(x)
	}
}

// permute is what the routine of that name means; the portable matvec needs none.
func permute(a *permuteArgs) {
	index, scale := unsafe.Slice(a.index, 32), unsafe.Slice(a.scale, 32)
	for c := 0; c < a.n; c += 32 {
		var sum float32
		for _, v := range unsafe.Slice(at(a.x, c), 32) {
			sum += v
		}
		*at(a.sums, c/32) = sum * a.factor
		for i, from := range index {
			*at(a.dst, c+i) = *at(a.x, c+int(from)) * scale[i]
		}
	}
}

// dot is Σ a_i·b_i, in four sums to keep the multipliers busy.
func dot(a, b []float32) float32 {
	var s0, s1, s2, s3 float32
	b = b[:len(a)]
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += a[i] * b[i]
		s1 += a[i+1] * b[i+1]
		s2 += a[i+2] * b[i+2]
		s3 += a[i+3] * b[i+3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return (s0 + s1) + (s2 + s3)
}
