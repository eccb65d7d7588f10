package main

import (
	"math"
	"slices"
)

func neonVector(n *neon) {
	n.floats("exp", neonExpConstants)
	n.floats("exp2", neonExp2Constants)
	n.data("have", append(slices.Repeat([]uint32{1<<32 - 1}, lanes), make([]uint32, lanes)...))
	neonRMSNorm(n)
	neonSoftmax(n)
	neonSwiGLU(n)
	neonRotate(n)
	neonScale(n)
	neonFold(n)
	neonToF16(n)
	neonArrange(n)
	neonRound(n)
	neonHalves(n)
}

// floats writes a table of numbers.
func (n *neon) floats(name string, table []float32) {
	var words []uint32
	for _, k := range table {
		words = append(words, math.Float32bits(k))
	}
	n.data(name, words)
}

// sum1 adds the lanes of V(v) … V(v+3) into the first of V(v).
func (n *neon) sum1(v int) {
	n.fadd(v, v, v+1)
	n.fadd(v+2, v+2, v+3)
	n.fadd(v, v, v+2)
	n.faddp(v, v, v)
	n.faddp(v, v, v)
}

// vectors emits a loop over the elements, eight at a time.
func (n *neon) vectors(body func()) {
	n.get(vecN, 8)
	n.op("LSR $3, R8")
	n.loop("columns", 8, body)
	n.op("RET")
}

// neonRMSNorm: dst = x · w / sqrt(mean(x²) + eps).
func neonRMSNorm(n *neon) {
	n.text("rmsNormNEON", "The RMSNorm of one row.")
	n.get(vecX, 1)
	n.get(vecN, 8)
	n.clear(0, 1, 2, 3)
	n.columns(8, 9, func(cols int) {
		for c := 0; c < cols; c += lanes {
			n.op("FLDPQ %d(R1), (F16, F17)", 4*c)
			n.fmla(16, 16, c/4%4)
			n.fmla(17, 17, c/4%4+1)
		}
		n.add(4*cols, 1)
	})
	n.sum1(0)
	n.get(vecN, 8)
	n.op("SCVTFS R8, F1")
	n.op("FDIVS F1, F0, F0")
	n.op("FMOVS %d(R0), F1", vecScalar)
	n.op("FADDS F1, F0, F0")
	n.op("FSQRTS F0, F0")
	n.op("FMOVS $1.0, F1")
	n.op("FDIVS F0, F1, F0")
	n.get(vecX, 1)
	n.get(vecW, 2)
	n.get(vecDst, 3)
	n.vectors(func() {
		n.op("FLDPQ.P 32(R1), (F16, F17)")
		n.op("FLDPQ.P 32(R2), (F18, F19)")
		for i := range 2 {
			n.fmulLane(16+i, 16+i, 0, 0)
			n.fmul(16+i, 16+i, 18+i)
		}
		n.op("FSTPQ.P (F16, F17), 32(R3)")
	})
}

// The constants of exp, in V20 and up: the limits of x, and as in exp for AVX2
// log2(e), ln2 in two parts and the polynomial.
var neonExpConstants = []float32{
	88, -87, math.Log2E, 0.693359375, -2.12194440e-4,
	1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1, 1,
}

const expHigh, expLow, expLog2E, expLn2, expPoly, expOne = 20, 21, 22, 23, 25, 31

func (n *neon) expConstants() {
	n.op("MOVD $exp<>(SB), R9")
	for i := range neonExpConstants {
		n.op("VLD1R.P 4(R9), [V%d.S4]", expHigh+i)
	}
}

// exp sets V(x) to e^V(x), as exp for AVX2 does it. V(x+1) … V(x+3) are scratch.
func (n *neon) exp(x int) {
	k, p, q := x+1, x+2, x+3
	n.fmin(x, x, expHigh)
	n.fmax(x, x, expLow)
	n.fmul(k, x, expLog2E)
	n.frintn(k, k)
	n.fmls(k, expLn2, x)
	n.fmls(k, expLn2+1, x)
	n.move(p, expPoly)
	for i := expPoly + 1; i < expOne; i++ {
		n.move(q, i)
		n.fmla(p, x, q)
		p, q = q, p
	}
	n.fmul(q, x, x)
	n.fmla(p, q, x)
	n.fadd(x, x, expOne)
	n.fcvtns(k, k)
	n.op("VSHL $23, V%d.S4, V%[1]d.S4", k)
	n.op("VADD V%d.S4, V%d.S4, V%[2]d.S4", k, x)
}

// pad writes −∞ for what is missing of the last eight elements of dst, and counts it in n.
func (n *neon) pad() {
	n.get(vecDst, 1)
	n.get(vecN, 8)
	n.op("AND $%d, R8, R9", lanes-1)
	n.op("CBZ R9, whole")
	n.op("SUB R9, R8")
	n.op("ADD R8<<2, R1")
	n.op("MOVD $have<>+%d(SB), R10", 4*lanes)
	n.op("SUB R9<<2, R10")
	n.op("FLDPQ (R10), (F0, F1)")
	n.op("FLDPQ (R1), (F2, F3)")
	n.words(4, math.Float32bits(float32(math.Inf(-1))))
	for i := range 2 {
		n.op("VBSL V4.B16, V%d.B16, V%d.B16", 2+i, i)
	}
	n.op("FSTPQ (F0, F1), (R1)")
	n.op("ADD $%d, R8", lanes)
	n.op("MOVD R8, %d(R0)", vecN)
	n.label("whole")
}

// neonSoftmax: scalar = max(scalar, dst), dst = 2^(dst − scalar) and its sum, as exps for
// AVX2 computes it.
func neonSoftmax(n *neon) {
	n.text("softmaxNEON", "Exponentiates and adds.")
	n.pad()
	n.get(vecDst, 1)
	n.get(vecN, 8)
	n.op("ADD $%d, R0, R2", vecScalar)
	for i := range 4 {
		n.op("VLD1R (R2), [V%d.S4]", i)
	}
	n.columns(8, 9, func(cols int) {
		for c := 0; c < cols; c += lanes {
			n.op("FLDPQ %d(R1), (F16, F17)", 4*c)
			n.fmax(c/4%4, c/4%4, 16)
			n.fmax(c/4%4+1, c/4%4+1, 17)
		}
		n.add(4*cols, 1)
	})
	n.fmax(0, 0, 1)
	n.fmax(2, 2, 3)
	n.fmax(0, 0, 2)
	n.fmaxv(0, 0)
	n.op("FMOVS F0, (R2)")

	const shift, low, poly = 12, 20, 21
	n.op("MOVD $exp2<>(SB), R9")
	for i := range neonExp2Constants {
		n.op("VLD1R.P 4(R9), [V%d.S4]", low+i)
	}
	n.get(vecDst, 1)
	n.get(vecN, 8)
	n.op("VLD1R (R2), [V%d.S4]", shift)
	n.clear(8, 9, 10, 11)
	n.op("LSR $3, R8")
	n.loop("exps", 8, func() {
		n.op("FLDPQ (R1), (F0, F4)")
		for i := range 2 {
			x, small := 4*i, 13+i
			k, p, q := x+1, x+2, x+3
			n.fsub(x, x, shift)
			n.fcmgt(small, low, x)
			n.fmax(x, x, low)
			n.frintn(k, x)
			n.fsub(x, x, k)
			n.move(p, poly)
			for i := range exp2Polynomial[1:] {
				n.move(q, poly+1+i)
				n.fmla(p, x, q)
				p, q = q, p
			}
			n.fcvtns(k, k)
			n.op("VSHL $23, V%d.S4, V%[1]d.S4", k)
			n.op("VADD V%d.S4, V%d.S4, V%d.S4", k, p, x)
			n.bic(x, x, small)
			n.fadd(8+i, 8+i, x)
		}
		n.op("FSTPQ.P (F0, F4), 32(R1)")
	})
	n.sum1(8)
	n.op("FMOVS F8, %d(R0)", vecSum)
	n.op("RET")
}

// neonExp2Constants are the smallest exponent, and exp2Polynomial.
var neonExp2Constants = append([]float32{leastExp}, exp2Polynomial...)

// neonSwiGLU: dst = silu(dst) ⊙ x, silu(g) = g / (1 + e^−g).
func neonSwiGLU(n *neon) {
	n.text("swigluNEON", "The gate of a feed-forward network.")
	n.expConstants()
	n.get(vecDst, 1)
	n.get(vecX, 2)
	n.vectors(func() {
		n.op("FLDPQ (R1), (F8, F9)")
		n.op("FLDPQ.P 32(R2), (F10, F11)")
		for i := range 2 {
			x, g := 4*i, 8+i
			n.fneg(x, g)
			n.exp(x)
			n.fadd(x, x, expOne)
			n.fdiv(g, g, x)
			n.fmul(g, g, 10+i)
		}
		n.op("FSTPQ.P (F8, F9), 32(R1)")
	})
}

// neonRotate: R1, R2 the halves of a head, R3, R4 those of where it goes, R5, R6 of the
// weights, R7 the cosines and R10 the sines that the first half is rotated by against the
// second, R11 the heads left, R12 the pairs of a head, by eight.
func neonRotate(n *neon) {
	n.text("rotateNEON", "Normalises, rotates and scales heads.")
	for _, f := range [][2]int{{rotateX, 1}, {rotateDst, 3}, {rotateN, 12}, {rotateHeads, 11}} {
		n.get(f[0], f[1])
	}
	n.op("ADD R12<<2, R1, R2")
	n.op("ADD R12<<2, R3, R4")
	n.op("LSL $1, R12, R8")
	n.op("SCVTFS R8, F21")
	n.op("FMOVS %d(R0), F22", rotateEps)
	n.op("FMOVS %d(R0), F23", rotateFactor)
	n.op("LSL $2, R12, R13") // to the next head, from behind the half of one
	n.op("LSR $3, R12")
	n.loop("heads", 11, func() {
		n.get(rotateNorm, 8)
		n.op("FMOVS F23, F0")
		n.op("CBZ R8, plain")
		n.clear(0, 1, 2, 3)
		n.op("MOVD R1, R14")
		n.op("MOVD R2, R15")
		n.op("MOVD R12, R8")
		n.loop("squares", 8, func() {
			n.op("FLDPQ.P 32(R14), (F16, F17)")
			n.op("FLDPQ.P 32(R15), (F18, F19)")
			for i := range 4 {
				n.fmla(16+i, 16+i, i)
			}
		})
		n.sum1(0)
		n.op("FDIVS F21, F0, F0")
		n.op("FADDS F22, F0, F0")
		n.op("FSQRTS F0, F0")
		n.op("FDIVS F0, F23, F0")
		n.label("plain")
		n.get(rotateW, 5)
		n.get(rotateAngle, 7)
		n.op("ADD R13, R5, R6")
		n.op("ADD R13, R7, R10")
		n.op("MOVD R12, R8")
		n.loop("pairs", 8, func() {
			const a, b, cos, sin, first, second = 2, 4, 6, 16, 18, 24
			for _, load := range [][2]int{{1, a}, {2, b}, {5, first}, {6, second}, {7, cos}, {10, sin}} {
				n.op("FLDPQ.P 32(R%d), (F%d, F%d)", load[0], load[1], load[1]+1)
			}
			for i := range 2 {
				n.fmulLane(a+i, a+i, 0, 0)
				n.fmulLane(b+i, b+i, 0, 0)
				n.fmul(a+i, a+i, first+i)
				n.fmul(b+i, b+i, second+i)
				n.fmul(first+i, a+i, cos+i)
				n.fmul(second+i, b+i, cos+i)
				n.fmls(b+i, sin+i, first+i)
				n.fmla(a+i, sin+i, second+i)
			}
			n.op("FSTPQ.P (F%d, F%d), 32(R3)", first, first+1)
			n.op("FSTPQ.P (F%d, F%d), 32(R4)", second, second+1)
		})
		for r := 1; r <= 4; r++ {
			n.op("ADD R13, R%d", r)
		}
	})
	n.op("RET")
}

// neonScale: dst = x · scalar.
func neonScale(n *neon) {
	n.text("scaleNEON", "Multiplies a vector by a number.")
	n.get(vecDst, 1)
	n.get(vecX, 2)
	n.op("FMOVS %d(R0), F8", vecScalar)
	n.vectors(func() {
		n.op("FLDPQ.P 32(R2), (F0, F1)")
		n.fmulLane(0, 0, 8, 0)
		n.fmulLane(1, 1, 8, 0)
		n.op("FSTPQ.P (F0, F1), 32(R1)")
	})
}

// neonFold: dst = dst · scalar + x.
func neonFold(n *neon) {
	n.text("foldNEON", "Multiplies a vector by a number and adds another.")
	n.get(vecDst, 1)
	n.get(vecX, 2)
	n.op("FMOVS %d(R0), F8", vecScalar)
	n.vectors(func() {
		n.op("FLDPQ (R1), (F0, F1)")
		n.op("FLDPQ.P 32(R2), (F2, F3)")
		n.fmlaLane(0, 8, 0, 2)
		n.fmlaLane(1, 8, 0, 3)
		n.op("FSTPQ.P (F2, F3), 32(R1)")
	})
}

// neonToF16: x as float16, to nearest even.
func neonToF16(n *neon) {
	n.text("toF16NEON", "Rounds to float16.")
	n.get(vecDst, 1)
	n.get(vecX, 2)
	n.vectors(func() {
		n.op("FLDPQ.P 32(R2), (F0, F1)")
		n.fcvtn(0, 2, 0)
		n.fcvtn(1, 2, 1)
		n.op("FMOVQ.P F2, 16(R1)")
	})
}

// neonArrange: R1 the activations, R2 where they go, R3 their sums, R4 the order,
// R5 the scales. The elements are loaded one by one: an order can be any.
func neonArrange(n *neon) {
	n.text("permuteNEON", "Orders and scales activations for quantised weights.")
	for _, f := range [][2]int{{permuteX, 1}, {permuteDst, 2}, {permuteSums, 3}, {permuteIndex, 4}, {permuteScale, 5}, {permuteN, 8}} {
		n.get(f[0], f[1])
	}
	n.op("FMOVS %d(R0), F20", permuteFactor)
	n.op("LSR $5, R8")
	n.loop("columns", 8, func() {
		for i := range 4 {
			n.op("FLDPQ %d(R1), (F%d, F%d)", 32*i, i, 4+i)
		}
		for i := range 4 {
			n.fadd(i, i, 4+i)
		}
		n.sum1(0)
		n.op("FMULS F20, F0, F0")
		n.op("FMOVS.P F0, 4(R3)")
		for i := 0; i < 128; i += 8 {
			n.op("LDPW %d(R4), (R10, R11)", i)
			n.op("FLDPS %d(R5), (F18, F19)", i)
			for j := range 2 {
				n.op("FMOVS (R1)(R%d<<2), F%d", 10+j, 16+j)
				n.op("FMULS F%d, F%d, F%[2]d", 18+j, 16+j)
			}
			n.op("FSTPS (F16, F17), %d(R2)", i)
		}
		n.add(128, 1, 2)
	})
	n.op("RET")
}

// neonRound: dst = x rounded to bfloat16, as round for AVX2.
func neonRound(n *neon) {
	const one, half, low, quiet = 28, 29, 30, 31
	n.text("roundNEON", "Rounds to bfloat16.")
	n.get(vecX, 1)
	n.get(vecDst, 2)
	for _, k := range []struct {
		v    int
		bits uint32
	}{{one, 1}, {half, 0x7fff}, {low, 0xffff}, {quiet, 1 << 22}} {
		n.words(k.v, k.bits)
	}
	n.vectors(func() {
		n.op("FLDPQ.P 32(R1), (F0, F1)")
		for i := range 2 {
			n.op("VUSHR $16, V%d.S4, V%d.S4", i, 2+i)
			n.op("VAND V%d.B16, V%d.B16, V%[2]d.B16", one, 2+i)
			n.op("VADD V%d.S4, V%d.S4, V%[2]d.S4", half, 2+i)
			n.op("VADD V%d.S4, V%d.S4, V%[2]d.S4", i, 2+i)
			n.fcmeq(4+i, i, i) // not so for a NaN
			n.op("VORR V%d.B16, V%d.B16, V%[2]d.B16", quiet, i)
			n.op("VBIT V%d.B16, V%d.B16, V%d.B16", 4+i, 2+i, i)
			n.bic(i, i, low)
		}
		n.op("FSTPQ.P (F0, F1), 32(R2)")
	})
}

// neonHalves: dst = the upper half of each element.
func neonHalves(n *neon) {
	n.text("halvesNEON", "Narrows what is a bfloat16.")
	n.get(vecX, 1)
	n.get(vecDst, 2)
	n.vectors(func() {
		n.op("FLDPQ.P 32(R1), (F0, F1)")
		n.op("VUZP2 V1.H8, V0.H8, V0.H8")
		n.op("FMOVQ.P F0, 16(R2)")
	})
}
