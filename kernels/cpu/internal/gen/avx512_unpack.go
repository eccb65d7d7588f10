package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Quantised weights become integers in bfloat16, which holds 8 bits exactly, 32 columns in
// their order at a time. Where they are small, a table has the bfloat16.
// Unsigned ones are taken from the middle of their range, for smaller sums: the bias
// makes up for it.

// unpacker emits package cpu's unpackArgs: a block of one row, from s.w on.
type unpacker struct {
	*routine
	c     *constants
	s     *stream
	table reg.VecVirtual // 32 bfloat16

	dst, scale, bias reg.GPVirtual // of the row
}

const stepBytes = 4 * tileBytes // from one step's rows to the next

// unpackers are the formats whose 32 columns have a scale.
var unpackers = []struct {
	name      string
	bytes     int // of a block
	tableSize int
	values    func(i int) int // of the table, if any
	block     func(*unpacker)
}{
	{name: "Q8_0", bytes: 34, block: func(u *unpacker) {
		v := u.ZMM()
		u.VPMOVSXBW(at(u.s.w, 2), v)
		u.step(0, u.integers(v))
		u.storeScale(u.half(at(u.s.w, 0)))
	}},
	{name: "Q4_0", bytes: 18, values: less(16, 8), block: func(u *unpacker) {
		u.step(0, u.lookUp(u.nibblesInHalves(2)))
		u.storeScale(u.half(at(u.s.w, 0)))
	}},
	{name: "Q4_1", bytes: 20, values: less(16, 8), block: func(u *unpacker) {
		u.step(0, u.lookUp(u.nibblesInHalves(4)))
		u.storeBias(8, u.half(at(u.s.w, 0)), u.half(at(u.s.w, 2)))
	}},
	{name: "Q5_0", bytes: 22, values: less(32, 16), block: func(u *unpacker) {
		u.step(0, u.lookUp(u.fiveBits(2)))
		u.storeScale(u.half(at(u.s.w, 0)))
	}},
	{name: "Q5_1", bytes: 24, values: less(32, 16), block: func(u *unpacker) {
		u.step(0, u.lookUp(u.fiveBits(4)))
		u.storeBias(16, u.half(at(u.s.w, 0)), u.half(at(u.s.w, 2)))
	}},
	{name: "IQ4_NL", bytes: 18, values: iq4Value, block: func(u *unpacker) {
		u.step(0, u.lookUp(u.nibblesInHalves(2)))
		u.storeScale(u.half(at(u.s.w, 0)))
	}},
	{name: "IQ4_XS", bytes: 136, tableSize: 32, values: iq4Value, block: func(u *unpacker) {
		scalesIQ4XS(1)(u.routine, u.c, u.s)
		for i := range 8 {
			u.step(i, u.lookUp(u.nibblesInHalves(8+16*i)))
			u.copyScale(i, i, u.scale)
		}
	}},
	{name: "Q3_K", bytes: 110, tableSize: 64, block: func(u *unpacker) {
		// The integers are q·s, of 8 bits, and d is their scale.
		for i, v := range u.sixBitsQ3K(u.c, u.s) {
			u.VMOVDQU(v, u.s.table.Offset(32*i))
		}
		d := u.half(at(u.s.w, 108))
		for i := range 8 {
			q, upper := u.ZMM(), u.ZMM()
			u.VPMOVZXBW(at(u.s.w, 32+32*(i/4)), q)
			u.shift(2*(i%4), 0, q)
			u.VPANDD(u.words(3), q, q)
			u.VPMOVZXBW(at(u.s.w, 0), upper)
			u.shift(i, 2, upper)
			u.VPANDD(u.words(4), upper, upper)
			u.VPORD(upper, q, q)
			u.VPSUBW(u.words(4), q, q)
			u.VPMULLW(u.ofSixteen(u.s.table.Offset(8*i), 4), q, q)
			u.step(i, u.integers(q))
			u.VMOVSS(d.AsX(), at(u.scale, 256*i))
		}
	}},
	{name: "Q6_K", bytes: 210, tableSize: 32, block: func(u *unpacker) {
		// The integers are q·s, of 13 bits, and d is their scale.
		scales := u.YMM()
		u.VPMOVSXBW(at(u.s.w, 192), scales)
		u.VMOVDQU(scales, u.s.table)
		d := u.half(at(u.s.w, 208))
		for i := range 8 {
			half, run := i/4, i%4
			q, upper := u.ZMM(), u.ZMM()
			u.VPMOVZXBW(at(u.s.w, 64*half+32*(run%2)), q)
			u.shift(4*(run/2), 0, q)
			u.VPANDD(u.words(15), q, q)
			u.VPMOVZXBW(at(u.s.w, 128+32*half), upper)
			u.shift(2*run, 4, upper)
			u.VPANDD(u.words(0x30), upper, upper)
			u.VPORD(upper, q, q)
			u.VPSUBW(u.words(32), q, q)
			u.VPMULLW(u.ofSixteen(u.s.table.Offset(4*i), 2), q, q)
			u.twoParts(i, q)
			u.VMOVSS(d.AsX(), at(u.scale, 256*i))
		}
	}},
	{name: "Q4_K", bytes: 144, tableSize: 64, values: less(16, 8), block: func(u *unpacker) {
		u.scalesOfGroups(8)
		for i := range 4 {
			v := u.ZMM()
			u.VPMOVZXBW(at(u.s.w, 16+32*i), v)
			u.step(2*i, u.lookUp(v))
			u.VPSRLW(operand.U8(4), v, v)
			u.step(2*i+1, u.lookUp(v))
		}
	}},
	{name: "Q5_K", bytes: 176, tableSize: 64, values: less(32, 16), block: func(u *unpacker) {
		u.scalesOfGroups(16)
		for i := range 8 {
			v, upper := u.ZMM(), u.ZMM()
			u.VPMOVZXBW(at(u.s.w, 48+32*(i/2)), v)
			u.shift(4*(i%2), 0, v)
			u.VPANDD(u.words(15), v, v)
			u.VPMOVZXBW(at(u.s.w, 16), upper)
			u.shift(i, 4, upper)
			u.VPANDD(u.words(16), upper, upper)
			u.VPORD(upper, v, v)
			u.step(i, u.lookUp(v))
		}
	}},
	// Package cpu adds the scales and biases of affine formats.
	{name: "Affine4", bytes: 16, values: less(16, 8), block: func(u *unpacker) {
		v, odd := u.ZMM(), u.ZMM()
		u.VPMOVZXBD(at(u.s.w, 0), v)
		u.VPSLLD(operand.U8(12), v, odd)
		u.VPORD(odd, v, v)
		u.step(0, u.lookUp(v))
	}},
	{name: "Affine8", bytes: 32, block: func(u *unpacker) {
		v := u.ZMM()
		u.VPMOVZXBW(at(u.s.w, 0), v)
		u.VPSUBW(u.words(128), v, v)
		u.step(0, u.integers(v))
	}},
}

// less is a table of so many values less the middle.
func less(n, middle int) func(int) int { return func(i int) int { return i%n - middle } }

func iq4Value(i int) int { return int(iq4Table[i%16]) }

func unpack(ctx *build.Context, c *constants) {
	for _, f := range unpackers {
		name := fmt.Sprintf("unpack%sAVX512", f.name)
		u := &unpacker{routine: begin(ctx, name, fmt.Sprintf("%s makes a block of each row of %s weights integers in tiles.", name, f.name)), c: c}
		u.s = &stream{w: u.get(unpackSrc)}
		if f.tableSize > 0 {
			u.s.table = u.AllocLocal(f.tableSize)
		}
		u.dst, u.scale, u.bias = u.get(unpackDst), u.get(unpackScale), u.get(unpackBias)
		if f.values != nil {
			half := func(i int) uint32 { return math.Float32bits(float32(f.values(i))) >> 16 }
			u.table = u.load(c.wide(func(i int) uint32 { return half(2*i) | half(2*i+1)<<16 }))
		}
		stride := u.get(unpackStride)
		u.loop(u.get(unpackRows), func() {
			u.Comment("Ask for what comes later in the row.")
			for line := 0; line < f.bytes; line += 64 {
				u.PREFETCHT0(at(u.s.w, max(192, f.bytes)+line))
			}
			f.block(u)
			u.ADDQ(stride, u.s.w)
			u.ADDQ(operand.I32(64), u.dst)
			u.ADDQ(operand.I32(4), u.scale)
			u.ADDQ(operand.I32(4), u.bias)
		})
		u.end()
	}
}

// ofSixteen is the word at m for 16 columns, and the one next bytes behind for the others.
func (u *unpacker) ofSixteen(m operand.Mem, next int) reg.VecVirtual {
	v, high := u.ZMM(), u.YMM()
	u.VPBROADCASTW(m, v.AsY())
	u.VPBROADCASTW(m.Offset(next), high)
	u.VINSERTI64X4(operand.U8(1), high, v, v)
	return v
}

// words is a number in every word.
func (u *unpacker) words(n int) operand.Mem {
	return u.c.wide(func(int) uint32 { return uint32(n) * 0x10001 })
}

// shift moves bit from of each word to bit to.
func (u *unpacker) shift(from, to int, v reg.VecVirtual) {
	if from > to {
		u.VPSRLW(operand.U8(from-to), v, v)
	} else if from < to {
		u.VPSLLW(operand.U8(to-from), v, v)
	}
}

// step stores the row of a step.
func (u *unpacker) step(i int, v reg.VecVirtual) { u.VMOVDQU32(v, at(u.dst, stepBytes*i)) }

// twoParts stores words of up to 16 bits: the upper half of their float32, and the rest.
func (u *unpacker) twoParts(i int, v reg.VecVirtual) {
	even, odd := u.floats(v)
	rest := [2]reg.VecVirtual{u.ZMM(), u.ZMM()}
	high := u.c.wide(func(int) uint32 { return 0xffff0000 })
	for k, n := range []reg.VecVirtual{even, odd} {
		u.VMOVDQA32(n, rest[k])
		u.VPANDD(high, n, n)
		u.VSUBPS(n, rest[k], rest[k])
	}
	u.step(2*i, u.halves(even, odd))
	u.step(2*i+1, u.halves(rest[0], rest[1]))
}

// lookUp is the table's values for the low five bits of words.
func (u *unpacker) lookUp(index reg.VecVirtual) reg.VecVirtual {
	v := u.ZMM()
	u.VPERMW(u.table, index, v)
	return v
}

// integers turns words of up to 8 bits and a sign into bfloat16.
func (u *unpacker) integers(v reg.VecVirtual) reg.VecVirtual { return u.halves(u.floats(v)) }

// floats turns words into float32, the odd ones in place.
func (u *unpacker) floats(v reg.VecVirtual) (even, odd reg.VecVirtual) {
	even = u.ZMM()
	u.VPSLLD(operand.U8(16), v, even)
	u.VPSRAD(operand.U8(16), even, even)
	u.VPSRAD(operand.U8(16), v, v)
	u.VCVTDQ2PS(even, even)
	u.VCVTDQ2PS(v, v)
	return even, v
}

// halves are the upper halves of float32 whose lower ones are zero.
func (u *unpacker) halves(even, odd reg.VecVirtual) reg.VecVirtual {
	u.VPSRLD(operand.U8(16), even, even)
	u.VPORD(even, odd, odd)
	return odd
}

// nibblesInHalves is 16 bytes as words: their low nibbles, with the high ones above
// them, and then the high ones.
func (u *unpacker) nibblesInHalves(disp int) reg.VecVirtual {
	v, high := u.ZMM(), u.YMM()
	u.VPMOVZXBW(at(u.s.w, disp), v.AsY())
	u.VPSRLW(operand.U8(4), v.AsY(), high)
	u.VINSERTI64X4(operand.U8(1), high, v, v)
	return v
}

// fiveBits is nibbles with the bits of 4 bytes before them.
func (u *unpacker) fiveBits(disp int) reg.VecVirtual {
	v, upper := u.nibblesInHalves(disp+4), u.K()
	u.KMOVD(at(u.s.w, disp), upper)
	u.VPANDD(u.words(15), v, v)
	u.VPADDW(u.words(16), v, upper, v)
	return v
}

func (u *unpacker) storeScale(d reg.VecVirtual) { u.VMOVSS(d.AsX(), at(u.scale, 0)) }

// storeBias stores a scale and the bias of numbers less the middle.
func (u *unpacker) storeBias(middle float32, d, m reg.VecVirtual) {
	u.VFMADD231PS(u.c.float(middle), d, m)
	u.storeScale(d)
	u.VMOVSS(m.AsX(), at(u.bias, 0))
}

// copyScale stores the i-th number of the stream's table for a step.
func (u *unpacker) copyScale(i, step int, to reg.GPVirtual) {
	v := u.GP32()
	u.MOVL(u.s.table.Offset(4*i), v)
	u.MOVL(v, at(to, 256*step))
}

// scalesOfGroups stores those of Q4_K and Q5_K.
func (u *unpacker) scalesOfGroups(middle float32) {
	scalesQ4K(u.routine, u.c, u.s)
	d, m := u.YMM(), u.YMM()
	u.VMOVUPS(u.s.table, d)
	u.VMOVUPS(u.s.table.Offset(32), m)
	u.VFMADD231PS(u.c.float(middle), d, m)
	u.VMOVUPS(m, u.s.table.Offset(32))
	for i := range 8 {
		u.copyScale(i, i, u.scale)
		u.copyScale(8+i, i, u.bias)
	}
}
