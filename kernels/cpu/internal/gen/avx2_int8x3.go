package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Formats of up to six bits multiply bytes on AVX2, as all quantised formats do on
// AVX-512. K-quants' scales are integers, too, so that the sums of 256 columns are, one
// for each digit of the activations, and are converted and scaled once: three
// instructions for eight weights, where widening takes more than six. Products of
// 8-bit weights do not fit the 16 bits of such a sum.

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

// byteBlock is a format with blocks of 32 nibbles, behind a header. Two blocks are
// multiplied side by side, one in each lane.
type byteBlock struct {
	name   string
	bytes  int
	biased bool // d and m, where others are d·(q − zero); the sums are times that zero
	five   bool // a fifth bit of each weight: 32 of them before the nibbles
}

var byteBlocks = []byteBlock{
	{name: "Q4_0", bytes: 18},
	{name: "Q4_1", bytes: 20, biased: true},
	{name: "Q5_0", bytes: 22, five: true},
	{name: "Q5_1", bytes: 24, biased: true, five: true},
}

// halves widens the binary16 at disp of each block to all words of its lane.
func (f *byteBlock) halves(r *routine, s *stream, disp, blocks int) reg.VecVirtual {
	a, d := r.XMM(), r.YMM()
	r.VPBROADCASTW(at(s.w, disp), a)
	if blocks == 2 {
		b := r.XMM()
		r.VPBROADCASTW(at(s.w, disp+f.bytes), b)
		r.VPBLENDD(operand.U8(0b1100), b, a, a)
	}
	r.VCVTPH2PS(a, d)
	return d
}

// weights are the first and the second 16 weights of each block, in its lane. The
// activations of a second lane that there is no block for are zero.
func (f *byteBlock) weights(r *routine, c *constants, s *stream, blocks int) (halves [2]reg.VecVirtual) {
	q, first, second := r.YMM(), r.YMM(), r.YMM()
	r.VBROADCASTI128(at(s.w, f.bytes-16), q)
	if blocks == 2 {
		r.VINSERTI128(operand.U8(1), at(s.w, 2*f.bytes-16), q, q)
	}
	r.VPAND(c.bits(0x0f0f0f0f), q, first)
	r.VPSRLW(operand.U8(4), q, second)
	r.VPAND(c.bits(0x0f0f0f0f), second, second)
	halves = [2]reg.VecVirtual{first, second}
	if !f.five {
		return halves
	}
	upper := r.YMM()
	r.VPBROADCASTD(at(s.w, f.bytes-20), upper)
	if blocks == 2 {
		other := r.YMM()
		r.VPBROADCASTD(at(s.w, 2*f.bytes-20), other)
		r.VPBLENDD(operand.U8(0xf0), other, upper, upper)
	}
	bit := c.vector(func(lane int) uint32 { return 0x08040201 << (lane % 2 * 4) })
	for i, v := range halves {
		set := r.YMM()
		r.VPSHUFB(c.vector(func(lane int) uint32 { return uint32(2*i+lane%4/2) * 0x01010101 }), upper, set) // the byte with a column's bit
		r.VPAND(bit, set, set)
		r.VPCMPEQB(bit, set, set)
		r.VPAND(c.bits(0x10101010), set, set)
		r.VPOR(set, v, v)
	}
	return halves
}

// matvecBytes emits the product for such a format.
func matvecBytes(ctx *build.Context, c *constants, f *byteBlock, xs int) {
	p := beginProduct(ctx, f.name, false, xs, 2)
	p.loopRows(func() {
		acc := p.zeros(xs)
		x := p.get(matvecX)
		step := func(pair, blocks int) {
			for k := range p.s {
				p.Comment(fmt.Sprintf("Blocks of stream %d.", k))
				s := &p.s[k]
				w := f.weights(p.routine, c, s, blocks)
				var m reg.VecVirtual
				d := f.halves(p.routine, s, 0, blocks)
				if f.biased {
					m = f.halves(p.routine, s, 2, blocks)
				}
				for row := range xs {
					sum := f.sum(p, c, w, x, 32*pair, row)
					sums := p.x(x, recordSums+32*pair, row)
					if f.biased {
						p.VFMADD231PS(sums, m, acc[k][row])
					} else {
						p.VSUBPS(sums, sum, sum)
					}
					p.VFMADD231PS(d, sum, acc[k][row])
				}
				p.ADDQ(operand.I32(blocks*f.bytes), s.w)
			}
		}
		n, rest := p.get(matvecSteps), p.get(matvecSteps)
		p.SHRQ(operand.U8(2), n)
		p.loop(n, func() {
			p.prefetch(4 * f.bytes)
			step(0, 2)
			step(1, 2)
			p.ADDQ(operand.I32(recordBytes), x)
		})
		p.ANDQ(operand.I32(3), rest)
		p.loop(rest, func() {
			step(0, 1)
			p.ADDQ(operand.I32(recordBytes), x)
		})
		first := p.get(matvecX)
		for k := range p.s {
			for row := range xs { // all records of a row have one unit
				unit := p.YMM()
				p.VBROADCASTSS(p.x(first, recordUnit, row), unit)
				p.VMULPS(unit, acc[k][row], acc[k][row])
			}
			p.store(k, acc[k])
		}
	})
	p.end()
}

// sum is that of the products of weights with the digits at x + off, each digit's
// with its place value.
func (f *byteBlock) sum(p *product, c *constants, w [2]reg.VecVirtual, x reg.Register, off, row int) reg.VecVirtual {
	var sum reg.VecVirtual
	for digit := range 3 {
		v, other := p.YMM(), p.YMM()
		p.VPMADDUBSW(p.x(x, 128*digit+off, row), w[0], v)
		p.VPMADDUBSW(p.x(x, 128*digit+64+off, row), w[1], other)
		p.VPADDW(other, v, v)
		p.VPMADDWD(c.bits([]uint32{0x01000100, 0x00010001, 0x00010001}[digit]), v, v)
		switch digit {
		case 0:
			sum = v
		case 1:
			p.VPADDD(v, sum, sum)
			p.VPSLLD(operand.U8(8), sum, sum)
		default:
			p.VPADDD(v, sum, sum)
		}
	}
	p.VCVTDQ2PS(sum, sum)
	return sum
}

// digitsAVX2 emits the conversion of activations to records of either kind.
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
	record := func(blocks int, flat bool) {
		zero := r.zero()
		for i := 0; blocks < 4 && i < recordUnit; i += 32 { // a record of one block is zero elsewhere
			r.VMOVDQU(zero, at(dst, i))
		}
		r.MOVL(unit, at(dst, recordUnit))
		for b := range blocks {
			var v, n [4]reg.VecVirtual
			for i := range v {
				all, places := r.YMM(), r.YMM()
				n[i], v[i] = r.zero(), r.YMM()
				r.VPCMPEQD(all, all, all)
				r.VMOVUPS(at(index, 32*i), places)
				r.VGATHERDPS(all, operand.Mem{Base: x, Index: places, Scale: 4, Disp: 128 * b}, n[i])
				r.VMULPS(scale, n[i], n[i])
				r.VCVTPS2DQ(n[i], n[i])
				r.VPADDD(c.bits(0x808080), n[i], v[i])
				// In each lane four bytes of each digit.
				r.VPSHUFB(c.vector(func(lane int) uint32 { return [4]uint32{0x0e0a0602, 0x0d090501, 0x0c080400, 0x0f0b0703}[lane%4] }), v[i], v[i])
			}
			sums, factor := r.sumsOfEight(n, flat), r.XMM()
			r.VCVTDQ2PS(sums, sums)
			r.VBROADCASTSS(r.field(int8x3Factor), factor)
			r.VMULPS(factor, sums, sums)
			r.VMOVUPS(sums, at(dst, recordSums+16*b))

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
				if flat {
					r.VMOVDQU(d, at(dst, 128*i+32*b))
				} else {
					r.VMOVDQU(d.AsX(), at(dst, 128*i+16*b))
					r.VEXTRACTI128(operand.U8(1), d, at(dst, 128*i+64+16*b))
				}
			}
		}
		r.ADDQ(operand.I32(128*blocks), x)
		r.ADDQ(operand.I32(recordBytes), dst)
	}
	all := func(flat bool) {
		n, rest := r.get(int8x3Blocks), r.get(int8x3Blocks)
		r.SHRQ(operand.U8(2), n)
		r.loop(n, func() { record(4, flat) })
		r.ANDQ(operand.I32(3), rest)
		r.loop(rest, func() { record(1, flat) })
	}
	flat := r.GP32()
	isFlat := r.label("flat")
	r.MOVBLZX(r.field(int8x3Flat), flat)
	r.TESTL(flat, flat)
	r.JNZ(operand.LabelRef(isFlat))
	all(false)
	r.VZEROUPPER()
	r.RET()
	r.Label(isFlat)
	all(true)
	r.end()
}

// sumsOfEight are a record's four sums of a block of 32 integers. n is spent.
func (r *routine) sumsOfEight(n [4]reg.VecVirtual, flat bool) reg.VecVirtual {
	half := r.XMM()
	if flat {
		r.VPHADDD(n[1], n[0], n[0])
		r.VPHADDD(n[3], n[2], n[2])
		r.VPHADDD(n[2], n[0], n[0])
		r.VEXTRACTI128(operand.U8(1), n[0], half)
		r.VPADDD(n[0].AsX(), half, half)
		return half
	}
	r.VPADDD(n[2], n[0], n[0])
	r.VPADDD(n[3], n[1], n[1])
	r.VPHADDD(n[1], n[0], n[0])
	r.VPHADDD(n[0], n[0], n[0])
	r.VEXTRACTI128(operand.U8(1), n[0], half)
	r.VPUNPCKLDQ(half, n[0].AsX(), half)
	return half
}
