package cpu

import (
	"math"
	"unsafe"
)

const recordFloats = int(unsafe.Sizeof(record{}) / 4)

// records is the number of records for n elements.
func records(n int) int { return n/128 + n%128/32 }

// int8x3 is what the routines of that name compute.
func int8x3(a *int8x3Args) {
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
			out[i].set(x[:n], index, inverse, a.factor, a.flat)
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

func (r *record) set(x []float32, index []int32, inverse, factor float32, flat bool) {
	var sums [16]int32
	for i := range x {
		block, place := i/32, i%32
		n := int32(math.RoundToEven(float64(x[32*block+int(index[place])] * inverse)))
		half, at := place/16, 16*block+place%16
		sum := at / 4
		if flat {
			half, at, sum = block/2, (32*block+place)%64, (32*block+place)/8
		}
		sums[sum] += n
		for d, v := range [3]uint32{uint32(n+0x808080) >> 16, uint32(n+0x808080) >> 8, uint32(n + 0x808080)} {
			r.digits[d][half][at] = int8(v ^ 0x80)
		}
	}
	for i, s := range sums {
		r.sums[i] = float32(s) * factor
	}
}
