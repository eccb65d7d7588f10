package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// stream is one row of weights being read, block by block.
type stream struct {
	w           reg.GPVirtual // next byte
	scale, bias reg.GPVirtual // next group of an affine format, float32

	// What prepare left for the block at w.
	d     reg.VecVirtual
	table operand.Mem // of a K-quant: scales (and minima); of others: the bias, in all lanes
}

// column is eight consecutive weights, widened, and their place in the block.
type column struct {
	first int
	v     reg.VecVirtual
}

// format emits the code that widens one weight format, column by column and
// exactly as kernels.Matrix.ReadRow defines it.
type format struct {
	name        string
	cols, bytes int // of a block
	affine      bool
	paired      bool // even columns of 16 come first, then the odd ones
	tableSize   int  // bytes of stream.table

	// prepare loads a block's scales.
	prepare func(*routine, *constants, *stream)
	// steps is the number of times that step must be emitted for a block; each
	// returns the columns it widened.
	steps int
	step  func(r *routine, c *constants, s *stream, i int) []column
}

var formats = []format{
	{name: "F32", cols: 8, bytes: 32, steps: 1, step: func(r *routine, c *constants, s *stream, i int) []column {
		v := r.YMM()
		r.VMOVUPS(at(s.w, 0), v)
		return []column{{0, v}}
	}},
	{name: "F16", cols: 8, bytes: 16, steps: 1, step: func(r *routine, c *constants, s *stream, i int) []column {
		v := r.YMM()
		r.VCVTPH2PS(at(s.w, 0), v)
		return []column{{0, v}}
	}},
	{name: "BF16", cols: 8, bytes: 16, steps: 1, step: func(r *routine, c *constants, s *stream, i int) []column {
		v := r.YMM()
		r.VPMOVZXWD(at(s.w, 0), v)
		r.VPSLLD(operand.U8(16), v, v)
		return []column{{0, v}}
	}},
	{name: "Q8_0", cols: 32, bytes: 34, prepare: halfScale, steps: 4, step: func(r *routine, c *constants, s *stream, i int) []column {
		v := r.YMM()
		r.VPMOVSXBD(at(s.w, 2+8*i), v)
		r.VCVTDQ2PS(v, v)
		r.VMULPS(s.d, v, v)
		return []column{{8 * i, v}}
	}},
	{name: "Q4_0", cols: 32, bytes: 18, prepare: halfScale, steps: 2, step: func(r *routine, c *constants, s *stream, i int) []column {
		lo, hi := r.nibbles(c, at(s.w, 2+8*i))
		for _, v := range []reg.VecVirtual{lo, hi} {
			r.VPSUBD(c.bits(8), v, v)
			r.VCVTDQ2PS(v, v)
			r.VMULPS(s.d, v, v)
		}
		return []column{{8 * i, lo}, {16 + 8*i, hi}}
	}},
	{name: "Q4_1", cols: 32, bytes: 20, tableSize: 32, prepare: halfScaleMin, steps: 2, step: func(r *routine, c *constants, s *stream, i int) []column {
		lo, hi := r.nibbles(c, at(s.w, 4+8*i))
		r.affine(s, lo)
		r.affine(s, hi)
		return []column{{8 * i, lo}, {16 + 8*i, hi}}
	}},
	{name: "Q4_K", cols: 256, bytes: 144, tableSize: 64, prepare: scalesQ4K, steps: 16, step: stepQ4K},
	{name: "Q6_K", cols: 256, bytes: 210, tableSize: 64, prepare: scalesQ6K, steps: 32, step: stepQ6K},
	{name: "Affine4", cols: 32, bytes: 16, affine: true, paired: true, tableSize: 32, prepare: groupScale, steps: 2, step: func(r *routine, c *constants, s *stream, i int) []column {
		even, odd := r.nibbles(c, at(s.w, 8*i))
		r.affine(s, even)
		r.affine(s, odd)
		return []column{{16 * i, even}, {16*i + 8, odd}}
	}},
	{name: "Affine8", cols: 32, bytes: 32, affine: true, tableSize: 32, prepare: groupScale, steps: 4, step: func(r *routine, c *constants, s *stream, i int) []column {
		v := r.YMM()
		r.VPMOVZXBD(at(s.w, 8*i), v)
		r.affine(s, v)
		return []column{{8 * i, v}}
	}},
}

// nibbles widens the low and the high halves of 8 bytes to integers.
func (r *routine) nibbles(c *constants, m operand.Mem) (lo, hi reg.VecVirtual) {
	lo, hi = r.YMM(), r.YMM()
	r.VPMOVZXBD(m, lo)
	r.VPSRLD(operand.U8(4), lo, hi)
	r.VPAND(c.bits(15), lo, lo)
	return lo, hi
}

// affine turns integers q into d·q + m, rounded once.
func (r *routine) affine(s *stream, q reg.VecVirtual) {
	r.VCVTDQ2PS(q, q)
	r.VFMADD213PS(s.table, s.d, q)
}

// half widens the binary16 value at m to all lanes.
func (r *routine) half(m operand.Mem) reg.VecVirtual {
	v := r.YMM()
	r.VPBROADCASTW(m, v.AsX())
	r.VCVTPH2PS(v.AsX(), v)
	return v
}

func halfScale(r *routine, _ *constants, s *stream) { s.d = r.half(at(s.w, 0)) }

func halfScaleMin(r *routine, _ *constants, s *stream) {
	s.d = r.half(at(s.w, 0))
	r.VMOVUPS(r.half(at(s.w, 2)), s.table)
}

func groupScale(r *routine, _ *constants, s *stream) {
	var m reg.VecVirtual
	s.d, m = r.YMM(), r.YMM()
	r.VBROADCASTSS(at(s.scale, 0), s.d)
	r.VBROADCASTSS(at(s.bias, 0), m)
	r.VMOVUPS(m, s.table)
}

// scalesQ4K leaves d·s of the eight groups and then −dmin·m in the table. The
// 12 bytes at 4 hold scales 0-3, minima 0-3 (6 bits each) and the low halves of
// scales and minima 4-7; the upper two bits of the first eight are theirs too.
func scalesQ4K(r *routine, c *constants, s *stream) {
	first, second := r.unpackQ4K(at(s.w, 0))
	for i, p := range []reg.GPVirtual{first, second} {
		v, d := r.YMM(), r.half(at(s.w, 2*i))
		r.VMOVQ(p, v.AsX())
		r.VPMOVZXBD(v.AsX(), v)
		r.VCVTDQ2PS(v, v)
		if i == 1 {
			r.VXORPS(c.bits(1<<31), d, d)
		}
		r.VMULPS(d, v, v)
		r.VMOVUPS(v, s.table.Offset(32*i))
	}
}

// unpackQ4K returns the eight scales and the eight minima of the block at w, a
// byte each.
func (r *routine) unpackQ4K(w operand.Mem) (first, second reg.GPVirtual) {
	first, second = r.GP64(), r.GP64()
	third := r.GP64()
	mask6, mask4, mask2 := uint32(0x3f3f3f3f), uint32(0x0f0f0f0f), uint32(0x03030303)
	load := func(g reg.GPVirtual, disp int) { r.MOVL(w.Offset(disp), g.As32()) }
	// upper returns (g >> 6 & 3) << 4 in each byte.
	upper := func(g reg.GPVirtual) reg.GPVirtual {
		u := r.GP64()
		r.MOVL(g.As32(), u.As32())
		r.SHRL(operand.U8(6), u.As32())
		r.ANDL(operand.U32(mask2), u.As32())
		r.SHLL(operand.U8(4), u.As32())
		return u
	}
	load(first, 4)
	load(second, 8)
	load(third, 12)
	scaleHigh, minHigh := upper(first), upper(second)
	low := r.GP64()
	r.MOVL(third.As32(), low.As32())
	r.ANDL(operand.U32(mask4), low.As32())
	r.ORL(low.As32(), scaleHigh.As32())
	r.SHRL(operand.U8(4), third.As32())
	r.ANDL(operand.U32(mask4), third.As32())
	r.ORL(third.As32(), minHigh.As32())
	r.ANDL(operand.U32(mask6), first.As32())
	r.ANDL(operand.U32(mask6), second.As32())
	for _, p := range [][2]reg.GPVirtual{{first, scaleHigh}, {second, minHigh}} {
		r.SHLQ(operand.U8(32), p[1])
		r.ORQ(p[1], p[0])
	}
	return first, second
}

// stepQ4K widens 8 columns of an even group and of the odd group after it,
// which are the halves of the same bytes.
func stepQ4K(r *routine, c *constants, s *stream, i int) []column {
	pair, h := i/4, i%4
	lo, hi := r.nibbles(c, at(s.w, 16+32*pair+8*h))
	cols := []column{{64*pair + 8*h, lo}, {64*pair + 32 + 8*h, hi}}
	for k, col := range cols {
		m := r.YMM()
		r.VBROADCASTSS(s.table.Offset(32+4*(2*pair+k)), m)
		d := r.YMM()
		r.VBROADCASTSS(s.table.Offset(4*(2*pair+k)), d)
		r.VCVTDQ2PS(col.v, col.v)
		r.VFMADD213PS(m, d, col.v)
	}
	return cols
}

// scalesQ6K leaves d·s of the sixteen groups in the table.
func scalesQ6K(r *routine, _ *constants, s *stream) {
	d := r.half(at(s.w, 208))
	for i := range 2 {
		v := r.YMM()
		r.VPMOVSXBD(at(s.w, 192+8*i), v)
		r.VCVTDQ2PS(v, v)
		r.VMULPS(d, v, v)
		r.VMOVUPS(v, s.table.Offset(32*i))
	}
}

func stepQ6K(r *routine, c *constants, s *stream, i int) []column {
	half, run, h := i/16, i/4%4, i%4
	v, high := r.YMM(), r.YMM()
	r.VPMOVZXBD(at(s.w, 64*half+32*(run%2)+8*h), v)
	if run >= 2 {
		r.VPSRLD(operand.U8(4), v, v)
	} else {
		r.VPAND(c.bits(15), v, v)
	}
	r.VPMOVZXBD(at(s.w, 128+32*half+8*h), high)
	if run < 2 {
		r.VPSLLD(operand.U8(4-2*run), high, high)
	} else if run == 3 {
		r.VPSRLD(operand.U8(2), high, high)
	}
	r.VPAND(c.bits(0x30), high, high)
	r.VPOR(high, v, v)
	r.VPSUBD(c.bits(32), v, v)
	r.VCVTDQ2PS(v, v)
	d := r.YMM()
	r.VBROADCASTSS(s.table.Offset(4*(8*half+2*run+h/2)), d)
	r.VMULPS(d, v, v)
	return []column{{128*half + 32*run + 8*h, v}}
}
