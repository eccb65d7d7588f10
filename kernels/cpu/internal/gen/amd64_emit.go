package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// lanes is the number of float32 in a YMM register.
const lanes = 8

// routine is one function being emitted.
type routine struct {
	*build.Context
	args   reg.GPVirtual // the struct its only parameter points to
	labels int
}

func begin(ctx *build.Context, name, doc string) *routine {
	stubs.add("amd64", name)
	ctx.Function(name)
	ctx.Attributes(attr.NOSPLIT)
	ctx.Doc(doc)
	ctx.SignatureExpr("func(a *uint64)")
	r := &routine{Context: ctx}
	r.args = ctx.Load(ctx.Param("a"), ctx.GP64()).(reg.GPVirtual)
	return r
}

func (r *routine) end() {
	r.VZEROUPPER()
	r.RET()
}

// field is the 64-bit field of the arguments at offset off.
func (r *routine) field(off int) operand.Mem { return operand.Mem{Base: r.args, Disp: off} }

// get loads a field.
func (r *routine) get(off int) reg.GPVirtual {
	g := r.GP64()
	r.MOVQ(r.field(off), g)
	return g
}

func (r *routine) label(what string) string {
	r.labels++
	return fmt.Sprintf("%s%d", what, r.labels)
}

// loop emits body until counter, which body need not touch, has gone down to
// zero in steps of one. If counter is zero, body does not run.
func (r *routine) loop(counter reg.GPVirtual, body func()) {
	top, done := r.label("loop"), r.label("done")
	r.TESTQ(counter, counter)
	r.JZ(operand.LabelRef(done))
	r.Label(top)
	body()
	r.DECQ(counter)
	r.JNZ(operand.LabelRef(top))
	r.Label(done)
}

func (r *routine) zero() reg.VecVirtual {
	v := r.YMM()
	r.VXORPS(v, v, v)
	return v
}

func at(base reg.Register, disp int) operand.Mem { return operand.Mem{Base: base, Disp: disp} }

// constants emits each vector once, as a memory operand.
type constants struct {
	ctx   *build.Context
	known map[string]operand.Mem
}

func newConstants(ctx *build.Context) *constants {
	return &constants{ctx, map[string]operand.Mem{}}
}

// vector is a constant of eight lanes, wide one of sixteen.
func (c *constants) vector(lane func(int) uint32) operand.Mem { return c.lanes(lanes, lane) }
func (c *constants) wide(lane func(int) uint32) operand.Mem   { return c.lanes(2*lanes, lane) }

func (c *constants) lanes(n int, lane func(int) uint32) operand.Mem {
	name := "lanes"
	if n != lanes {
		name = "wide"
	}
	for i := range n {
		if i == 0 || lane(i) != lane(i-1) {
			name += fmt.Sprintf("_%08x", lane(i))
		}
	}
	// Runs of equal lanes have different lengths in different vectors.
	key := name
	for i := range n {
		key += fmt.Sprint(" ", lane(i))
	}
	if m, ok := c.known[key]; ok {
		return m
	}
	m := c.ctx.StaticGlobal(name)
	c.ctx.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range n {
		c.ctx.AddDatum(4*i, operand.U32(lane(i)))
	}
	c.known[key] = m
	return m
}

func (c *constants) bits(v uint32) operand.Mem {
	return c.vector(func(int) uint32 { return v })
}

func (c *constants) float(v float32) operand.Mem { return c.bits(math.Float32bits(v)) }

// sums adds the lanes of each of one, two or four vectors, into as many first lanes
// of the result. It adds in the same order however many there are.
func (r *routine) sums(v []reg.VecVirtual) reg.VecVirtual {
	a, b, high := r.YMM(), r.YMM(), r.XMM()
	r.VHADDPS(v[min(1, len(v)-1)], v[0], a)
	if len(v) == 4 {
		r.VHADDPS(v[3], v[2], b)
	} else {
		b = a
	}
	r.VHADDPS(b, a, a)
	r.VEXTRACTF128(operand.U8(1), a, high)
	r.VADDPS(high, a.AsX(), high)
	return high
}

// sum1 adds the lanes of v into the first lane of the result.
func (r *routine) sum1(v reg.VecVirtual) reg.VecVirtual { return r.sums([]reg.VecVirtual{v}) }

// unitOf emits package cpu's function of that name: from the bits of the largest
// number the unit, and one over it or zero. bits is spent.
func (r *routine) unitOf(bits reg.GPVirtual) (unit, inverse reg.GPVirtual) {
	unit, inverse = r.GP32(), r.GP32()
	odd, least, done := r.label("odd"), r.label("least"), r.label("unit")
	r.MOVL(operand.U32(1<<23), unit)
	r.CMPL(bits, operand.U32(math.Float32bits(float32(math.Inf(1)))))
	r.JAE(operand.LabelRef(odd))
	r.ADDL(operand.U32(0x10101), bits)
	r.ANDL(operand.U32(0xff<<23), bits)
	r.SUBL(operand.U32(22<<23), bits)
	r.JLE(operand.LabelRef(least))
	r.MOVL(bits, unit)
	r.Label(least)
	r.MOVL(operand.U32(254<<23), inverse)
	r.SUBL(unit, inverse)
	r.JMP(operand.LabelRef(done))
	r.Label(odd) // infinite or not a number: so are the results
	r.MOVL(operand.U32(math.Float32bits(float32(math.NaN()))), unit)
	r.XORL(inverse, inverse)
	r.Label(done)
	return unit, inverse
}
