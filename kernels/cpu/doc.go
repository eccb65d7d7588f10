// Package cpu runs the operations of package kernels on the CPU, on all cores.
//
// The inner loops are a table of routines for each instruction set: AVX2 and
// NEON in assembly, and portable Go, which says what each of them computes. The
// best table that the machine can run is taken; [Options] can ask for another.
// The assembly is written by internal/gen, a module of its own.
//
// # A few rows
//
// Decoding multiplies each weight with one activation, or with a few when
// several sequences decode together, and is limited by reading the weights. They
// are widened in registers, straight from where the checkpoint is mapped; two
// runs of rows are read at a time. Quantised weights are converted where they
// are in a word, without a shuffle, and the activations brought into the order
// that follows from it.
//
// # Many rows
//
// A prompt is limited by multiplying. Sixteen rows of weights at a time are
// widened to float32 and transposed into a panel in the cache, whatever their
// format, and all activations pass over it.
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
