package cpu_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/go-openelm/go-openelm/internal/randommodel"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/cpu"
	"github.com/go-openelm/go-openelm/openelm"
)

// randomModel is a model with random weights in memory.
func randomModel(tb testing.TB, c openelm.Config, f kernels.Format, wrap func(kernels.Backend) kernels.Backend, o cpu.Options) *openelm.Model {
	tb.Helper()
	b := cpu.New(o)
	var backend kernels.Backend = b
	if wrap != nil {
		backend = wrap(b)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	buffer := func(n int) kernels.View {
		buf, err := b.NewBuffer(n)
		if err != nil {
			tb.Fatal(err)
		}
		return kernels.Whole(buf)
	}
	// 32 bytes that are 16 small F16 or BF16 values, or weights and scales of
	// any quantised format, again and again.
	matrix := func(rows, cols int) kernels.Matrix {
		m := kernels.Matrix{Rows: rows, Cols: cols, Format: f}
		if f.Affine() {
			m.Group, m.ScaleFormat = 64, kernels.F16
			m.Scales, m.Biases = buffer(rows*cols/32), buffer(rows*cols/32)
		}
		m.Data = buffer(rows * m.RowBytes())
		data := m.Data.Bytes()
		for i := range min(len(data), 1<<12) {
			if i%2 == 0 {
				data[i] = byte(rng.Uint32())
			} else {
				data[i] = 0x20 | byte(rng.Uint32())&0x80
			}
		}
		for n := 1 << 12; n < len(data); n *= 2 {
			copy(data[n:], data[:n])
		}
		return m
	}
	vector := func(n int) kernels.View {
		v := buffer(4 * n)
		for i := range v.Floats() {
			v.Floats()[i] = 1
		}
		return v
	}
	w := openelm.Weights{Embedding: matrix(c.VocabSize, c.ModelDim), Norm: vector(c.ModelDim)}
	for i, l := range c.Layers {
		w.Layers = append(w.Layers, openelm.LayerWeights{
			AttnNorm: vector(c.ModelDim), QKV: matrix(c.QKVDim(i), c.ModelDim), QNorm: vector(c.HeadDim), KNorm: vector(c.HeadDim),
			Out: matrix(c.ModelDim, l.QueryHeads*c.HeadDim), FFNNorm: vector(c.ModelDim),
			Gate: matrix(l.FFNDim, c.ModelDim), Up: matrix(l.FFNDim, c.ModelDim), Down: matrix(c.ModelDim, l.FFNDim),
		})
	}
	m, err := openelm.New(openelm.Parts{Config: c, Weights: w, Backend: backend, Closer: b})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { m.Close() })
	return m
}

func newSession(tb testing.TB, m *openelm.Model, capacity, tokens int) *openelm.Session {
	tb.Helper()
	s, err := m.NewSession(&openelm.SessionOptions{Capacity: capacity})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	if tokens > 0 {
		if err := s.Append(context.Background(), make([]int32, tokens)...); err != nil {
			tb.Fatal(err)
		}
	}
	return s
}

// stopwatch is a backend that takes the time of each operation of a pass: the
// least of all passes, so that their sum is what a pass takes when nothing else
// runs on the machine.
type stopwatch struct {
	kernels.Backend
	best []time.Duration
	ops  kernels.Ops
	n    int
}

func (w *stopwatch) Begin(ctx context.Context) (kernels.Ops, error) {
	ops, err := w.Backend.Begin(ctx)
	w.ops, w.n = ops, 0
	return w, err
}

func (w *stopwatch) total() (t time.Duration) {
	for _, d := range w.best {
		t += d
	}
	return t
}

func (w *stopwatch) took(start time.Time) {
	d := time.Since(start)
	if w.n == len(w.best) {
		w.best = append(w.best, d)
	}
	w.best[w.n] = min(w.best[w.n], d)
	w.n++
}

func (w *stopwatch) Embed(x kernels.View, t kernels.Linear, tokens kernels.View, rows int) {
	defer w.took(time.Now())
	w.ops.Embed(x, t, tokens, rows)
}

func (w *stopwatch) NormQKV(qkv, x kernels.View, rows int, norm kernels.Norm, l kernels.Linear) {
	defer w.took(time.Now())
	w.ops.NormQKV(qkv, x, rows, norm, l)
}

func (w *stopwatch) Attend(out, qkv kernels.View, a *kernels.Attention, spans []kernels.Span) {
	defer w.took(time.Now())
	w.ops.Attend(out, qkv, a, spans)
}

func (w *stopwatch) ProjAdd(x, in kernels.View, rows int, l kernels.Linear) {
	defer w.took(time.Now())
	w.ops.ProjAdd(x, in, rows, l)
}

func (w *stopwatch) NormSwiGLU(h, x kernels.View, rows int, norm kernels.Norm, gate, up kernels.Linear) {
	defer w.took(time.Now())
	w.ops.NormSwiGLU(h, x, rows, norm, gate, up)
}

func (w *stopwatch) NormLogits(logits, x kernels.View, rows int, norm kernels.Norm, l kernels.Linear) {
	defer w.took(time.Now())
	w.ops.NormLogits(logits, x, rows, norm, l)
}

func (w *stopwatch) Run() error { return w.ops.Run() }
func (w *stopwatch) End()       { w.ops.End() }

// BenchmarkModel is the speed of a 270M model: tok/s as measured, and best-tok/s
// as the best times of all operations add up to.
func BenchmarkModel(b *testing.B) {
	shape, err := randommodel.Shape("270M")
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range []kernels.Format{kernels.BF16, kernels.Q8_0, kernels.Q4_0, kernels.Affine4} {
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/threads-%d", f, threads), func(b *testing.B) { benchmarkModel(b, shape, f, threads) })
		}
	}
}

func benchmarkModel(b *testing.B, shape openelm.Config, f kernels.Format, threads int) {
	ctx := context.Background()
	w := &stopwatch{}
	m := randomModel(b, shape, f, func(inner kernels.Backend) kernels.Backend { w.Backend = inner; return w }, cpu.Options{Threads: threads})
	run := func(name string, tokens int, prepare func(*testing.B) func() error) {
		b.Run(name, func(b *testing.B) {
			step := prepare(b)
			w.best = nil
			n := 0
			for b.Loop() {
				if err := step(); err != nil {
					b.Fatal(err)
				}
				n += tokens
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "tok/s")
			b.ReportMetric(float64(tokens)/w.total().Seconds(), "best-tok/s")
		})
	}
	for _, context := range []int{10, 2000} {
		run(fmt.Sprintf("decode-at-%d", context), 1, func(b *testing.B) func() error {
			const most = 64
			s := newSession(b, m, context+most, context)
			return func() error {
				if s.Len() == context+most {
					if err := s.Truncate(context); err != nil {
						return err
					}
				}
				return s.Append(ctx, 1)
			}
		})
	}
	run("decode-8-at-10", 8, func(b *testing.B) func() error {
		var sessions []*openelm.Session
		for range 8 {
			sessions = append(sessions, newSession(b, m, 74, 10))
		}
		tokens := make([]int32, 8)
		return func() error {
			for _, s := range sessions {
				if s.Len() == 74 {
					if err := s.Truncate(10); err != nil {
						return err
					}
				}
			}
			return openelm.Step(ctx, sessions, tokens)
		}
	})
	for _, n := range []int{16, 512} {
		run(fmt.Sprintf("prefill-%d", n), n, func(b *testing.B) func() error {
			s := newSession(b, m, n, 0)
			return func() error {
				if err := s.Append(ctx, make([]int32, n)...); err != nil {
					return err
				}
				return s.Truncate(0)
			}
		})
	}
}
