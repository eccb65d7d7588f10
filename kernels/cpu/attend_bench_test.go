package cpu

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/go-openelm/go-openelm/kernels"
)

// attentionCase is one operation of attention, ready to run again and again.
type attentionCase struct {
	ops      kernels.Ops
	a        *kernels.Attention
	out, qkv kernels.View
	spans    []kernels.Span
}

// newAttentionCase is attention of rows tokens behind pos others, in the shape of
// OpenELM's layers: four query heads to a key-value head, and norms.
func newAttentionCase(b *testing.B, o Options, f kernels.Format, kvHeads, headDim, pos, rows int) *attentionCase {
	backend := New(o)
	b.Cleanup(func() { backend.Close() })
	view := func(f kernels.Format, n int) kernels.View {
		v := kernels.Whole(&buffer{mem: alignedBytes(n * f.BlockBytes())})
		for i := range n {
			switch x := float32((i*7919)%127)/64 - 1; f {
			case kernels.F16:
				binary.LittleEndian.PutUint16(v.Bytes()[2*i:], kernels.ToF16(x))
			default:
				v.Floats()[i] = x
			}
		}
		return v
	}
	const group = 4
	norm := kernels.Norm{Weight: view(kernels.F32, headDim), Eps: 1e-6}
	t := &attentionCase{
		a: &kernels.Attention{
			QueryHeads: group * kvHeads, KVHeads: kvHeads, HeadDim: headDim,
			QueryNorm: norm, KeyNorm: norm, Rope: view(kernels.F32, (pos+rows)*headDim),
		},
		qkv: view(kernels.F32, rows*(group+2)*kvHeads*headDim),
		out: view(kernels.F32, rows*group*kvHeads*headDim),
	}
	kernels.RopeTable(t.a.Rope.Floats(), headDim, 0, 10000)
	cache := func() kernels.View { return view(f, kvHeads*(pos+rows)*headDim) }
	t.spans = []kernels.Span{{Keys: cache(), Values: cache(), Format: f, Capacity: pos + rows, Pos: pos, Rows: rows}}
	ops, err := backend.Begin(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(ops.End)
	t.ops = ops
	return t
}

func (t *attentionCase) run(b *testing.B) {
	t.ops.Attend(t.out, t.qkv, t.a, t.spans)
	if err := t.ops.Run(); err != nil {
		b.Fatal(err)
	}
}

// flop are the operations for the positions that rows see, two for each
// multiply-add.
func (t *attentionCase) flop() float64 {
	rows, pos := float64(t.spans[0].Rows), float64(t.spans[0].Pos)
	return 4 * (rows*pos + rows*(rows+1)/2) * float64(t.a.QueryHeads*t.a.HeadDim)
}

// mulAdd multiplies and adds so many times, half of them each: the largest tile of C again
// and again, with operands in the first-level cache.
func mulAdd(r *isaTable, flop float64) {
	const k = 1024
	rows := len(r.gemm)
	a := &gemmArgs{
		a: ptr(aligned(k)), b: ptr(aligned(r.tileCols)), c: ptr(aligned(rows * r.tileCols)),
		ldc: 4 * r.tileCols, k: k, half: 2 * r.tileCols,
	}
	for done := 0.0; done < flop; done += 2 * k * float64(rows*r.tileCols) {
		r.gemm[rows-1](a)
	}
}

// BenchmarkAttendPrompt is attention of prompts on one thread. The best times of all pieces
// of the work add up to what it takes where nothing else runs; of-mul-add is the ratio to
// the best rate of multiply-adds alone, taken in turn.
func BenchmarkAttendPrompt(b *testing.B) {
	for _, r := range available() {
		for _, shape := range [][2]int{{4, 64}, {4, 128}} { // of 270M … 1.1B, and 3B
			for _, f := range []kernels.Format{kernels.F32, kernels.F16} {
				for _, n := range [][2]int{{0, 17}, {0, 128}, {0, 512}, {0, 2048}, {1536, 512}} {
					b.Run(fmt.Sprintf("%s/%d×%d/%s/%d+%d", r.isa, shape[0], shape[1], f, n[0], n[1]), func(b *testing.B) {
						t := newAttentionCase(b, Options{Threads: 1, ISA: r.isa}, f, shape[0], shape[1], n[0], n[1])
						s := &scratch{isaTable: r}
						pieces, least := t.pieces(), time.Duration(1<<62)
						best := slices.Repeat([]time.Duration{least}, len(pieces))
						const flop = 1e7
						for b.Loop() {
							start := time.Now()
							mulAdd(r, flop)
							least = min(least, time.Since(start))
							for i, piece := range pieces {
								start := time.Now()
								piece(s)
								best[i] = min(best[i], time.Since(start))
							}
						}
						var sum time.Duration
						for _, d := range best {
							sum += d
						}
						rate := t.flop() / sum.Seconds()
						b.ReportMetric(rate/1e9, "best-GFLOP/s")
						b.ReportMetric(rate/(flop/least.Seconds()), "of-mul-add")
					})
				}
			}
		}
	}
}

// pieces are the work of a prompt, in the order in which one thread does it.
func (t *attentionCase) pieces() (all []func(*scratch)) {
	q := queries{out: t.out.Floats(), qkv: t.qkv.Floats(), a: t.a, spans: t.spans}
	prompt := newAttendPrompt(q, 1)
	for _, of := range []struct {
		task task
		n    int
		size int
	}{{&rotate{queries: q}, t.spans[0].Rows, 32}, {&prompt, prompt.items(), 1}} {
		for lo := 0; lo < of.n; lo += of.size {
			all = append(all, func(s *scratch) { of.task.run(lo, min(lo+of.size, of.n), s) })
		}
	}
	return all
}

// BenchmarkAttend is one token's attention over caches that come from memory, on
// one thread: the rate at which keys and values are read.
func BenchmarkAttend(b *testing.B) {
	const positions, layers, headDim = 2000, 16, 64
	for _, r := range available() {
		b.Run(r.isa.String(), func(b *testing.B) {
			t := newAttentionCase(b, Options{Threads: 1, ISA: r.isa}, kernels.F32, 4, headDim, positions-1, 1)
			var caches [layers][]kernels.Span
			for i := range caches {
				caches[i] = slices.Clone(t.spans)
				for _, v := range []*kernels.View{&caches[i][0].Keys, &caches[i][0].Values} {
					mem := alignedBytes(v.Len)
					copy(mem, v.Bytes())
					*v = kernels.Whole(&buffer{mem: mem})
				}
			}
			for b.Loop() {
				for _, t.spans = range caches {
					t.run(b)
				}
			}
			b.SetBytes(layers * int64(t.spans[0].Keys.Len+t.spans[0].Values.Len))
		})
	}
}
