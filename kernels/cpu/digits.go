package cpu

import (
	"math"
	"unsafe"
)

// Routines that multiply bytes take activations as records of digits. A record
// stands for 128 elements, four blocks of 32, or for a single one where fewer
// than four are left. Each element is a 24-bit fixed-point number n·unit of three
// signed bytes, n = d0·2¹⁶ + d1·2⁸ + d2. Products of digits with weights of 8 bits
// and fewer are exact integers.
//
// The unit is a power of two that the largest element of the row decides, 2⁻²² of
// it or 2⁻²³. What an element loses by it is what a float32 sum in which that
// largest element stands loses by every rounding.
//
// Of each block, the first 16 digits stand in one vector of 64 bytes, and the
// other 16 in the next, at 16 times the number of the block: so weights that are
// multiplied with both add into the same lanes.
type record struct {
	digits [3][2][64]int8
	sums   [16]float32 // of n in each four bytes of both vectors, times a factor
	unit   float32     // of the row: NaN if an element is infinite or not a number
	_      [15]float32
}

const recordFloats = int(unsafe.Sizeof(record{}) / 4)

// records is the number of records for n elements.
func records(n int) int { return n/128 + n%128/32 }

// digits is what the routines of that name compute.
func digits(a *digitArgs) {
	out := unsafe.Slice((*record)(unsafe.Pointer(a.dst)), records(32*a.blocks))
	x := unsafe.Slice(a.x, 32*a.blocks)
	index := unsafe.Slice(a.index, 32)
	var top uint32
	for _, v := range x {
		top = max(top, math.Float32bits(v)&^(1<<31)) // a NaN is larger than any number
	}
	unit, inverse := unitOf(top)
	for i := range out {
		n := 128
		if len(x) < n {
			n = 32
		}
		out[i] = record{unit: unit}
		if inverse > 0 {
			out[i].set(x[:n], index, inverse, a.factor)
		}
		x = x[n:]
	}
}

// unitOf is the smallest power of two that makes three digits hold the number with
// the given bits, and at least the smallest normal number; and its inverse. The
// largest n is 0x7f7f7f; mantissas from 0x7efeff on would round to more, and take
// the next power.
func unitOf(top uint32) (unit, inverse float32) {
	if top >= math.Float32bits(float32(math.Inf(1))) {
		return float32(math.NaN()), 0
	}
	exponent := max(int32((top+0x10101)>>23)-22, 1)
	return math.Float32frombits(uint32(exponent) << 23), math.Float32frombits(uint32(254-exponent) << 23)
}

func (r *record) set(x []float32, index []int32, inverse, factor float32) {
	var sums [16]int32
	for i := range x {
		block, place := i/32, i%32
		n := int32(math.RoundToEven(float64(x[32*block+int(index[place])] * inverse)))
		at := 16*block + place%16
		sums[at/4] += n
		for d, v := range [3]uint32{uint32(n+0x808080) >> 16, uint32(n+0x808080) >> 8, uint32(n + 0x808080)} {
			r.digits[d][place/16][at] = int8(v ^ 0x80)
		}
	}
	for i, s := range sums {
		r.sums[i] = float32(s) * factor
	}
}
