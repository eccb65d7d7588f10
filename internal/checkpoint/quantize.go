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
			binary.LittleEndian.PutUint16(dst[2*i:], ToBF16(v))
		}
		return
	case f.Float():
		size := f.BlockBytes()
		for i, v := range row {
			putFloat(dst[i*size:], v, f)
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
	kernels.Q8_0: encodeQ8_0, kernels.Q4_0: encodeQ4_0, kernels.Q4_1: encodeQ4_1,
	kernels.Q4_K: encodeQ4_K, kernels.Q6_K: encodeQ6_K,
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
		bias := putFloat(biases[g*size:], low, f)
		scale := putFloat(scales[g*size:], (high-bias)/top, f)
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

// putFloat stores v and returns what was stored.
func putFloat(dst []byte, v float32, f kernels.Format) float32 {
	switch f {
	case kernels.F16:
		h := kernels.ToF16(v)
		binary.LittleEndian.PutUint16(dst, h)
		return kernels.FromF16(h)
	case kernels.BF16:
		h := ToBF16(v)
		binary.LittleEndian.PutUint16(dst, h)
		return kernels.FromBF16(h)
	default:
		binary.LittleEndian.PutUint32(dst, math.Float32bits(v))
		return v
	}
}

// ToBF16 rounds to the nearest bfloat16, halves to even.
func ToBF16(v float32) uint16 {
	b := math.Float32bits(v)
	if v != v {
		return uint16(b>>16) | 1<<6 // keep a NaN one
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

func encodeQ8_0(dst []byte, x []float32) {
	d := putFloat(dst, float32(math.Abs(float64(extreme(x))))/127, kernels.F16)
	for i, v := range x {
		dst[2+i] = quantum(v, d, -127, 127)
	}
}

func encodeQ4_0(dst []byte, x []float32) {
	d := putFloat(dst, extreme(x)/-8, kernels.F16)
	for i := range 16 {
		dst[2+i] = quantum(x[i]+float32(8*d), d, 0, 15) | quantum(x[i+16]+float32(8*d), d, 0, 15)<<4
	}
}

func encodeQ4_1(dst []byte, x []float32) {
	low, high := minMax(x)
	m := putFloat(dst[2:], low, kernels.F16)
	d := putFloat(dst, (high-m)/15, kernels.F16)
	for i := range 16 {
		dst[4+i] = quantum(x[i]-m, d, 0, 15) | quantum(x[i+16]-m, d, 0, 15)<<4
	}
}

func encodeQ4_K(dst []byte, x []float32) {
	var scales, minima [8]float32
	for j := range scales {
		low, high := minMax(x[32*j : 32*j+32])
		low = min(low, 0) // the minimum is subtracted and stored unsigned
		scales[j], minima[j] = max(high-low, 0)/15, -low
	}
	_, maxScale := minMax(scales[:])
	_, maxMin := minMax(minima[:])
	d := putFloat(dst, maxScale/63, kernels.F16)
	dmin := putFloat(dst[2:], maxMin/63, kernels.F16)
	packed, qs := dst[4:16], dst[16:]
	clear(packed)
	clear(qs)
	for j := range scales {
		s, m := quantum(scales[j], d, 0, 63), quantum(minima[j], dmin, 0, 63)
		if j < 4 {
			packed[j] |= s
			packed[j+4] |= m
		} else {
			packed[j+4] |= s&15 | m<<4
			packed[j-4] |= s >> 4 << 6
			packed[j] |= m >> 4 << 6
		}
		for i, v := range x[32*j : 32*j+32] {
			qs[32*(j/2)+i] |= quantum(v+float32(dmin*float32(m)), d*float32(s), 0, 15) << (4 * (j % 2))
		}
	}
}

func encodeQ6_K(dst []byte, x []float32) {
	low, high, scales := dst[:128], dst[128:192], dst[192:208]
	clear(dst)
	var wide [16]float32
	for j := range wide {
		wide[j] = extreme(x[16*j:16*j+16]) / -32
	}
	d := putFloat(dst[208:], extreme(wide[:])/-128, kernels.F16)
	for j := range wide {
		scales[j] = quantum(wide[j], d, -128, 127)
	}
	for c, v := range x {
		s := d * float32(int8(scales[c/16]))
		q := quantum(v+float32(32*s), s, 0, 63)
		half, run, i := c/128, c%128/32, c%32
		low[64*half+32*(run%2)+i] |= q & 15 << (4 * (run / 2))
		high[32*half+i] |= q >> 4 << (2 * run)
	}
}
