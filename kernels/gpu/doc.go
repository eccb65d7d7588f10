// Package gpu runs OpenELM's operations on Apple GPUs through Metal.
//
// [Open] gives a [kernels.Backend]. Its kernels are the .metal files of this
// folder, each with the Go file of the same name that launches it:
//
//	matvec          NormQKV, ProjAdd, NormSwiGLU, NormLogits for up to
//	                [kernels.ExactRows] rows
//	matmul          the same for more rows
//	attend_decode   Attend for up to as many rows
//	attend_prefill  Attend for more rows
//	embed           Embed
//	choose          Choose of [kernels.AsyncOps]
//	trial           nothing: it tells Open whether the GPU runs such kernels
//
// The sources are compiled on the machine, for the weight format and the
// function constants an operation needs, when it is first recorded; all that a
// pass needs compiles in parallel, once for all backends of a device.
//
// # Passes
//
// Recording an operation checks its operands and notes its dispatches; Run
// encodes them into a command buffer, commits it and waits. The encoder
// is a concurrent one with a barrier before each operation, since every
// operation needs the one before it; what one operation dispatches for several
// sequences or adapters overlaps. One token of L layers is 5·L + 2 dispatches,
// L more when a sequence is longer than 128 positions, one more for each
// adapted matrix, and one more where the GPU chooses the token.
//
// The GPU is not to wait for the CPU. While it has nothing to do, the first few
// layers of a pass are committed, as a command buffer of their own, when they are
// recorded. And passes are [kernels.AsyncOps]: where the GPU itself chooses the
// next token, the next pass is committed while one runs.
//
// What is committed cannot be stopped. A pass of many rows is committed in pieces of
// a few layers, of which the GPU has two at a time, so that it is a fraction of a
// second long where rows are no more than [Backend.PassRows] says; Run and End wait
// for it, so that no memory is touched after they have returned.
//
// # Exactness
//
// How a sum is divided among lanes, SIMD-groups and threadgroups depends on the
// shape of the matrix or the position of the row, never on the other rows of a
// pass; and sums are written as fma, so that all instances of a kernel round
// alike. That keeps what [kernels.ExactRows] promises. The order inside a
// simdgroup_matrix product is the hardware's.
//
// # Memory
//
// Buffers are shared memory. [Backend.WrapBuffer] gives the GPU whole pages as
// they are, such as a mapped checkpoint file.
package gpu
