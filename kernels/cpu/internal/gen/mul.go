package main

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func mulRoutines(ctx *build.Context) {
	c := newConstants(ctx)
	for i := range formats {
		widen(ctx, c, &formats[i])
	}
	for _, f := range formats {
		switch f.name {
		case "F32", "F16", "Q4_K", "Q6_K":
			mulColumns(ctx, c, &f, 1)
			mulColumns(ctx, c, &f, 4)
		}
	}
	mulColumns(ctx, c, &bf16Pairs, 1)
	mulColumns(ctx, c, &bf16Pairs, 4)
	for i := range blockFormats {
		mulBlocks1(ctx, c, &blockFormats[i])
		mulBlocks4(ctx, c, &blockFormats[i])
	}
}

// bf16Pairs is BF16 with the even columns of each 16 first: a shift or a mask
// each, where columns in order take a shuffle as well.
var bf16Pairs = format{name: "BF16", cols: 16, bytes: 32, steps: 2, step: func(r *routine, c *constants, s *stream, i int) []column {
	v := r.YMM()
	if i == 0 {
		r.VMOVUPS(at(s.w, 0), v)
		r.VPSLLD(operand.U8(16), v, v)
	} else {
		r.VMOVUPS(c.bits(0xffff0000), v)
		r.VPAND(at(s.w, 0), v, v)
	}
	return []column{{8 * i, v}}
}}

// product is what the multiplications of all formats begin with.
type product struct {
	*routine
	s               [2]stream
	rows            reg.GPVirtual
	stride, stride3 reg.GPVirtual // of activation rows, if there are four
	ahead           reg.GPVirtual
	acc             [2][4]reg.VecVirtual // of stream k: one for each activation row, or four for the only one
}

func beginProduct(ctx *build.Context, name string, affine bool, xs int) *product {
	r := begin(ctx, fmt.Sprintf("mul%dx%sAVX2", xs, name),
		fmt.Sprintf("mul%dx%sAVX2 multiplies two runs of %s rows with %d activation rows.", xs, name, name, xs))
	p := &product{routine: r}
	p.s[0].w, p.s[1].w = r.get(mulW0), r.get(mulW1)
	if affine {
		p.s[0].scale, p.s[1].scale = r.get(mulScale0), r.get(mulScale1)
		p.s[0].bias, p.s[1].bias = r.get(mulBias0), r.get(mulBias1)
	}
	p.rows, p.ahead = r.get(mulCount), r.get(mulAhead)
	if xs == 4 {
		p.stride, p.stride3 = r.get(mulXStride), r.GP64()
		r.LEAQ(operand.Mem{Base: p.stride, Index: p.stride, Scale: 2}, p.stride3)
	}
	return p
}

// clear zeroes the first n sums of both streams.
func (p *product) clear(n int) {
	for k := range p.acc {
		for i := range n {
			p.acc[k][i] = p.zero()
		}
	}
}

// prefetch asks for the lines of the next n bytes of each stream, ahead of them.
func (p *product) prefetch(n int) {
	for line := 0; line < n; line += 64 {
		for k := range p.s {
			p.PREFETCHT0(operand.Mem{Base: p.s[k].w, Index: p.ahead, Scale: 1, Disp: line})
		}
	}
}

// multiply4 adds w of both streams, the weights of eight columns, times those
// columns, at x, of four activation rows.
func (p *product) multiply4(x operand.Mem, w [2]reg.VecVirtual) {
	for row := range 4 {
		m := x
		switch row {
		case 1, 2:
			m.Index, m.Scale = p.stride, uint8(row)
		case 3:
			m.Index, m.Scale = p.stride3, 1
		}
		v := p.YMM()
		p.VMOVUPS(m, v)
		for k := range w {
			p.VFMADD231PS(w[k], v, p.acc[k][row])
		}
	}
}

// store writes a row's sums, one for each of xs activation rows, and moves on.
func (p *product) store(k, xs int, sum reg.VecVirtual) {
	field := p.field([...]int{mulY0, mulY1}[k])
	y := p.GP64()
	p.MOVQ(field, y)
	p.ADDQ(operand.I32(4), field)
	p.VMOVSS(sum, at(y, 0))
	for row := 1; row < xs; row++ {
		p.ADDQ(p.field(mulYStride), y)
		p.VEXTRACTPS(operand.U8(row), sum, at(y, 0))
	}
}

// mulColumns emits the product for a format that is widened to float32 whole.
func mulColumns(ctx *build.Context, c *constants, f *format, xs int) {
	p := beginProduct(ctx, f.name, f.affine, xs)
	if f.tableSize > 0 {
		p.s[0].table, p.s[1].table = ctx.AllocLocal(f.tableSize), ctx.AllocLocal(f.tableSize)
	}
	p.loop(p.rows, func() {
		p.clear(4)
		x := p.get(mulX)
		next := 0
		f.eachBlock(p.routine, c, p.s[:], p.field(mulCols), operand.Mem{}, func(n int) {
			if n*f.bytes%64 == 0 {
				p.prefetch(f.bytes)
			}
			for i := range f.steps {
				cols := [2][]column{f.step(p.routine, c, &p.s[0], i), f.step(p.routine, c, &p.s[1], i)}
				for j := range cols[0] {
					w := [2]reg.VecVirtual{cols[0][j].v, cols[1][j].v}
					m := at(x, 4*(n*f.cols+cols[0][j].first))
					if xs == 4 {
						p.multiply4(m, w)
						continue
					}
					v := p.YMM()
					p.VMOVUPS(m, v)
					for k := range w {
						p.VFMADD231PS(w[k], v, p.acc[k][next%4])
					}
					next++
				}
			}
		}, func(cols int) { p.ADDQ(operand.I32(4*cols), x) })
		for k := range p.s {
			if f.cols < unrolled {
				p.ADDQ(p.field(mulSkip), p.s[k].w)
			}
			sum := p.sum4(p.acc[k])
			if xs == 1 {
				p.VHADDPS(sum, sum, sum)
				p.VHADDPS(sum, sum, sum)
			}
			p.store(k, xs, sum)
		}
	})
	p.end()
}

// eachBlock emits the loop over the blocks of a row: groups of them for affine
// formats, which are as many as cols says.
func (f *blocks) eachBlock(p *product, body func()) {
	block := func() {
		p.prefetch(f.bytes)
		body()
		for k := range p.s {
			p.ADDQ(operand.I32(f.bytes), p.s[k].w)
		}
	}
	n := p.get(mulCols)
	if !f.affine {
		p.loop(n, block)
		return
	}
	p.loop(n, func() {
		p.loop(p.get(mulGroup), block)
		for k := range p.s {
			p.ADDQ(operand.I32(4), p.s[k].scale)
			p.ADDQ(operand.I32(4), p.s[k].bias)
		}
	})
}

// mulBlocks1 emits the product with one activation row: Σ_block d·Σ q·x, with
// the sums of the activations, which are given, for the rest. −d·zero·Σ x, where
// zero is the number of lanes, is −Σ x in each lane before the scale; m·Σ x is
// m times the given eighth of Σ x in each lane.
func mulBlocks1(ctx *build.Context, c *constants, f *blocks) {
	if f.zero != 0 && f.zero != lanes {
		panic("zero is not the number of lanes")
	}
	p := beginProduct(ctx, f.name, f.affine, 1)
	mask := p.keep(c, f)
	p.loop(p.rows, func() {
		p.clear(2)
		x, sums := p.get(mulX), p.get(mulSums)
		f.eachBlock(p, func() {
			v := [2]reg.VecVirtual{f.load(p.routine, &p.s[0]), f.load(p.routine, &p.s[1])}
			// Two short chains of additions: the core sees less than two blocks
			// ahead, and would wait for one long chain.
			g := [2][2]reg.VecVirtual{{p.YMM(), p.YMM()}, {p.YMM(), p.YMM()}}
			for i := range 4 {
				xv := p.YMM()
				p.VMOVUPS(at(x, 32*i), xv)
				for k := range v {
					q := f.part(p.routine, mask, v[k], i)
					p.VCVTDQ2PS(q, q)
					switch {
					case i == 0 && f.zero != 0:
						p.VBROADCASTSS(at(sums, 0), g[k][0])
						p.VFMSUB231PS(q, xv, g[k][0])
					case i < 2:
						p.VMULPS(q, xv, g[k][i])
					default:
						p.VFMADD231PS(q, xv, g[k][i%2])
					}
				}
			}
			for k := range v {
				d := f.d(p.routine, &p.s[k])
				for i := range g[k] {
					p.VFMADD231PS(d, g[k][i], p.acc[k][i])
				}
				if f.biased {
					eighth := p.YMM()
					p.VBROADCASTSS(at(sums, 0), eighth)
					p.VFMADD231PS(f.m(p.routine, &p.s[k]), eighth, p.acc[k][0])
				}
			}
			p.ADDQ(operand.I32(128), x)
			p.ADDQ(operand.I32(4), sums)
		})
		for k := range p.s {
			p.VADDPS(p.acc[k][1], p.acc[k][0], p.acc[k][0])
			p.store(k, 1, p.sum1(p.acc[k][0]))
		}
	})
	p.end()
}

// mulBlocks4 emits the product with four activation rows, for which the weights
// are widened whole: d·(q − zero) + m, times 2^shift.
func mulBlocks4(ctx *build.Context, c *constants, f *blocks) {
	p := beginProduct(ctx, f.name, f.affine, 4)
	if f.biased {
		p.s[0].table, p.s[1].table = ctx.AllocLocal(4*lanes), ctx.AllocLocal(4*lanes)
	}
	p.loop(p.rows, func() {
		p.clear(4)
		x := p.get(mulX)
		f.eachBlock(p, func() {
			var d [2]reg.VecVirtual
			for k := range d {
				if f.biased {
					p.VMOVUPS(f.m(p.routine, &p.s[k]), p.s[k].table)
				}
				d[k] = f.d(p.routine, &p.s[k])
			}
			for i := range 4 {
				var w [2]reg.VecVirtual
				for k := range w {
					w[k] = f.part(p.routine, c.masks(), f.load(p.routine, &p.s[k]), i)
					if f.zero != 0 {
						p.VPSUBD(c.vector(func(lane int) uint32 { return uint32(f.zero) << f.shift(i, lane) }), w[k], w[k])
					}
					p.VCVTDQ2PS(w[k], w[k])
					if !f.biased {
						p.VMULPS(d[k], w[k], w[k])
						continue
					}
					m := p.YMM()
					p.VMOVUPS(c.vector(func(lane int) uint32 { return math.Float32bits(float32(uint32(1) << f.shift(i, lane))) }), m)
					p.VMULPS(p.s[k].table, m, m)
					p.VFMADD213PS(m, d[k], w[k])
				}
				p.multiply4(at(x, 32*i), w)
			}
			p.ADDQ(operand.I32(128), x)
		})
		for k := range p.s {
			p.store(k, 4, p.sum4(p.acc[k]))
		}
	})
	p.end()
}

// unrolled is how many columns of a floating-point format one iteration takes.
const unrolled = 32

// eachBlock emits loops over the blocks of a row of cols columns: body for the
// block n blocks after the streams' position, and move after each iteration,
// with the number of columns that it took.
func (f *format) eachBlock(r *routine, c *constants, s []stream, cols, group operand.Mem, body func(n int), move func(cols int)) {
	iteration := func(blocks int) {
		for n := range blocks {
			for k := range s {
				if f.prepare != nil {
					f.prepare(r, c, &s[k])
				}
			}
			body(n)
			for k := range s {
				r.ADDQ(operand.I32(f.bytes), s[k].w)
			}
		}
		move(blocks * f.cols)
	}
	n := r.GP64()
	r.MOVQ(cols, n)
	switch {
	case f.cols < unrolled:
		unroll := unrolled / f.cols
		rest := r.GP64()
		r.MOVQ(n, rest)
		r.SHRQ(operand.U8(bits.TrailingZeros(unrolled)), n)
		r.loop(n, func() { iteration(unroll) })
		r.SHRQ(operand.U8(bits.TrailingZeros(uint(f.cols))), rest)
		r.ANDQ(operand.I32(unroll-1), rest)
		r.loop(rest, func() { iteration(1) })
	case f.affine: // cols is the number of groups, group the blocks in one
		r.loop(n, func() {
			blocks := r.GP64()
			r.MOVQ(group, blocks)
			r.loop(blocks, func() { iteration(1) })
			for k := range s {
				r.ADDQ(operand.I32(4), s[k].scale)
				r.ADDQ(operand.I32(4), s[k].bias)
			}
		})
	default:
		r.loop(n, func() { iteration(1) }) // cols is the number of blocks
	}
}

// widen emits the conversion of consecutive columns to float32.
func widen(ctx *build.Context, c *constants, f *format) {
	r := begin(ctx, fmt.Sprintf("widen%sAVX2", f.name), fmt.Sprintf("widen%sAVX2 converts %s weights to float32.", f.name, f.name))
	s := make([]stream, 1)
	s[0].w = r.get(widenSrc)
	if f.affine {
		s[0].scale, s[0].bias = r.get(widenScale), r.get(widenBias)
	}
	if f.tableSize > 0 {
		s[0].table = ctx.AllocLocal(f.tableSize)
	}
	dst := r.get(widenDst)
	f.eachBlock(r, c, s, r.field(widenCols), r.field(widenGroup), func(n int) {
		for i := range f.steps {
			cols := f.step(r, c, &s[0], i)
			if f.paired {
				r.interleave(cols[0].v, cols[1].v)
			}
			for _, col := range cols {
				r.VMOVUPS(col.v, at(dst, 4*(n*f.cols+col.first)))
			}
		}
	}, func(cols int) { r.ADDQ(operand.I32(4*cols), dst) })
	r.end()
}

// interleave turns even = a0 a2 … a14 and odd = a1 a3 … a15 into a0 … a7, a8 … a15.
func (r *routine) interleave(even, odd reg.VecVirtual) {
	lo, hi := r.YMM(), r.YMM()
	r.VUNPCKLPS(odd, even, lo)
	r.VUNPCKHPS(odd, even, hi)
	r.VPERM2F128(operand.U8(0x20), hi, lo, even)
	r.VPERM2F128(operand.U8(0x31), hi, lo, odd)
}
