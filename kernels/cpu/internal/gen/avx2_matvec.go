package main

import (
	"fmt"
	"math/bits"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func avx2Matvec(ctx *build.Context, c *constants) {
	for i := range formats {
		widen(ctx, c, &formats[i])
	}
	for _, xs := range []int{1, 2, 4} {
		for _, f := range formats {
			switch f.name {
			case "F32", "F16":
				matvecColumns(ctx, c, &f, xs)
			}
		}
		matvecColumns(ctx, c, &bf16Pairs, xs)
		for i := range blockFormats {
			matvecBlocks(ctx, c, &blockFormats[i], xs)
		}
		for i := range byteBlocks {
			matvecBytes(ctx, c, &byteBlocks[i], xs)
		}
		for i := range superBlocks {
			matvecIntegers(ctx, c, &superBlocks[i], xs)
		}
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

// product is what the multiplications of all formats begin with. What is added to
// an output, and in which order, must not depend on the number of activation rows:
// a row's results are the same in whatever company (kernels.ExactRows).
type product struct {
	*routine
	xs      int // activation rows: 1, 2 or 4
	s       []stream
	strides [4]operand.Mem // from the first activation row to each: index and scale
	ahead   reg.GPVirtual
}

func beginProduct(ctx *build.Context, name string, affine bool, xs, streams int) *product {
	r := begin(ctx, fmt.Sprintf("matvec%dx%sAVX2", xs, name),
		fmt.Sprintf("matvec%dx%sAVX2 multiplies %d streams of %s rows with %d activation rows.", xs, name, streams, name, xs))
	p := &product{routine: r, xs: xs, s: make([]stream, streams)}
	for k := range p.s {
		p.s[k].w = r.get([]int{matvecW0, matvecW1}[k%2])
		if k > 1 {
			r.ADDQ(r.field(matvecPair), p.s[k].w)
		}
		if affine {
			p.s[k].scale, p.s[k].bias = r.get([]int{affineScale0, affineScale1}[k]), r.get([]int{affineBias0, affineBias1}[k])
		}
	}
	p.ahead = r.get(matvecAhead)
	if xs > 1 {
		one := r.get(matvecXStride)
		p.strides[1], p.strides[2] = operand.Mem{Index: one, Scale: 1}, operand.Mem{Index: one, Scale: 2}
		if xs == 4 {
			three := r.GP64()
			r.LEAQ(operand.Mem{Base: one, Index: one, Scale: 2}, three)
			p.strides[3] = operand.Mem{Index: three, Scale: 1}
		}
	}
	return p
}

// x is the address disp bytes from base, which is in the first activation row, in
// another one.
func (p *product) x(base reg.Register, disp, row int) operand.Mem {
	m := p.strides[row]
	m.Base, m.Disp = base, disp
	return m
}

// zeros are n sums for each stream.
func (p *product) zeros(n int) [][]reg.VecVirtual {
	acc := make([][]reg.VecVirtual, len(p.s))
	for k := range acc {
		for range n {
			acc[k] = append(acc[k], p.zero())
		}
	}
	return acc
}

// loopRows emits body for each of count rows of all streams.
func (p *product) loopRows(body func()) {
	top := p.label("row")
	p.Comment("Each row of the streams.")
	p.Label(top)
	body()
	p.Comment("Next row.")
	p.ADDQ(operand.I32(4), p.field(matvecDone))
	p.DECQ(p.field(matvecCount))
	p.JNZ(operand.LabelRef(top))
}

// prefetch emits prefetches of the lines of the next n bytes of each stream, ahead of them.
func (p *product) prefetch(n int) {
	p.Comment("Ask for what comes later.")
	for line := 0; line < n; line += 64 {
		for k := range p.s {
			p.PREFETCHT0(operand.Mem{Base: p.s[k].w, Index: p.ahead, Scale: 1, Disp: line})
		}
	}
}

// store adds the lanes of each of acc, one vector for each activation row, and writes
// the sums for stream k.
func (p *product) store(k int, acc []reg.VecVirtual) {
	p.Comment("Add the lanes and store.")
	sums := p.sums(acc)
	y := p.get([...]int{matvecY0, matvecY1}[k%2])
	p.ADDQ(p.field(matvecDone), y)
	if k > 1 {
		p.ADDQ(p.field(matvecYPair), y)
	}
	p.VMOVSS(sums, at(y, 0))
	for row := 1; row < p.xs; row++ {
		p.ADDQ(p.field(matvecYStride), y)
		p.VEXTRACTPS(operand.U8(row), sums, at(y, 0))
	}
}

// streams is how many rows of weights a product reads side by side. A multiplication
// waits four cycles for the one before it in its chain, and a core begins two in a
// cycle: eight chains keep it busy, one for each output.
func streams(xs int) int {
	if xs == 4 {
		return 2
	}
	return 4
}

// matvecColumns emits the product for a floating-point format.
func matvecColumns(ctx *build.Context, c *constants, f *format, xs int) {
	p := beginProduct(ctx, f.name, false, xs, streams(xs))
	p.loopRows(func() {
		acc := p.zeros(xs)
		x := p.get(matvecX)
		f.eachBlock(p.routine, c, p.s, p.field(matvecSteps), operand.Mem{}, func(n int) {
			if n*f.bytes%64 == 0 {
				p.prefetch(f.bytes)
			}
			for i := range f.steps {
				p.Comment(fmt.Sprintf("Step %d of the block: widen and multiply.", i))
				var cols [][]column // of each stream
				for k := range p.s {
					cols = append(cols, f.step(p.routine, c, &p.s[k], i))
				}
				for j := range cols[0] {
					for row := range xs {
						v := p.YMM()
						p.VMOVUPS(p.x(x, 4*(n*f.cols+cols[0][j].first), row), v)
						for k := range p.s {
							p.VFMADD231PS(v, cols[k][j].v, acc[k][row])
						}
					}
				}
			}
		}, func(cols int) { p.ADDQ(operand.I32(4*cols), x) })
		for k := range p.s {
			p.ADDQ(p.field(matvecSkip), p.s[k].w)
			p.store(k, acc[k])
		}
	})
	p.end()
}

// eachBlock emits the loop over the blocks of a row: groups of them for affine
// formats, which are as many as cols says.
func (f *blocks) eachBlock(p *product, c *constants, body func()) {
	block := func() {
		p.prefetch(f.bytes)
		for k := range p.s {
			if f.groups > 0 {
				f.prepare(p.routine, c, &p.s[k])
			}
		}
		for g := range max(1, f.groups) {
			for k := range p.s {
				p.s[k].group = g
			}
			body()
		}
		for k := range p.s {
			p.ADDQ(operand.I32(f.bytes), p.s[k].w)
		}
	}
	n := p.get(matvecSteps)
	if !f.affine {
		p.loop(n, block)
		return
	}
	p.loop(n, func() {
		p.loop(p.get(affineBlocks), block)
		for k := range p.s {
			p.ADDQ(operand.I32(4), p.s[k].scale)
			p.ADDQ(operand.I32(4), p.s[k].bias)
		}
	})
}

// matvecBlocks emits the product for a format whose weights are converted in place:
// Σ_block d·Σ q·x, and m·Σ x, which is m times the given eighth of Σ x in each lane.
//
// The weights of a block are multiplied in two short chains: a core sees less than
// two blocks ahead, and would wait for one long chain.
func matvecBlocks(ctx *build.Context, c *constants, f *blocks, xs int) {
	p := beginProduct(ctx, f.name, f.affine, xs, 2)
	for k := range p.s {
		if f.groups > 0 {
			p.s[k].table = ctx.AllocLocal(4 * f.groups)
		}
	}
	mask := c.masks()
	if xs == 1 {
		mask = p.keep(c, f)
	}
	p.loopRows(func() {
		acc := p.zeros(xs)
		x, sums := p.get(matvecX), p.get(matvecSums)
		// multiply adds q of part i, times the activations v, to a block's chains.
		multiply := func(g []reg.VecVirtual, i int, q reg.VecVirtual, v operand.Op) {
			if i < 2 {
				p.VMULPS(v, q, g[i])
			} else {
				p.VFMADD231PS(v, q, g[i%2])
			}
		}
		// add adds a block's chains, scaled, to the sum of a row.
		add := func(acc reg.VecVirtual, g []reg.VecVirtual, d, m reg.VecVirtual, row int) {
			p.Comment(fmt.Sprintf("The block's sum, scaled, for activation row %d.", row))
			p.VADDPS(g[1], g[0], g[0])
			p.VFMADD231PS(d, g[0], acc)
			if f.biased {
				eighth := p.YMM()
				p.VBROADCASTSS(p.x(sums, 0, row), eighth)
				p.VFMADD231PS(m, eighth, acc)
			}
		}
		scales := func(s *stream) (d, m reg.VecVirtual) {
			d = f.d(p.routine, s)
			if f.biased {
				m = f.m(p.routine, s)
			}
			return d, m
		}
		f.eachBlock(p, c, func() {
			if xs == 1 { // both streams share what is loaded of x
				v := [2]reg.VecVirtual{f.load(p.routine, c, &p.s[0]), f.load(p.routine, c, &p.s[1])}
				g := [2][]reg.VecVirtual{{p.YMM(), p.YMM()}, {p.YMM(), p.YMM()}}
				for i := range 4 {
					p.Comment(fmt.Sprintf("Part %d of 32 weights.", i))
					xv := p.YMM()
					p.VMOVUPS(at(x, 32*i), xv)
					for k := range v {
						q := f.part(p.routine, mask, v[k], i)
						p.VCVTDQ2PS(q, q)
						multiply(g[k], i, q, xv)
					}
				}
				for k := range v {
					d, m := scales(&p.s[k])
					add(acc[k][0], g[k], d, m, 0)
				}
			} else { // all rows share what is converted of a stream
				for k := range p.s {
					p.Comment(fmt.Sprintf("32 weights of stream %d.", k))
					v := f.load(p.routine, c, &p.s[k])
					var q [4]reg.VecVirtual
					for i := range q {
						q[i] = f.part(p.routine, mask, v, i)
						p.VCVTDQ2PS(q[i], q[i])
					}
					d, m := scales(&p.s[k])
					for row := range xs {
						g := []reg.VecVirtual{p.YMM(), p.YMM()}
						for i := range q {
							multiply(g, i, q[i], p.x(x, 32*i, row))
						}
						add(acc[k][row], g, d, m, row)
					}
				}
			}
			p.ADDQ(operand.I32(128), x)
			p.ADDQ(operand.I32(4), sums)
		})
		for k := range p.s {
			p.store(k, acc[k])
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
	f.eachBlock(r, c, s, r.field(widenSteps), r.field(widenBlocks), func(n int) {
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
