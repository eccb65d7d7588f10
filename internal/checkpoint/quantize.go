package checkpoint

import (
	"encoding/binary"
	"math"

	"github.com/go-openelm/go-openelm/kernels"
)

// RowBytes is the size of a row of cols weights.
func RowBytes(f kernels.Format, cols int) int { return cols / f.BlockCols() * f.BlockBytes() }

// Encode stores row in dst in any format but the affine ones: RowBytes bytes.
// Quantised formats get the scale that just covers a group's weights, and each
// weight is rounded to the nearest value; llama.cpp's quantiser also searches
// for better scales. Products are converted before they are added to: a fused
// multiplication would round differently from machine to machine.
func Encode(dst []byte, row []float32, f kernels.Format) {
	switch {
	case f == kernels.BF16:
		for i, v := range row {
			binary.LittleEndian.PutUint16(dst[2*i:], kernels.ToBF16(v))
		}
		return
	case f.Float():
		size := f.BlockBytes()
		for i, v := range row {
			kernels.PutFloat(dst[i*size:], v, f)
		}
		return
	}
	encode := encoders[f]
	cols, size := f.BlockCols(), f.BlockBytes()
	for b := 0; b*cols < len(row); b++ {
		encode(dst[b*size:(b+1)*size], row[b*cols:(b+1)*cols])
	}
}

var encoders = map[kernels.Format]func(dst []byte, x []float32){
	kernels.Q8_0: encodeQ8_0, kernels.Q4_0: encodeQ4_0, kernels.Q4_1: encodeQ4_1, kernels.Q5_0: encodeQ5_0, kernels.Q5_1: encodeQ5_1,
	kernels.Q2_K: encodeQ2_K, kernels.Q3_K: encodeQ3_K, kernels.Q4_K: encodeQ4_K, kernels.Q5_K: encodeQ5_K, kernels.Q6_K: encodeQ6_K,
	kernels.IQ4_NL: encodeIQ4_NL, kernels.IQ4_XS: encodeIQ4_XS,
}

// EncodeAffine stores row as MLX does: q packed into little-endian words, and
// a scale and a bias of format f for each group of columns.
func EncodeAffine(q, scales, biases []byte, row []float32, bits, group int, f kernels.Format) {
	size := f.BlockBytes()
	top := float32(int(1)<<bits - 1)
	clear(q)
	for g := 0; g*group < len(row); g++ {
		x := row[g*group : (g+1)*group]
		low, high := minMax(x)
		bias := kernels.PutFloat(biases[g*size:], low, f)
		scale := kernels.PutFloat(scales[g*size:], (high-bias)/top, f)
		for i, v := range x {
			c := g*group + i
			q[c*bits/8] |= quantum(v-bias, scale, 0, top) << (c * bits % 8)
		}
	}
}

// quantum is x/d rounded to the nearest whole number from low to high.
func quantum(x, d, low, high float32) uint8 {
	if d == 0 {
		return uint8(int(max(low, 0)))
	}
	q := math.RoundToEven(float64(x) / float64(d))
	return uint8(int(min(max(q, float64(low)), float64(high))))
}

func minMax(x []float32) (low, high float32) {
	low, high = x[0], x[0]
	for _, v := range x {
		low, high = min(low, v), max(high, v)
	}
	return low, high
}

// extreme is the element of x that is furthest from zero.
func extreme(x []float32) float32 {
	low, high := minMax(x)
	if -low > high {
		return low
	}
	return high
}

func encodeQ8_0(dst []byte, x []float32) {
	d := kernels.PutFloat(dst, float32(math.Abs(float64(extreme(x))))/127, kernels.F16)
	for i, v := range x {
		dst[2+i] = quantum(v, d, -127, 127)
	}
}

func encodeQ4_0(dst []byte, x []float32) {
	d := kernels.PutFloat(dst, extreme(x)/-8, kernels.F16)
	for i := range 16 {
		dst[2+i] = quantum(x[i]+float32(8*d), d, 0, 15) | quantum(x[i+16]+float32(8*d), d, 0, 15)<<4
	}
}

func encodeQ4_1(dst []byte, x []float32) {
	low, high := minMax(x)
	m := kernels.PutFloat(dst[2:], low, kernels.F16)
	d := kernels.PutFloat(dst, (high-m)/15, kernels.F16)
	for i := range 16 {
		dst[4+i] = quantum(x[i]-m, d, 0, 15) | quantum(x[i+16]-m, d, 0, 15)<<4
	}
}

func encodeQ5_0(dst []byte, x []float32) {
	d := kernels.PutFloat(dst, extreme(x)/-16, kernels.F16)
	putFiveBits(dst[2:], x, float32(16*d), d)
}

func encodeQ5_1(dst []byte, x []float32) {
	low, high := minMax(x)
	m := kernels.PutFloat(dst[2:], low, kernels.F16)
	d := kernels.PutFloat(dst, (high-m)/31, kernels.F16)
	putFiveBits(dst[4:], x, -m, d)
}

// putFiveBits stores (x + offset)/d of 32 columns: their upper bits and then
// their nibbles, as kernels.ReadRow has them.
func putFiveBits(dst []byte, x []float32, offset, d float32) {
	clear(dst)
	for c, v := range x {
		q := quantum(v+offset, d, 0, 31)
		dst[c/8] |= q >> 4 << (c % 8)
		dst[4+c%16] |= q & 15 << (c / 16 * 4)
	}
}

// minima returns the scale and the minimum of each group of columns, for q up to
// top, as multiples up to most of the two binary16 that it stores in units.
func minima(units []byte, x []float32, group int, top, most float32) (d, dmin float32, scale, minimum []uint8) {
	n := len(x) / group
	scales, minima := make([]float32, n), make([]float32, n)
	for j := range n {
		low, high := minMax(x[group*j : group*(j+1)])
		low = min(low, 0) // the minimum is subtracted and stored unsigned
		scales[j], minima[j] = max(high-low, 0)/top, -low
	}
	_, maxScale := minMax(scales)
	_, maxMin := minMax(minima)
	d = kernels.PutFloat(units, maxScale/most, kernels.F16)
	dmin = kernels.PutFloat(units[2:], maxMin/most, kernels.F16)
	for j := range n {
		scale = append(scale, quantum(scales[j], d, 0, most))
		minimum = append(minimum, quantum(minima[j], dmin, 0, most))
	}
	return d, dmin, scale, minimum
}

func encodeQ2_K(dst []byte, x []float32) {
	d, dmin, scale, minimum := minima(dst[80:], x, 16, 3, 15)
	qs := dst[16:80]
	clear(qs)
	for j, s := range scale {
		dst[j] = s | minimum[j]<<4
	}
	for c, v := range x {
		q := quantum(v+float32(dmin*float32(minimum[c/16])), d*float32(scale[c/16]), 0, 3)
		putBitPair(qs, c, q)
	}
}

// putBitPair stores the lower two bits of column c's q; see kernels.ReadRow.
func putBitPair(qs []byte, c int, q uint8) { qs[32*(c/128)+c%32] |= q & 3 << (2 * (c % 128 / 32)) }

func encodeQ3_K(dst []byte, x []float32) {
	upper, qs, packed := dst[:32], dst[32:96], dst[96:108]
	clear(dst)
	d, scales := signedScales(dst[108:], x, 16, -4, 32)
	for g, s := range scales {
		packed[g%8] |= uint8(s+32) & 15 << (4 * (g / 8))
		packed[8+g%4] |= uint8(s+32) >> 4 << (2 * (g / 4))
	}
	for c, v := range x {
		s := d * float32(scales[c/16])
		q := quantum(v+float32(4*s), s, 0, 7)
		putBitPair(qs, c, q)
		upper[c%32] |= q >> 2 << (c / 32)
	}
}

// signedScales returns the scale of each group of columns, with which the one
// furthest from zero is low, as multiples from −most to most − 1 of the binary16
// that it stores.
func signedScales(unit []byte, x []float32, group int, low, most float32) (d float32, scales []int8) {
	n := len(x) / group
	wide := make([]float32, n)
	for j := range n {
		wide[j] = extreme(x[group*j:group*(j+1)]) / low
	}
	d = kernels.PutFloat(unit, extreme(wide)/-most, kernels.F16)
	for _, s := range wide {
		scales = append(scales, int8(quantum(s, d, -most, most-1)))
	}
	return d, scales
}

func encodeIQ4_NL(dst []byte, x []float32) {
	d := kernels.PutFloat(dst, extreme(x)/-127, kernels.F16)
	putIQ4(dst[2:], x, d)
}

func encodeIQ4_XS(dst []byte, x []float32) {
	clear(dst[:8])
	d, scales := signedScales(dst, x, 32, -127, 32)
	for j, s := range scales {
		upper := uint16(s+32) >> 4 << (2 * j)
		dst[2] |= uint8(upper)
		dst[3] |= uint8(upper >> 8)
		dst[4+j/2] |= uint8(s+32) & 15 << (4 * (j % 2))
		putIQ4(dst[8+16*j:], x[32*j:32*(j+1)], d*float32(s))
	}
}

// putIQ4 stores the indices of the values nearest to x/d, as nibbles.
func putIQ4(dst []byte, x []float32, d float32) {
	nearest := func(v float32) (best uint8) {
		least := math.Inf(1)
		for i, value := range kernels.IQ4Values {
			if e := math.Abs(float64(v) - float64(d)*float64(value)); e < least {
				best, least = uint8(i), e
			}
		}
		return best
	}
	for i := range 16 {
		dst[i] = nearest(x[i]) | nearest(x[i+16])<<4
	}
}

func encodeQ4_K(dst []byte, x []float32) {
	encodeMinima(x, dst[:16], dst[16:], 15, func(int, uint8) {})
}

func encodeQ5_K(dst []byte, x []float32) {
	upper := dst[16:48]
	clear(upper)
	encodeMinima(x, dst[:16], dst[48:], 31, func(c int, q uint8) { upper[c%32] |= q >> 4 << (c / 32) })
}

// encodeMinima stores what Q4_K and Q5_K share, and gives each q to rest.
func encodeMinima(x []float32, head, qs []byte, top float32, rest func(c int, q uint8)) {
	d, dmin, scale, minimum := minima(head, x, 32, top, 63)
	packed := head[4:]
	clear(packed)
	clear(qs)
	for j, s := range scale {
		m := minimum[j]
		if j < 4 {
			packed[j] |= s
			packed[j+4] |= m
		} else {
			packed[j+4] |= s&15 | m<<4
			packed[j-4] |= s >> 4 << 6
			packed[j] |= m >> 4 << 6
		}
		for i, v := range x[32*j : 32*j+32] {
			q := quantum(v+float32(dmin*float32(m)), d*float32(s), 0, top)
			qs[32*(j/2)+i] |= q & 15 << (4 * (j % 2))
			rest(32*j+i, q)
		}
	}
}

func encodeQ6_K(dst []byte, x []float32) {
	low, high, scales := dst[:128], dst[128:192], dst[192:208]
	clear(dst)
	d, whole := signedScales(dst[208:], x, 16, -32, 128)
	for j, s := range whole {
		scales[j] = uint8(s)
	}
	for c, v := range x {
		s := d * float32(whole[c/16])
		q := quantum(v+float32(32*s), s, 0, 63)
		half, run, i := c/128, c%128/32, c%32
		low[64*half+32*(run%2)+i] |= q & 15 << (4 * (run / 2))
		high[32*half+i] |= q >> 4 << (2 * run)
	}
}
