package kernels

import (
	"fmt"
)

// Format is how a matrix stores its weights.
//
// The quantised formats store a row as blocks of consecutive columns. The GGUF
// ones (Q8_0 … IQ4_XS) keep each block's scale beside its weights, as the GGUF
// specification lays them out, so that a mapped file is used as it is. Affine4
// and Affine8 are MLX's: packed weights, scales and biases in three tensors.
type Format uint8

// The formats of a weight matrix. F32 is also the format of activations.
const (
	F32     Format = iota + 1
	F16            // IEEE 754 binary16
	BF16           // the upper half of a float32
	Q8_0           // 32 columns: f16 d, 32 × int8 q; w = d·q
	Q4_0           // 32 columns: f16 d, 16 bytes of nibbles; w = d·(q − 8)
	Q4_1           // 32 columns: f16 d, f16 m, 16 bytes of nibbles; w = d·q + m
	Q5_0           // 32 columns: f16 d, 5-bit q; w = d·(q − 16)
	Q5_1           // 32 columns: f16 d, f16 m, 5-bit q; w = d·q + m
	Q2_K           // 256 columns: 16 groups of 16, 4-bit scales and minima; w = d·s·q − dmin·m
	Q3_K           // 256 columns: 16 groups of 16, 6-bit scales; w = d·(s − 32)·(q − 4)
	Q4_K           // 256 columns: 8 groups of 32, 6-bit scales and minima; w = d·s·q − dmin·m
	Q5_K           // 256 columns: as Q4_K, with 5-bit q
	Q6_K           // 256 columns: 16 groups of 16, 8-bit scales; w = d·s·(q − 32)
	IQ4_NL         // 32 columns: f16 d, 16 bytes of nibbles, indices of IQ4Values; w = d·v
	IQ4_XS         // 256 columns: 8 groups of 32, 6-bit scales; w = d·(s − 32)·v, v as in IQ4_NL
	Affine4        // 4-bit q, low nibble first; w = scale·q + bias, one of each per Matrix.Group columns
	Affine8        // 8-bit q; w = scale·q + bias
)

// formatInfo is the layout of a format: a row is a whole number of blocks of
// cols columns in bytes bytes. Affine matrices count their packed weights only.
var formatInfo = [...]struct {
	name        string
	cols, bytes int
}{
	F32:     {"F32", 1, 4},
	F16:     {"F16", 1, 2},
	BF16:    {"BF16", 1, 2},
	Q8_0:    {"Q8_0", 32, 34},
	Q4_0:    {"Q4_0", 32, 18},
	Q4_1:    {"Q4_1", 32, 20},
	Q5_0:    {"Q5_0", 32, 22},
	Q5_1:    {"Q5_1", 32, 24},
	Q2_K:    {"Q2_K", 256, 84},
	Q3_K:    {"Q3_K", 256, 110},
	Q4_K:    {"Q4_K", 256, 144},
	Q5_K:    {"Q5_K", 256, 176},
	Q6_K:    {"Q6_K", 256, 210},
	IQ4_NL:  {"IQ4_NL", 32, 18},
	IQ4_XS:  {"IQ4_XS", 256, 136},
	Affine4: {"Affine4", 8, 4},
	Affine8: {"Affine8", 4, 4},
}

// NumFormats is the length of an array with an element for each format, by its
// number (that of 0, which is none, included).
const NumFormats = len(formatInfo)

// Valid reports whether f is one of the formats above.
func (f Format) Valid() bool { return f >= F32 && int(f) < len(formatInfo) }

// Affine reports whether f keeps its scales and biases in tensors of their own.
func (f Format) Affine() bool { return f == Affine4 || f == Affine8 }

// Float reports whether f is a floating-point format: F32, F16 or BF16.
func (f Format) Float() bool { return f == F32 || f == F16 || f == BF16 }

// BlockCols is the number of columns in one block: a row of a matrix is a whole
// number of blocks.
func (f Format) BlockCols() int { return formatInfo[f].cols }

// BlockBytes is the size of one block.
func (f Format) BlockBytes() int { return formatInfo[f].bytes }

// Align is the alignment, in bytes, that every operation expects of the first
// byte of a matrix in this format.
func (f Format) Align() int {
	switch f {
	case F32, Affine4, Affine8:
		return 4
	default:
		return 2
	}
}

func (f Format) String() string {
	if f.Valid() {
		return formatInfo[f].name
	}
	return fmt.Sprintf("Format(%d)", uint8(f))
}
