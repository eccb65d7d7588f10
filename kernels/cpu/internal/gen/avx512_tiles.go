package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// What AMX's tiles take and give.

func tileRoutines(ctx *build.Context, c *constants) {
	for parts := 1; parts <= 3; parts++ {
		split(ctx, c, parts)
	}
	unpack(ctx, c)
	sum32(ctx)
	transpose(ctx)
}

// split emits the split of float32 into up to three bfloat16 each: the upper half of the
// number, of what is left, and of what is left then. Three are all of it.
func split(ctx *build.Context, c *constants, parts int) {
	name := fmt.Sprintf("bf16x%dAVX512", parts)
	r := begin(ctx, name, fmt.Sprintf("%s splits a row into tiles of %d bfloat16 each.", name, parts))
	dst, x, part, step := r.get(splitDst), r.get(splitX), r.get(splitPart), r.get(splitStep)
	high := r.ZMM()
	r.VPBROADCASTD(c.bits(0xffff0000), high)
	upper := r.load(c.wide(func(i int) uint32 { return uint32(4*i+1) | uint32(4*i+3)<<16 })) // every second word
	r.loop(r.get(splitSteps), func() {
		v := [2]reg.VecVirtual{r.load(at(x, 0)), r.load(at(x, 64))}
		for i := range parts {
			var h [2]reg.VecVirtual
			for k := range h {
				h[k] = r.ZMM()
				r.VPANDD(high, v[k], h[k])
				if i+1 < parts {
					r.VSUBPS(h[k], v[k], v[k])
				}
			}
			to := at(dst, 0)
			if i > 0 {
				to.Index, to.Scale = part, uint8(i)
			}
			words := r.ZMM()
			r.VMOVDQA32(upper, words)
			r.VPERMI2W(h[1], h[0], words)
			r.VMOVDQU32(words, to)
		}
		r.ADDQ(operand.I32(128), x)
		r.ADDQ(step, dst)
	})
	r.end()
}

// sum32 emits the sums of each 32 elements of a row.
func sum32(ctx *build.Context) {
	r := begin(ctx, "sum32AVX512", "sum32AVX512 sums up each 32 elements.")
	dst, x := r.get(sumDst), r.get(sumX)
	r.loop(r.get(sumSteps), func() {
		v, half := r.load(at(x, 0)), r.YMM()
		r.VADDPS(at(x, 64), v, v)
		r.VEXTRACTF64X4(operand.U8(1), v, half)
		r.VADDPS(half, v.AsY(), half)
		r.VMOVSS(r.sum1(half).AsX(), at(dst, 0))
		r.ADDQ(operand.I32(128), x)
		r.ADDQ(operand.I32(64), dst)
	})
	r.end()
}

// transpose emits the transposition of 16 × 16 elements at a time.
func transpose(ctx *build.Context) {
	r := begin(ctx, "transposeAVX512", "transposeAVX512 transposes blocks of 16 rows of 16 elements.")
	dst, src, cols := r.get(transposeDst), r.get(transposeSrc), r.get(transposeCols)
	srcRow, dstRow, rows, add := r.get(transposeSrcRow), r.get(transposeDstRow), r.get(transposeRows), r.get(transposeAdd)
	all := r.GP32()
	r.MOVL(operand.U32(0xffff), all)
	top := r.label("block")
	r.Label(top)
	wide, bits, mask := r.GP32(), r.GP32(), r.K()
	r.MOVL(operand.U32(16), wide)
	r.CMPQ(cols, operand.I32(16))
	r.CMOVLLT(cols.As32(), wide)
	r.BZHIL(wide, all, bits)
	r.KMOVW(bits, mask)
	from := r.GP64()
	r.MOVQ(src, from)
	var v [16]reg.VecVirtual
	for i := range v {
		v[i] = r.load(at(from, 0))
		r.ADDQ(srcRow, from)
	}
	to, done := r.GP64(), r.label("stored")
	r.MOVQ(dst, to)
	for i, row := range r.transpose16(v) {
		store := r.label("store")
		r.CMPQ(rows, operand.I32(i))
		r.JLE(operand.LabelRef(done))
		r.TESTQ(add, add)
		r.JZ(operand.LabelRef(store))
		r.VADDPS(at(to, 0), row, mask, row)
		r.Label(store)
		r.VMOVUPS(row, mask, at(to, 0))
		r.ADDQ(dstRow, to)
	}
	r.Label(done)
	r.ADDQ(r.field(transposeDstNext), dst)
	r.ADDQ(r.field(transposeSrcNext), src)
	r.SUBQ(operand.I32(16), cols)
	r.JG(operand.LabelRef(top))
	r.end()
}

// transpose16 transposes 16 × 16 elements: first 4 × 4 of them in each quarter of the
// vectors, then the quarters.
func (r *routine) transpose16(v [16]reg.VecVirtual) (out [16]reg.VecVirtual) {
	pair := func(op func(...operand.Op), x, y reg.VecVirtual) reg.VecVirtual {
		z := r.ZMM()
		op(y, x, z)
		return z
	}
	quarters := func(imm uint8) func(...operand.Op) {
		return func(ops ...operand.Op) { r.VSHUFF32X4(append([]operand.Op{operand.U8(imm)}, ops...)...) }
	}
	var cols [4][4]reg.VecVirtual // of each four rows, in quarter q column 4q + j
	for i := range cols {
		a, b, c, d := v[4*i], v[4*i+1], v[4*i+2], v[4*i+3]
		ab, cd := pair(r.VUNPCKLPS, a, b), pair(r.VUNPCKLPS, c, d)
		abHigh, cdHigh := pair(r.VUNPCKHPS, a, b), pair(r.VUNPCKHPS, c, d)
		cols[i] = [4]reg.VecVirtual{pair(r.VUNPCKLPD, ab, cd), pair(r.VUNPCKHPD, ab, cd), pair(r.VUNPCKLPD, abHigh, cdHigh), pair(r.VUNPCKHPD, abHigh, cdHigh)}
	}
	for j := range 4 {
		for half, imm := range []uint8{0x44, 0xee} {
			x, y := pair(quarters(imm), cols[0][j], cols[1][j]), pair(quarters(imm), cols[2][j], cols[3][j])
			out[8*half+j] = pair(quarters(0x88), x, y)
			out[8*half+4+j] = pair(quarters(0xdd), x, y)
		}
	}
	return out
}
