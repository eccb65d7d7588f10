package main

import (
	"math"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func avx2Vector(ctx *build.Context, c *constants) {
	rmsNorm(ctx)
	softmax(ctx, c)
	swiglu(ctx, c)
	rotate(ctx)
	arrange(ctx)
	round(ctx, c)
	halves(ctx)
	scale(ctx)
	fold(ctx)
	toF16(ctx)
}

// vectors emits a loop over n/8 vectors; body moves its own pointers.
func (r *routine) vectors(body func()) {
	n := r.get(vecN)
	r.SHRQ(operand.U8(3), n)
	r.loop(n, body)
}

// columns emits loops over n/8 vectors, four at a time and then one.
func (r *routine) columns(body func(vectors int)) {
	n, rest := r.get(vecN), r.get(vecN)
	r.SHRQ(operand.U8(5), n)
	r.loop(n, func() { body(4) })
	r.SHRQ(operand.U8(3), rest)
	r.ANDQ(operand.I32(3), rest)
	r.loop(rest, func() { body(1) })
}

func (r *routine) advance(p ...reg.GPVirtual) {
	for _, g := range p {
		r.ADDQ(operand.I32(4*lanes), g)
	}
}

// rmsNorm emits dst = x · w / sqrt(mean(x²) + eps).
func rmsNorm(ctx *build.Context) {
	r := begin(ctx, "rmsNormAVX2", "rmsNormAVX2 is the RMSNorm of one row.")
	acc := [2]reg.VecVirtual{r.zero(), r.zero()}
	x := r.get(vecX)
	add := func(i int) {
		v := r.YMM()
		r.VMOVUPS(at(x, 32*i), v)
		r.VFMADD231PS(v, v, acc[i%2])
	}
	r.columns(func(vectors int) {
		for i := range vectors {
			add(i)
		}
		r.ADDQ(operand.I32(4*lanes*vectors), x)
	})
	r.VADDPS(acc[1], acc[0], acc[0])
	sum := r.sum1(acc[0])
	scale := r.YMM()
	r.VBROADCASTSS(r.normScale(sum, 1, vecN, vecScalar), scale)
	from, dst, w := r.get(vecX), r.get(vecDst), r.get(vecW)
	r.vectors(func() {
		v := r.YMM()
		r.VMULPS(at(from, 0), scale, v)
		r.VMULPS(at(w, 0), v, v)
		r.VMOVUPS(v, at(dst, 0))
		r.advance(from, dst, w)
	})
	r.end()
}

// normScale is 1/√(sum/(times·n) + eps), of fields n and eps, for each of four sums.
func (r *routine) normScale(sums reg.VecVirtual, times, n, eps int) reg.VecVirtual {
	length, lane, one := r.XMM(), r.XMM(), r.XMM()
	elements, bits := r.get(n), r.GP32()
	r.IMUL3Q(operand.U8(times), elements, elements)
	r.VXORPS(length, length, length)
	r.VCVTSI2SSQ(elements, length, length)
	r.VBROADCASTSS(length, length)
	r.VDIVPS(length, sums, sums)
	r.VBROADCASTSS(r.field(eps), lane)
	r.VADDPS(lane, sums, sums)
	r.VSQRTPS(sums, sums)
	r.MOVL(operand.U32(math.Float32bits(1)), bits)
	r.VMOVD(bits, one)
	r.VBROADCASTSS(one, one)
	r.VDIVPS(sums, one, one)
	return one
}

// exp returns e^x for |x| < 87 or so, within about one unit in the last place;
// smaller x give a tiny value, larger ones a huge one. x = n·ln2 + f with
// |f| ≤ ln2/2; the polynomial in f is that of Cephes' expf (Moshier 1989), and
// ln2 is subtracted in two parts so that f is exact.
func (r *routine) exp(c *constants, x reg.VecVirtual) reg.VecVirtual {
	n, p, f2 := r.YMM(), r.YMM(), r.YMM()
	f := r.YMM()
	r.VMOVUPS(c.float(88), f)
	r.VMINPS(x, f, f) // the operand order keeps a NaN of x
	r.VMOVUPS(c.float(-87), n)
	r.VMAXPS(f, n, f)
	r.VMULPS(c.float(math.Log2E), f, n)
	r.VROUNDPS(operand.U8(0), n, n) // to nearest
	r.VFNMADD231PS(c.float(0.693359375), n, f)
	r.VFNMADD231PS(c.float(-2.12194440e-4), n, f)
	r.VMOVUPS(c.float(1.9875691500e-4), p)
	for _, k := range []float32{1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1} {
		r.VFMADD213PS(c.float(k), f, p)
	}
	r.VMULPS(f, f, f2)
	r.VFMADD213PS(f, f2, p)
	r.VADDPS(c.float(1), p, p)
	r.VCVTPS2DQ(n, n)
	r.VPSLLD(operand.U8(23), n, n)
	r.VPADDD(n, p, p)
	return p
}

// The exponential of softmax is 2^x, x = n + f with |f| ≤ ½: exp2Polynomial is the minimax
// polynomial of 2^f, highest power first, by Remez' exchange with the last coefficient held
// at one. Its relative error is 2·10⁻⁹, and 8·10⁻⁸ in float32.
var exp2Polynomial = []float32{0.0001535335322842002, 0.0013398873852565885, 0.009618437848985195, 0.055503323674201965, 0.24022647738456726, 0.6931471824645996, 1}

const (
	large    = 3<<22 + 127 // a sum with it is rounded to an integer, and its last bits are 2^integer's exponent
	leastExp = -126        // 2^leastExp is the smallest normal number
)

// exps sets each x ≤ 127 to 2^x, and to zero if that is not above the smallest normal
// number. The vectors take their steps in turn: a processor looks too few instructions
// ahead to do so by itself.
func (r *routine) exps(c *constants, x []reg.VecVirtual) {
	n, p := make([]reg.VecVirtual, len(x)), make([]reg.VecVirtual, len(x))
	k := r.YMM()
	each := func(constant float32, step func(i int)) {
		r.VBROADCASTSS(c.float(constant), k)
		for i := range x {
			step(i)
		}
	}
	each(leastExp, func(i int) { r.VMAXPS(x[i], k, x[i]) }) // the operand order keeps a NaN of x
	each(large, func(i int) {
		n[i], p[i] = r.YMM(), r.YMM()
		r.VADDPS(k, x[i], n[i])
		r.VSUBPS(k, n[i], p[i])
		r.VSUBPS(p[i], x[i], x[i])
	})
	each(exp2Polynomial[0], func(i int) { r.VMOVAPS(k, p[i]) })
	for _, v := range exp2Polynomial[1:] {
		each(v, func(i int) { r.VFMADD213PS(k, x[i], p[i]) })
	}
	each(large+leastExp, func(i int) {
		r.VCMPPS(operand.U8(6), k, n[i], x[i]) // not less than, or equal to
		r.VPSLLD(operand.U8(23), n[i], n[i])
		r.VMULPS(n[i], p[i], p[i]) // adding exponents would make numbers of some NaNs
		r.VANDPS(p[i], x[i], x[i])
	})
}

// pad emits −∞ for what is missing of the last vector of dst, and counts it in n. A vector
// that is written whole can be read again at once.
func (r *routine) pad(c *constants) {
	whole := r.label("whole")
	n, rest := r.get(vecN), r.get(vecN)
	r.ANDQ(operand.I32(lanes-1), rest)
	r.JZ(operand.LabelRef(whole))
	r.SUBQ(rest, n)
	r.NEGQ(rest)
	v, have, x, table := r.YMM(), r.YMM(), r.get(vecDst), r.GP64()
	r.LEAQ(c.wide(func(i int) uint32 { return map[bool]uint32{true: 1<<32 - 1}[i < lanes] }), table)
	r.VMOVUPS(operand.Mem{Base: table, Index: rest, Scale: 4, Disp: 4 * lanes}, have)
	last := operand.Mem{Base: x, Index: n, Scale: 4}
	r.VMOVUPS(c.float(float32(math.Inf(-1))), v)
	r.VBLENDVPS(have, last, v, v)
	r.VMOVUPS(v, last)
	r.ADDQ(operand.I32(lanes), n)
	r.MOVQ(n, r.field(vecN))
	r.Label(whole)
}

// softmax emits scalar = max(scalar, dst), dst = 2^(dst − scalar) and its sum.
func softmax(ctx *build.Context, c *constants) {
	r := begin(ctx, "softmaxAVX2", "softmaxAVX2 exponentiates and adds.")
	r.pad(c)
	x, tops := r.get(vecDst), [4]reg.VecVirtual{r.YMM(), r.YMM(), r.YMM(), r.YMM()}
	for _, top := range tops {
		r.VBROADCASTSS(r.field(vecScalar), top)
	}
	r.columns(func(vectors int) {
		for i := range vectors {
			r.VMAXPS(at(x, 32*i), tops[i], tops[i])
		}
		r.ADDQ(operand.I32(4*lanes*vectors), x)
	})
	r.VMAXPS(tops[1], tops[0], tops[0])
	r.VMAXPS(tops[3], tops[2], tops[2])
	r.VMAXPS(tops[2], tops[0], tops[0])
	high := r.YMM()
	r.VPERM2F128(operand.U8(1), tops[0], tops[0], high)
	r.VMAXPS(high, tops[0], tops[0])
	for _, swap := range []operand.U8{0x4e, 0xb1} { // halves, then neighbours
		other := r.YMM()
		r.VPERMILPS(swap, tops[0], other)
		r.VMAXPS(other, tops[0], tops[0])
	}
	r.VMOVSS(tops[0].AsX(), r.field(vecScalar))

	x = r.get(vecDst)
	acc, shift := r.zero(), tops[0]
	r.columns(func(vectors int) {
		var v []reg.VecVirtual
		for i := range vectors {
			v = append(v, r.YMM())
			r.VMOVUPS(at(x, 32*i), v[i])
			r.VSUBPS(shift, v[i], v[i])
		}
		r.exps(c, v)
		for i := range vectors {
			r.VMOVUPS(v[i], at(x, 32*i))
			r.VADDPS(v[i], acc, acc)
		}
		r.ADDQ(operand.I32(4*lanes*vectors), x)
	})
	r.VMOVSS(r.sum1(acc), r.field(vecSum))
	r.end()
}

// swiglu emits dst = silu(dst) ⊙ x, silu(g) = g / (1 + e^−g).
func swiglu(ctx *build.Context, c *constants) {
	r := begin(ctx, "swigluAVX2", "swigluAVX2 is the gate of a feed-forward network.")
	dst, x := r.get(vecDst), r.get(vecX)
	r.vectors(func() {
		g, v := r.YMM(), r.YMM()
		r.VMOVUPS(at(dst, 0), g)
		r.VXORPS(c.bits(1<<31), g, v)
		e := r.exp(c, v)
		r.VADDPS(c.float(1), e, e)
		r.VDIVPS(e, g, g)
		r.VMULPS(at(x, 0), g, g)
		r.VMOVUPS(g, at(dst, 0))
		r.advance(dst, x)
	})
	r.end()
}

// rotate emits the norm and the rotation of heads, whose first halves are rotated
// against the second.
func rotate(ctx *build.Context) {
	r := begin(ctx, "rotateAVX2", "rotateAVX2 normalises, rotates and scales heads.")
	second := func(base, half reg.GPVirtual) operand.Mem { return operand.Mem{Base: base, Index: half, Scale: 4} }
	x, dst, half := r.get(rotateX), r.get(rotateDst), r.get(rotateN)
	// Sums of several heads side by side: a division and a root wait long for each other.
	rotate := func(heads int) {
		factors := r.XMM()
		r.VBROADCASTSS(r.field(rotateFactor), factors)
		plain, norm := r.label("plain"), r.get(rotateNorm)
		r.TESTQ(norm, norm)
		r.JZ(operand.LabelRef(plain))
		var sums []reg.VecVirtual
		var from []reg.GPVirtual
		for i := range heads {
			sums, from = append(sums, r.zero()), append(from, r.GP64())
			if i == 0 {
				r.MOVQ(x, from[i])
			} else {
				r.LEAQ(operand.Mem{Base: from[i-1], Index: half, Scale: 8}, from[i])
			}
		}
		n := r.get(rotateN)
		r.SHRQ(operand.U8(2), n)
		r.loop(n, func() {
			for i, sum := range sums {
				v := r.YMM()
				r.VMOVUPS(at(from[i], 0), v)
				r.VFMADD231PS(v, v, sum)
			}
			r.advance(from...)
		})
		r.VMULPS(r.normScale(r.sums(sums), 2, rotateN, rotateEps), factors, factors)
		r.Label(plain)
		for i := range heads {
			lane, factor := r.XMM(), r.YMM()
			r.VPERMILPS(operand.U8(i), factors, lane)
			r.VBROADCASTSS(lane, factor)
			w, angle, n := r.get(rotateW), r.get(rotateAngle), r.get(rotateN)
			r.SHRQ(operand.U8(3), n)
			r.loop(n, func() {
				a, b, cos, sin, t := r.YMM(), r.YMM(), r.YMM(), r.YMM(), r.YMM()
				r.VMULPS(at(x, 0), factor, a)
				r.VMULPS(second(x, half), factor, b)
				r.VMULPS(at(w, 0), a, a)
				r.VMULPS(second(w, half), b, b)
				r.VMOVUPS(at(angle, 0), cos)
				r.VMOVUPS(second(angle, half), sin)
				r.VMULPS(b, sin, t)
				r.VFMSUB231PS(a, cos, t) // a·cos − b·sin
				r.VMULPS(a, sin, a)
				r.VFMADD231PS(b, cos, a) // b·cos + a·sin
				r.VMOVUPS(t, at(dst, 0))
				r.VMOVUPS(a, second(dst, half))
				r.advance(x, dst, w, angle)
			})
			r.LEAQ(second(x, half), x)
			r.LEAQ(second(dst, half), dst)
		}
	}
	n, rest := r.get(rotateHeads), r.get(rotateHeads)
	r.SHRQ(operand.U8(2), n)
	r.loop(n, func() { rotate(4) })
	r.ANDQ(operand.I32(3), rest)
	r.loop(rest, func() { rotate(1) })
	r.end()
}

// arrange emits dst[i] = x[index[i]]·scale[i] in each 32 columns, and their sums
// times factor.
func arrange(ctx *build.Context) {
	r := begin(ctx, "permuteAVX2", "permuteAVX2 orders and scales activations for quantised weights.")
	dst, x, sums, index, scale, n := r.get(permuteDst), r.get(permuteX), r.get(permuteSums), r.get(permuteIndex), r.get(permuteScale), r.get(permuteN)
	r.SHRQ(operand.U8(5), n)
	r.loop(n, func() {
		sum := r.YMM()
		r.VMOVUPS(at(x, 0), sum)
		for i := range 4 {
			if i > 0 {
				r.VADDPS(at(x, 32*i), sum, sum)
			}
			all, places, v := r.YMM(), r.YMM(), r.zero()
			r.VPCMPEQD(all, all, all)
			r.VMOVUPS(at(index, 32*i), places)
			r.VGATHERDPS(all, operand.Mem{Base: x, Index: places, Scale: 4}, v)
			r.VMULPS(at(scale, 32*i), v, v)
			r.VMOVUPS(v, at(dst, 32*i))
		}
		total := r.sum1(sum)
		r.VMULSS(r.field(permuteFactor), total, total)
		r.VMOVSS(total, at(sums, 0))
		r.ADDQ(operand.I32(128), x)
		r.ADDQ(operand.I32(128), dst)
		r.ADDQ(operand.I32(4), sums)
	})
	r.end()
}

// scale emits dst = x · scalar.
func scale(ctx *build.Context) {
	r := begin(ctx, "scaleAVX2", "scaleAVX2 multiplies a vector by a number.")
	dst, x, factor := r.get(vecDst), r.get(vecX), r.YMM()
	r.VBROADCASTSS(r.field(vecScalar), factor)
	r.vectors(func() {
		v := r.YMM()
		r.VMULPS(at(x, 0), factor, v)
		r.VMOVUPS(v, at(dst, 0))
		r.advance(dst, x)
	})
	r.end()
}

// fold emits dst = dst · scalar + x.
func fold(ctx *build.Context) {
	r := begin(ctx, "foldAVX2", "foldAVX2 multiplies a vector by a number and adds another.")
	dst, x, factor := r.get(vecDst), r.get(vecX), r.YMM()
	r.VBROADCASTSS(r.field(vecScalar), factor)
	r.vectors(func() {
		v := r.YMM()
		r.VMOVUPS(at(dst, 0), v)
		r.VFMADD213PS(at(x, 0), factor, v)
		r.VMOVUPS(v, at(dst, 0))
		r.advance(dst, x)
	})
	r.end()
}

// round emits dst = x rounded to the nearest bfloat16, halves to even: half a unit,
// less one bit where the last bit that stays is zero, is added and the rest cut
// off. A NaN stays one.
func round(ctx *build.Context, c *constants) {
	r := begin(ctx, "roundAVX2", "roundAVX2 rounds to bfloat16.")
	one, half, high, quiet := r.YMM(), r.YMM(), r.YMM(), r.YMM()
	for _, k := range []struct {
		bits uint32
		v    reg.VecVirtual
	}{{1, one}, {0x7fff, half}, {0xffff0000, high}, {1 << 22, quiet}} {
		r.VMOVUPS(c.bits(k.bits), k.v)
	}
	x, dst := r.get(vecX), r.get(vecDst)
	r.vectors(func() {
		v, rounded, nan := r.YMM(), r.YMM(), r.YMM()
		r.VMOVUPS(at(x, 0), v)
		r.VPSRLD(operand.U8(16), v, rounded)
		r.VPAND(one, rounded, rounded)
		r.VPADDD(half, rounded, rounded)
		r.VPADDD(v, rounded, rounded)
		r.VCMPPS(operand.U8(3), v, v, nan)
		r.VPOR(quiet, v, v)
		r.VBLENDVPS(nan, v, rounded, v)
		r.VPAND(high, v, v)
		r.VMOVUPS(v, at(dst, 0))
		r.advance(x, dst)
	})
	r.end()
}

// halves emits dst = the upper half of each element.
func halves(ctx *build.Context) {
	r := begin(ctx, "halvesAVX2", "halvesAVX2 narrows what is a bfloat16.")
	x, dst := r.get(vecX), r.get(vecDst)
	r.vectors(func() {
		v, high := r.YMM(), r.XMM()
		r.VMOVDQU(at(x, 0), v)
		r.VPSRLD(operand.U8(16), v, v)
		r.VEXTRACTI128(operand.U8(1), v, high)
		r.VPACKUSDW(high, v.AsX(), high)
		r.VMOVDQU(high, at(dst, 0))
		r.ADDQ(operand.I32(4*lanes), x)
		r.ADDQ(operand.I32(2*lanes), dst)
	})
	r.end()
}

// toF16 emits x as float16.
func toF16(ctx *build.Context) {
	r := begin(ctx, "toF16AVX2", "toF16AVX2 rounds to float16.")
	dst, x := r.get(vecDst), r.get(vecX)
	r.vectors(func() {
		v, half := r.YMM(), r.XMM()
		r.VMOVUPS(at(x, 0), v)
		r.VCVTPS2PH(operand.U8(0), v, half) // to nearest even
		r.VMOVUPS(half, at(dst, 0))
		r.advance(x)
		r.ADDQ(operand.I32(2*lanes), dst)
	})
	r.end()
}
