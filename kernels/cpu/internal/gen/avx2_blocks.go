package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// blocks emits the code that multiplies 32 columns of a quantised format.
//
// Widening bytes or nibbles in the order of the columns takes shuffles, of which
// a core does few. Here a part of each 32-bit word is masked out where it is and
// converted: q·2^k instead of q, and 2^−k goes into the activations, which are
// brought into the order of the parts once for all rows (package cpu's
// layouts).
type blocks struct {
	name  string
	bytes int // of a block

	// load reads the block's 32 weights, and part returns the integers of a
	// quarter of them, q·2^shift.
	load blockLoad
	part func(r *routine, mask masks, v reg.VecVirtual, i int) reg.VecVirtual

	// w = d·q + m: m of affine formats only.
	biased bool
	affine bool
	shift  func(part, lane int) int
	d, m   func(*routine, *stream) reg.VecVirtual

	// A K-quant: groups of 32 columns in a block, whose scales prepare leaves in the
	// stream's table.
	groups  int
	prepare func(*routine, *constants, *stream)
}

// blockLoad reads 32 weights.
type blockLoad func(*routine, *constants, *stream) reg.VecVirtual

// masks gives vectors of constants: from memory, or kept in registers.
type masks func(lane func(int) uint32) operand.Op

func (c *constants) masks() masks {
	return func(lane func(int) uint32) operand.Op { return c.vector(lane) }
}

// keep loads each constant once, before the loop that follows.
func (r *routine) keep(c *constants, f *blocks) masks {
	kept := map[[lanes]uint32]operand.Op{}
	key := func(lane func(int) uint32) (v [lanes]uint32) {
		for i := range v {
			v[i] = lane(i)
		}
		return v
	}
	for _, lane := range f.masks() {
		if _, ok := kept[key(lane)]; !ok {
			v := r.YMM()
			r.VMOVUPS(c.vector(lane), v)
			kept[key(lane)] = v
		}
	}
	return func(lane func(int) uint32) operand.Op { return kept[key(lane)] }
}

// masks are the constants that part asks for.
func (f *blocks) masks() (all []func(int) uint32) {
	probe := &routine{Context: build.NewContext()}
	probe.Function("probe")
	for i := range 4 {
		f.part(probe, func(lane func(int) uint32) operand.Op {
			all = append(all, lane)
			return probe.YMM()
		}, probe.YMM(), i)
	}
	return all
}

var blockFormats = []blocks{
	{name: "Q8_0", bytes: 34, load: wholeWords(2), part: signedBytes, shift: func(int, int) int { return 24 }, d: halfAt(0)},
	{name: "IQ4_XS", bytes: 136, load: iq4Values(8), part: signedBytes, shift: func(int, int) int { return 24 }, groups: 8, prepare: scalesIQ4XS(1),
		d: func(r *routine, s *stream) reg.VecVirtual {
			d := r.YMM()
			r.VBROADCASTSS(s.table.Offset(4*s.group), d)
			return d
		}},
	{name: "IQ4_NL", bytes: 18, load: iq4Values(2), part: signedBytes, shift: func(int, int) int { return 24 }, d: halfAt(0)},
	{name: "Affine4", bytes: 16, load: sameWords(0), part: nibblePart(affineShift), biased: true, affine: true, shift: affineShift, d: groupAt(scaleOf), m: groupAt(biasOf)},
	{name: "Affine8", bytes: 32, load: wholeWords(0), part: unsignedBytes, biased: true, affine: true, shift: func(i, _ int) int { return 8 * i % 24 }, d: groupAt(scaleOf), m: groupAt(biasOf)},
}

func halfAt(disp int) func(*routine, *stream) reg.VecVirtual {
	return func(r *routine, s *stream) reg.VecVirtual { return r.half(at(s.w, disp)) }
}

func scaleOf(s *stream) reg.GPVirtual { return s.scale }
func biasOf(s *stream) reg.GPVirtual  { return s.bias }

func groupAt(of func(*stream) reg.GPVirtual) func(*routine, *stream) reg.VecVirtual {
	return func(r *routine, s *stream) reg.VecVirtual {
		v := r.YMM()
		r.VBROADCASTSS(at(of(s), 0), v)
		return v
	}
}

// wholeWords loads 32 bytes: word i holds columns 4i … 4i+3.
func wholeWords(disp int) blockLoad {
	return func(r *routine, _ *constants, s *stream) reg.VecVirtual {
		v := r.YMM()
		r.VMOVUPS(at(s.w, disp), v)
		return v
	}
}

// sameWords loads 16 bytes into both halves of a vector.
func sameWords(disp int) blockLoad {
	return func(r *routine, _ *constants, s *stream) reg.VecVirtual {
		v := r.YMM()
		r.VBROADCASTF128(at(s.w, disp), v)
		return v
	}
}

// nibblesInOrder loads 16 bytes of nibbles as 32 bytes, the low ones first.
func nibblesInOrder(disp int) blockLoad {
	return func(r *routine, c *constants, s *stream) reg.VecVirtual {
		v := sameWords(disp)(r, c, s)
		r.VPSRLVD(c.vector(func(lane int) uint32 { return uint32(lane / 4 * 4) }), v, v)
		r.VPAND(c.bits(0x0f0f0f0f), v, v)
		return v
	}
}

// fiveBits loads the bytes of Q5_0 (signed: q − 16) or Q5_1 from 32 upper bits and
// the nibbles behind them.
func fiveBits(disp int, signed bool) blockLoad {
	return func(r *routine, c *constants, s *stream) reg.VecVirtual {
		v, upper := nibblesInOrder(disp+4)(r, c, s), r.YMM()
		r.VPBROADCASTD(at(s.w, disp), upper)
		r.VPSHUFB(c.vector(func(lane int) uint32 { return uint32(lane/2) * 0x01010101 }), upper, upper) // the byte with a column's bit
		bit := c.vector(func(lane int) uint32 { return 0x08040201 << (lane % 2 * 4) })
		r.VPAND(bit, upper, upper)
		r.VPCMPEQB(bit, upper, upper)
		if signed {
			r.VPANDN(c.bits(0xf0f0f0f0), upper, upper)
		} else {
			r.VPAND(c.bits(0x10101010), upper, upper)
		}
		r.VPOR(upper, v, v)
		return v
	}
}

// iq4Values looks up the values of 32 nibbles, those of the stream's group.
func iq4Values(disp int) blockLoad {
	return func(r *routine, c *constants, s *stream) reg.VecVirtual {
		index, v := nibblesInOrder(disp+16*s.group)(r, c, s), r.YMM()
		r.VMOVDQU(c.iq4(), v)
		r.VPSHUFB(index, v, v)
		return v
	}
}

// iq4 is the values of IQ4_NL and IQ4_XS as bytes, in both halves of a vector.
func (c *constants) iq4() operand.Mem {
	return c.vector(func(lane int) uint32 { return iq4Word(lane % 4 * 4) })
}

// iq4Word is four values, from the given one on.
func iq4Word(first int) (word uint32) {
	for i, v := range iq4Table[first:][:4] {
		word |= uint32(uint8(v)) << (8 * i)
	}
	return word
}

// iq4Table is kernels.IQ4Values; this module does not import the library.
var iq4Table = [16]int8{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

// signedBytes moves byte i of each word to its top, where its sign is the word's.
func signedBytes(r *routine, mask masks, v reg.VecVirtual, i int) reg.VecVirtual {
	q := r.YMM()
	if i < 3 {
		r.VPSLLD(operand.U8(24-8*i), v, q)
		v = q
	}
	if i > 0 {
		r.VPAND(mask(func(int) uint32 { return 0xff << 24 }), v, q)
	}
	return q
}

// unsignedBytes masks byte i of each word; the top one would be a sign, so it
// moves down.
func unsignedBytes(r *routine, mask masks, v reg.VecVirtual, i int) reg.VecVirtual {
	q := r.YMM()
	if i == 3 {
		r.VPSRLD(operand.U8(24), v, q)
	} else {
		r.VPAND(mask(func(int) uint32 { return 0xff << (8 * i) }), v, q)
	}
	return q
}

// affineShift is where part i has nibble i (lower lanes) or i+4 (upper lanes).
func affineShift(i, lane int) int {
	shift := 4*i + 16*(lane/4)
	if i == 3 {
		shift -= 4
	}
	return shift
}

func nibblePart(shift func(part, lane int) int) func(*routine, masks, reg.VecVirtual, int) reg.VecVirtual {
	return func(r *routine, mask masks, v reg.VecVirtual, i int) reg.VecVirtual {
		q := r.YMM()
		if i == 3 {
			r.VPSRLD(operand.U8(4), v, q)
			v = q
		}
		r.VPAND(mask(func(lane int) uint32 { return 15 << shift(i, lane) }), v, q)
		return q
	}
}
