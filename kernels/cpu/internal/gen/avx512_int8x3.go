package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Products of quantised weights on AVX-512 with VNNI multiply bytes: the weights
// as they are stored, and the activations as 24-bit fixed-point numbers of three
// signed bytes each (package cpu's digits). All sums of a block are exact
// integers; a block's scale is applied once to its sum.
//
// 128 columns are one record of activations and four 128-bit lanes of two
// vectors, which hold the first and the second 16 weights of a block of 32 in
// each lane: so both add into the same lanes, and each lane has one scale.

// digitFormat emits the parts of a product that depend on the format.
type digitFormat struct {
	name   string
	block  int // bytes of 32 columns
	wide   bool
	affine bool
	biased bool // w = d·q + m, where others are d·(q − zero)

	// four and one return the weights of row k, as unsigned bytes, of the next 128
	// or 32 columns.
	four func(p *digitProduct, k, record int) (first, second reg.VecVirtual)
	one  func(p *digitProduct, k int) (first, second reg.VecVirtual)
	// scales returns d, and m or nil, of the next blocks, in all their lanes.
	scales func(p *digitProduct, k, record, blocks int) (d, m reg.VecVirtual)

	// K-quants: records in a block, whose scales prepare leaves in vectors.
	super   int
	prepare func(p *digitProduct, k int)
}

// digitProduct is a product being emitted, with its constants in registers.
type digitProduct struct {
	*wide
	c     *constants
	f     *digitFormat
	known map[string]reg.VecVirtual
	loads []func(*digitProduct)
	scale []reg.GPVirtual  // affine formats: of each row
	bias  reg.GPVirtual    // from the scales to the biases
	table []reg.VecVirtual // of K-quants, of each row: scales, and minima behind them
	head  []reg.VecVirtual // the first 64 bytes of four blocks of each row

	minima []reg.VecVirtual // where there are sixteen scales
}

// constant is a vector that is loaded once, before the loops.
func (p *digitProduct) constant(name string, load func(p *digitProduct, v reg.VecVirtual)) reg.VecVirtual {
	v, ok := p.known[name]
	if !ok {
		v = p.ZMM()
		p.known[name] = v
		p.loads = append(p.loads, func(p *digitProduct) { p.constant(name, load) })
		load(p, v)
	}
	return v
}

// loadConstants loads all that the product will ask for. It finds out by
// emitting the product's parts into a function that is thrown away.
func (p *digitProduct) loadConstants() {
	ask := *p
	ask.wide = &wide{routine: &routine{Context: build.NewContext()}, xs: p.xs, runs: p.runs, rows: p.rows, stride: p.stride}
	ask.known = map[string]reg.VecVirtual{}
	ask.perRow()
	ask.Function("ask")
	ask.clear(p.xs)
	ask.steps(ask.GP64())
	for _, load := range ask.loads {
		load(p)
	}
}

// perRow makes room for what is particular to each row.
func (p *digitProduct) perRow() {
	n := len(p.rows)
	p.table, p.minima, p.head = make([]reg.VecVirtual, n), make([]reg.VecVirtual, n), make([]reg.VecVirtual, n)
}

// bytesOf is a constant of equal bytes.
func (p *digitProduct) bytesOf(b uint8) reg.VecVirtual {
	return p.constant(fmt.Sprint("bytes", b), func(p *digitProduct, v reg.VecVirtual) {
		p.VPBROADCASTD(p.c.bits(uint32(b)*0x01010101), v)
	})
}

var digitFormats = []digitFormat{
	{name: "Q8_0", block: 34, wide: true,
		four: func(p *digitProduct, k, _ int) (a, b reg.VecVirtual) {
			w := p.rows[k]
			p.head[k] = p.load(w.at(0))
			a = p.pickWords(p.head[k], w.at(64), 0, 32, "first", func(lane, i int) int { return 1 + 17*lane + i })
			b = p.pickWords(p.load(w.at(8)), w.at(72), 4, 36, "second", func(lane, i int) int { return 9 + 17*lane + i })
			for _, v := range []reg.VecVirtual{a, b} {
				p.VPXORD(p.bytesOf(0x80), v, v) // q + 128
			}
			return a, b
		},
		one: func(p *digitProduct, k int) (a, b reg.VecVirtual) {
			w := p.rows[k]
			a, b = p.sixteen(w.at(2)), p.sixteen(w.at(18))
			p.VPXORD(p.bytesOf(0x80), a, a)
			p.VPXORD(p.bytesOf(0x80), b, b)
			return a, b
		},
		scales: func(p *digitProduct, k, _, blocks int) (d, m reg.VecVirtual) {
			w := p.rows[k]
			if blocks == 1 {
				return p.halfOf(w.at(0)), nil
			}
			d = p.pickWords(p.head[k], w.at(64), 0, 32, "scales", func(lane, i int) int { return (2*lane + i/4) % 4 * 17 })
			p.VCVTPH2PS(d.AsY(), d)
			return d, nil
		}},
	{name: "Q4_0", block: 18, four: fourNibbles(18, 2), one: oneNibbles(2), scales: func(p *digitProduct, k, _, blocks int) (d, m reg.VecVirtual) {
		return p.halfScales(k, 0, 9, blocks), nil
	}},
	{name: "Q4_1", block: 20, biased: true, four: fourNibbles(20, 4), one: oneNibbles(4), scales: func(p *digitProduct, k, _, blocks int) (d, m reg.VecVirtual) {
		return p.halfScales(k, 0, 10, blocks), p.halfScales(k, 1, 10, blocks)
	}},
	{name: "Q5_0", block: 22, four: fourFiveBits(22, 2), one: oneFiveBits(2), scales: func(p *digitProduct, k, _, blocks int) (d, m reg.VecVirtual) {
		return p.blockHalves(k, 0, 22, blocks), nil
	}},
	{name: "Q5_1", block: 24, biased: true, four: fourFiveBits(24, 4), one: oneFiveBits(4), scales: func(p *digitProduct, k, _, blocks int) (d, m reg.VecVirtual) {
		return p.blockHalves(k, 0, 24, blocks), p.blockHalves(k, 1, 24, blocks)
	}},
	{name: "IQ4_NL", block: 18, wide: true, four: iq4Of(fourNibbles(18, 2)), one: func(p *digitProduct, k int) (a, b reg.VecVirtual) {
		return p.iq4(oneNibbles(2)(p, k))
	}, scales: func(p *digitProduct, k, _, blocks int) (d, m reg.VecVirtual) {
		return p.halfScales(k, 0, 9, blocks), nil
	}},
	{name: "IQ4_XS", block: 136, wide: true, super: 2, prepare: wideScalesIQ4XS, four: iq4Of(func(p *digitProduct, k, record int) (a, b reg.VecVirtual) {
		return p.nibblesOf(p.load(p.rows[k].at(8 + 64*record)))
	}), scales: func(p *digitProduct, k, record, _ int) (d, m reg.VecVirtual) {
		return p.pickGroups(k, 4*record, 4), nil
	}},
	{name: "Q4_K", block: 144, biased: true, super: 2, prepare: wideScalesQ4K, four: nibbleGroups(16), scales: scalesAndMinima},
	{name: "Q5_K", block: 176, biased: true, super: 2, prepare: wideScalesQ4K, scales: scalesAndMinima,
		// Group g has bit g of 32 bytes.
		four: func(p *digitProduct, k, record int) (a, b reg.VecVirtual) {
			a, b = nibbleGroups(48)(p, k, record)
			for i, v := range []reg.VecVirtual{a, b} {
				upper := p.sixteen(p.rows[k].at(16 + 16*i))
				p.insert(v, upper, 0x10, func(lane int) int { return 4 - (4*record + lane) })
			}
			return a, b
		}},
	{name: "Q2_K", block: 84, biased: true, super: 2, prepare: wideScalesQ2K,
		four: func(p *digitProduct, k, record int) (a, b reg.VecVirtual) {
			a, b = p.eights(p.rows[k].at(16 + 32*record))
			for _, v := range []reg.VecVirtual{a, b} {
				p.VPSRLVD(p.perLane(func(lane int) int { return 2 * lane }), v, v)
				p.VPANDD(p.bytesOf(3), v, v)
			}
			return a, b
		},
		scales: func(p *digitProduct, k, record, _ int) (d, m reg.VecVirtual) {
			d = p.pickGroups(k, 8*record, 2)
			m = p.ZMM()
			p.VPERMPS(p.minima[k], p.groups(8*record, 2), m)
			return d, m
		}},
	{name: "Q3_K", block: 110, super: 2, prepare: wideScalesQ3K, scales: scalesOf16,
		// Run r of 32 has bit r of the first 32 bytes.
		four: func(p *digitProduct, k, record int) (a, b reg.VecVirtual) {
			a, b = p.eights(p.rows[k].at(32 + 32*record))
			upperA, upperB := p.eights(p.rows[k].at(0))
			for _, v := range [][2]reg.VecVirtual{{a, upperA}, {b, upperB}} {
				p.VPSRLVD(p.perLane(func(lane int) int { return 2 * lane }), v[0], v[0])
				p.VPANDD(p.bytesOf(3), v[0], v[0])
				p.insert(v[0], v[1], 4, func(lane int) int { return 2 - (4*record + lane) })
			}
			return a, b
		}},
	{name: "Q6_K", block: 210, wide: true, super: 2, prepare: wideScalesQ6K, scales: scalesOf16,
		// Of 64 bytes the low nibbles are two runs of 32, and then the high ones.
		four: func(p *digitProduct, k, record int) (a, b reg.VecVirtual) {
			z := p.load(p.rows[k].at(64 * record))
			upperA, upperB := p.eights(p.rows[k].at(128 + 32*record))
			pick := func(odd int, upper reg.VecVirtual) reg.VecVirtual {
				v := p.ZMM()
				p.VPERMQ(z, p.constant(fmt.Sprint("eights", odd), func(p *digitProduct, v reg.VecVirtual) {
					p.VMOVDQU32(p.c.wide(func(i int) uint32 { return uint32(1-i%2) * uint32(i/2%4*2+odd) }), v)
				}), v)
				p.VPSRLVD(p.perLane(func(lane int) int { return lane / 2 * 4 }), v, v)
				p.VPANDD(p.bytesOf(15), v, v)
				p.insert(v, upper, 0x30, func(lane int) int { return 4 - 2*lane })
				return v
			}
			return pick(0, upperA), pick(1, upperB)
		}},
	{name: "Affine4", block: 16, affine: true, biased: true, four: func(p *digitProduct, k, _ int) (a, b reg.VecVirtual) {
		return p.nibblesOf(p.load(p.rows[k].at(0)))
	}, one: oneNibbles(0), scales: groupScales},
	{name: "Affine8", block: 32, wide: true, affine: true, biased: true, four: func(p *digitProduct, k, _ int) (a, b reg.VecVirtual) {
		low, high := p.load(p.rows[k].at(0)), p.load(p.rows[k].at(64))
		a, b = p.ZMM(), p.ZMM()
		p.VSHUFI32X4(operand.U8(0b10_00_10_00), high, low, a)
		p.VSHUFI32X4(operand.U8(0b11_01_11_01), high, low, b)
		return a, b
	}, one: func(p *digitProduct, k int) (a, b reg.VecVirtual) {
		return p.sixteen(p.rows[k].at(0)), p.sixteen(p.rows[k].at(16))
	}, scales: groupScales},
}

// pickWords returns words of a row, word(lane, i) in place i of each lane, from
// two vectors that begin with the given words.
func (p *digitProduct) pickWords(first reg.VecVirtual, second operand.Op, from0, from1 int, name string, word func(lane, i int) int) reg.VecVirtual {
	v := p.ZMM()
	p.VMOVDQA32(p.constant(name, func(p *digitProduct, v reg.VecVirtual) {
		place := func(at int) uint32 {
			if n := word(at/8, at%8) - from0; n < 32 {
				return uint32(n)
			}
			return uint32(word(at/8, at%8) - from1 + 32)
		}
		p.VMOVDQU32(p.c.wide(func(i int) uint32 { return place(2*i) | place(2*i+1)<<16 }), v)
	}), v)
	p.VPERMI2W(second, first, v)
	return v
}

// sixteen loads 16 bytes into all lanes; the activations are zero in those that
// do not count.
func (p *digitProduct) sixteen(m operand.Mem) reg.VecVirtual {
	v := p.ZMM()
	p.VBROADCASTI32X4(m, v)
	return v
}

// nibblesOf are the low and the high halves of the bytes of v.
func (p *digitProduct) nibblesOf(v reg.VecVirtual) (low, high reg.VecVirtual) {
	low, high = p.ZMM(), p.ZMM()
	p.VPANDD(p.bytesOf(15), v, low)
	p.VPSRLW(operand.U8(4), v, high)
	p.VPANDD(p.bytesOf(15), high, high)
	return low, high
}

// fourNibbles is four for blocks of 16 bytes of nibbles behind a header.
func fourNibbles(block, header int) func(*digitProduct, int, int) (a, b reg.VecVirtual) {
	return func(p *digitProduct, k, _ int) (a, b reg.VecVirtual) {
		w := p.rows[k]
		p.head[k] = p.load(w.at(0))
		rest := 4*block - 64
		return p.nibblesOf(p.pickWords(p.head[k], w.at(rest), 0, rest/2, "nibbles", func(lane, i int) int {
			return (block*lane+header)/2 + i
		}))
	}
}

func oneNibbles(header int) func(*digitProduct, int) (a, b reg.VecVirtual) {
	return func(p *digitProduct, k int) (a, b reg.VecVirtual) {
		return p.nibblesOf(p.sixteen(p.rows[k].at(header)))
	}
}

// halfOf is a binary16 in all lanes.
func (p *digitProduct) halfOf(m operand.Mem) reg.VecVirtual {
	v := p.ZMM()
	p.VPBROADCASTW(m, v.AsY())
	p.VCVTPH2PS(v.AsY(), v)
	return v
}

// halfScales are the binary16 that are the given word of each of blocks, which
// are stride words long.
func (p *digitProduct) halfScales(k, word, stride, blocks int) reg.VecVirtual {
	if blocks == 1 {
		return p.halfOf(p.rows[k].at(2 * word))
	}
	v := p.ZMM()
	p.VPERMW(p.head[k], p.constant(fmt.Sprint("word", word), func(p *digitProduct, v reg.VecVirtual) {
		at := func(lane int) uint32 { return uint32(word + lane/4%4*stride) }
		p.VMOVDQU32(p.c.wide(func(i int) uint32 { return at(2*i) | at(2*i+1)<<16 }), v)
	}), v)
	p.VCVTPH2PS(v.AsY(), v)
	return v
}

// groupScales are the scales and biases of four blocks, or of the only one. A
// group is one, two or four blocks.
func groupScales(p *digitProduct, k, _, blocks int) (d, m reg.VecVirtual) {
	load := func(at operand.Mem) reg.VecVirtual {
		v := p.ZMM()
		if blocks == 1 {
			p.VBROADCASTSS(at, v)
			return v
		}
		p.VBROADCASTF32X4(at, v)
		p.VPERMPS(v, p.constant("groups", func(p *digitProduct, v reg.VecVirtual) { // of each lane of four blocks
			p.VMOVDQU32(p.c.wide(func(i int) uint32 { return uint32(i / 4) }), v)
			shift := p.XMM()
			p.VMOVQ(p.field(int8x3Shift), shift)
			p.VPSRLD(shift, v, v)
		}), v)
		return v
	}
	return load(operand.Mem{Base: p.scale[k]}), load(operand.Mem{Base: p.scale[k], Index: p.bias, Scale: 1})
}

// blockHalves is halfScales for blocks of which four are longer than a vector.
func (p *digitProduct) blockHalves(k, word, block, blocks int) reg.VecVirtual {
	if blocks == 1 {
		return p.halfOf(p.rows[k].at(2 * word))
	}
	v := p.pickBlocks(k, block, fmt.Sprint("word", word), func(lane, i int) int { return block/2*((2*lane+i/4)%4) + word })
	p.VCVTPH2PS(v.AsY(), v)
	return v
}

// pickBlocks is pickWords of four blocks behind head.
func (p *digitProduct) pickBlocks(k, block int, name string, word func(lane, i int) int) reg.VecVirtual {
	rest := 4*block - 64
	return p.pickWords(p.head[k], p.rows[k].at(rest), 0, rest/2, name, word)
}

// fourFiveBits is fourNibbles with an upper bit for each nibble: 32 of them behind
// the header.
func fourFiveBits(block, header int) func(*digitProduct, int, int) (a, b reg.VecVirtual) {
	return func(p *digitProduct, k, record int) (a, b reg.VecVirtual) {
		a, b = fourNibbles(block, header+4)(p, k, record)
		upper := p.pickBlocks(k, block, "upper", func(lane, i int) int { return (block*lane+header)/2 + i%2 })
		p.fifthBits(upper, a, b)
		return a, b
	}
}

func oneFiveBits(header int) func(*digitProduct, int) (a, b reg.VecVirtual) {
	return func(p *digitProduct, k int) (a, b reg.VecVirtual) {
		a, b = oneNibbles(header+4)(p, k)
		upper := p.ZMM()
		p.VPBROADCASTD(p.rows[k].at(header), upper)
		p.fifthBits(upper, a, b)
		return a, b
	}
}

// fifthBits adds 16 to the bytes of a and b whose bit among the 32 that each lane of
// upper begins with is set.
func (p *digitProduct) fifthBits(upper, a, b reg.VecVirtual) {
	for half, v := range []reg.VecVirtual{a, b} {
		bits, set := p.ZMM(), p.K()
		p.VPSHUFB(p.c.wide(func(i int) uint32 { return uint32(2*half+i%4/2) * 0x01010101 }), upper, bits) // the byte with a column's bit
		p.VPTESTMB(p.c.wide(func(i int) uint32 { return 0x08040201 << (i % 2 * 4) }), bits, set)
		p.VPADDB(p.c.wide(func(int) uint32 { return 0x10101010 }), v, set, v)
	}
}

// iq4Of looks up the values of nibbles.
func iq4Of(nibbles func(*digitProduct, int, int) (a, b reg.VecVirtual)) func(*digitProduct, int, int) (a, b reg.VecVirtual) {
	return func(p *digitProduct, k, record int) (a, b reg.VecVirtual) { return p.iq4(nibbles(p, k, record)) }
}

// iq4 looks up values, plus 128.
func (p *digitProduct) iq4(a, b reg.VecVirtual) (reg.VecVirtual, reg.VecVirtual) {
	table := p.constant("iq4", func(p *digitProduct, v reg.VecVirtual) {
		p.VMOVDQU32(p.c.wide(func(i int) uint32 { return iq4Word(i%4*4) ^ 0x80808080 }), v)
	})
	for _, v := range []reg.VecVirtual{a, b} {
		p.VPSHUFB(v, table, v)
	}
	return a, b
}

// nibbleGroups: 64 bytes are two runs of 32: the low nibbles of a run are a group, the
// high ones the next.
func nibbleGroups(off int) func(*digitProduct, int, int) (a, b reg.VecVirtual) {
	return func(p *digitProduct, k, record int) (a, b reg.VecVirtual) {
		shifts := p.constant("shifts", func(p *digitProduct, v reg.VecVirtual) { // the second and the fourth lane
			p.VMOVDQU32(p.c.wide(func(i int) uint32 { return uint32(i / 4 % 2 * 4) }), v)
		})
		z := p.load(p.rows[k].at(off + 64*record))
		a, b = p.ZMM(), p.ZMM()
		p.VSHUFI32X4(operand.U8(0b10_10_00_00), z, z, a)
		p.VSHUFI32X4(operand.U8(0b11_11_01_01), z, z, b)
		for _, v := range []reg.VecVirtual{a, b} {
			p.VPSRLVD(shifts, v, v)
			p.VPANDD(p.bytesOf(15), v, v)
		}
		return a, b
	}
}

// eights are the even and the odd 8 of 32 bytes, in all pairs of lanes (package cpu's
// layout of that name).
func (p *digitProduct) eights(m operand.Mem) (even, odd reg.VecVirtual) {
	z := p.ZMM()
	even, odd = p.ZMM(), p.ZMM()
	p.VBROADCASTI64X4(m, z)
	p.VPERMQ(operand.U8(0b10_00_10_00), z, even)
	p.VPERMQ(operand.U8(0b11_01_11_01), z, odd)
	return even, odd
}

// perLane says how far each lane's words are shifted.
func (p *digitProduct) perLane(shift func(lane int) int) operand.Mem {
	return p.c.wide(func(i int) uint32 { return uint32(shift(i/4)) & 31 })
}

// insert adds to the bytes of v the bits of upper that mask has, once the words of
// upper are rotated left.
func (p *digitProduct) insert(v, upper reg.VecVirtual, mask uint8, rotate func(lane int) int) {
	p.VPROLVD(p.perLane(rotate), upper, upper)
	p.VPTERNLOGD(operand.U8(0xf8), p.bytesOf(mask), upper, v)
}

// groups are the places of scales from first on, each for so many of a vector's words.
func (p *digitProduct) groups(first, words int) reg.VecVirtual {
	return p.constant(fmt.Sprint("groups", first), func(p *digitProduct, v reg.VecVirtual) {
		p.VMOVDQU32(p.c.wide(func(i int) uint32 { return uint32(first + i/words) }), v)
	})
}

func (p *digitProduct) pickGroups(k, first, words int) reg.VecVirtual {
	v := p.ZMM()
	p.VPERMPS(p.table[k], p.groups(first, words), v)
	return v
}

// scalesAndMinima: eight scales of 32 columns, then as many minima.
func scalesAndMinima(p *digitProduct, k, record, _ int) (d, m reg.VecVirtual) {
	return p.pickGroups(k, 4*record, 4), p.pickGroups(k, 8+4*record, 4)
}

// scalesOf16: sixteen scales, in the order of eights.
func scalesOf16(p *digitProduct, k, record, _ int) (d, m reg.VecVirtual) {
	return p.pickGroups(k, 8*record, 2), nil
}

// scaled turns the integers of v into float32, times the half at m.
func (p *digitProduct) scaled(v reg.VecVirtual, m operand.Mem) reg.VecVirtual {
	p.VCVTDQ2PS(v, v)
	p.VMULPS(p.halfOf(m), v, v)
	return v
}

// wideScalesIQ4XS leaves d·(s − 32) of the eight groups, twice.
func wideScalesIQ4XS(p *digitProduct, k int) {
	w := p.rows[k]
	v := p.ZMM()
	p.VPBROADCASTD(w.at(4), v)
	p.VPSRLVD(p.c.wide(func(i int) uint32 { return uint32(4 * (i % 8)) }), v, v)
	p.VPANDD(p.c.wide(func(int) uint32 { return 15 }), v, v)
	upper := p.ZMM()
	p.VPBROADCASTW(w.at(2), upper)
	p.VPSRLVD(p.c.wide(func(i int) uint32 { return uint32(2 * (i % 8)) }), upper, upper)
	p.table[k] = p.scaled(p.sixBits(v, upper), w.at(0))
}

// sixBits is v and two upper bits, less 32.
func (p *digitProduct) sixBits(v, upper reg.VecVirtual) reg.VecVirtual {
	p.VPSLLD(operand.U8(4), upper, upper)
	p.VPTERNLOGD(operand.U8(0xf8), p.c.wide(func(int) uint32 { return 3 << 4 }), upper, v)
	p.VPSUBD(p.c.wide(func(int) uint32 { return 32 }), v, v)
	return v
}

// wideScalesQ3K leaves d·(s − 32) of the sixteen groups: nibbles, and two bits each of
// four bytes.
func wideScalesQ3K(p *digitProduct, k int) {
	w := p.rows[k]
	v, eight, upper := p.ZMM(), p.XMM(), p.ZMM()
	p.VPBROADCASTQ(w.at(96), eight)
	p.VPMOVZXBD(eight, v)
	p.VPSRLVD(p.c.wide(func(i int) uint32 { return uint32(i / 8 * 4) }), v, v)
	p.VPANDD(p.c.wide(func(int) uint32 { return 15 }), v, v)
	p.VPBROADCASTD(w.at(104), upper)
	p.VPSRLVD(p.c.wide(func(i int) uint32 { return uint32(8*(i%4) + 2*(i/4)) }), upper, upper)
	p.table[k] = p.scaled(p.sixBits(v, upper), w.at(108))
}

// wideScalesQ2K leaves d·s of the sixteen groups, and −dmin·m.
func wideScalesQ2K(p *digitProduct, k int) {
	w := p.rows[k]
	s, m := p.ZMM(), p.ZMM()
	p.VPMOVZXBD(w.at(0), s)
	p.VPSRLD(operand.U8(4), s, m)
	p.VPANDD(p.c.wide(func(int) uint32 { return 15 }), s, s)
	p.table[k], p.minima[k] = p.scaled(s, w.at(80)), p.scaled(m, w.at(82))
	p.VXORPS(p.c.wide(func(int) uint32 { return 1 << 31 }), m, m)
}

// wideScalesQ6K leaves d·s of the sixteen groups.
func wideScalesQ6K(p *digitProduct, k int) {
	w := p.rows[k]
	v := p.ZMM()
	p.VPMOVSXBD(w.at(192), v)
	p.table[k] = p.scaled(v, w.at(208))
}

// wideScalesQ4K leaves d·s of the eight groups and −dmin·m in one vector.
func wideScalesQ4K(p *digitProduct, k int) {
	w := p.rows[k]
	first, second := p.unpackQ4K(w.w)
	p.table[k] = p.ZMM()
	v, d := p.XMM(), p.ZMM()
	p.VMOVQ(first, v)
	p.VPINSRQ(operand.U8(1), second, v, v)
	p.VPMOVZXBD(v, p.table[k])
	p.VCVTDQ2PS(p.table[k], p.table[k])
	p.VPBROADCASTD(w.at(0), d.AsY())          // d, dmin, d, dmin …
	p.VPSHUFB(p.c.vector(func(i int) uint32 { // eight of either, as words
		return [...]uint32{0x01000100, 0x03020302}[i/4]
	}), d.AsY(), d.AsY())
	p.VCVTPH2PS(d.AsY(), d)
	p.VXORPS(p.constant("minus", func(p *digitProduct, v reg.VecVirtual) {
		p.VMOVDQU32(p.c.wide(func(i int) uint32 { return uint32(i / 8 << 31) }), v)
	}), d, d)
	p.VMULPS(d, p.table[k], p.table[k])
}

func digitRoutines(ctx *build.Context, c *constants) {
	for i := range digitFormats {
		for _, xs := range []int{1, 2, 4} {
			matvecDigits(ctx, c, &digitFormats[i], xs)
		}
	}
	toDigits(ctx, c)
}

// matvecDigits emits the product for a quantised format.
func matvecDigits(ctx *build.Context, c *constants, f *digitFormat, xs int) {
	p := &digitProduct{wide: beginWide(ctx, f.name, xs, min(2*xs, 4)), c: c, f: f, known: map[string]reg.VecVirtual{}}
	p.perRow()
	if f.affine {
		p.bias = p.get(int8x3Bias)
		for _, off := range []int{affineScale0, affineScale1} {
			first := p.get(off)
			p.scale = append(p.scale, first)
			if xs > 1 {
				second := p.get(int8x3Pair)
				p.ADDQ(first, second)
				p.scale = append(p.scale, second)
			}
		}
	}
	p.loadConstants()
	p.loopRows(func() {
		p.clear(xs)
		p.steps(p.get(matvecX))
		x := p.get(matvecX)
		for i := range xs { // all records of a row have one unit
			unit := p.ZMM()
			p.VBROADCASTSS(p.x(x, recordUnit, i), unit)
			for k := range p.rows {
				p.VMULPS(unit, p.acc[k][i], p.acc[k][i])
			}
		}
		for _, s := range p.scale {
			p.ADDQ(p.field(int8x3Skip), s)
		}
		p.advance(p.field(matvecSkip))
		p.store()
	})
	p.end()
}

// steps emits the products of a row of weights of each run, or of two.
func (p *digitProduct) steps(x reg.GPVirtual) {
	f := p.f
	n := p.get(matvecSteps)
	if f.super > 0 {
		p.loop(n, func() {
			p.prefetch(f.block)
			p.blocks(x, f.super, 4)
			p.advance(operand.I32(f.block))
		})
		return
	}
	step := func(n reg.GPVirtual, blocks, field int) {
		p.loop(n, func() {
			if blocks > 1 {
				p.prefetch(blocks * f.block)
			}
			p.blocks(x, 1, blocks)
			p.advance(operand.I32(blocks * f.block))
			for _, s := range p.scale {
				p.ADDQ(p.field(field), s)
			}
		})
	}
	p.SHRQ(operand.U8(2), n)
	step(n, 4, int8x3Step)
	rest := p.get(matvecSteps)
	p.ANDQ(operand.I32(3), rest)
	step(rest, 1, int8x3Rest)
}

// blocks emits the product of the next records of all rows, each of them of so
// many blocks. Two rows of weights are multiplied with each vector of digits that
// is loaded.
func (p *digitProduct) blocks(x reg.GPVirtual, records, blocks int) {
	together := 2
	if p.xs == 4 || p.xs == 2 && p.f.super > 0 { // not enough registers
		together = 1
	}
	for k := 0; k < len(p.rows); k += together {
		for r := range records {
			var w []digitWeights
			for i := k; i < k+together; i++ {
				if p.f.prepare != nil && r == 0 {
					p.f.prepare(p, i)
				}
				p.Comment(fmt.Sprintf("Weights of row %d.", i))
				var first, second reg.VecVirtual
				if blocks == 1 {
					first, second = p.f.one(p, i)
				} else {
					first, second = p.f.four(p, i, r)
				}
				d, m := p.f.scales(p, i, r, blocks)
				w = append(w, digitWeights{first, second, d, m, i})
			}
			for i := range p.xs {
				p.multiply(p.x(x, r*recordBytes, i), w, i)
			}
		}
	}
	p.ADDQ(operand.I32(records*recordBytes), x)
}

// digitWeights are the weights of a row for one record, and their scales.
type digitWeights struct {
	first, second, d, m reg.VecVirtual
	row                 int
}

// multiply adds the products of weights with the record at x.
func (p *digitProduct) multiply(x operand.Mem, weights []digitWeights, acc int) {
	// digit returns the sums of one digit, for each row of weights.
	digit := func(n int) (sums []reg.VecVirtual) {
		var first, second operand.Op = x.Offset(128 * n), x.Offset(128*n + 64)
		if len(weights) > 1 {
			first, second = p.load(first), p.load(second)
		}
		for _, w := range weights {
			sum := p.zeroWide()
			p.VPDPBUSD(first, w.first, sum)
			p.VPDPBUSD(second, w.second, sum)
			sums = append(sums, sum)
		}
		return sums
	}
	p.Comment(fmt.Sprintf("Digits of activation row %d times the weights.", acc))
	sums, middle, last := digit(0), digit(1), digit(2)
	p.Comment("Put the digits together and scale.")
	var all operand.Op = x.Offset(recordSums)
	if len(weights) > 1 {
		all = p.load(all)
	}
	for i, w := range weights {
		sum := sums[i]
		p.VPSLLD(operand.U8(8), sum, sum)
		p.VPADDD(middle[i], sum, sum)
		if p.f.wide { // the sum of all three would be too large
			p.VCVTDQ2PS(sum, sum)
			p.VCVTDQ2PS(last[i], last[i])
			p.VFMADD132PS(p.constant("256", func(p *digitProduct, v reg.VecVirtual) {
				p.VPBROADCASTD(p.c.float(256), v)
			}), last[i], sum)
		} else {
			p.VPSLLD(operand.U8(8), sum, sum)
			p.VPADDD(last[i], sum, sum)
			p.VCVTDQ2PS(sum, sum)
		}
		if p.f.biased {
			p.VFMADD231PS(all, w.m, p.acc[w.row][acc])
		} else {
			p.VSUBPS(all, sum, sum)
		}
		p.VFMADD231PS(w.d, sum, p.acc[w.row][acc])
	}
}

func (r *routine) load(m operand.Op) reg.VecVirtual {
	v := r.ZMM()
	r.VMOVDQU32(m, v)
	return v
}

// toDigits emits the conversion of activations to records. It is the twin of
// package cpu's digits.
func toDigits(ctx *build.Context, c *constants) {
	r := begin(ctx, "int8x3AVX512", "int8x3AVX512 turns activations into fixed-point numbers.")
	dst, x, index := r.get(int8x3Dst), r.get(int8x3X), r.get(int8x3Index)
	n := r.get(int8x3Blocks)
	order := [2]reg.VecVirtual{r.ZMM(), r.ZMM()}
	for i, v := range order {
		r.VMOVDQU32(at(index, 64*i), v)
	}
	factor := r.ZMM()
	r.VBROADCASTSS(r.field(int8x3Factor), factor)
	magnitude, offset, flip, ones := r.ZMM(), r.ZMM(), r.XMM(), r.ZMM()
	r.VPBROADCASTD(c.bits(0x7fffffff), magnitude)
	r.VPBROADCASTD(c.bits(0x808080), offset)
	r.VPBROADCASTD(c.bits(0x80808080), flip)
	r.VPBROADCASTD(c.bits(0x01010101), ones)

	top := [2]reg.VecVirtual{r.zeroWide(), r.zeroWide()}
	all, from := r.get(int8x3Blocks), r.GP64()
	r.MOVQ(x, from)
	r.loop(all, func() {
		for i, t := range top {
			v := r.ZMM()
			r.VPANDD(at(from, 64*i), magnitude, v)
			r.VPMAXUD(v, t, t) // a NaN is larger than any number
		}
		r.ADDQ(operand.I32(128), from)
	})
	r.VPMAXUD(top[1], top[0], top[0])
	y, h := r.YMM(), r.XMM()
	r.VEXTRACTI64X4(operand.U8(1), top[0], y)
	r.VPMAXUD(y, top[0].AsY(), y)
	r.VEXTRACTI32X4(operand.U8(1), y, h)
	r.VPMAXUD(y.AsX(), h, h)
	for _, swap := range []operand.U8{0x4e, 0xb1} { // halves, then neighbours
		other := r.XMM()
		r.VPSHUFD(swap, h, other)
		r.VPMAXUD(other, h, h)
	}

	bits := r.GP32()
	r.VMOVD(h, bits)
	unit, inverse := r.unitOf(bits)
	scale := r.ZMM()
	r.VPBROADCASTD(inverse, scale)

	// record emits one for the next blocks; the lanes of others are zero.
	record := func(blocks int) {
		r.MOVL(unit, at(dst, recordUnit))
		if blocks < 4 {
			empty := r.zeroWide()
			for i := range 6 {
				r.VMOVDQU32(empty, at(dst, 64*i))
			}
		}
		for b := range blocks {
			for half := range 2 {
				lo, t := r.ZMM(), r.ZMM()
				r.VMOVUPS(at(x, 128*b), lo)
				r.VMOVDQU32(order[half], t)
				r.VPERMI2PS(at(x, 128*b+64), lo, t)
				r.VMULPS(scale, t, t)
				r.VCVTPS2DQ(t, t)
				r.VPADDD(offset, t, t)
				for digit := 2; digit >= 0; digit-- {
					shifted, narrow := r.ZMM(), r.XMM()
					if digit > 0 {
						r.VPSRLD(operand.U8(8*digit), t, shifted)
					} else {
						shifted = t
					}
					r.VPMOVDB(shifted, narrow)
					r.VPXORD(flip, narrow, narrow)
					r.VMOVDQU32(narrow, at(dst, 128*(2-digit)+64*half+16*b))
				}
			}
		}
		// The sums, as the products will have them: exact integers.
		sum := r.zeroWide()
		for digit := range 3 {
			if digit > 0 {
				r.VPSLLD(operand.U8(8), sum, sum)
			}
			r.VPDPBUSD(at(dst, 128*digit), ones, sum)
			r.VPDPBUSD(at(dst, 128*digit+64), ones, sum)
		}
		r.VCVTDQ2PS(sum, sum)
		r.VMULPS(factor, sum, sum)
		r.VMOVUPS(sum, at(dst, recordSums))
		r.ADDQ(operand.I32(128*blocks), x)
		r.ADDQ(operand.I32(recordBytes), dst)
	}
	rest := r.get(int8x3Blocks)
	r.SHRQ(operand.U8(2), n)
	r.loop(n, func() { record(4) })
	r.ANDQ(operand.I32(3), rest)
	r.loop(rest, func() { record(1) })
	r.end()
}
