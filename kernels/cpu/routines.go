package cpu

//go:generate go -C internal/gen run . -dir ../..

import (
	"unsafe"

	"github.com/go-openelm/go-openelm/kernels"
)

// routines are the inner loops of one instruction set. Each takes a struct that
// lives in scratch memory, so that a call through the table allocates nothing
// and assembly finds its operands at fixed offsets. The portable ones are the
// definition of the others.
type routines struct {
	isa ISA

	// matvec multiplies rows of a matrix with 1, 2 or 4 activation rows, and widen
	// converts part of a row to float32. A format without them goes through
	// kernels.Matrix.ReadRow, the definition of the formats; F32 has all.
	matvec [formats][3]matvec
	widen  [formats]func(*widenArgs)

	// gemm[r−1] multiplies r rows of A with tileCols columns of B.
	gemm     []func(*gemmArgs)
	tileCols int // 16 or 32
	// pack transposes packRows rows into gemm's B, or half of it.
	pack func(*packArgs)
	// prefetch asks for n bytes of each of 16 rows; it changes nothing.
	prefetch func(*packArgs)
	// depth is how many columns are packed at once, where there is a widen.
	depth int

	rmsNorm func(*vectorArgs) // dst = x ⊙ w / sqrt(mean(x²) + scalar)
	expSum  func(*vectorArgs) // dst = e^(dst − scalar); scalar = Σ dst
	swiglu  func(*vectorArgs) // dst = silu(dst) ⊙ x
	rope    func(*vectorArgs) // dst: pairs (i, i+n) rotated by angles x: n cosines, n sines
	maximum func(*vectorArgs) // scalar = max(dst)

	// order is what matvec wants the activations to be for a format; nil:
	// as they are. arrange does it, or digits.
	order   [formats]*arrangement
	arrange func(*arrangeArgs)
	digits  func(*digitArgs)

	// tiles[i] multiplies i+1 rows of tiles, which parts makes of activations; nil:
	// there are none.
	tiles [2]func(*tileArgs)
	parts func(*partArgs)
}

// matvec is a product with few activation rows, and the number of streams of weight
// rows that it reads side by side.
type matvec struct {
	mul     func(*mulArgs)
	streams int
}

const (
	formats  = int(kernels.Affine8) + 1 // for arrays indexed by a format
	lanes    = 8                        // vectors are whole multiples of this
	packRows = 16
)

// mulArgs are the operands of a product with 1, 2 or 4 activation rows. All three
// add what goes into an output in the same order (kernels.ExactRows). For i < count and activation rows r < 1, 2 or 4,
//
//	y0[i + r·yStride] = Σ_c w0[i][c] · x[c + r·xStride]
//
// and the same for y1 and w1, unless one stream is read: which number of streams uses
// the memory best depends on the processor. Strides are in bytes.
type mulArgs struct {
	y0, y1         *float32
	w0, w1         *byte
	x              *float32
	scale0, scale1 *float32 // affine formats: count rows of scales
	bias0, bias1   *float32 // and biases, as float32
	cols           int      // F32, F16, BF16: columns, as many as wholeVectors says; else blocks of a row, or groups
	skip           int      // bytes from the last used column of a row to the next row
	count          int
	xStride        int
	yStride        int
	group          int      // affine formats: 32-column blocks in a group
	ahead          int      // how far in front of a stream's position it is prefetched, bytes
	sums           *float32 // what the arrangement says of each 32 activations; rows xStride apart, too

	// Routines that read four streams: from the first and the second to the third and
	// the fourth, in the weights, in y and in the scales. All are zero for rows
	// that stand alone.
	pair, yPair, scalePair int

	// For records, affine formats: from the scales to the biases, and from the
	// scales of four blocks, of a single block and of a row to the next. cols
	// counts blocks of 32 columns, or of 256, and group is a logarithm.
	bias                            int
	scaleStep, scaleRest, scaleSkip int

	// done is how far a routine has come in y, bytes: a pointer moved on would at
	// last point behind the memory.
	done int
}

// widenArgs: dst[c] = the weight c columns from src.
type widenArgs struct {
	dst         *float32
	src         *byte
	scale, bias *float32
	cols        int // as in mulArgs
	group       int
}

// gemmArgs: C[r][j] (+)= Σ_k A[r][k]·B[k][j], tileCols columns j. Strides are in
// bytes, and so is the distance of the second half of a row of B from the first.
type gemmArgs struct {
	c, a, b       *float32
	ldc, lda, ldb int
	k             int
	add           int // 0: C is overwritten
	half          int
}

// packArgs: dst[c·16 + r] = src[r][c] for 16 rows, stride bytes apart, and n
// columns, a multiple of lanes.
type packArgs struct {
	dst, src *float32
	stride   int
	n        int
}

// vectorArgs are n elements, a multiple of lanes.
type vectorArgs struct {
	dst, x, w *float32
	n         int
	scalar    float32
}

// arrangeArgs: for each 32 elements of x, dst[i] = x[index[i]]·scale[i] and the
// sum of x times factor. n is a multiple of 32.
type arrangeArgs struct {
	dst, x, sums *float32
	index        *int32
	scale        *float32
	n            int
	factor       float32
}

// digitArgs: blocks of 32 elements of x become records (see digits).
type digitArgs struct {
	dst, x *float32
	index  *int32 // the order of each 32 elements
	blocks int
	factor float32
}

// at is p moved by n elements.
func at(p *float32, n int) *float32 {
	return (*float32)(unsafe.Add(unsafe.Pointer(p), 4*n))
}

// ptr is the first element of s, nil if there is none.
func ptr(s []float32) *float32 { return unsafe.SliceData(s) }
