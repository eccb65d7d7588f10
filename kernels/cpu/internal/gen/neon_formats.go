package main

// neonFloat emits the widening of a floating-point weight format: eight weights,
// off bytes from R(r), into V(v) and V(v+1).
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

// neonQuant emits what is particular to a quantised format: 32 columns at a
// time become bytes.
type neonQuant struct {
	name        string
	cols, bytes int // of a block
	step        int // columns that share a scale
	signed      bool
	affine      bool // scales and biases are elsewhere
	biased      bool // w = scale·q + minimum, where others are scale·q
	evenFirst   bool // the first 16 columns of 32 are the even ones

	// scales loads eight scales (one, if a block has one) from column c on into
	// V(24+2k) and V(25+2k), and the minima into minimum(k) and the next. The
	// block is b blocks from R(r). Unused lanes are zero, V12 … V17 scratch.
	scales func(f *neonQuant, n *neon, r, b, k, c int)

	// load sets V(q) and V(q+1) to the weights from column c on, times
	// 2^fraction, of the block b blocks from R(r). V(constant) has mask in each
	// byte, or what constants of that name end with; R24 points to them. V22 and
	// V23 are scratch.
	load  func(f *neonQuant, n *neon, r, b, c, q int) (fraction int)
	mask  int
	table string

	eightBits bool // weights need more than five
}

const (
	perBlock = 24 // V24 …: scales, two vectors for each run of rows
	constant = 21
	spread   = 28 // V28 … V31: lookups of bytes 4i … 4i+3, each to the top of a word
)

var neonQuants = []neonQuant{
	{name: "Q8_0", cols: 32, bytes: 34, step: 32, signed: true, eightBits: true, scales: halfScaleNEON, load: wholeBytes(2)},
	{name: "Q4_0", cols: 32, bytes: 18, step: 32, signed: true, scales: halfScaleNEON, mask: 0x88,
		load: func(f *neonQuant, n *neon, r, b, _, q int) int {
			n.op("FMOVQ %d(R%d), F%d", f.bytes*b+2, r, q+1)
			n.op("VEOR V%d.B16, V%d.B16, V%[2]d.B16", constant, q+1) // q − 8, with its sign
			n.op("VSHL $4, V%d.B16, V%d.B16", q+1, q)
			n.sshr(4, q, q)
			n.sshr(4, q+1, q+1)
			return 0
		}},
	{name: "Q4_1", cols: 32, bytes: 20, step: 32, biased: true, scales: halfScaleNEON, load: nibbles(4), mask: 15},
	{name: "Q5_0", cols: 32, bytes: 22, step: 32, signed: true, scales: halfScaleNEON, load: fiveBitsNEON(2), table: "fiveBits"},
	{name: "Q5_1", cols: 32, bytes: 24, step: 32, biased: true, scales: halfScaleNEON, load: fiveBitsNEON(4), table: "fiveBits"},
	{name: "IQ4_NL", cols: 32, bytes: 18, step: 32, signed: true, eightBits: true, scales: halfScaleNEON, table: "iq4",
		load: func(f *neonQuant, n *neon, r, b, c, q int) int { return n.iq4(r, f.bytes*b+2, q) }},
	{name: "IQ4_XS", cols: 256, bytes: 136, step: 32, signed: true, eightBits: true, scales: scalesIQ4XSNEON, table: "iq4",
		load: func(f *neonQuant, n *neon, r, b, c, q int) int { return n.iq4(r, f.bytes*b+8+c/2, q) }},
	{name: "Q2_K", cols: 256, bytes: 84, step: 16, biased: true, scales: scalesQ2KNEON,
		load: func(f *neonQuant, n *neon, r, b, c, q int) int {
			n.op("FLDPQ %d(R%d), (F%d, F%d)", 16+c/128*32, r, q, q+1)
			for i := range 2 {
				n.field(q+i, c/32%4*2, 2)
			}
			return 0
		}},
	{name: "Q3_K", cols: 256, bytes: 110, step: 16, signed: true, scales: scalesQ3KNEON, mask: 4,
		load: func(f *neonQuant, n *neon, r, b, c, q int) int {
			n.op("FLDPQ %d(R%d), (F%d, F%d)", 32+c/128*32, r, q, q+1)
			n.op("FLDPQ (R%d), (F22, F23)", r)
			for i := range 2 {
				n.field(q+i, c/32%4*2, 2)
				n.field(22+i, c/32, 1)
				n.op("VSLI $2, V%d.B16, V%d.B16", 22+i, q+i)
				n.op("VSUB V%d.B16, V%d.B16, V%[2]d.B16", constant, q+i)
			}
			return 0
		}},
	{name: "Q5_K", cols: 256, bytes: 176, step: 32, biased: true, scales: scalesQ4KNEON, mask: 15,
		load: func(f *neonQuant, n *neon, r, b, c, q int) int {
			n.op("FLDPQ %d(R%d), (F%d, F%d)", f.bytes*b+48+c/64*32, r, q, q+1)
			n.op("FLDPQ %d(R%d), (F22, F23)", f.bytes*b+16, r)
			for i := range 2 {
				n.nibble(c/32%2, q+i, q+i)
				n.field(22+i, c/32, 1)
				n.op("VSLI $4, V%d.B16, V%d.B16", 22+i, q+i)
			}
			return 0
		}},
	{name: "Q4_K", cols: 256, bytes: 144, step: 32, biased: true, scales: scalesQ4KNEON, mask: 15,
		load: func(f *neonQuant, n *neon, r, b, c, q int) int {
			n.op("FLDPQ %d(R%d), (F%d, F%d)", f.bytes*b+16+c/64*32, r, q, q+1)
			for i := range 2 {
				n.nibble(c/32%2, q+i, q+i)
			}
			return 0
		}},
	{name: "Q6_K", cols: 256, bytes: 210, step: 16, signed: true, scales: scalesQ6KNEON, load: loadQ6K, mask: 0x80},
	{name: "Affine4", cols: 32, bytes: 16, step: 32, affine: true, biased: true, evenFirst: true, scales: groupScaleNEON, load: nibbles(0), mask: 15},
	{name: "Affine8", cols: 32, bytes: 32, step: 32, affine: true, biased: true, eightBits: true, scales: groupScaleNEON, load: wholeBytes(0)},
}

func wholeBytes(off int) func(f *neonQuant, n *neon, r, b, c, q int) int {
	return func(f *neonQuant, n *neon, r, b, _, q int) int {
		for i := range 2 {
			n.op("FMOVQ %d(R%d), F%d", f.bytes*b+off+16*i, r, q+i)
		}
		return 0
	}
}

// nibbles: 16 bytes, the low halves are the first columns.
func nibbles(off int) func(f *neonQuant, n *neon, r, b, c, q int) int {
	return func(f *neonQuant, n *neon, r, b, _, q int) int {
		n.op("FMOVQ %d(R%d), F%d", f.bytes*b+off, r, q+1)
		n.nibble(0, q, q+1)
		n.nibble(1, q+1, q+1)
		return 0
	}
}

// nibble is the low (0) or high (1) half of each byte.
func (n *neon) nibble(which, d, a int) {
	if which == 0 {
		n.op("VAND V%d.B16, V%d.B16, V%d.B16", constant, a, d)
	} else {
		n.op("VUSHR $4, V%d.B16, V%d.B16", a, d)
	}
}

// field leaves width bits of each byte, from bit first on.
func (n *neon) field(v, first, width int) {
	if up := 8 - width - first; up > 0 {
		n.op("VSHL $%d, V%d.B16, V%[2]d.B16", up, v)
	}
	n.op("VUSHR $%d, V%d.B16, V%[2]d.B16", 8-width, v)
}

// bothNibbles: as nibbles, without a mask.
func (n *neon) bothNibbles(r, off, q int) {
	n.op("FMOVQ %d(R%d), F%d", off, r, q)
	n.op("VUSHR $4, V%d.B16, V%d.B16", q, q+1)
	n.field(q, 0, 4)
}

// fiveBitsNEON: 32 upper bits and the nibbles behind them; q − 16 if it is signed.
// R24 points to the places of a column's upper bit among four bytes.
func fiveBitsNEON(off int) func(f *neonQuant, n *neon, r, b, c, q int) int {
	return func(f *neonQuant, n *neon, r, b, _, q int) int {
		n.bothNibbles(r, f.bytes*b+off+4, q)
		n.op("FMOVS %d(R%d), F22", f.bytes*b+off, r)
		for i := range 2 {
			n.op("FMOVQ %d(R24), F23", 16*i)
			n.op("VTBL V23.B16, [V22.B16], V23.B16")
			n.op("VCMTST V%d.B16, V23.B16, V23.B16", constant)
			if f.signed { // what is not set is −16
				n.op("VEOR V%d.B16, V%[1]d.B16, V%[1]d.B16", 20)
				n.op("VCMEQ V%d.B16, V23.B16, V23.B16", 20)
			} else {
				n.field(23, 0, 1)
			}
			n.op("VSLI $4, V23.B16, V%d.B16", q+i)
		}
		return 0
	}
}

// iq4 looks up the values of 32 nibbles.
func (n *neon) iq4(r, off, q int) (fraction int) {
	n.bothNibbles(r, off, q)
	for i := range 2 {
		n.op("VTBL V%d.B16, [V%d.B16], V%[1]d.B16", q+i, constant)
	}
	return 0
}

// loadQ6K brings two upper bits and a nibble together at the top of a byte, and
// makes it signed: q − 32.
func loadQ6K(f *neonQuant, n *neon, r, b, c, q int) (fraction int) {
	half, run := c/128, c/32%4
	n.op("FLDPQ %d(R%d), (F%d, F%d)", 64*half+32*(run%2), r, q, q+1)
	n.op("FLDPQ %d(R%d), (F22, F23)", 128+32*half, r)
	for i := range 2 {
		nibble, high := q+i, 22+i
		if run < 2 {
			n.op("VSHL $4, V%d.B16, V%[1]d.B16", nibble)
		}
		if run < 3 {
			n.op("VSHL $%d, V%d.B16, V%[2]d.B16", 6-2*run, high)
		}
		n.op("VSRI $2, V%d.B16, V%d.B16", nibble, high)
		n.op("VEOR V%d.B16, V%d.B16, V%d.B16", constant, high, q+i)
		if run >= 2 {
			n.sshr(2, q+i, q+i) // drops what is left of the low nibble
		}
	}
	if run < 2 {
		return 2
	}
	return 0
}

// minimum is where scales leaves the minima of run k.
func (f *neonQuant) minimum(k int) int {
	if f.cols == f.step {
		return perBlock + 2*k + 1
	}
	return 8 + 2*k
}

// scale is where scales left that of column c.
func (f *neonQuant) scale(k, c int) (v, lane int) {
	e := c / f.step % 8
	return perBlock + 2*k + e/4, e % 4
}

// firstScale reports whether scales must be loaded for column c.
func (f *neonQuant) firstScale(c int) bool { return c%(8*f.step) == 0 }

// halfScaleNEON: binary16 d, and m if the format has it.
func halfScaleNEON(f *neonQuant, n *neon, r, b, k, _ int) {
	n.half(r, f.bytes*b, perBlock+2*k)
	if f.biased {
		n.half(r, f.bytes*b+2, f.minimum(k))
	}
}

// groupScaleNEON: the next group's scale is at R(10+k), its bias at R(12+k), and
// those of block b as far away as R(19+b) says.
func groupScaleNEON(f *neonQuant, n *neon, _, b, k, _ int) {
	for i, v := range []int{perBlock + 2*k, f.minimum(k)} {
		if b == 0 {
			n.op("FMOVS (R%d), F%d", 10+2*i+k, v)
		} else {
			n.op("FMOVS (R%d)(R%d), F%d", 10+2*i+k, 19+b, v)
		}
	}
}

// scalesQ4KNEON: the 12 bytes at 4 hold scales 0-3, minima 0-3 (6 bits each) and
// the low halves of scales and minima 4-7; the upper two bits of the first eight
// are theirs too. Each six bits are brought to the top of a word.
func scalesQ4KNEON(f *neonQuant, n *neon, r, _, k, _ int) {
	const all, lower, low, high, word, d = 12, 13, 14, 15, 16, 17
	n.op("FMOVQ (R%d), F%d", r, all)
	n.op("VSHL $2, V%d.B16, V%d.B16", all, lower)
	n.op("VSHL $4, V%d.B16, V%d.B16", all, low)
	n.op("VUSHR $4, V%d.B16, V%d.B16", all, high)
	n.op("VSHL $4, V%d.B16, V%[1]d.B16", high)
	for i, v := range []int{perBlock + 2*k, f.minimum(k)} {
		n.half(r, 2*i, d)
		if i == 1 {
			n.op("FNEGS F%d, F%[1]d", d)
		}
		n.lookup(1+i, v, lower)
		n.lookup(1+i, v+1, all)
		n.lookup(3, word, []int{low, high}[i])
		n.op("VSRI $2, V%d.S4, V%d.S4", word, v+1)
		for j := range 2 {
			n.fromFixed(false, v+j, v+j, 26)
			n.fmulLane(v+j, v+j, d, 0)
		}
	}
}

// scalesQ6KNEON: eight of the sixteen at a time.
func scalesQ6KNEON(f *neonQuant, n *neon, r, _, k, c int) {
	const bytes, d = 12, 13
	n.op("FMOVD %d(R%d), F%d", 192+c/16, r, bytes)
	n.half(r, 208, d)
	for j := range 2 {
		v := perBlock + 2*k + j
		n.spread4(true, j, v, bytes, 0)
		n.fmulLane(v, v, d, 0)
	}
}

// scalesQ2KNEON: eight of the sixteen at a time, nibbles of scales and of minima.
func scalesQ2KNEON(f *neonQuant, n *neon, r, _, k, c int) {
	n.op("FMOVD %d(R%d), F12", c/16, r)
	n.op("VUSHR $4, V12.B16, V13.B16")
	n.field(12, 0, 4)
	n.half(r, 80, 14)
	n.half(r, 82, 15)
	n.op("FNEGS F15, F15")
	for i, v := range []int{perBlock + 2*k, f.minimum(k)} {
		for j := range 2 {
			n.spread4(false, j, v+j, 12+i, 0)
			n.fmulLane(v+j, v+j, 14+i, 0)
		}
	}
}

// scalesIQ4XSNEON: nibbles, and two bits each of a 16-bit word, which are spread to
// the bytes of R19.
func scalesIQ4XSNEON(f *neonQuant, n *neon, r, _, k, _ int) {
	n.op("FMOVS 4(R%d), F12", r)
	n.op("VUSHR $4, V12.B16, V13.B16")
	n.field(12, 0, 4)
	n.op("VZIP1 V13.B16, V12.B16, V12.B16")
	n.op("MOVHU 2(R%d), R19", r)
	for _, step := range []struct{ shift, mask int }{{24, 0x000000ff000000ff}, {12, 0x000f000f000f000f}, {6, 0x0303030303030303}} {
		n.op("ORR R19<<%d, R19, R19", step.shift)
		n.op("AND $%#x, R19", step.mask)
	}
	n.sixBitScales(r, 0, k)
}

// scalesQ3KNEON: eight of the sixteen at a time, in the low nibbles or the high
// ones, and two bits each of four bytes.
func scalesQ3KNEON(f *neonQuant, n *neon, r, _, k, c int) {
	n.op("FMOVD 96(R%d), F12", r)
	n.field(12, c/128*4, 4)
	n.op("MOVWU 104(R%d), R19", r)
	if c > 0 {
		n.op("LSR $4, R19")
	}
	n.op("ORR R19<<30, R19, R19")
	n.op("AND $%#x, R19", 0x0303030303030303)
	n.sixBitScales(r, 108, k)
}

// sixBitScales turns four lower bits in each byte of V12 and two upper ones in R19
// into d·(s − 32).
func (n *neon) sixBitScales(r, d, k int) {
	n.op("FMOVD R19, F13")
	n.op("VSLI $4, V13.B16, V12.B16")
	n.op("VMOVI $32, V13.B16")
	n.op("VSUB V13.B16, V12.B16, V12.B16")
	n.half(r, d, 13)
	for j := range 2 {
		v := perBlock + 2*k + j
		n.spread4(true, j, v, 12, 0)
		n.fmulLane(v, v, 13, 0)
	}
}

// lookup brings bytes 4i … 4i+3 of V(a) to the tops of words.
func (n *neon) lookup(i, d, a int) {
	n.op("VTBL V%d.B16, [V%d.B16], V%d.B16", spread+i, a, d)
}

// spread4 widens bytes 4i … 4i+3 of V(a), numbers times 2^fraction, to float32.
func (n *neon) spread4(signed bool, i, d, a, fraction int) {
	n.lookup(i, d, a)
	n.fromFixed(signed, d, d, 24+fraction)
}

func neonSpread(n *neon) {
	var words []uint32
	for i := range 16 {
		words = append(words, uint32(i)<<24|0xffffff) // indices outside the table give zero
	}
	n.data("spread", words)

	words = nil
	for c := 0; c < 32; c += 4 {
		words = append(words, uint32(c/8)*0x01010101)
	}
	n.data("fiveBits", append(words, 0x08040201, 0x80402010, 0x08040201, 0x80402010))

	words = nil
	for i := 0; i < 16; i += 4 {
		words = append(words, iq4Word(i))
	}
	n.data("iq4", words)
}

// constants sets the registers that stay as they are. R19 is scratch.
func (f *neonQuant) constants(n *neon, lookups bool) {
	if lookups {
		n.op("MOVD $spread<>(SB), R19")
		n.op("VLD1 (R19), [V%d.B16, V%d.B16, V%d.B16, V%d.B16]", spread, spread+1, spread+2, spread+3)
	}
	if f.table != "" {
		n.op("MOVD $%s<>(SB), R24", f.table)
		n.op("FMOVQ %d(R24), F%d", map[string]int{"fiveBits": 32}[f.table], constant)
	}
	if f.mask != 0 {
		n.op("VMOVI $%d, V%d.B16", f.mask, constant)
	}
}
