package cpu

import "math"

// layout is how activations stand in memory for the kernels of a format: an order of
// 32 columns and a power of two for each. Weights of quantised formats are cheapest to
// widen where they are in a 32-bit word: as integers times a power of two, in an order
// that follows from the format. The activations are brought into the same order, and
// divided by the same powers, once for all rows of weights.
//
// With them go the sums of the activations, for what a format adds to all
// weights of a block: times factor, as the routines put them into eight lanes.
type layout struct {
	index  [32]int32
	scale  [32]float32
	factor float32

	// int8x3: the activations become records instead, in the order index; the
	// sums are those of a record times factor.
	int8x3 bool
	flat   bool // the digits of a block one after the other
}

// layoutOf is a layout from the column and the power of its element i.
func layoutOf(factor float32, of func(i int) (column, power int)) *layout {
	a := layout{factor: factor}
	for i := range a.index {
		column, power := of(i)
		a.index[i], a.scale[i] = int32(column), float32(math.Ldexp(1, -power))
	}
	return &a
}

// inPlace and evenFirst are orders of 32 columns: as they are, and the even ones
// before the odd ones.
func inPlace(i int) int   { return i }
func evenFirst(i int) int { return i%16*2 + i/16 }

// inEights: of each 16 columns the first 8 before the others. The sums of a record are
// then of 8 columns that have one scale also where 16 columns have one.
func inEights(i int) int { return i/8%2*16 + i/16*8 + i%8 }

// int8x3Layout is a layout of records for weights w = d·(q − factor), or for
// w = d·q + m with a factor of one.
func int8x3Layout(factor float32, column func(i int) int) *layout {
	a := layoutOf(factor, func(i int) (int, int) { return column(i), 0 })
	a.int8x3 = true
	return a
}

var (
	// pairs: of each 16 columns the even ones first. A 32-bit word of BF16 is
	// two weights, and each is a float32 once the other is shifted or masked out.
	pairs = layoutOf(0, func(i int) (int, int) { return i&16 + i%8*2 + i/8%2, 0 })

	// signedBytes: byte b of word w is column 4w + b, and is moved to the top.
	signedBytes = layoutOf(0, func(i int) (int, int) { return i%8*4 + i/8, 24 })

	// unsignedBytes: the same, masked out where it is; the topmost is moved down.
	unsignedBytes = layoutOf(1.0/lanes, func(i int) (int, int) { return i%8*4 + i/8, 8 * (i / 8) % 24 })

	// wholePairs: of each 32 columns the even ones first, for vectors of 16.
	wholePairs = layoutOf(0, func(i int) (int, int) { return evenFirst(i), 0 })

	// Records: columns as they are; for weights that are stored with an offset of
	// 8, 16 or 128; for bytes of two neighbouring columns; and for scales of 16
	// columns, with an offset of 4 or 32.
	natural     = int8x3Layout(1, inPlace)
	offset8     = int8x3Layout(8, inPlace)
	offset16    = int8x3Layout(16, inPlace)
	offset128   = int8x3Layout(128, inPlace)
	evenColumns = int8x3Layout(1, evenFirst)
	eights      = int8x3Layout(1, inEights)
	eights4     = int8x3Layout(4, inEights)
	eights32    = int8x3Layout(32, inEights)
	flat        = func() *layout { a := int8x3Layout(1, inPlace); a.flat = true; return a }()

	// affineNibbles: vector v has nibbles v and v+4 of four words; nibble n of
	// word w is column 8w + n.
	affineNibbles = layoutOf(1.0/lanes, func(i int) (int, int) {
		v, word, high := i/8, i%4, i/4%2
		return 8*word + 4*high + v, 4*v + 16*high - v/3*4
	})
)
