package cpu

//go:generate go -C internal/gen run . -dir ../..

import (
	"unsafe"

	"github.com/go-openelm/go-openelm/kernels"
)

// isaTable is the inner loops of one instruction set. Each takes a struct of args.go
// that lives in scratch memory, so that a call through the table allocates nothing
// and assembly finds its operands at fixed offsets. The portable ones are the
// definition of the others.
type isaTable struct {
	isa     ISA
	formats [kernels.NumFormats]formatKernels

	// gemm[r−1] multiplies r rows of A with tileCols columns of B.
	gemm     []func(*gemmArgs)
	tileCols int // 16 or 32
	// pack transposes packRows rows into gemm's B, or half of it.
	pack func(*packArgs)
	// prefetch prefetches n bytes of each of 16 rows.
	prefetch func(*packArgs)
	// depth is how many columns are packed at once, where there is a widen.
	depth int

	rmsNorm func(*vectorArgs) // dst = x ⊙ w / sqrt(mean(x²) + scalar)
	softmax func(*vectorArgs) // scalar = max(scalar, dst); dst = 2^(dst − scalar); sum = Σ dst; n is any
	swiglu  func(*vectorArgs) // dst = silu(dst) ⊙ x
	rotate  func(*rotateArgs)
	scale   func(*vectorArgs) // dst = x·scalar
	fold    func(*vectorArgs) // dst = dst·scalar + x
	toF16   func(*vectorArgs) // dst: x as float16
	round   func(*vectorArgs) // dst = x, rounded to bfloat16
	halves  func(*vectorArgs) // dst: the bfloat16 that x are

	bf16 bf16Kernels

	// permute and int8x3 bring activations into a layout of either kind.
	permute func(*permuteArgs)
	int8x3  func(*int8x3Args)

	// tiles are for all activations, and roundedTiles for those that are bfloat16; nil:
	// there are none.
	tiles, roundedTiles *tileKernels
}

// formatKernels is a row of the table: what an instruction set has for one weight
// format. Without matvec, rows of weights are widened and multiplied as F32, which has
// both in every table; without widen, kernels.Matrix.ReadRow widens them, the definition
// of the formats.
type formatKernels struct {
	matvec [3]matvecKernel // with 1, 2 and 4 activation rows
	widen  func(*widenArgs)
	unpack unpacker // for tiles; zero: weights are widened and split
	layout *layout  // in which matvec takes the activations; nil: as they are
}

// unpacker makes weights integers with a scale, or with a scale and a bias.
type unpacker struct {
	run    func(*unpackArgs)
	parts  int // of an integer: 1, or 2 without bias
	biased bool
}

// matvecKernel multiplies rows of weights with activation rows, and reads so many
// streams of them side by side.
type matvecKernel struct {
	run     func(*matvecArgs)
	streams int
}

const (
	lanes    = 8 // vectors are whole multiples of this
	packRows = 16
)

// at is p moved by n elements.
func at(p *float32, n int) *float32 {
	return (*float32)(unsafe.Add(unsafe.Pointer(p), 4*n))
}

// ptr is the first element of s, nil if there is none.
func ptr(s []float32) *float32 { return unsafe.SliceData(s) }
