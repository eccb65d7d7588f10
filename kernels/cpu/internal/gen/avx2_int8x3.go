package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// K-quants on AVX2 multiply bytes, as all quantised formats do on AVX-512: the
// scales of a block are integers, too, so that the sums of 256 columns are, one for
// each digit of the activations, and are converted and scaled once. Widening takes
// some six instructions for eight weights, this three.

// superBlock emits the parts of such a product that depend on the format. A weight is
// d·(s·q) + m, where s is the integer of a group.
type superBlock struct {
	name  string
	bytes int
	d     int // where a block has its binary16 d

	// groups of columns have scales: 8 or 16. prepare leaves each as two 16-bit
	// integers in a word of the stream's table, and behind them the minima m.
	groups  int
	prepare func(*routine, *constants, *stream)
	// weights are columns 32·i … 32·i+31.
	weights func(r *routine, c *constants, s *stream, i int) reg.VecVirtual
}

var superBlocks = []superBlock{
	{name: "Q2_K", bytes: 84, d: 80, groups: 16, prepare: integersQ2K, weights: func(r *routine, c *constants, s *stream, i int) reg.VecVirtual {
		return r.bitPairs(c, at(s.w, 16+i/4*32), i%4)
	}},
	{name: "Q3_K", bytes: 110, d: 108, groups: 16, prepare: integersQ3K, weights: func(r *routine, c *constants, s *stream, i int) reg.VecVirtual {
		q := r.bitPairs(c, at(s.w, 32+i/4*32), i%4)
		r.insert(c, q, at(s.w, 0), i, 2, 4)
		return q
	}},
	{name: "Q4_K", bytes: 144, groups: 8, prepare: integersQ4K, weights: func(r *routine, c *constants, s *stream, i int) reg.VecVirtual {
		return r.nibbleBytes(c, at(s.w, 16+i/2*32), i%2)
	}},
	{name: "Q5_K", bytes: 176, groups: 8, prepare: integersQ4K, weights: func(r *routine, c *constants, s *stream, i int) reg.VecVirtual {
		q := r.nibbleBytes(c, at(s.w, 48+i/2*32), i%2)
		r.insert(c, q, at(s.w, 16), i, 4, 0x10)
		return q
	}},
	{name: "Q6_K", bytes: 210, d: 208, groups: 16, prepare: integersQ6K, weights: func(r *routine, c *constants, s *stream, i int) reg.VecVirtual {
		q := r.nibbleBytes(c, at(s.w, i/4*64+i%2*32), i%4/2)
		r.insert(c, q, at(s.w, 128+i/4*32), i%4*2, 4, 0x30)
		return q
	}},
}

// nibbleBytes are the low (0) or high (1) halves of 32 bytes.
func (r *routine) nibbleBytes(c *constants, m operand.Mem, which int) reg.VecVirtual {
	q := r.YMM()
	r.VMOVDQU(m, q)
	if which == 1 {
		r.VPSRLW(operand.U8(4), q, q)
	}
	r.VPAND(c.bits(0x0f0f0f0f), q, q)
	return q
}

// bitPairs are bits 2·i and 2·i+1 of 32 bytes.
func (r *routine) bitPairs(c *constants, m operand.Mem, i int) reg.VecVirtual {
	q := r.YMM()
	r.VMOVDQU(m, q)
	if i > 0 {
		r.VPSRLW(operand.U8(2*i), q, q)
	}
	r.VPAND(c.bits(0x03030303), q, q)
	return q
}

// insert adds the bits that mask has to the bytes of q: those of 32 bytes that are at
// bit from, brought to bit to.
func (r *routine) insert(c *constants, q reg.VecVirtual, m operand.Mem, from, to int, mask uint32) {
	v := r.YMM()
	r.VMOVDQU(m, v)
	switch {
	case from < to:
		r.VPSLLW(operand.U8(to-from), v, v)
	case from > to:
		r.VPSRLW(operand.U8(from-to), v, v)
	}
	r.VPAND(c.bits(mask*0x01010101), v, v)
	r.VPOR(v, q, q)
}

// scalePairs stores integers as pairs of 16 bits.
func (r *routine) scalePairs(v reg.VecVirtual, to operand.Mem) {
	twice := r.YMM()
	r.VPSLLD(operand.U8(16), v, twice)
	r.VPBLENDW(operand.U8(0xaa), twice, v, twice)
	r.VMOVDQU(twice, to)
}

// minimum stores integers, as float32, times factor.
func (r *routine) minimum(v, factor reg.VecVirtual, to operand.Mem) {
	r.VCVTDQ2PS(v, v)
	r.VMULPS(factor, v, v)
	r.VMOVUPS(v, to)
}

func (r *routine) minus(c *constants, v reg.VecVirtual) reg.VecVirtual {
	r.VXORPS(c.bits(1<<31), v, v)
	return v
}

func integersQ2K(r *routine, c *constants, s *stream) {
	dmin := r.minus(c, r.half(at(s.w, 82)))
	for i := range 2 {
		lo, hi := r.nibbles(c, at(s.w, 8*i))
		r.scalePairs(lo, s.table.Offset(32*i))
		r.minimum(hi, dmin, s.table.Offset(64+32*i))
	}
}

// integersQ3K: a weight is d·s·(q − 4).
func integersQ3K(r *routine, c *constants, s *stream) {
	d := r.half(at(s.w, 108))
	r.VMULPS(c.float(-4), d, d)
	for i, v := range r.sixBitsQ3K(c, s) {
		r.scalePairs(v, s.table.Offset(32*i))
		r.minimum(v, d, s.table.Offset(64+32*i))
	}
}

func integersQ4K(r *routine, c *constants, s *stream) {
	first, second := r.unpackQ4K(at(s.w, 0))
	scales, minima := r.YMM(), r.YMM()
	r.VMOVQ(first, scales.AsX())
	r.VPMOVZXBD(scales.AsX(), scales)
	r.VMOVQ(second, minima.AsX())
	r.VPMOVZXBD(minima.AsX(), minima)
	r.scalePairs(scales, s.table)
	r.minimum(minima, r.minus(c, r.half(at(s.w, 2))), s.table.Offset(32))
}

// integersQ6K: a weight is d·s·(q − 32).
func integersQ6K(r *routine, c *constants, s *stream) {
	d := r.half(at(s.w, 208))
	r.VMULPS(c.float(-32), d, d)
	for i := range 2 {
		v := r.YMM()
		r.VPMOVSXBD(at(s.w, 192+8*i), v)
		r.scalePairs(v, s.table.Offset(32*i))
		r.minimum(v, d, s.table.Offset(64+32*i))
	}
}

// pick returns words of a table, word(i) in place i.
func (r *routine) pick(c *constants, table operand.Mem, word func(i int) int) reg.VecVirtual {
	v := r.YMM()
	r.VMOVDQU(c.vector(func(i int) uint32 { return uint32(word(i)) }), v)
	r.VPERMD(table, v, v)
	return v
}

// scale are the scales of columns 32·i … 32·i+31.
func (f *superBlock) scale(r *routine, c *constants, s *stream, i int) reg.VecVirtual {
	if f.groups == 16 {
		return r.pick(c, s.table.Offset(i/4*32), func(word int) int { return i%4*2 + word/4 })
	}
	v := r.YMM()
	r.VPBROADCASTD(s.table.Offset(4*i), v)
	return v
}

// minima are those of the eight sums from 8·i on: a sum is of eight columns.
func (f *superBlock) minima(r *routine, c *constants, s *stream, i int) reg.VecVirtual {
	if f.groups == 16 {
		return r.pick(c, s.table.Offset(64+i/2*32), func(word int) int { return i%2*4 + word/2 })
	}
	return r.pick(c, s.table.Offset(32), func(word int) int { return 2*i + word/4 })
}

// matvecIntegers emits the product for a K-quant, one stream after the other. Four
// activation rows have twelve sums of integers, and those of float32 on the stack.
func matvecIntegers(ctx *build.Context, c *constants, f *superBlock, xs int) {
	p := beginProduct(ctx, f.name, false, xs, 2)
	kept := xs < 4
	var stack [2]operand.Mem
	for k := range p.s {
		p.s[k].table = ctx.AllocLocal(8 * f.groups)
		if !kept {
			stack[k] = ctx.AllocLocal(32 * xs)
		}
	}
	p.loopRows(func() {
		var acc [2][]reg.VecVirtual
		for k := range p.s {
			if kept {
				acc[k] = p.zeros(xs)[k]
				continue
			}
			zero := p.zero()
			for row := range xs {
				p.VMOVUPS(zero, stack[k].Offset(32*row))
			}
		}
		x := p.get(matvecX)
		p.loop(p.get(matvecSteps), func() {
			p.prefetch(f.bytes)
			for k := range p.s {
				s := &p.s[k]
				p.Comment(fmt.Sprintf("Scales of stream %d.", k))
				f.prepare(p.routine, c, s)
				sums := f.products(p, c, s, x)
				p.Comment("Put the digits together and scale.")
				d := p.half(at(s.w, f.d))
				sum := acc[k]
				if !kept {
					sum = nil
				}
				for row := range xs {
					if !kept {
						v := p.YMM()
						p.VMOVUPS(stack[k].Offset(32*row), v)
						sum = append(sum, v)
					}
					digits := sums[row]
					for i, v := range digits {
						p.VCVTDQ2PS(v, v)
						if i > 0 {
							p.VFMADD231PS(c.float(256), digits[i-1], v)
						}
					}
					p.VFMADD231PS(d, digits[2], sum[row])
				}
				for i := range 4 {
					m := f.minima(p.routine, c, s, i)
					for row := range xs {
						p.VFMADD231PS(p.x(x, i/2*recordBytes+recordSums+i%2*32, row), m, sum[row])
					}
				}
				for row := range xs {
					if !kept {
						p.VMOVUPS(sum[row], stack[k].Offset(32*row))
					}
				}
				p.ADDQ(operand.I32(f.bytes), s.w)
			}
			p.ADDQ(operand.I32(2*recordBytes), x)
		})
		first := p.get(matvecX)
		for k := range p.s {
			sum := acc[k]
			for row := range xs { // all records of a row have one unit
				unit := p.YMM()
				p.VBROADCASTSS(p.x(first, recordUnit, row), unit)
				if kept {
					p.VMULPS(unit, sum[row], sum[row])
				} else {
					p.VMULPS(stack[k].Offset(32*row), unit, unit)
					sum = append(sum, unit)
				}
			}
			p.store(k, sum)
		}
	})
	p.end()
}

// products are the sums of a block's weights with each digit of each activation row.
func (f *superBlock) products(p *product, c *constants, s *stream, x reg.Register) [][3]reg.VecVirtual {
	sums := make([][3]reg.VecVirtual, p.xs)
	for i := range 8 {
		p.Comment(fmt.Sprintf("Columns %d to %d.", 32*i, 32*i+31))
		q := f.weights(p.routine, c, s, i)
		scale := f.scale(p.routine, c, s, i)
		for row := range p.xs {
			for digit := range 3 {
				v := p.YMM()
				p.VPMADDUBSW(p.x(x, i/4*recordBytes+128*digit+i%4*32, row), q, v)
				p.VPMADDWD(scale, v, v)
				if i == 0 {
					sums[row][digit] = v
				} else {
					p.VPADDD(v, sums[row][digit], sums[row][digit])
				}
			}
		}
	}
	return sums
}

// digitsAVX2 emits the conversion of activations to flat records.
func digitsAVX2(ctx *build.Context, c *constants) {
	r := begin(ctx, "int8x3AVX2", "int8x3AVX2 turns activations into fixed-point numbers.")
	dst, x, index := r.get(int8x3Dst), r.get(int8x3X), r.get(int8x3Index)

	top, from := r.zero(), r.GP64()
	r.MOVQ(x, from)
	r.loop(r.get(int8x3Blocks), func() {
		for i := range 4 {
			v := r.YMM()
			r.VMOVUPS(at(from, 32*i), v)
			r.VPAND(c.bits(1<<31-1), v, v)
			r.VPMAXUD(v, top, top) // a NaN is larger than any number
		}
		r.ADDQ(operand.I32(128), from)
	})
	high := r.XMM()
	r.VEXTRACTI128(operand.U8(1), top, high)
	r.VPMAXUD(top.AsX(), high, high)
	for _, swap := range []operand.U8{0x4e, 0xb1} { // halves, then neighbours
		other := r.XMM()
		r.VPSHUFD(swap, high, other)
		r.VPMAXUD(other, high, high)
	}
	bits := r.GP32()
	r.VMOVD(high, bits)
	unit, inverse := r.unitOf(bits)
	scale := r.YMM()
	r.VMOVD(inverse, scale.AsX())
	r.VPBROADCASTD(scale.AsX(), scale)

	// record emits one for the next blocks.
	record := func(blocks int) {
		zero := r.zero()
		for i := 0; blocks < 4 && i < recordUnit; i += 32 { // a record of one block is zero elsewhere
			r.VMOVDQU(zero, at(dst, i))
		}
		r.MOVL(unit, at(dst, recordUnit))
		for b := range blocks {
			var v, sum [4]reg.VecVirtual
			for i := range v {
				all, places := r.YMM(), r.YMM()
				v[i] = r.zero()
				r.VPCMPEQD(all, all, all)
				r.VMOVUPS(at(index, 32*i), places)
				r.VGATHERDPS(all, operand.Mem{Base: x, Index: places, Scale: 4, Disp: 128 * b}, v[i])
				r.VMULPS(scale, v[i], v[i])
				r.VCVTPS2DQ(v[i], v[i])
				sum[i] = r.YMM()
				r.VMOVDQA(v[i], sum[i])
				r.VPADDD(c.bits(0x808080), v[i], v[i])
				// In each lane four bytes of each digit.
				r.VPSHUFB(c.vector(func(lane int) uint32 { return [4]uint32{0x0e0a0602, 0x0d090501, 0x0c080400, 0x0f0b0703}[lane%4] }), v[i], v[i])
			}
			r.VPHADDD(sum[1], sum[0], sum[0])
			r.VPHADDD(sum[3], sum[2], sum[2])
			r.VPHADDD(sum[2], sum[0], sum[0])
			half := r.XMM()
			r.VEXTRACTI128(operand.U8(1), sum[0], half)
			r.VPADDD(sum[0].AsX(), half, half)
			factor := r.XMM()
			r.VCVTDQ2PS(half, half)
			r.VBROADCASTSS(r.field(int8x3Factor), factor)
			r.VMULPS(factor, half, half)
			r.VMOVUPS(half, at(dst, recordSums+16*b))

			var low, upper [2]reg.VecVirtual
			for i := range low {
				low[i], upper[i] = r.YMM(), r.YMM()
				r.VPUNPCKLDQ(v[2*i+1], v[2*i], low[i])
				r.VPUNPCKHDQ(v[2*i+1], v[2*i], upper[i])
			}
			digits := [3]reg.VecVirtual{r.YMM(), r.YMM(), r.YMM()}
			r.VPUNPCKLQDQ(low[1], low[0], digits[0])
			r.VPUNPCKHQDQ(low[1], low[0], digits[1])
			r.VPUNPCKLQDQ(upper[1], upper[0], digits[2])
			order := r.YMM()
			r.VMOVDQU(c.vector(func(lane int) uint32 { return uint32(lane/2 + lane%2*4) }), order)
			for i, d := range digits {
				r.VPERMD(d, order, d)
				r.VPXOR(c.bits(0x80808080), d, d)
				r.VMOVDQU(d, at(dst, 128*i+32*b))
			}
		}
		r.ADDQ(operand.I32(128*blocks), x)
		r.ADDQ(operand.I32(recordBytes), dst)
	}
	n, rest := r.get(int8x3Blocks), r.get(int8x3Blocks)
	r.SHRQ(operand.U8(2), n)
	r.loop(n, func() { record(4) })
	r.ANDQ(operand.I32(3), rest)
	r.loop(rest, func() { record(1) })
	r.end()
}
