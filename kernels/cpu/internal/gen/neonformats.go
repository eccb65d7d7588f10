package main

// neonFloat emits the widening of a floating-point weight format: eight weights,
// off bytes from R(r), into V(v) and V(v+1). V(v) is also its scratch register.
type neonFloat struct {
	name  string
	bytes int // of a weight
	load  func(n *neon, r, off, v int)
}

var neonFloats = []neonFloat{
	{"F32", 4, func(n *neon, r, off, v int) { n.op("FLDPQ %d(R%d), (F%d, F%d)", off, r, v, v+1) }},
	{"F16", 2, func(n *neon, r, off, v int) { n.halves(r, off, v, n.fcvtl) }},
	{"BF16", 2, func(n *neon, r, off, v int) { n.halves(r, off, v, n.shll) }},
}

func (n *neon) halves(r, off, v int, widen func(half, d, a int)) {
	n.op("FMOVQ %d(R%d), F%d", off, r, v)
	widen(1, v+1, v)
	widen(0, v, v)
}

// neonQuant emits the widening of a quantised format, sixteen columns at a time:
// bytes first, and then float32, four lanes of a word each, whose top byte is
// the weight. That takes a table lookup and a conversion, which is told where
// the binary point is.
type neonQuant struct {
	name        string
	cols, bytes int // of a block
	step        int // columns that share a scale
	signed      bool
	affine      bool // block scales are elsewhere
	biased      bool // weights are scale·q + minimum
	evenFirst   bool // the first 16 columns of 32 are the even ones

	// scales loads eight scales (one, if a block has one) of the block at R(r),
	// from column 16·i on, into V(24+2k) and V(25+2k), and the minima into V(8+2k)
	// and V(9+2k). Unused lanes are zero. V12 … V23 are its scratch registers.
	scales func(n *neon, r, k, i int)

	// bytes16 sets V(q) to the weights of the columns from 16·i on, times
	// 2^fraction. V18 is 0x80 in each byte, V19 scratch.
	bytes16 func(n *neon, r, i, q int) (fraction int)
}

const (
	topBit   = 18 // V18: 0x80 in each byte
	scratch  = 19
	perBlock = 24 // V24 …: scales, two vectors for each run of rows
	minima   = 8  // V8 …: the same
	spread   = 28 // V28 … V31: lookups of bytes 4i … 4i+3, each to the top of a word
)

var neonQuants = []neonQuant{
	{name: "Q8_0", cols: 32, bytes: 34, step: 32, signed: true, scales: halfScaleNEON, bytes16: func(n *neon, r, i, q int) int {
		n.op("FMOVQ %d(R%d), F%d", 2+16*i, r, q)
		return 0
	}},
	{name: "Q4_0", cols: 32, bytes: 18, step: 32, signed: true, scales: halfScaleNEON, bytes16: func(n *neon, r, i, q int) int {
		n.op("FMOVQ 2(R%d), F%d", r, q)
		if i == 0 {
			n.op("VSHL $4, V%d.B16, V%[1]d.B16", q)
		}
		n.op("VEOR V%d.B16, V%d.B16, V%[2]d.B16", topBit, q)
		if i == 0 {
			return 4
		}
		n.sshr(4, q, q)
		return 0
	}},
	{name: "Q4_1", cols: 32, bytes: 20, step: 32, biased: true, scales: halfScaleMinNEON, bytes16: func(n *neon, r, i, q int) int {
		return n.nibbles(r, 4, i, q)
	}},
	{name: "Q4_K", cols: 256, bytes: 144, step: 32, biased: true, scales: scalesQ4KNEON, bytes16: func(n *neon, r, i, q int) int {
		return n.nibbles(r, 16+32*(i/4)+16*(i%2), i/2%2, q)
	}},
	{name: "Q6_K", cols: 256, bytes: 210, step: 16, signed: true, scales: scalesQ6KNEON, bytes16: bytesQ6KNEON},
	{name: "Affine4", cols: 32, bytes: 16, step: 32, affine: true, biased: true, evenFirst: true, scales: groupScaleNEON, bytes16: func(n *neon, r, i, q int) int {
		return n.nibbles(r, 0, i, q)
	}},
	{name: "Affine8", cols: 32, bytes: 32, step: 32, affine: true, biased: true, scales: groupScaleNEON, bytes16: func(n *neon, r, i, q int) int {
		n.op("FMOVQ %d(R%d), F%d", 16*i, r, q)
		return 0
	}},
}

// nibbles loads the low (0) or high (1) halves of 16 bytes.
func (n *neon) nibbles(r, off, which, q int) (fraction int) {
	n.op("FMOVQ %d(R%d), F%d", off, r, q)
	if which == 0 {
		n.op("VSHL $4, V%d.B16, V%[1]d.B16", q)
		return 4
	}
	n.op("VUSHR $4, V%d.B16, V%[1]d.B16", q)
	return 0
}

// bytesQ6KNEON brings the upper two bits and the nibble together at the top of
// a byte, and makes it signed: q − 32.
func bytesQ6KNEON(n *neon, r, i, q int) (fraction int) {
	half, run := i/8, i/2%4
	n.op("FMOVQ %d(R%d), F%d", 64*half+32*(run%2)+16*(i%2), r, q)
	n.op("FMOVQ %d(R%d), F%d", 128+32*half+16*(i%2), r, scratch)
	if run < 3 {
		n.op("VSHL $%d, V%d.B16, V%[2]d.B16", 6-2*run, scratch)
	}
	if run < 2 {
		n.op("VSHL $4, V%d.B16, V%[1]d.B16", q)
	}
	n.op("VSRI $2, V%d.B16, V%d.B16", q, scratch)
	n.op("VEOR V%d.B16, V%d.B16, V%d.B16", topBit, scratch, q)
	if run < 2 {
		return 2
	}
	n.sshr(2, q, q) // drops what is left of the low nibble
	return 0
}

// spread4 widens bytes 4i … 4i+3 of V(a) to float32.
func (n *neon) spread4(signed bool, i, d, a, fraction int) {
	n.op("VTBL V%d.B16, [V%d.B16], V%d.B16", spread+i, a, d)
	n.fromFixed(signed, d, d, 24+fraction)
}

func neonTables(n *neon) {
	var words []uint32
	for i := range 16 {
		words = append(words, uint32(i)<<24|0xffffff) // indices outside the table give zero
	}
	n.data("spread", words)
}

// constants sets the registers that stay as they are. R(r) is scratch.
func (f *neonQuant) constants(n *neon, r int) {
	n.op("MOVD $spread<>(SB), R%d", r)
	n.op("VLD1 (R%d), [V%d.B16, V%d.B16, V%d.B16, V%d.B16]", r, spread, spread+1, spread+2, spread+3)
	if f.signed {
		n.op("VMOVI $0x80, V%d.B16", topBit)
	}
}

func halfScaleNEON(n *neon, r, k, _ int) { n.half(r, 0, perBlock+2*k) }

func halfScaleMinNEON(n *neon, r, k, _ int) {
	n.half(r, 0, perBlock+2*k)
	n.half(r, 2, minima+2*k)
}

// groupScaleNEON: the next group's scale is at R(10+k), its bias at R(12+k).
func groupScaleNEON(n *neon, _, k, _ int) {
	n.op("FMOVS (R%d), F%d", 10+k, perBlock+2*k)
	n.op("FMOVS (R%d), F%d", 12+k, minima+2*k)
}

// scalesQ4KNEON: the 12 bytes at 4 hold scales 0-3, minima 0-3 (6 bits each) and
// the low halves of scales and minima 4-7; the upper two bits of the first eight
// are theirs too. Each six bits are brought to the top of a word.
func scalesQ4KNEON(n *neon, r, k, _ int) {
	const all, lower, low, high, word, d = 12, 13, 14, 15, 16, 17
	n.op("FMOVQ (R%d), F%d", r, all)
	n.op("VSHL $2, V%d.B16, V%d.B16", all, lower)
	n.op("VSHL $4, V%d.B16, V%d.B16", all, low)
	n.op("VUSHR $4, V%d.B16, V%d.B16", all, high)
	n.op("VSHL $4, V%d.B16, V%[1]d.B16", high)
	for i, v := range []int{perBlock + 2*k, minima + 2*k} {
		n.half(r, 2*i, d)
		if i == 1 {
			n.op("FNEGS F%d, F%[1]d", d)
		}
		n.op("VTBL V%d.B16, [V%d.B16], V%d.B16", spread+1+i, lower, v)
		n.op("VTBL V%d.B16, [V%d.B16], V%d.B16", spread+1+i, all, v+1)
		n.op("VTBL V%d.B16, [V%d.B16], V%d.B16", spread+3, []int{low, high}[i], word)
		n.op("VSRI $2, V%d.S4, V%d.S4", word, v+1)
		for j := range 2 {
			n.fromFixed(false, v+j, v+j, 26)
			n.fmulLane(v+j, v+j, d, 0)
		}
	}
}

// scalesQ6KNEON: eight of the sixteen at a time.
func scalesQ6KNEON(n *neon, r, k, i int) {
	const bytes, d = 12, 13
	n.op("FMOVD %d(R%d), F%d", 192+i, r, bytes)
	n.half(r, 208, d)
	for j := range 2 {
		v := perBlock + 2*k + j
		n.spread4(true, j, v, bytes, 0)
		n.fmulLane(v, v, d, 0)
	}
}
