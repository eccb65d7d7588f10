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
// The layouts are those of the GGUF specification (block_q8_0 … block_iq4_xs of
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
	Q8_0: readQ8_0, Q4_0: readQ4_0, Q4_1: readQ4_1, Q5_0: readQ5_0, Q5_1: readQ5_1,
	Q2_K: readQ2_K, Q3_K: readQ3_K, Q4_K: readQ4_K, Q5_K: readQ5_K, Q6_K: readQ6_K,
	IQ4_NL: readIQ4_NL, IQ4_XS: readIQ4_XS,
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

// readQ5_0: f16 d, 32 upper bits, one a column, 16 bytes as in Q4_0;
// w = d·(q − 16).
func readQ5_0(dst []float32, b []byte) {
	d := float64(float(F16, b, 0))
	for c := range dst {
		dst[c] = float32(d * float64(fiveBits(b[2:], c)-16))
	}
}

// readQ5_1: f16 d, f16 m, then as Q5_0; w = d·q + m.
func readQ5_1(dst []float32, b []byte) {
	d, m := float64(float(F16, b, 0)), float64(float(F16, b, 1))
	for c := range dst {
		dst[c] = float32(d*float64(fiveBits(b[4:], c)) + m)
	}
}

// fiveBits is q of column c of 32: its upper bit is bit c of a little-endian
// word, its lower four are in the 16 bytes behind.
func fiveBits(b []byte, c int) int {
	return nibble(int(b[4+c%16]), c/16) | int(b[c/8]>>(c%8)&1)<<4
}

// readQ2_K: 16 bytes of a 4-bit scale s (low) and minimum m (high) for each 16
// columns, 64 bytes of q, f16 d, f16 dmin. Each half of 128 columns is four runs
// of 32: run r has bits 2r and 2r+1 of the half's 32 bytes; w = d·s·q − dmin·m.
func readQ2_K(dst []float32, b []byte) {
	scales, qs := b[:16], b[16:80]
	d, dmin := float64(float(F16, b[80:], 0)), float64(float(F16, b[80:], 1))
	for c := range dst {
		s := int(scales[c/16])
		q := bitPair(qs, c)
		dst[c] = float32(d*float64(nibble(s, 0)*q) - dmin*float64(nibble(s, 1)))
	}
}

// bitPair is q of column c of 256 in 64 bytes; see readQ2_K.
func bitPair(qs []byte, c int) int { return int(qs[32*(c/128)+c%32]>>(2*(c%128/32))) & 3 }

// readQ3_K: 32 bytes of upper bits, 64 bytes of lower bit pairs as in Q2_K, 12
// bytes of 6-bit scales s for each 16 columns, f16 d. Bit j of upper byte i is
// of column 32·j + i; w = d·(s − 32)·(q − 4).
func readQ3_K(dst []float32, b []byte) {
	upper, qs, packed := b[:32], b[32:96], b[96:108]
	d := float64(float(F16, b[108:], 0))
	for c := range dst {
		g := c / 16
		s := nibble(int(packed[g%8]), g/8) | int(packed[8+g%4]>>(2*(g/4))&3)<<4
		q := bitPair(qs, c) | int(upper[c%32]>>(c/32)&1)<<2
		dst[c] = float32(d * float64((s-32)*(q-4)))
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

// readQ5_K: as Q4_K, with 32 bytes of upper bits before q: bit j of byte i is of
// column 32·j + i.
func readQ5_K(dst []float32, b []byte) {
	d, dmin := float64(float(F16, b, 0)), float64(float(F16, b, 1))
	packed, upper, qs := b[4:16], b[16:48], b[48:]
	for c := range dst {
		j := c / 32
		s, m := scaleMinQ4_K(packed, j)
		q := nibble(int(qs[32*(j/2)+c%32]), j%2) | int(upper[c%32]>>j&1)<<4
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

// IQ4Values are what the 4-bit indices of IQ4_NL and IQ4_XS stand for
// (kvalues_iq4nl of ggml).
var IQ4Values = [16]int8{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

// readIQ4_NL: f16 d, 16 bytes of indices as in Q4_0; w = d·v.
func readIQ4_NL(dst []float32, b []byte) {
	d := float64(float(F16, b, 0))
	for c := range dst {
		dst[c] = float32(d * float64(IQ4Values[nibble(int(b[2+c%16]), c/16)]))
	}
}

// readIQ4_XS: f16 d, 16 bits of upper scale bits, 4 bytes of lower ones, 128
// bytes of indices. Group j of 32 columns has bits 2j and 2j+1 of the 16, nibble
// j%2 of byte j/2, and 16 bytes of indices as in Q4_0; w = d·(s − 32)·v.
func readIQ4_XS(dst []float32, b []byte) {
	d := float64(float(F16, b, 0))
	upper, lower, qs := int(binary.LittleEndian.Uint16(b[2:])), b[4:8], b[8:]
	for c := range dst {
		j := c / 32
		s := nibble(int(lower[j/2]), j%2) | upper>>(2*j)&3<<4
		v := int(IQ4Values[nibble(int(qs[16*j+c%16]), c%32/16)])
		dst[c] = float32(d * float64((s-32)*v))
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

// PutFloat stores v in a floating-point format, rounded to nearest, even where it is
// halfway, and returns what was stored.
func PutFloat(dst []byte, v float32, f Format) float32 {
	switch f {
	case F32:
		binary.LittleEndian.PutUint32(dst, math.Float32bits(v))
		return v
	case F16:
		h := ToF16(v)
		binary.LittleEndian.PutUint16(dst, h)
		return FromF16(h)
	default:
		h := ToBF16(v)
		binary.LittleEndian.PutUint16(dst, h)
		return FromBF16(h)
	}
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

// ToBF16 rounds to the nearest bfloat16, halves to even. A NaN stays one.
func ToBF16(v float32) uint16 {
	b := math.Float32bits(v)
	if v != v {
		return uint16(b>>16) | 1<<6
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// FromBF16 widens a bfloat16 value, exactly.
func FromBF16(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }
