package kernels

import (
	"encoding/binary"
	"fmt"
	"math"
)

// ReadRow sets dst, of Cols elements, to row of m: the weights as every
// operation must see them. It is the definition of the formats rather than a
// fast path. The value of a quantised weight is taken in float64, where it is
// exact, and rounded to float32 once.
//
// The layouts are those of the GGUF specification (block_q8_0 … block_q6_K of
// ggml) and of MLX's affine mode (mlx.core.quantize). All are little-endian.
func (m *Matrix) ReadRow(dst []float32, row int) {
	if row < 0 || row >= m.Rows || len(dst) != m.Cols {
		panic(fmt.Sprintf("kernels: row %d into %d elements of a %d × %d matrix", row, len(dst), m.Rows, m.Cols))
	}
	data := m.Data.Slice(row*m.RowBytes(), m.RowBytes()).Bytes()
	switch m.Format {
	case F32, F16, BF16:
		Widen(dst, data, m.Format)
		return
	case Affine4, Affine8:
		n := m.scaleRowBytes()
		readAffine(dst, m, data, m.Scales.Slice(row*n, n).Bytes(), m.Biases.Slice(row*n, n).Bytes())
		return
	}
	read := readBlock[m.Format]
	cols, size := m.Format.BlockCols(), m.Format.BlockBytes()
	for b := 0; b*cols < len(dst); b++ {
		read(dst[b*cols:(b+1)*cols], data[b*size:(b+1)*size])
	}
}

var readBlock = map[Format]func(dst []float32, b []byte){
	Q8_0: readQ8_0, Q4_0: readQ4_0, Q4_1: readQ4_1, Q4_K: readQ4_K, Q6_K: readQ6_K,
}

// readAffine: w = scale·q + bias, one scale and bias for each Group columns;
// q is packed into little-endian words, the first column in the lowest bits.
func readAffine(dst []float32, m *Matrix, q, scales, biases []byte) {
	for c := range dst {
		v := int(q[c*len(q)/len(dst)])
		if m.Format == Affine4 {
			v = nibble(v, c%2)
		}
		g := c / m.Group
		dst[c] = float32(float64(float(m.ScaleFormat, scales, g))*float64(v) + float64(float(m.ScaleFormat, biases, g)))
	}
}

// readQ8_0: f16 d, int8 q[32]; w = d·q.
func readQ8_0(dst []float32, b []byte) {
	d := float64(float(F16, b, 0))
	for c := range dst {
		dst[c] = float32(d * float64(int8(b[2+c])))
	}
}

// readQ4_0: f16 d, 16 bytes; byte i holds columns i (low) and i+16 (high);
// w = d·(q − 8).
func readQ4_0(dst []float32, b []byte) {
	d := float64(float(F16, b, 0))
	for c := range dst {
		q := nibble(int(b[2+c%16]), c/16)
		dst[c] = float32(d * float64(q-8))
	}
}

// readQ4_1: f16 d, f16 m, 16 bytes as in Q4_0; w = d·q + m.
func readQ4_1(dst []float32, b []byte) {
	d, m := float64(float(F16, b, 0)), float64(float(F16, b, 1))
	for c := range dst {
		q := nibble(int(b[4+c%16]), c/16)
		dst[c] = float32(d*float64(q) + m)
	}
}

// readQ4_K: f16 d, f16 dmin, 12 bytes of scales and minima, 128 bytes of q.
// Group j of 32 columns has a 6-bit scale s and minimum m; bytes 32·(j/2) on
// of q hold group j in their low nibbles if j is even, high ones if odd;
// w = d·s·q − dmin·m.
func readQ4_K(dst []float32, b []byte) {
	d, dmin := float64(float(F16, b, 0)), float64(float(F16, b, 1))
	packed, qs := b[4:16], b[16:]
	for c := range dst {
		j := c / 32
		s, m := scaleMinQ4_K(packed, j)
		q := nibble(int(qs[32*(j/2)+c%32]), j%2)
		dst[c] = float32(d*float64(s*q) - dmin*float64(m))
	}
}

// scaleMinQ4_K unpacks group j of 12 bytes: groups 0 to 3 have the low 6 bits
// of bytes j and j+4; groups 4 to 7 the two halves of byte j+4, and above them
// the upper 2 bits of bytes j−4 and j.
func scaleMinQ4_K(b []byte, j int) (scale, minimum int) {
	if j < 4 {
		return int(b[j] & 63), int(b[j+4] & 63)
	}
	return int(b[j+4]&15 | b[j-4]>>6<<4), int(b[j+4]>>4 | b[j]>>6<<4)
}

// readQ6_K: 128 bytes of low nibbles, 64 bytes of upper bit pairs, int8
// s[16], f16 d. Each half of 128 columns is four runs of 32: runs 0 and 1 are
// the low nibbles of its 64 bytes, runs 2 and 3 the high ones; run r has bits
// 2r and 2r+1 of the half's 32 bytes of pairs; w = d·s·(q − 32), s by 16 columns.
func readQ6_K(dst []float32, b []byte) {
	low, high, scales := b[:128], b[128:192], b[192:208]
	d := float64(float(F16, b[208:], 0))
	for c := range dst {
		half, run, i := c/128, c%128/32, c%32
		q := nibble(int(low[64*half+32*(run%2)+i]), run/2) | int(high[32*half+i]>>(2*run))&3<<4
		dst[c] = float32(d * float64(int(int8(scales[c/16]))*(q-32)))
	}
}

// nibble is the low (0) or high (1) four bits of a byte.
func nibble(b, which int) int { return b >> (4 * which) & 15 }

// Widen sets dst to the little-endian values of a floating-point format that
// src begins with, exactly.
func Widen(dst []float32, src []byte, f Format) {
	src = src[:len(dst)*f.BlockBytes()]
	switch f {
	case F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	case F16:
		for i := range dst {
			dst[i] = FromF16(binary.LittleEndian.Uint16(src[2*i:]))
		}
	default:
		for i := range dst {
			dst[i] = FromBF16(binary.LittleEndian.Uint16(src[2*i:]))
		}
	}
}

// float is element i of little-endian values of a floating-point format.
func float(f Format, b []byte, i int) float32 {
	var v [1]float32
	Widen(v[:], b[i*f.BlockBytes():], f)
	return v[0]
}

// FromF16 widens an IEEE 754 binary16 value, exactly.
func FromF16(h uint16) float32 {
	sign, exp, frac := uint32(h>>15)<<31, uint32(h>>10&31), uint32(h&1023)
	switch exp {
	case 0: // zero and subnormals: frac · 2⁻²⁴
		return math.Float32frombits(sign | math.Float32bits(float32(frac)*0x1p-24))
	case 31: // infinities and NaNs
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+127-15)<<23 | frac<<13)
}

// ToF16 rounds to the nearest IEEE 754 binary16 value, halves to even. Values of
// 65520 and above become infinite; a NaN stays one.
func ToF16(v float32) uint16 {
	b := math.Float32bits(v)
	sign, abs := uint16(b>>16)&0x8000, b&0x7fffffff
	switch {
	case abs > 0x7f800000:
		return sign | 0x7e00
	case abs >= 0x477ff000: // 65520 and above round to infinity
		return sign | 0x7c00
	case abs < 0x38800000: // below 2⁻¹⁴: subnormal, a multiple of 2⁻²⁴
		return sign | uint16(math.RoundToEven(float64(math.Float32frombits(abs))*0x1p24))
	}
	abs -= (127 - 15) << 23
	return sign | uint16((abs+0xfff+abs>>13&1)>>13)
}

// FromBF16 widens a bfloat16 value, exactly.
func FromBF16(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }
