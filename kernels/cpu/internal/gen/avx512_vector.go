package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// softmaxWide emits what softmax does.
func softmaxWide(ctx *build.Context, c *constants) {
	r := begin(ctx, "softmaxAVX512", "softmaxAVX512 exponentiates and adds.")
	r.pad(c)
	eight, bits := r.K(), r.GP32()
	r.MOVL(operand.U32(0xff), bits)
	r.KMOVW(bits, eight)
	x, tops := r.get(vecDst), [4]reg.VecVirtual{r.ZMM(), r.ZMM(), r.ZMM(), r.ZMM()}
	for _, top := range tops {
		r.VBROADCASTSS(r.field(vecScalar), top)
	}
	r.wideColumns(x, func(vectors int, half bool) {
		if half {
			r.VMAXPS(at(x, 0), tops[0], eight, tops[0])
			return
		}
		for i := range vectors {
			r.VMAXPS(at(x, 64*i), tops[i], tops[i])
		}
	})
	r.VMAXPS(tops[1], tops[0], tops[0])
	r.VMAXPS(tops[3], tops[2], tops[2])
	r.VMAXPS(tops[2], tops[0], tops[0])
	for _, swap := range []operand.U8{0x4e, 0xb1} { // quarters
		other := r.ZMM()
		r.VSHUFF32X4(swap, tops[0], tops[0], other)
		r.VMAXPS(other, tops[0], tops[0])
	}
	for _, swap := range []operand.U8{0x4e, 0xb1} { // halves of them, then neighbours
		other := r.ZMM()
		r.VPERMILPS(swap, tops[0], other)
		r.VMAXPS(other, tops[0], tops[0])
	}
	r.VMOVSS(tops[0].AsX(), r.field(vecScalar))

	acc, e := r.zeroWide(), newWideExp(r, c)
	x = r.get(vecDst)
	r.wideColumns(x, func(vectors int, half bool) {
		var v []reg.VecVirtual
		for i := range vectors {
			v = append(v, r.ZMM())
			if half {
				r.VMOVUPS_Z(at(x, 0), eight, v[i])
			} else {
				r.VMOVUPS(at(x, 64*i), v[i])
			}
			r.VSUBPS(tops[0], v[i], v[i])
		}
		count := e.exps(v)
		for i := range vectors {
			if half {
				r.KANDW(eight, count[i], count[i])
			}
			r.VMOVAPS_Z(v[i], count[i], v[i])
			if half {
				r.VMOVUPS(v[i].AsY(), at(x, 0))
			} else {
				r.VMOVUPS(v[i], at(x, 64*i))
			}
			r.VADDPS(v[i], acc, acc)
		}
	})
	r.VMOVSS(r.wideSum(acc), r.field(vecSum))
	r.end()
}

// wideColumns emits loops over the elements from x on, which it moves: 64 and 16 at a
// time, and the eight that may be left.
func (r *routine) wideColumns(x reg.GPVirtual, body func(vectors int, half bool)) {
	n := r.get(vecN)
	r.SHRQ(operand.U8(6), n)
	r.loop(n, func() { body(4, false); r.ADDQ(operand.I32(4*64), x) })
	n = r.get(vecN)
	r.SHRQ(operand.U8(4), n)
	r.ANDQ(operand.I32(3), n)
	r.loop(n, func() { body(1, false); r.ADDQ(operand.I32(64), x) })
	n = r.get(vecN)
	done := r.label("whole")
	r.ANDQ(operand.I32(8), n)
	r.JZ(operand.LabelRef(done))
	body(1, true)
	r.Label(done)
}

// wideExp is exps for vectors of 16 elements, with its constants in registers.
type wideExp struct {
	*routine
	low, large, least reg.VecVirtual
	poly              []reg.VecVirtual
}

func newWideExp(r *routine, c *constants) *wideExp {
	constant := func(v float32) reg.VecVirtual {
		z := r.ZMM()
		r.VBROADCASTSS(c.float(v), z)
		return z
	}
	e := &wideExp{routine: r, low: constant(leastExp), large: constant(large), least: constant(large + leastExp)}
	for _, k := range exp2Polynomial {
		e.poly = append(e.poly, constant(k))
	}
	return e
}

// exps leaves 2^x in x, and returns which of them count; the others are zero.
func (e *wideExp) exps(x []reg.VecVirtual) (count []reg.OpmaskVirtual) {
	n, p := make([]reg.VecVirtual, len(x)), make([]reg.VecVirtual, len(x))
	each := func(step func(i int)) {
		for i := range x {
			step(i)
		}
	}
	each(func(i int) {
		n[i], p[i] = e.ZMM(), e.ZMM()
		count = append(count, e.K())
		e.VMAXPS(x[i], e.low, x[i]) // the operand order keeps a NaN of x
	})
	each(func(i int) { e.VADDPS(e.large, x[i], n[i]) })
	each(func(i int) { e.VSUBPS(e.large, n[i], p[i]) })
	each(func(i int) { e.VSUBPS(p[i], x[i], x[i]) })
	each(func(i int) { e.VMOVAPS(e.poly[0], p[i]) })
	for _, k := range e.poly[1:] {
		each(func(i int) { e.VFMADD213PS(k, x[i], p[i]) })
	}
	each(func(i int) {
		e.VCMPPS(operand.U8(6), e.least, n[i], count[i]) // not less than, or equal to
		e.VPSLLD(operand.U8(23), n[i], n[i])
		e.VMULPS(n[i], p[i], x[i])
	})
	return count
}
