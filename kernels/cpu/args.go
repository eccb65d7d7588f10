package cpu

// The operands of the kernels. The generator takes the offsets of their fields from
// this file, which imports nothing.

// matvecArgs are the operands of a product with 1, 2 or 4 activation rows. All three add
// what goes into an output in the same order (kernels.ExactRows). For i < count and
// r < 1, 2 or 4,
//
//	y0[i + r·yStride] = Σ_c w0[i][c] · x[c + r·xStride]
//
// and the same for y1 and w1, unless one stream is read: which number of streams uses
// the memory best depends on the processor. Distances are in bytes.
type matvecArgs struct {
	y0, y1  *float32
	w0, w1  *byte
	x       *float32
	sums    *float32 // what the layout says of each 32 activations; rows xStride apart, too
	steps   int      // of a row, each of stepCols columns
	skip    int      // from the last used column of a row to the next row
	count   int
	xStride int
	yStride int
	pair    int // kernels with four streams: from w0 and w1 to the third and the fourth,
	yPair   int // and from y0 and y1; 0 for rows that stand alone
	ahead   int // how far in front of a stream's position it is prefetched
	done    int // how far the kernel has come in y: a pointer moved on would at last point behind the memory

	affine affineArgs       // for affine formats
	int8x3 affineInt8x3Args // for them with activations as int8×3, too
}

// affineArgs: count rows of scales and of biases, as float32, for each of two streams.
type affineArgs struct {
	scale0, scale1 *float32
	bias0, bias1   *float32
	blocks         int // of groupBlock columns in a group
}

// affineInt8x3Args are how kernels that take blocks by the record move in the scales.
type affineInt8x3Args struct {
	shift int // a group has 1<<shift blocks
	bias  int // from the scales to the biases
	pair  int // from the first two streams' scales to those of the third and the fourth
	step  int // from the scales of a record to the next
	rest  int // of a record of a single block
	skip  int // from the end of a row to the next
}

// widenArgs: dst[c] = the weight c columns from src.
type widenArgs struct {
	dst         *float32
	src         *byte
	scale, bias *float32 // affine formats: of each group
	steps       int      // as in matvecArgs
	blocks      int      // as in affineArgs
}

// gemmArgs: C[r][j] (+)= Σ_k A[r][k]·B[k][j], tileCols columns j, added in the order
// of k. Strides are in bytes, and so is the distance of the second half of a row of B
// from the first.
type gemmArgs struct {
	c, a, b       *float32
	ldc, lda, ldb int
	k             int
	add           int // 0: C is overwritten; 1: the sum is added to it; 2: it goes on from C
	half          int
}

// scaledArgs: C[r][j] (+)= Σ_i scale_i[j]·(Σ_k A[r][k]·B[k][j] over block i) +
// bias_i[j]·sums_i[r], 32 columns j, of blocks of 16 pairs of bfloat16. The rows of B's
// halves are 64 bytes apart; scales and biases of a block 256 bytes from those of the
// next, and sums 64 bytes. Other distances are in bytes, too.
type scaledArgs struct {
	c, a, b     *float32
	ldc, lda    int
	half        int // from the first half of B to the second
	blocks      int
	add         int // 0: C is overwritten
	scale, bias *float32
	sums        *float32 // only looked at if there is a bias
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
	sum       float32
}

// rotateArgs are heads one behind the other, each of n pairs (i, n+i), n a multiple of
// lanes: dst = factor · the RMSNorm of x, rotated by angles: n cosines, n sines. Without
// norm, w must be ones.
type rotateArgs struct {
	dst, x, w, angle *float32
	heads            int
	n                int
	norm             int // 0: there is none
	factor, eps      float32
}

// permuteArgs: for each 32 elements of x, dst[i] = x[index[i]]·scale[i] and the
// sum of x times factor. n is a multiple of 32.
type permuteArgs struct {
	dst, x, sums *float32
	index        *int32
	scale        *float32
	n            int
	factor       float32
}

// int8x3Args: blocks of 32 elements of x become records (see digits).
type int8x3Args struct {
	dst, x *float32
	index  *int32 // the order of each 32 elements
	blocks int
	factor float32
	flat   bool // kernels write one kind of records
}

// tileArgs: a product in tiles of 16 rows of 64 bytes, C[t][g][o][r] (+)= W_g[o]·X_t[r],
// for groups g of 64 rows o of weights and for tiles t of 16 rows r of activations, over
// steps of 32 columns, two neighbouring ones of which are a pair. The parts of a weight
// and of an activation add up to it.
type tileArgs struct {
	c     *float32 // [t][g][64][16]
	x     *uint16  // [t][step][part][16 pairs][16 rows][2]
	xNext int      // bytes from a tile of activations to the next
	tiles int

	w      *uint16 // rows of 32 columns, whose parts are 4096 bytes apart
	wRow   int     // bytes from a row to the next,
	wTile  int     // to the 16th after it,
	wStep  int     // from a step to the next,
	wGroup int     // and from a group to the next
	groups int

	steps int
	add   int // 0: C is overwritten

	// Weights with a scale, or with a scale and a bias, for each step.
	scale, bias *float32 // [g][step][64]
	sums        *float32 // Σ X_t of the columns of a step: [t][step][16]
	sumsNext    int      // bytes from a tile of activations to the next

	block *float32 // room for [64][16]
	zeros *float32 // a tile of them
}

// splitArgs: a row of steps·32 float32 becomes rows of tiles of bfloat16, so many bytes
// from one part to the next and from one step to the next.
type splitArgs struct {
	dst   *uint16
	x     *float32
	steps int
	part  int
	step  int
}

// unpackArgs: a block of each of some rows of weights becomes integers q in bfloat16,
// rows of tiles 64 bytes apart, whose parts are 4096 bytes apart. w = scale·q, or
// w = scale·q + bias. A block is of 32 columns, or of several such steps: as many tiles
// and 256 bytes of scales apart.
type unpackArgs struct {
	dst         *uint16
	src         *byte
	stride      int // bytes from one row of weights to the next
	rows        int
	scale, bias *float32 // of a row beside that of the next; affine formats: not written
}

// sumArgs: dst[16·i] = the sum of the i-th 32 elements of x.
type sumArgs struct {
	dst, x *float32
	steps  int
}

// transposeArgs: dst[r][c] (+)= src[c][r] for r < rows, at most 16, and c < cols. Of
// src there are blocks of 16 rows, each with 16 elements that can be read. Distances
// are in bytes.
type transposeArgs struct {
	dst, src *float32
	dstRow   int
	dstNext  int // to the next 16 columns
	srcRow   int
	srcNext  int // to the next 16 rows
	rows     int
	cols     int
	add      int // 0: dst is overwritten
}

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
// multiplied with both add into the same lanes. In a flat record the digits of a
// block are 32 bytes one after the other, at 32 times its number.
type record struct {
	digits [3][2][64]int8
	sums   [16]float32 // of n in each four bytes of both vectors, times a factor; flat: in each eight bytes
	unit   float32     // of the row: NaN if an element is infinite or not a number
	_      [15]float32
}
