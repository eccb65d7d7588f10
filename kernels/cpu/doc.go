// Package cpu runs the operations of package kernels on the CPU, on all cores.
//
// The inner loops are a table of routines for each instruction set ([ISA]): AVX2,
// AVX-512, AMX, NEON and its dot products in assembly, and portable Go, which
// says what each of them computes. The best table that the machine can run is
// taken; [Options] can ask for another. The assembly is written by internal/gen, a
// module of its own. Whatever the table and the format of the weights, results
// are within what float32 sums round.
//
// # A few rows
//
// Decoding multiplies each weight with one activation, or with a few when
// several sequences decode together, and is limited by reading the weights. They
// are widened in registers, straight from where the checkpoint is mapped; two or
// four runs of rows are read at a time. AVX2 converts quantised weights where they
// are in a word, without a shuffle, and the activations are brought into the order
// that follows from it.
//
// AVX-512 and NEON's dot products multiply quantised weights as the bytes they
// are. For that, activations become 24-bit fixed-point numbers of three signed
// bytes, once for all weights (see record in digits.go): products and sums are
// exact integers until a block's scale is applied.
//
// # Many rows
//
// A prompt is limited by multiplying. A panel of rows of weights at a time is
// widened to float32 and transposed into the cache, whatever their format, and all
// activations pass over it. Where multiplying the weights as they are read is
// faster than that, it is done for more than a few rows, too.
//
// AMX multiplies bfloat16 only. Activations are split into three of them, which
// are all 24 bits of a float32 (see tiles.go), and weights stay what they are.
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
