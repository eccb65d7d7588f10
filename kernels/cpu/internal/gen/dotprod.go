package main

import (
	"fmt"
	"math"
)

// The dot products of ARMv8.2 multiply signed bytes: weights as they are stored,
// or less an offset, and activations as records of three signed digits (package
// cpu's digits). The sums of 32 columns are exact integers.

func neonDot(n *neon) {
	neonSpread(n)
	for i := range neonQuants {
		for _, xs := range neonRows {
			neonQuants[i].dot(n, xs)
		}
	}
	neonDigits(n)
}

func (n *neon) sdot(a, b, acc int) {
	n.arm(0x4e809400|uint32(b)<<16|uint32(a)<<5|uint32(acc), "SDOT V%d.4S, V%d.16B, V%d.16B", acc, a, b)
}

// dot: as mul; V20 is a digit of 16 activations, V22 and V23 the sums of either
// run in integers, V8 and V9 those of the last digit where all together are too
// large, and V10 256. V14 and V15 are scales of 16 columns. V31 is 128 and V21 as
// many in each byte, where weights must be made signed. R20 … R22 are the places of
// a record's groups.
func (f *neonQuant) dot(n *neon, xs int) {
	p := beginNEONProduct(n, f.name, "DotProd", xs, 2, 1)
	f.constants(n, f.cols > 32)
	if f.wide() {
		p.words(10, math.Float32bits(256))
	}
	if f.unsignedBytes() {
		p.words(31, math.Float32bits(128))
		p.op("VMOVI $128, V%d.B16", constant)
	}
	p.affine(f)
	if f.affine {
		p.get(int8x3Shift, 19)
		for b := 1; b < 4; b++ {
			p.op("MOVD $%d, R%d", b, 19+b)
			p.op("LSR R19, R%d", 19+b)
			p.op("LSL $2, R%d", 19+b)
		}
	}
	p.rows(func() {
		p.get(matvecSteps, 8)
		if f.cols > 32 {
			p.loop("block", 8, func() {
				p.prefetchStreams(f.bytes)
				for c := 0; c < f.cols; c += 128 {
					f.record(p, c, 4)
				}
				p.advance(f.bytes, f.cols/128*recordFloats)
			})
			p.inUnits()
			return
		}
		p.op("AND $3, R8, R9")
		p.op("LSR $2, R8")
		for _, step := range []struct{ counter, blocks, scales int }{{8, 4, int8x3Step}, {9, 1, int8x3Rest}} {
			p.loop("record", step.counter, func() {
				p.prefetchStreams(step.blocks * f.bytes)
				f.record(p, 0, step.blocks)
				p.advance(step.blocks*f.bytes, recordFloats)
				p.nextGroups(f, step.scales)
			})
		}
		p.nextGroups(f, int8x3Skip)
		p.inUnits()
	})
}

// inUnits multiplies the sums with the unit that all records of a row have, the
// last ones behind which the activations are.
func (p *neonProduct) inUnits() {
	for row := range p.xs {
		p.op("FMOVS %d(R%d), F20", recordUnit-recordBytes, 4+row)
		for k := range 2 {
			p.fmulLane(p.acc(k, 0, row), p.acc(k, 0, row), 20, 0)
		}
	}
}

var recordFloats = recordBytes / 4

// wide reports whether weights have eight bits: the three digits' sums do not fit
// one integer.
func (f *neonQuant) wide() bool { return f.eightBits }

// unsignedBytes reports whether weights are too large for a signed byte.
func (f *neonQuant) unsignedBytes() bool { return f.wide() && !f.signed }

// nextGroups moves scales and biases on by what the field says.
func (p *neonProduct) nextGroups(f *neonQuant, field int) {
	if f.affine {
		p.get(field, 19)
		for r := 10; r < 14; r++ {
			p.op("ADD R19, R%d", r)
		}
	}
}

// record multiplies the next blocks of 32 columns, those of a block of weights
// from column c on or as many blocks, with the record that they belong to.
func (f *neonQuant) record(p *neonProduct, c, blocks int) {
	base := c / 128 * recordBytes
	for i := range blocks {
		b, c := i, c // the block of weights, and the column in it
		if f.cols > 32 {
			b, c = 0, c+32*i
		}
		if f.firstScale(c) {
			for k := range 2 {
				f.scales(f, p.neon, 1+k, b, k, c)
				if f.unsignedBytes() { // w = d·(q − 128) + (m + 128·d)
					p.op("FMADDS F31, F%d, F%d, F%[1]d", f.minimum(k), perBlock+2*k)
				}
			}
			if f.biased {
				f.addRecordMinima(p, base, i)
			}
		}
		for k := range 2 {
			q := 16 + 2*k
			if fraction := f.load(f, p.neon, 1+k, b, c, q); fraction > 0 {
				p.sshr(fraction, q, q)
				p.sshr(fraction, q+1, q+1)
			}
			if f.step == 16 { // package cpu's eights
				p.op("VZIP1 V%d.D2, V%d.D2, V22.D2", q+1, q)
				p.op("VZIP2 V%d.D2, V%d.D2, V%[1]d.D2", q+1, q)
				p.move(q, 22)
				v, lane := f.scale(k, c)
				p.inPairs(14+k, v, lane)
			}
			if f.unsignedBytes() {
				p.op("VEOR V%d.B16, V%d.B16, V%[2]d.B16", constant, q)
				p.op("VEOR V%d.B16, V%d.B16, V%[2]d.B16", constant, q+1)
			}
		}
		p.comment(fmt.Sprintf("Block %d of the record.", i))
		for row := range p.xs {
			products := f.multiply(p, base+16*i, row)
			for k := range 2 {
				if f.step == 16 {
					p.fmla(products+k, 14+k, p.acc(k, 0, row))
					continue
				}
				v, lane := f.scale(k, c)
				p.fmlaLane(products+k, v, lane, p.acc(k, 0, row))
			}
		}
	}
}

// multiply returns where it left the products of 32 weights, of the first run and
// then of the second, with the digits of row at off.
func (f *neonQuant) multiply(p *neonProduct, off, row int) int {
	const sums, last = 22, 8
	for d := range 3 {
		sum := sums
		if f.wide() && d == 2 {
			sum = last
		}
		for k := range 2 {
			if d == 0 || sum == last {
				p.clear(sum + k)
			} else {
				p.op("VSHL $8, V%d.S4, V%[1]d.S4", sum+k)
			}
		}
		for half := range 2 {
			p.op("FMOVQ %d(R%d), F20", off+128*d+64*half, 4+row)
			for k := range 2 {
				p.sdot(16+2*k+half, 20, sum+k)
			}
		}
	}
	for k := range 2 {
		p.scvtf(sums+k, sums+k)
		if f.wide() {
			p.scvtf(last+k, last+k)
			p.fmla(sums+k, 10, last+k)
		}
	}
	if f.wide() {
		return last
	}
	return sums
}

// inPairs sets V(d) to lanes i, i, i+1, i+1 of V(v), for i = 0 or 2.
func (p *neonProduct) inPairs(d, v, i int) {
	p.op("VZIP%d V%d.S4, V%[2]d.S4, V%d.S4", 1+i/2, v, d)
}

// addRecordMinima adds minimum·Σ x for the scales that were loaded: of block i of
// a record, of all blocks of the record at base, or of two records.
func (f *neonQuant) addRecordMinima(p *neonProduct, base, i int) {
	if f.step == 16 {
		for block := range 4 {
			for k := range 2 {
				p.inPairs(14+k, f.minimum(k)+block/2, block%2*2)
			}
			for row := range p.xs {
				p.op("FMOVQ %d(R%d), F20", base+recordSums+16*block, 4+row)
				for k := range 2 {
					p.fmla(20, 14+k, p.acc(k, 0, row))
				}
			}
		}
		return
	}
	for row := range p.xs {
		for j := range f.cols / f.step {
			off := recordSums + 16*(i+j%4) + j/4*recordBytes
			p.op("FMOVQ %d(R%d), F20", off, 4+row)
			for k := range 2 {
				p.fmlaLane(20, f.minimum(k)+j/4, j%4, p.acc(k, 0, row))
			}
		}
	}
}

// neonDigits: R1 the activations, R2 the record, R3 the order, R4 the blocks left,
// R5 those of the record, R7 what is the next block's in it. It is the twin of
// package cpu's digits.
func neonDigits(n *neon) {
	n.text("int8x3NEON", "Turns activations into fixed-point numbers.")
	for _, f := range [][2]int{{int8x3X, 1}, {int8x3Dst, 2}, {int8x3Index, 3}, {int8x3Blocks, 4}} {
		n.get(f[0], f[1])
	}
	const unit, inverse, factor, magnitude, offset, flip = 24, 25, 26, 29, 30, 31
	n.op("FMOVS %d(R0), F%d", int8x3Factor, factor)
	n.words(magnitude, 1<<31-1)
	n.words(offset, 0x808080)
	n.op("VMOVI $128, V%d.B16", flip)

	n.clear(0, 1)
	n.op("MOVD R1, R7")
	n.op("MOVD R4, R6")
	n.loop("block", 6, func() {
		for range 4 {
			n.op("FLDPQ.P 32(R7), (F16, F17)")
			for i := range 2 {
				n.op("VAND V%d.B16, V%d.B16, V%[2]d.B16", magnitude, 16+i)
				n.op("VUMAX V%d.S4, V%d.S4, V%[2]d.S4", 16+i, i) // a NaN is larger than any number
			}
		}
	})
	n.op("VUMAX V1.S4, V0.S4, V0.S4")
	n.umaxv(0, 0)
	n.op("FMOVS F0, R10")

	// Package cpu's unitOf.
	n.op("ADD $0x10101, R10, R11")
	n.op("AND $%#x, R11", 0xff<<23)
	n.op("SUBS $%#x, R11", 22<<23)
	n.op("MOVD $%#x, R12", 1<<23)
	n.op("CSEL GT, R11, R12, R11")
	n.op("MOVD $%#x, R12", 254<<23)
	n.op("SUB R11, R12")
	n.op("MOVD $%#x, R13", math.Float32bits(float32(math.Inf(1))))
	n.op("MOVD $%#x, R14", math.Float32bits(float32(math.NaN())))
	n.op("CMP R13, R10")
	n.op("CSEL HS, R14, R11, R11")
	n.op("CSEL HS, ZR, R12, R12")
	n.op("FMOVS R11, F%d", unit)
	n.op("FMOVS R12, F%d", inverse)

	n.label("record")
	n.op("MOVD $4, R5")
	n.op("MOVD $1, R6")
	n.op("CMP $4, R4")
	n.op("CSEL HS, R5, R6, R5")
	n.op("SUB R5, R4")
	n.clear(0) // a record of one block is zero elsewhere
	for i := 0; i < recordUnit; i += 32 {
		n.op("FSTPQ (F0, F0), %d(R2)", i)
	}
	n.op("FMOVS F%d, %d(R2)", unit, recordUnit)
	n.op("MOVD R2, R7")
	n.loop("digits", 5, func() {
		for half := range 2 {
			for v := range 4 {
				at := 64*half + 16*v
				n.op("LDPW %d(R3), (R10, R11)", at)
				n.op("LDPW %d(R3), (R12, R13)", at+8)
				n.op("FMOVS (R1)(R10<<2), F%d", v)
				for lane := 1; lane < 4; lane++ {
					n.op("ADD R%d<<2, R1, R14", 10+lane)
					n.op("VLD1 (R14), V%d.S[%d]", v, lane)
				}
				n.fmulLane(v, v, inverse, 0)
				n.fcvtns(v, v)
				if half == 0 {
					n.move(8+v, v)
				} else {
					n.op("VADD V%d.S4, V%d.S4, V%[2]d.S4", v, 8+v)
				}
				n.op("VADD V%d.S4, V%d.S4, V%[2]d.S4", offset, v)
			}
			n.op("VUZP1 V1.H8, V0.H8, V4.H8") // the two lower bytes of each
			n.op("VUZP1 V3.H8, V2.H8, V5.H8")
			n.op("VUZP2 V1.H8, V0.H8, V6.H8")
			n.op("VUZP2 V3.H8, V2.H8, V7.H8")
			n.op("VUZP1 V7.B16, V6.B16, V0.B16")
			n.op("VUZP2 V5.B16, V4.B16, V1.B16")
			n.op("VUZP1 V5.B16, V4.B16, V2.B16")
			for d := range 3 {
				n.op("VEOR V%d.B16, V%d.B16, V%[2]d.B16", flip, d)
				n.op("FMOVQ F%d, %d(R7)", d, 128*d+64*half)
			}
		}
		n.op("VADDP V9.S4, V8.S4, V8.S4")
		n.op("VADDP V11.S4, V10.S4, V10.S4")
		n.op("VADDP V10.S4, V8.S4, V8.S4")
		n.scvtf(8, 8)
		n.fmulLane(8, 8, factor, 0)
		n.op("FMOVQ F8, %d(R7)", recordSums)
		n.add(128, 1)
		n.add(16, 7)
	})
	n.add(recordBytes, 2)
	n.op("CBNZ R4, record")
	n.op("RET")
}
