// Package cpu runs the operations of package kernels on the CPU, on all cores.
//
// The inner loops are a table of kernels for each instruction set ([ISA]): AVX2,
// AVX-512, AMX, NEON and its dot products in assembly, and portable Go, which says
// what each of them computes. The best table that the machine can run is taken;
// [Options] can ask for another. The assembly is written by internal/gen, a module of
// its own. Whatever the table and the format of the weights, results are within what
// float32 sums round; with one table they are what [kernels.ExactRows] promises.
//
// # Words
//
//   - matvec: a product with at most kernels.ExactRows activation rows, 4, 2 or 1 of
//     them at a time, which reads the weights once for each such set.
//   - matmul: a product with more rows; weights are widened a panel at a time.
//   - panel: 16 or 32 rows of weights, as float32 and transposed, in the cache.
//   - stream: one of several runs of weight rows that a matvec reads side by side.
//   - layout: how activations stand in memory for the kernels of a format.
//   - int8×3: activations as 24-bit fixed point, in three signed bytes each.
//   - record: 128 activations as int8×3, with their sums and their unit.
//   - tile: 16 rows of 64 bytes, what AMX multiplies; a step is the tiles of 32 columns.
//   - part: one of up to three bfloat16 whose sum a number is, for tiles.
//   - pair: two neighbouring bfloat16, what VDPBF16PS multiplies and BFMMLA two of.
//   - split: a fixed range of the context of which attention computes a partial result.
//   - chain: a sum that a matvec adds to; an output has the same chains in any company.
//
// # Matvec
//
// Decoding is limited by reading the weights. They are widened in registers, straight
// from where the checkpoint is mapped. AVX2 converts quantised weights where they are
// in a word, without a shuffle; the layout of the activations follows from that.
// AVX-512 and NEON's dot products, and AVX2 for K-quants, multiply quantised weights as
// the bytes they are, with activations as int8×3: products and sums are exact integers
// until a block's scale is applied.
//
// # Matmul
//
// A prompt is limited by multiplying. All activations pass over a panel while it is in
// the cache. AMX multiplies bfloat16 only: activations become three parts, which are all
// 24 bits of a float32. Weights stay what they are if they are bfloat16; quantised ones
// become integers, exact in bfloat16, whose products are scaled step by step; others
// become parts. There a panel is up to 256 rows and 1,280 columns.
//
// # Attention
//
// One token's keys and values are read once from memory, as weights are. In a prompt, blocks
// of queries are multiplied with keys and values in panels, and their softmax is computed
// while scores are in the cache. Either adds in the order of positions.
//
// # Rounding
//
// Options.RoundActivations, which is off, has the activations that enter a product with
// a matrix of the model rounded once, to nearest even, to bfloat16; products and sums
// stay float32. It holds for every weight format and any number of rows: a prompt and a
// token computed alone, a draft and its check, mean the same model. Attention, norms, the
// residual stream and what an adapter computes between its two matrices stay float32.
// Where there are instructions for bfloat16 they are used for prompts; elsewhere results
// are those of the same formula, at no gain. What kernels.ExactRows promises, holds.
//
// # Goroutines
//
// A backend computes on at most Options.Threads goroutines, callers included.
// One caller gets them all; several share them. Idle workers look for work for
// some microseconds, as the operations of a token follow each other that
// quickly, and then sleep.
//
// Memory is ordinary Go memory, and any buffer of another backend whose bytes
// the CPU can see works as well, so that a session can move here from a GPU.
package cpu
