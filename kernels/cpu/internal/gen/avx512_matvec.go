package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// AVX-512: vectors of 16 float32, and 32 of them. Products with several activation
// rows add in the order of those with one (see product).

// wideAhead is how far in front of its position a run is prefetched, bytes.
const wideAhead = 2048

// row is one row of weights among those that a wide product reads together.
type row struct{ w operand.Mem } // next byte

func (w row) at(disp int) operand.Mem { return w.w.Offset(disp) }

// wide is what the AVX-512 products of all formats begin with.
type wide struct {
	*routine
	xs     int
	runs   []reg.GPVirtual // position in the weights
	rows   []row           // one of each run, or two: of its halves
	ahead  bool            // prefetch
	acc    [4][]reg.VecVirtual
	stride [4]operand.Mem // of activation rows, added to an address: index and scale
	eight  reg.Register   // the mask of the lower half of a vector
}

func beginWide(ctx *build.Context, name string, xs, runs int) *wide {
	full := fmt.Sprintf("matvec%dx%s", xs, name)
	if xs == 1 && runs == 1 {
		full += "Run"
	}
	r := begin(ctx, full+"AVX512", fmt.Sprintf("%sAVX512 multiplies %d runs of %s rows with %d activation rows.", full, runs, name, xs))
	p := &wide{routine: r, xs: xs, ahead: xs > 1 || runs > 1}
	for _, off := range []int{matvecW0, matvecW1}[:min(runs, 2)] {
		p.runs = append(p.runs, r.get(off))
	}
	var pair reg.GPVirtual
	if runs == 4 {
		pair = r.get(matvecPair)
	}
	if xs > 1 {
		one := r.get(matvecXStride)
		p.stride = [4]operand.Mem{{}, {Index: one, Scale: 1}, {Index: one, Scale: 2}}
		if xs == 4 {
			three := r.GP64()
			r.LEAQ(operand.Mem{Base: one, Index: one, Scale: 2}, three)
			p.stride[3] = operand.Mem{Index: three, Scale: 1}
		}
	}
	for _, w := range p.runs {
		p.rows = append(p.rows, row{w: at(w, 0)})
		if runs == 4 {
			p.rows = append(p.rows, row{w: operand.Mem{Base: w, Index: pair, Scale: 1}})
		}
	}
	return p
}

// x is the address disp bytes from base in activation row i.
func (p *wide) x(base reg.Register, disp, i int) operand.Mem {
	m := p.stride[i]
	m.Base, m.Disp = base, disp
	return m
}

// clear zeroes n sums of each row of weights.
func (p *wide) clear(n int) {
	for k := range p.rows {
		p.acc[k] = p.acc[k][:0]
		for range n {
			p.acc[k] = append(p.acc[k], p.zeroWide())
		}
	}
}

func (r *routine) zeroWide() reg.VecVirtual {
	v := r.ZMM()
	r.VXORPS(v, v, v)
	return v
}

// prefetch emits prefetches of the lines of n bytes of each row, ahead of their positions.
func (p *wide) prefetch(n int) {
	if !p.ahead {
		return
	}
	p.Comment("Ask for what comes later.")
	for line := 0; line < n; line += 64 {
		for _, w := range p.rows {
			p.PREFETCHT0(w.at(wideAhead + line))
		}
	}
}

// advance moves the positions of all rows on.
func (p *wide) advance(by operand.Op) {
	for _, w := range p.runs {
		p.ADDQ(by, w)
	}
}

// loopRows emits body for each of count rows of all runs.
func (p *wide) loopRows(body func()) {
	top := p.label("row")
	p.Comment("Each row of the streams.")
	p.Label(top)
	body()
	p.ADDQ(operand.I32(4), p.field(matvecDone))
	p.DECQ(p.field(matvecCount))
	p.JNZ(operand.LabelRef(top))
}

// store writes the sums of all rows. A row has one sum for each
// activation row, or four.
func (p *wide) store() {
	p.Comment("Add the lanes and store.")
	for k, acc := range p.acc[:len(p.rows)] {
		for n := len(acc) / 2; n >= p.xs; n /= 2 {
			for i := range n {
				p.VADDPS(acc[n+i], acc[i], acc[i])
			}
			acc = acc[:n]
		}
		y := p.get([...]int{matvecY0, matvecY1}[k*len(p.runs)/len(p.rows)])
		p.ADDQ(p.field(matvecDone), y)
		if k%2 == 1 && len(p.rows) == 4 {
			p.ADDQ(p.field(matvecYPair), y)
		}
		var sums reg.VecVirtual
		if p.xs == 4 {
			sums = p.wideSum4(acc)
		}
		for i := range p.xs {
			if i > 0 {
				p.ADDQ(p.field(matvecYStride), y)
			}
			switch {
			case p.xs < 4:
				p.VMOVSS(p.wideSum(acc[i]), at(y, 0))
			case i == 0:
				p.VMOVSS(sums, at(y, 0))
			default:
				p.VEXTRACTPS(operand.U8(i), sums, at(y, 0))
			}
		}
	}
}

// wideSum4 adds the lanes of each of four vectors, in the order in which wideSum
// does, and returns the four sums.
func (r *routine) wideSum4(v []reg.VecVirtual) reg.VecVirtual {
	// halves adds what two shuffles take from a and b.
	halves := func(a, b reg.VecVirtual, first, second func(a, b, to reg.VecVirtual)) reg.VecVirtual {
		x, y := r.ZMM(), r.ZMM()
		first(a, b, x)
		second(a, b, y)
		r.VADDPS(y, x, x)
		return x
	}
	low := func(a, b, to reg.VecVirtual) { r.VUNPCKLPS(b, a, to) }
	high := func(a, b, to reg.VecVirtual) { r.VUNPCKHPS(b, a, to) }
	front := func(a, b, to reg.VecVirtual) { r.VSHUFPS(operand.U8(0x44), b, a, to) }
	back := func(a, b, to reg.VecVirtual) { r.VSHUFPS(operand.U8(0xee), b, a, to) }
	return r.lanesSum(halves(halves(v[0], v[1], low, high), halves(v[2], v[3], low, high), front, back))
}

// lanesSum adds the four 128-bit lanes of v.
func (r *routine) lanesSum(v reg.VecVirtual) reg.VecVirtual {
	y, x := r.YMM(), r.XMM()
	r.VEXTRACTF64X4(operand.U8(1), v, y)
	r.VADDPS(v.AsY(), y, y)
	r.VEXTRACTF32X4(operand.U8(1), y, x)
	r.VADDPS(y.AsX(), x, x)
	return x
}

// wideSum adds the lanes of v into the first lane of the result.
func (r *routine) wideSum(v reg.VecVirtual) reg.VecVirtual {
	for _, swap := range []operand.U8{0x4e, 0xb1} { // halves, then neighbours
		other, sum := r.ZMM(), r.ZMM()
		r.VPERMILPS(swap, v, other)
		r.VADDPS(other, v, sum)
		v = sum
	}
	return r.lanesSum(v)
}

// wideFormat is a floating-point format: columns are taken 32 at a time, as two
// vectors, from the activations' order (package cpu's layouts).
type wideFormat struct {
	name  string
	bytes int // of a column
	// widen returns 16 columns, those of step i, and half the lower 8 of the
	// next ones, with zeros above.
	widen func(p *wide, w row, i int) reg.VecVirtual
	half  func(p *wide, w row) reg.VecVirtual // nil: columns are multiples of 32
}

func wideFormats(high func() reg.VecVirtual) []wideFormat {
	return []wideFormat{
		{name: "F32", bytes: 4,
			widen: func(p *wide, w row, i int) reg.VecVirtual {
				v := p.ZMM()
				p.VMOVUPS(w.at(64*i), v)
				return v
			},
			half: func(p *wide, w row) reg.VecVirtual {
				v := p.ZMM()
				p.VMOVUPS_Z(w.at(0), p.eight, v)
				return v
			}},
		{name: "F16", bytes: 2,
			widen: func(p *wide, w row, i int) reg.VecVirtual {
				v := p.ZMM()
				p.VCVTPH2PS(w.at(32*i), v)
				return v
			},
			half: func(p *wide, w row) reg.VecVirtual {
				v := p.ZMM()
				p.VCVTPH2PS_Z(w.at(0), p.eight, v)
				return v
			}},
		// The even columns of each 32 first: a shift or a mask, no shuffle.
		{name: "BF16", bytes: 2,
			widen: func(p *wide, w row, i int) reg.VecVirtual {
				v := p.ZMM()
				if i == 0 {
					p.VPSLLD(operand.U8(16), w.at(0), v)
				} else {
					p.VPANDD(w.at(0), high(), v)
				}
				return v
			}},
	}
}

func avx512(ctx *build.Context, c *constants) {
	for i := range 3 {
		matvecWide(ctx, c, i, 1, 1)
		matvecWide(ctx, c, i, 1, 2)
		matvecWide(ctx, c, i, 2, 2)
		matvecWide(ctx, c, i, 4, 2)
	}
	digitRoutines(ctx, c)
	tileRoutines(ctx, c)
	for rows := 1; rows <= tileAVX512.rows; rows++ {
		gemm(ctx, tileAVX512, rows)
	}
	softmaxWide(ctx, c)
}

// matvecWide emits the product for a floating-point format. The variant
// that reads one stream, without prefetching, is for processors that prefetch such
// a stream themselves.
func matvecWide(ctx *build.Context, c *constants, format, xs, runs int) {
	var high reg.VecVirtual
	f := wideFormats(func() reg.VecVirtual { return high })[format]
	p := beginWide(ctx, f.name, xs, runs)
	if f.name == "BF16" {
		high = p.ZMM()
		p.VPBROADCASTD(c.bits(0xffff0000), high)
	}
	if f.half != nil {
		bits := p.GP32()
		p.MOVL(operand.U32(0xff), bits)
		p.eight = p.K()
		p.KMOVW(bits, p.eight)
	}
	p.loopRows(func() {
		// Of sums for each output, which products are added to in turn: two, and two
		// streams, keep a core busy with two rows and more.
		const chains = 2
		p.clear(chains * xs)
		x := p.get(matvecX)
		next := 0
		multiply := func(w []reg.VecVirtual, disp int, half bool) {
			for i := range xs {
				v := p.ZMM()
				if half {
					p.VMOVUPS_Z(p.x(x, disp, i), p.eight, v)
				} else {
					p.VMOVUPS(p.x(x, disp, i), v)
				}
				for k := range w {
					p.VFMADD231PS(w[k], v, p.acc[k][next%chains*xs+i])
				}
			}
			next++
		}
		// all widens a step of every row.
		all := func(widen func(row) reg.VecVirtual) (w []reg.VecVirtual) {
			for _, row := range p.rows {
				w = append(w, widen(row))
			}
			return w
		}
		columns := func(n int) { // of a step of 16
			for i := range n {
				p.Comment("16 columns.")
				multiply(all(func(r row) reg.VecVirtual { return f.widen(p, r, i) }), 64*i, false)
			}
			p.advance(operand.I32(16 * n * f.bytes))
			p.ADDQ(operand.I32(64*n), x)
		}
		n := p.get(matvecSteps)
		p.SHRQ(operand.U8(5), n)
		odd := p.GP64()
		p.MOVQ(n, odd)
		p.SHRQ(operand.U8(1), n)
		p.loop(n, func() {
			p.prefetch(64 * f.bytes)
			columns(2)
			columns(2)
		})
		p.ANDQ(operand.I32(1), odd)
		p.loop(odd, func() { columns(2) })
		if f.half != nil {
			for _, step := range []int{16, 8} {
				rest := p.get(matvecSteps)
				p.ANDQ(operand.I32(step), rest)
				skip := p.label("even")
				p.JZ(operand.LabelRef(skip))
				if step == 16 {
					columns(1)
				} else {
					multiply(all(func(r row) reg.VecVirtual { return f.half(p, r) }), 0, true)
					p.advance(operand.I32(8 * f.bytes))
				}
				p.Label(skip)
			}
		}
		p.advance(p.field(matvecSkip))
		p.store()
	})
	p.end()
}
