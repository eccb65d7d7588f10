package main

import (
	"math"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func avx2Vector(ctx *build.Context, c *constants) {
	rmsNorm(ctx)
	expSum(ctx, c)
	swiglu(ctx, c)
	rope(ctx)
	arrange(ctx)
	maximum(ctx)
	round(ctx, c)
	halves(ctx)
}

// vectors emits a loop over n/8 vectors; body moves its own pointers.
func (r *routine) vectors(body func()) {
	n := r.get(vecN)
	r.SHRQ(operand.U8(3), n)
	r.loop(n, body)
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
	n, rest := r.get(vecN), r.get(vecN)
	r.SHRQ(operand.U8(5), n)
	r.loop(n, func() {
		for i := range 4 {
			add(i)
		}
		r.ADDQ(operand.I32(128), x)
	})
	r.SHRQ(operand.U8(3), rest)
	r.ANDQ(operand.I32(3), rest)
	r.loop(rest, func() { add(0); r.advance(x) })
	r.VADDPS(acc[1], acc[0], acc[0])
	sum := r.sum1(acc[0])
	length, one := r.XMM(), r.XMM()
	r.VXORPS(length, length, length)
	r.VCVTSI2SSQ(r.field(vecN), length, length)
	r.VDIVSS(length, sum, sum)
	r.VADDSS(r.field(vecScalar), sum, sum)
	r.VSQRTSS(sum, sum, sum)
	bits := r.GP32()
	r.MOVL(operand.U32(math.Float32bits(1)), bits)
	r.VMOVD(bits, one)
	r.VDIVSS(sum, one, one)
	scale := r.YMM()
	r.VBROADCASTSS(one, scale)
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

// expSum emits x = e^(x − shift) and its sum; what is 87 or more below the shift
// becomes zero.
func expSum(ctx *build.Context, c *constants) {
	r := begin(ctx, "expSumAVX2", "expSumAVX2 exponentiates and adds.")
	acc, shift := r.zero(), r.YMM()
	x := r.get(vecDst)
	r.VBROADCASTSS(r.field(vecScalar), shift)
	r.vectors(func() {
		v, mask := r.YMM(), r.YMM()
		r.VMOVUPS(at(x, 0), v)
		r.VSUBPS(shift, v, v)
		e := r.exp(c, v)
		r.VCMPPS(operand.U8(5), c.float(-87), v, mask) // not less than
		r.VANDPS(mask, e, e)
		r.VMOVUPS(e, at(x, 0))
		r.VADDPS(e, acc, acc)
		r.advance(x)
	})
	r.VMOVSS(r.sum1(acc), r.field(vecScalar))
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

// rope emits the rotation of dst's first half against its second by the angles
// of which x holds n cosines and then n sines.
func rope(ctx *build.Context) {
	r := begin(ctx, "ropeAVX2", "ropeAVX2 rotates one head.")
	lo, cos, half := r.get(vecDst), r.get(vecX), r.get(vecN)
	r.vectors(func() {
		a, b, cv, sv, t := r.YMM(), r.YMM(), r.YMM(), r.YMM(), r.YMM()
		second := func(base reg.GPVirtual) operand.Mem { return operand.Mem{Base: base, Index: half, Scale: 4} }
		r.VMOVUPS(at(lo, 0), a)
		r.VMOVUPS(second(lo), b)
		r.VMOVUPS(at(cos, 0), cv)
		r.VMOVUPS(second(cos), sv)
		r.VMULPS(b, sv, t)
		r.VFMSUB231PS(a, cv, t) // a·cos − b·sin
		r.VMULPS(a, sv, a)
		r.VFMADD231PS(b, cv, a) // b·cos + a·sin
		r.VMOVUPS(t, at(lo, 0))
		r.VMOVUPS(a, second(lo))
		r.advance(lo, cos)
	})
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

// maximum emits the largest element of dst.
func maximum(ctx *build.Context) {
	r := begin(ctx, "maximumAVX2", "maximumAVX2 is the largest element.")
	x, top := r.get(vecDst), r.YMM()
	r.VBROADCASTSS(at(x, 0), top)
	r.vectors(func() {
		r.VMAXPS(at(x, 0), top, top)
		r.advance(x)
	})
	high := r.XMM()
	r.VEXTRACTF128(operand.U8(1), top, high)
	r.VMAXPS(top.AsX(), high, high)
	for _, swap := range []operand.U8{0x4e, 0xb1} { // halves, then neighbours
		other := r.XMM()
		r.VPERMILPS(swap, high, other)
		r.VMAXPS(other, high, high)
	}
	r.VMOVSS(high, r.field(vecScalar))
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
