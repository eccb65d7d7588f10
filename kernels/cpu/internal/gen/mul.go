package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// ahead is how far in front of the bytes being widened they are prefetched:
// some 100 ns of one core's share of the memory bandwidth.
const ahead = 768

func mulRoutines(ctx *build.Context) {
	c := newConstants(ctx)
	for i := range formats {
		f := &formats[i]
		mul(ctx, c, f, 1)
		mul(ctx, c, f, 4)
		widen(ctx, c, f)
	}
}

// mul emits the product of rows of weights with 1 or 4 activations. Two rows
// are read at a time, from two places in memory.
func mul(ctx *build.Context, c *constants, f *format, xs int) {
	r := begin(ctx, fmt.Sprintf("mul%dx%sAVX2", xs, f.name),
		fmt.Sprintf("mul%dx%sAVX2 multiplies two runs of %s rows with %d activation rows.", xs, f.name, f.name, xs))
	var s [2]stream
	s[0].w, s[1].w = r.get(mulW0), r.get(mulW1)
	if f.affine {
		s[0].scale, s[1].scale = r.get(mulScale0), r.get(mulScale1)
		s[0].bias, s[1].bias = r.get(mulBias0), r.get(mulBias1)
	}
	if f.tableSize > 0 {
		s[0].table, s[1].table = ctx.AllocLocal(f.tableSize), ctx.AllocLocal(f.tableSize)
	}
	rows := r.get(mulCount)
	var stride, stride3 reg.GPVirtual
	if xs == 4 {
		stride = r.get(mulXStride)
		stride3 = r.GP64()
		r.LEAQ(operand.Mem{Base: stride, Index: stride, Scale: 2}, stride3)
	}
	r.loop(rows, func() {
		// acc[k] are the sums of stream k: one for each activation row, or four
		// for the only one.
		var acc [2][4]reg.VecVirtual
		for k := range acc {
			for i := range acc[k] {
				acc[k][i] = r.zero()
			}
		}
		x := r.get(mulX)
		next := 0
		multiply := func(base int, cols [2][]column) {
			for i := range cols[0] {
				m := at(x, 4*(base+cols[0][i].first))
				if xs == 1 {
					v := r.YMM()
					r.VMOVUPS(m, v)
					for k := range cols {
						r.VFMADD231PS(cols[k][i].v, v, acc[k][next%4])
					}
					next++
					continue
				}
				for row := range 4 {
					mr := m
					if row > 0 {
						mr.Index, mr.Scale = stride, uint8(row)
					}
					if row == 3 {
						mr.Index, mr.Scale = stride3, 1
					}
					v := r.YMM()
					r.VMOVUPS(mr, v)
					for k := range cols {
						r.VFMADD231PS(cols[k][i].v, v, acc[k][row])
					}
				}
			}
		}
		f.eachBlock(r, c, s[:], r.field(mulCols), r.field(mulGroup), func(n int) {
			for i := range f.steps {
				var cols [2][]column
				for k := range s {
					cols[k] = f.step(r, c, &s[k], i)
				}
				multiply(n*f.cols, cols)
			}
		}, func(cols int) { r.ADDQ(operand.I32(4*cols), x) })
		if f.cols == lanes {
			for k := range s {
				r.ADDQ(r.field(mulSkip), s[k].w)
			}
		}
		for k, off := range []int{mulY0, mulY1} {
			y := r.get(off)
			sum := r.sum4(acc[k])
			if xs == 1 {
				r.VHADDPS(sum, sum, sum)
				r.VHADDPS(sum, sum, sum)
				r.VMOVSS(sum, at(y, 0))
			} else {
				next := r.get(off)
				for row := range 4 {
					if row == 0 {
						r.VMOVSS(sum, at(next, 0))
					} else {
						r.ADDQ(r.field(mulYStride), next)
						r.VEXTRACTPS(operand.U8(row), sum, at(next, 0))
					}
				}
			}
			r.ADDQ(operand.I32(4), y)
			r.MOVQ(y, r.field(off))
		}
	})
	r.end()
}

// unroll is how many 8-column blocks of a float format one iteration takes.
const unroll = 4

// eachBlock emits loops over the blocks of a row of cols columns: body for the
// block n blocks after the streams' position, and move after each iteration,
// with the number of columns that it took.
func (f *format) eachBlock(r *routine, c *constants, s []stream, cols, group operand.Mem, body func(n int), move func(cols int)) {
	iteration := func(blocks int) {
		if blocks > 1 || f.cols > lanes {
			for line := 0; line < blocks*f.bytes; line += 64 {
				for k := range s {
					r.PREFETCHT0(at(s[k].w, ahead+line))
				}
			}
		}
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
	case f.cols == lanes:
		rest := r.GP64()
		r.MOVQ(n, rest)
		r.SHRQ(operand.U8(5), n)
		r.loop(n, func() { iteration(unroll) })
		r.SHRQ(operand.U8(3), rest)
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
