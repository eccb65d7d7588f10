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
	group int         // of a K-quant: which is read
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
	{name: "Q5_0", cols: 32, bytes: 22, prepare: halfScale, steps: 1, step: func(r *routine, c *constants, s *stream, i int) []column {
		return r.signed32(s, fiveBits(2, true)(r, c, s))
	}},
	{name: "Q5_1", cols: 32, bytes: 24, tableSize: 32, prepare: halfScaleMin, steps: 1, step: func(r *routine, c *constants, s *stream, i int) []column {
		cols := r.columns32(fiveBits(4, false)(r, c, s))
		for _, col := range cols {
			r.affine(s, col.v)
		}
		return cols
	}},
	{name: "IQ4_NL", cols: 32, bytes: 18, prepare: halfScale, steps: 1, step: func(r *routine, c *constants, s *stream, i int) []column {
		return r.signed32(s, iq4Values(2)(r, c, s))
	}},
	{name: "IQ4_XS", cols: 256, bytes: 136, tableSize: 32, prepare: scalesIQ4XS(0x1p-24), steps: 16, step: stepIQ4XS},
	{name: "Q2_K", cols: 256, bytes: 84, tableSize: 128, prepare: scalesQ2K, steps: 16, step: stepQ2K},
	{name: "Q3_K", cols: 256, bytes: 110, tableSize: 64, prepare: scalesQ3K, steps: 16, step: stepQ3K},
	{name: "Q5_K", cols: 256, bytes: 176, tableSize: 64, prepare: scalesQ4K, steps: 16, step: stepQ5K},
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

// columns32 widens 32 bytes with their sign.
func (r *routine) columns32(v reg.VecVirtual) (cols []column) {
	high := r.XMM()
	r.VEXTRACTI128(operand.U8(1), v, high)
	for i, x := range []reg.VecVirtual{v.AsX().(reg.VecVirtual), high} {
		for half := range 2 {
			q := r.YMM()
			if half == 1 {
				r.VPSRLDQ(operand.U8(8), x, x)
			}
			r.VPMOVSXBD(x, q)
			cols = append(cols, column{16*i + 8*half, q})
		}
	}
	return cols
}

// signed32 widens 32 bytes to d·q.
func (r *routine) signed32(s *stream, v reg.VecVirtual) []column {
	cols := r.columns32(v)
	for _, col := range cols {
		r.VCVTDQ2PS(col.v, col.v)
		r.VMULPS(s.d, col.v, col.v)
	}
	return cols
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
	for k, q := range []reg.VecVirtual{lo, hi} {
		r.scaled(s, q, 2*pair+k, 8)
	}
	return []column{{64*pair + 8*h, lo}, {64*pair + 32 + 8*h, hi}}
}

// stepQ5K is stepQ4K with the bits of two groups in the 32 bytes before.
func stepQ5K(r *routine, c *constants, s *stream, i int) []column {
	pair, h := i/4, i%4
	lo, hi := r.nibbles(c, at(s.w, 48+32*pair+8*h))
	upper := r.YMM()
	r.VPMOVZXBD(at(s.w, 16+8*h), upper)
	for k, q := range []reg.VecVirtual{lo, hi} {
		r.bits(c, q, upper, 2*pair+k, 1, 4)
		r.scaled(s, q, 2*pair+k, 8)
	}
	return []column{{64*pair + 8*h, lo}, {64*pair + 32 + 8*h, hi}}
}

// bits adds n bits of v, from bit from on, to q at bit to.
func (r *routine) bits(c *constants, q, v reg.VecVirtual, from, n, to int) {
	b := r.YMM()
	switch {
	case from < to:
		r.VPSLLD(operand.U8(to-from), v, b)
	case from > to:
		r.VPSRLD(operand.U8(from-to), v, b)
	default:
		b = v
	}
	masked := r.YMM()
	r.VPAND(c.bits((1<<n-1)<<to), b, masked)
	r.VPOR(masked, q, q)
}

// scaled turns integers q of group j into d·q + m of the table: groups of d, and
// then of m.
func (r *routine) scaled(s *stream, q reg.VecVirtual, j, groups int) {
	m, d := r.YMM(), r.YMM()
	r.VBROADCASTSS(s.table.Offset(4*(groups+j)), m)
	r.VBROADCASTSS(s.table.Offset(4*j), d)
	r.VCVTDQ2PS(q, q)
	r.VFMADD213PS(m, d, q)
}

// scalesQ2K leaves d·s of the sixteen groups and then −dmin·m in the table.
func scalesQ2K(r *routine, c *constants, s *stream) {
	d, dmin := r.half(at(s.w, 80)), r.half(at(s.w, 82))
	r.VXORPS(c.bits(1<<31), dmin, dmin)
	for i := range 2 {
		lo, hi := r.nibbles(c, at(s.w, 8*i))
		for k, v := range []reg.VecVirtual{lo, hi} {
			r.VCVTDQ2PS(v, v)
			r.VMULPS([]reg.VecVirtual{d, dmin}[k], v, v)
			r.VMOVUPS(v, s.table.Offset(64*k+32*i))
		}
	}
}

// stepQ2K widens 8 columns of a run of 32 and of the next, two bits of the same
// bytes.
func stepQ2K(r *routine, c *constants, s *stream, i int) (cols []column) {
	half, pair, h := i/8, i/4%2, i%4
	v := r.YMM()
	r.VPMOVZXBD(at(s.w, 16+32*half+8*h), v)
	for run := 2 * pair; run < 2*pair+2; run++ {
		q := r.bitPair(c, v, run)
		r.scaled(s, q, 8*half+2*run+h/2, 16)
		cols = append(cols, column{128*half + 32*run + 8*h, q})
	}
	return cols
}

// bitPair is bits 2·run and 2·run + 1.
func (r *routine) bitPair(c *constants, v reg.VecVirtual, run int) reg.VecVirtual {
	q := r.YMM()
	r.VPSRLD(operand.U8(2*run), v, q)
	r.VPAND(c.bits(3), q, q)
	return q
}

// scalesQ3K leaves d·(s − 32) of the sixteen groups in the table.
func scalesQ3K(r *routine, c *constants, s *stream) {
	d := r.half(at(s.w, 108))
	for i, v := range r.sixBitsQ3K(c, s) {
		r.VCVTDQ2PS(v, v)
		r.VMULPS(d, v, v)
		r.VMOVUPS(v, s.table.Offset(32*i))
	}
}

// sixBitsQ3K are the sixteen s − 32.
func (r *routine) sixBitsQ3K(c *constants, s *stream) [2]reg.VecVirtual {
	lo, hi := r.nibbles(c, at(s.w, 96))
	for i, v := range []reg.VecVirtual{lo, hi} {
		upper := r.YMM()
		r.VPBROADCASTD(at(s.w, 104), upper)
		r.VPSRLVD(c.vector(func(lane int) uint32 { return uint32(8*(lane%4) + 2*(2*i+lane/4)) }), upper, upper)
		r.bits(c, v, upper, 0, 2, 4)
		r.VPSUBD(c.bits(32), v, v)
	}
	return [2]reg.VecVirtual{lo, hi}
}

// stepQ3K is stepQ2K with a third bit from the first 32 bytes.
func stepQ3K(r *routine, c *constants, s *stream, i int) (cols []column) {
	half, pair, h := i/8, i/4%2, i%4
	v, upper := r.YMM(), r.YMM()
	r.VPMOVZXBD(at(s.w, 32+32*half+8*h), v)
	r.VPMOVZXBD(at(s.w, 8*h), upper)
	for run := 2 * pair; run < 2*pair+2; run++ {
		q := r.bitPair(c, v, run)
		r.bits(c, q, upper, 4*half+run, 1, 2)
		r.VPSUBD(c.bits(4), q, q)
		r.VCVTDQ2PS(q, q)
		d := r.YMM()
		r.VBROADCASTSS(s.table.Offset(4*(8*half+2*run+h/2)), d)
		r.VMULPS(d, q, q)
		cols = append(cols, column{128*half + 32*run + 8*h, q})
	}
	return cols
}

// scalesIQ4XS leaves d·(s − 32)·factor of the eight groups in the table.
func scalesIQ4XS(factor float32) func(*routine, *constants, *stream) {
	return func(r *routine, c *constants, s *stream) {
		v, upper, d := r.YMM(), r.YMM(), r.half(at(s.w, 0))
		r.VPBROADCASTD(at(s.w, 4), v)
		r.VPSRLVD(c.vector(func(lane int) uint32 { return uint32(4 * lane) }), v, v)
		r.VPAND(c.bits(15), v, v)
		r.VPBROADCASTW(at(s.w, 2), upper)
		r.VPSRLVD(c.vector(func(lane int) uint32 { return uint32(2 * lane) }), upper, upper)
		r.bits(c, v, upper, 0, 2, 4)
		r.VPSUBD(c.bits(32), v, v)
		r.VCVTDQ2PS(v, v)
		if factor != 1 {
			r.VMULPS(c.float(factor), d, d)
		}
		r.VMULPS(d, v, v)
		r.VMOVUPS(v, s.table)
	}
}

// stepIQ4XS looks up the low and the high nibbles of 8 bytes: the values come to
// the top of a word, where their sign is the word's.
func stepIQ4XS(r *routine, c *constants, s *stream, i int) []column {
	group, h := i/2, i%2
	lo, hi := r.YMM(), r.YMM()
	r.VPMOVZXBD(at(s.w, 8+16*group+8*h), hi)
	r.VPSLLD(operand.U8(24), hi, lo)
	r.VPSLLD(operand.U8(20), hi, hi)
	var cols []column
	for k, index := range []reg.VecVirtual{lo, hi} {
		r.VPAND(c.bits(15<<24), index, index)
		r.VPOR(c.bits(0x808080), index, index) // zero
		q, d := r.YMM(), r.YMM()
		r.VMOVDQU(c.iq4(), q)
		r.VPSHUFB(index, q, q)
		r.VCVTDQ2PS(q, q)
		r.VBROADCASTSS(s.table.Offset(4*group), d)
		r.VMULPS(d, q, q)
		cols = append(cols, column{32*group + 16*k + 8*h, q})
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
