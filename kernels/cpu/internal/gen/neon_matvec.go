package main

import "fmt"

// neonRows are the numbers of activation rows that weights are multiplied with.
var neonRows = []int{1, 2, 4}

func neonMatvec(n *neon) {
	neonSpread(n)
	for i := range neonFloats {
		f := &neonFloats[i]
		for _, xs := range neonRows {
			f.mul(n, xs)
		}
		f.widen(n)
	}
	for i := range neonQuants {
		f := &neonQuants[i]
		if !(f.biased && f.step == 16) { // sums of activations are of 32
			for _, xs := range neonRows {
				f.mul(n, xs)
			}
		}
		f.widen(n)
	}
}

// neonProduct is what the multiplications of all formats have in common.
//
//	R1, R2    positions in the streams of weights; R10, R11 in two more
//	R3        rows left
//	R4 … R7   activation rows, and their stride in R15
//	R8, R9    counters of loops
//	R10 … R13 scales and biases of affine formats
//	R14       how far ahead of the positions is prefetched
//	R16, R17  results; R12, R13 of two more streams
//	R20 … R23 sums of the activation rows
//	R19, R25  scratch
//
// As in product, an output's sum does not depend on the number of activation rows.
type neonProduct struct {
	*neon
	xs, streams int
	chains      int // of sums for each output, which products are added to in turn
}

// acc is the vector of a chain of stream k and an activation row: V0 and up, or for
// a single chain V(4k) and up.
func (p *neonProduct) acc(k, chain, row int) int {
	if p.chains == 1 {
		return 4*k + row
	}
	return (k*p.chains+chain)*p.xs + row
}

func beginNEONProduct(n *neon, name, isa string, xs, streams, chains int) *neonProduct {
	n.text(fmt.Sprintf("matvec%dx%s%s", xs, name, isa), fmt.Sprintf("%d streams of %s rows with %d activation rows.", streams, name, xs))
	for _, f := range [][2]int{{matvecW0, 1}, {matvecW1, 2}, {matvecCount, 3}, {matvecAhead, 14}, {matvecXStride, 15}, {matvecY0, 16}, {matvecY1, 17}} {
		n.get(f[0], f[1])
	}
	p := &neonProduct{n, xs, streams, chains}
	if streams == 4 {
		n.get(matvecPair, 19)
		n.get(matvecYPair, 25)
		for k := range 2 {
			n.op("ADD R19, R%d, R%d", p.w(k), p.w(2+k))
			n.op("ADD R25, R%d, R%d", p.y(k), p.y(2+k))
		}
	}
	return p
}

// w and y are the registers of the position in stream k and of its results.
func (p *neonProduct) w(k int) int { return [...]int{1, 2, 10, 11}[k] }
func (p *neonProduct) y(k int) int { return [...]int{16, 17, 12, 13}[k] }

// rows emits body for each row of weights: with the activations at the start,
// and the results stored after it.
func (p *neonProduct) rows(body func()) {
	p.loop("row", 3, func() {
		p.walk(matvecX, 4, 15)
		for k := range p.streams {
			for chain := range p.chains {
				for row := range p.xs {
					p.clear(p.acc(k, chain, row))
				}
			}
		}
		body()
		p.comment("Add the lanes and store.")
		p.get(matvecYStride, 19)
		for k := range p.streams {
			for n := p.chains / 2; n > 0; n /= 2 {
				for chain := range n {
					for row := range p.xs {
						p.fadd(p.acc(k, chain, row), p.acc(k, chain, row), p.acc(k, n+chain, row))
					}
				}
			}
			p.store(p.acc(k, 0, 0), p.y(k))
		}
	})
	p.op("RET")
}

// walk sets R(r) … to one pointer for each activation row.
func (p *neonProduct) walk(field, r, stride int) {
	p.get(field, r)
	for row := 1; row < p.xs; row++ {
		p.op("ADD R%d, R%d, R%d", stride, r+row-1, r+row)
	}
}

// store adds the lanes of V(a) and the next, one for each activation row and for
// any number of them in the same order, and writes a row's results to R(y).
func (p *neonProduct) store(a, y int) {
	p.faddp(a, a, a+min(1, p.xs-1))
	other := a
	if p.xs == 4 {
		p.faddp(a+2, a+2, a+3)
		other = a + 2
	}
	p.faddp(a, a, other)
	p.op("MOVD R%d, R25", y)
	for row := range p.xs {
		p.op("VST1.P V%d.S[%d], (R25)(R19)", a, row)
	}
	p.add(4, y)
}

// advance moves on by so many bytes of weights and columns of activations.
func (p *neonProduct) advance(bytes, cols int) {
	for k := range p.streams {
		p.add(bytes, p.w(k))
	}
	for row := range p.xs {
		p.add(4*cols, 4+row)
	}
}

// prefetchStreams emits prefetches of the lines of the next n bytes of each stream, ahead of it.
func (p *neonProduct) prefetchStreams(n int) {
	p.comment("Ask for what comes later.")
	ahead := 14
	for line := 0; line < n; line += 64 {
		if line > 0 {
			p.op("ADD $%d, R14, R19", line)
			ahead = 19
		}
		for k := range p.streams {
			p.prefetch(p.w(k), ahead)
		}
	}
}

// mul: V0 … V15 are sums, V16 … V23 eight weights of each stream, V24, V25 eight
// activations. Four multipliers with a latency of four cycles are kept busy by sixteen sums: two
// for each output, of four streams with one and two activation rows and of two
// with four. One row has eight, which is more than memory gives weights for.
func (f *neonFloat) mul(n *neon, xs int) {
	streams := 4
	if xs == 4 {
		streams = 2
	}
	p := beginNEONProduct(n, f.name, "NEON", xs, streams, 2)
	p.rows(func() {
		p.get(matvecSteps, 8)
		p.columns(8, 9, func(cols int) {
			if cols == unrolled {
				p.prefetchStreams(cols * f.bytes)
			}
			for c := 0; c < cols; c += lanes {
				p.comment(fmt.Sprintf("Columns %d to %d.", c, c+lanes-1))
				for k := range streams {
					f.load(n, p.w(k), c*f.bytes, 16+2*k)
				}
				for row := range xs {
					p.op("FLDPQ %d(R%d), (F24, F25)", 4*c, 4+row)
					for i := range 2 {
						for k := range streams {
							p.fmla(24+i, 16+2*k+i, p.acc(k, i, row))
						}
					}
				}
			}
			p.advance(cols*f.bytes, cols)
		})
		p.get(matvecSkip, 19)
		for k := range streams {
			p.op("ADD R19, R%d", p.w(k))
		}
	})
}

// mul: Σ_block scale·(Σ q·x) + minimum·(Σ x), where the last sum is given.
// V8 … V15 are the sums of q·x like V0 … V7, V16 … V19 32 weights of either run as
// bytes, V22 and V23 four of them, V20 activations; with one row V22, V23, V14 and
// V15 eight of them, V10 and V11 activations.
func (f *neonQuant) mul(n *neon, xs int) {
	p := beginNEONProduct(n, f.name, "NEON", xs, 2, 1)
	f.constants(n, true)
	p.affine(f)
	p.rows(func() {
		if f.biased {
			p.walk(matvecSums, 20, 15)
		}
		f.eachBlock(n, matvecSteps, affineBlocks, func() {
			p.prefetchStreams(f.bytes)
			for c := 0; c < f.cols; c += 32 {
				f.mul32(p, c)
			}
			p.advance(f.bytes, f.cols)
		})
	})
}

// affine loads the pointers to scales and biases, if the format has them.
func (p *neonProduct) affine(f *neonQuant) {
	if f.affine {
		for i, field := range []int{affineScale0, affineScale1, affineBias0, affineBias1} {
			p.get(field, 10+i)
		}
	}
}

// eachBlock emits the loop over the blocks of a row: groups of them for affine
// formats.
func (f *neonQuant) eachBlock(n *neon, cols, group int, body func()) {
	n.get(cols, 8)
	if !f.affine {
		n.loop("block", 8, body)
		return
	}
	n.loop("group", 8, func() {
		n.get(group, 9)
		n.loop("block", 9, body)
		n.add(4, 10, 11, 12, 13)
	})
}

// mul32 multiplies the columns of a block from c on. A sum of q·x is of sixteen
// columns; with one activation row the next have other registers, so that the core
// need not wait.
func (f *neonQuant) mul32(p *neonProduct, c int) {
	if f.firstScale(c) {
		for k := range 2 {
			f.scales(f, p.neon, 1+k, 0, k, c)
		}
		if f.biased {
			f.addMinima(p)
		}
	}
	var fraction int
	for k := range 2 {
		fraction = f.load(f, p.neon, 1+k, 0, c, 16+2*k)
	}
	for half := range 2 {
		p.comment(fmt.Sprintf("Columns %d to %d of the block.", c+16*half, c+16*half+15))
		c := c + 16*half
		sum := func(k, row int) int { return 8 + 4*k + row }
		if p.xs == 1 {
			sum = func(k, _ int) int { return 8 + 4*k + half }
		}
		f.mul16(p, c, half, fraction, sum)
		for row := range p.xs {
			for k := range 2 {
				v, lane := f.scale(k, c)
				p.fmlaLane(sum(k, row), v, lane, p.acc(k, 0, row))
			}
		}
	}
}

// mul16 multiplies the columns from c on, which are the given half of what was
// loaded, into sum. It takes four of them at a time, or eight with one activation
// row.
func (f *neonQuant) mul16(p *neonProduct, c, half, fraction int, sum func(k, row int) int) {
	fours := 1
	if p.xs == 1 {
		fours = 2
	}
	for part := 0; part < 4; part += fours {
		each := func(do func(i, k, w int)) {
			for i := range fours {
				for k := range 2 {
					do(i, k, []int{22, 14}[i]+k)
				}
			}
		}
		each(func(i, k, w int) { p.lookup(part+i, w, 16+2*k+half) })
		each(func(i, k, w int) { p.fromFixed(f.signed, w, w, 24+fraction) })
		for row := range p.xs {
			x := 20
			if off := 4 * (c + 4*part); fours == 1 {
				p.op("FMOVQ %d(R%d), F20", off, 4+row)
			} else {
				x = 10
				p.op("FLDPQ %d(R4), (F10, F11)", off)
			}
			each(func(i, k, w int) {
				if part+i == 0 {
					p.fmul(sum(k, row), w, x+i)
				} else {
					p.fmla(w, x+i, sum(k, row))
				}
			})
		}
	}
}

// addMinima adds minimum·Σ x for the scales that were loaded, and moves on.
func (f *neonQuant) addMinima(p *neonProduct) {
	n := f.cols / f.step
	for row := range p.xs {
		if n == 1 {
			p.op("FMOVS (R%d), F22", 20+row)
		} else {
			p.op("FLDPQ (R%d), (F22, F23)", 20+row)
		}
		p.add(4*n, 20+row)
		for k := range 2 {
			for j := range (n + 3) / 4 {
				p.fmla(f.minimum(k)+j, 22+j, p.acc(k, 0, row))
			}
		}
	}
}

// widen: R1 the weights, R2 the float32, R8, R9 counters of loops.
func (f *neonFloat) widen(n *neon) {
	beginNEONWiden(n, f.name)
	n.get(widenSteps, 8)
	n.columns(8, 9, func(cols int) {
		for c := 0; c < cols; c += lanes {
			f.load(n, 1, c*f.bytes, 16)
			n.op("FSTPQ (F16, F17), %d(R2)", 4*c)
		}
		n.add(cols*f.bytes, 1)
		n.add(4*cols, 2)
	})
	n.op("RET")
}

func beginNEONWiden(n *neon, name string) {
	n.text(fmt.Sprintf("widen%sNEON", name), fmt.Sprintf("%s weights to float32.", name))
	n.get(widenSrc, 1)
	n.get(widenDst, 2)
}

// widen: the same; R10 and R12 are scales and biases of affine formats. V16 and
// V17 are 32 weights as bytes, V18 and V19 four of either half, V22 and V23 their
// values.
func (f *neonQuant) widen(n *neon) {
	beginNEONWiden(n, f.name)
	f.constants(n, true)
	if f.affine {
		n.get(widenScale, 10)
		n.get(widenBias, 12)
	}
	f.eachBlock(n, widenSteps, widenBlocks, func() {
		for c := 0; c < f.cols; c += 32 {
			if f.firstScale(c) {
				f.scales(f, n, 1, 0, 0, c)
			}
			fraction := f.load(f, n, 1, 0, c, 16)
			for part := range 4 {
				for half := range 2 {
					q, w := 18+half, 22+half
					n.spread4(f.signed, part, q, 16+half, fraction)
					v, lane := f.scale(0, c+16*half)
					if f.biased {
						n.op("VDUP V%d.S[%d], V%d.S4", v-perBlock+f.minimum(0), lane, w)
						n.fmlaLane(q, v, lane, w)
					} else {
						n.fmulLane(w, q, v, lane)
					}
				}
				if f.evenFirst {
					n.op("VST2.P [V22.S4, V23.S4], 32(R2)")
					continue
				}
				for half := range 2 {
					n.op("FMOVQ F%d, %d(R2)", 22+half, 4*(c+16*half+4*part))
				}
			}
		}
		n.add(f.bytes, 1)
		if !f.evenFirst {
			n.add(4*f.cols, 2)
		}
	})
	n.op("RET")
}
