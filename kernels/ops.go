package kernels

import (
	"context"
	"errors"
	"fmt"
)

// Backend is a device: it owns memory and starts passes. Its methods may be
// called from several goroutines at once.
type Backend interface {
	// Name says what runs the operations, such as "cpu" or "Apple M2".
	Name() string

	// NewBuffer returns size zeroed bytes, aligned to at least 64 bytes.
	NewBuffer(size int) (Buffer, error)

	// WrapBuffer makes a buffer of memory that exists already; shared reports
	// whether the device uses mem in place, and not a copy. mem must stay valid
	// and unchanged until the buffer's Release, which does not free it.
	WrapBuffer(mem []byte) (b Buffer, shared bool, err error)

	// PassRows is how many rows a pass should have at most: enough to amortise
	// reading the weights, few enough that the activations stay in caches and
	// that a done context is noticed soon.
	PassRows() int

	// Begin starts a pass. The pass stops early, with ctx's error from Run,
	// once ctx is done.
	Begin(ctx context.Context) (Ops, error)

	// Close releases the device. Buffers must have been released before.
	Close() error
}

// BufferLimiter is a Backend whose buffers cannot be of any size.
type BufferLimiter interface {
	// MaxBuffer is the size in bytes of the largest buffer.
	MaxBuffer() int
}

// Ops records the operations of one pass, in order. Each operation sees the
// results of the ones before it. Errors, of a shape or of the device, are kept
// and returned by Run. An Ops is used by one goroutine. A device may begin with
// what was recorded before Run is called: operands stay as they are from then on.
//
// All activations are dense float32 rows; rows is at least 1. Which code runs
// (a mat-vec for a few rows, a tiled matmul for many) is the backend's choice
// within what [ExactRows] promises.
type Ops interface {
	// Embed sets x[r] = table[token[r]], x [rows, table.Cols]; tokens holds
	// rows int32 values, each in [0, table.Rows). With an adapter the table is
	// RowScale ⊙ (W + B·A).
	Embed(x View, table Linear, tokens View, rows int)

	// NormQKV sets qkv[r] = w·rmsnorm(x[r]); x [rows, w.Cols], qkv [rows, w.Rows].
	NormQKV(qkv, x View, rows int, norm Norm, w Linear)

	// Attend takes qkv [Σ spans.Rows, (q_heads + 2·kv_heads)·head_dim], the
	// heads ordered query, key, value; normalises and rotates q and k; appends
	// k and v to each span's cache; and sets out [rows, q_heads·head_dim] to
	// causal attention. Query head h reads key-value head h / (q_heads/kv_heads).
	Attend(out, qkv View, a *Attention, spans []Span)

	// ProjAdd adds: x[r] += w·in[r]; in [rows, w.Cols], x [rows, w.Rows].
	ProjAdd(x, in View, rows int, w Linear)

	// NormSwiGLU sets h[r] = silu(gate·n) ⊙ (up·n), n = rmsnorm(x[r]);
	// x [rows, gate.Cols], h [rows, gate.Rows]. Without up (a model whose
	// feed-forward network has no gate) it sets h[r] = silu(gate·n).
	NormSwiGLU(h, x View, rows int, norm Norm, gate, up Linear)

	// NormLogits sets logits[r] = w·rmsnorm(x[r]); x [rows, w.Cols],
	// logits [rows, w.Rows].
	NormLogits(logits, x View, rows int, norm Norm, w Linear)

	// Run executes what was recorded since Begin or the last Run, waits for it,
	// and returns the first error. After an error the contents of everything
	// the pass wrote are undefined.
	Run() error

	// End gives the pass back to its backend. Operations that were not run have
	// been executed in part or not at all, and nothing uses their operands any
	// more. The Ops must not be used afterwards.
	End()
}

// AsyncOps is the Ops of a device that works beside the CPU: it is given the next
// pass while one runs. Who finds an Ops to be one keeps several of a backend and
// starts them in turn.
type AsyncOps interface {
	Ops

	// Choose sets tokens[r] to the index of the largest of logits[r], the first
	// among equals, or to -1 if not all of logits[r] are finite; logits
	// [rows, n], tokens [rows] int32.
	Choose(tokens, logits View, rows, n int)

	// EmbedChosen is Embed of tokens that Choose sets, in this pass or in one
	// that was started before. Where that is -1, x[r] is undefined.
	EmbedChosen(x View, table Linear, tokens View, rows int)

	// Start begins to execute what was recorded, after all that the backend's
	// other Ops have started, and does not wait: the next Run does, and returns
	// the first error of all; End waits, too.
	Start() error
}

// ExactRows divides operations into two classes by their number of rows alone
// (for Attend, of all spans together). What a row gets does not depend, in any
// bit, on which rows it shares an operation with, nor on how many within a class:
//
//   - at most ExactRows rows: each row's result is what it would be in an
//     operation of that one row;
//   - more: each row's result is the same in every operation of more than
//     ExactRows rows. It may differ from the other class's, which adds in
//     another order.
//
// Both hold for every operation, weight format, adapter, cache format,
// instruction set and number of threads.
const ExactRows = 16

// Norm is the weight and epsilon of an RMSNorm.
type Norm struct {
	Weight View // float32
	Eps    float32
}

// Linear is a weight matrix and, where LoRA is not nil, the adapter over it.
type Linear struct {
	W    *Matrix
	LoRA *LowRank
}

// LowRank is a LoRA or DoRA adapter of one matrix W: the operation uses
//
//	RowScale ⊙ (W·x + B·(A·x))
//
// in place of W·x. LoRA's scale (alpha/rank) is folded into B. DoRA's
// RowScale is magnitude / ‖W + B·A‖ by row (Liu et al. 2024, eq. 5).
type LowRank struct {
	A        Matrix // rank × W.Cols, F32
	B        Matrix // W.Rows × rank, F32
	RowScale View   // W.Rows float32; zero for plain LoRA
}

// Attention is what is constant about one layer's attention.
type Attention struct {
	QueryHeads, KVHeads int // QueryHeads is a multiple of KVHeads
	HeadDim             int // even

	// QueryNorm and KeyNorm are RMSNorms over each head, with one weight of
	// head_dim elements for all heads; a zero Weight means no norm.
	QueryNorm, KeyNorm Norm

	// Rope holds, for each position, head_dim/2 cosines and then head_dim/2
	// sines, float32: [positions, head_dim]. See [RopeTable].
	Rope View
}

// Span is a run of consecutive rows that belong to one sequence.
type Span struct {
	// Keys and Values are the sequence's cache of this layer, [kv_heads,
	// Capacity, head_dim] in Format. Keys are stored normalised and rotated.
	Keys, Values View
	// Format is how the cache stores its elements: F32, which is also the zero
	// value, or F16, which rounds to the nearest value, halves to even. Scores
	// and sums are float32 either way, and a row's own key and value are read
	// as stored.
	Format   Format
	Capacity int // positions the cache can hold
	Pos      int // position of the first row; positions before it are cached
	Rows     int // at least 1; Pos + Rows ≤ Capacity
}

// ErrShape is wrapped by errors about operands whose sizes do not fit together.
var ErrShape = errors.New("kernels: operands do not fit together")

// Validate holds spans against a: sizes, positions and the reach of the RoPE
// table. Errors wrap [ErrShape].
func (a *Attention) Validate(spans []Span) error {
	if a.HeadDim < 2 || a.HeadDim%2 != 0 || a.KVHeads < 1 || a.QueryHeads < 1 || a.QueryHeads%a.KVHeads != 0 {
		return fmt.Errorf("%w: %d query heads, %d key-value heads, head_dim %d", ErrShape, a.QueryHeads, a.KVHeads, a.HeadDim)
	}
	for _, n := range [...]Norm{a.QueryNorm, a.KeyNorm} {
		if !n.Weight.IsZero() && n.Weight.Len < 4*a.HeadDim {
			return fmt.Errorf("%w: a head norm of %d bytes for head_dim %d", ErrShape, n.Weight.Len, a.HeadDim)
		}
	}
	if len(spans) == 0 {
		return fmt.Errorf("%w: no spans", ErrShape)
	}
	for i := range spans {
		s := &spans[i]
		if s.Rows < 1 || s.Pos < 0 || s.Capacity < s.Rows || s.Pos > s.Capacity-s.Rows {
			return fmt.Errorf("%w: span %d: %d rows at position %d of a cache of %d", ErrShape, i, s.Rows, s.Pos, s.Capacity)
		}
		size := 4
		switch s.Format {
		case 0, F32:
		case F16:
			size = 2
		default:
			return fmt.Errorf("%w: span %d: a cache in %s", ErrShape, i, s.Format)
		}
		if want := size * a.KVHeads * s.Capacity * a.HeadDim; s.Keys.Len < want || s.Values.Len < want {
			return fmt.Errorf("%w: span %d: cache of %d and %d bytes, want %d each", ErrShape, i, s.Keys.Len, s.Values.Len, want)
		}
		if want := 4 * (s.Pos + s.Rows) * a.HeadDim; a.Rope.Len < want {
			return fmt.Errorf("%w: span %d: RoPE table of %d bytes, want %d", ErrShape, i, a.Rope.Len, want)
		}
	}
	return nil
}
