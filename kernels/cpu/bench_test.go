package cpu

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/go-openelm/go-openelm/kernels"
)

func randomMatrix(f kernels.Format, rows, cols int) *kernels.Matrix {
	m := &kernels.Matrix{Rows: rows, Cols: cols, Format: f}
	rng := rand.New(rand.NewPCG(1, 2))
	buf := func(n int) kernels.View {
		b := alignedBytes(n)
		for i := range b {
			b[i] = byte(rng.Uint32()) & 0x3f
		}
		return kernels.Whole(&buffer{mem: b})
	}
	if f.Affine() {
		m.Group, m.ScaleFormat = 64, kernels.F16
		m.Scales, m.Biases = buf(rows*cols/64*2), buf(rows*cols/64*2)
	}
	m.Data = buf(rows * m.RowBytes())
	return m
}

// BenchmarkMul is the products of few rows: as measured, and in the best
// sample, as on a machine where nothing else runs.
func BenchmarkMul(b *testing.B) {
	const cols, rows = 1280, 65536
	for _, r := range available() {
		for f := kernels.F32; f.Valid(); f++ {
			m := randomMatrix(f, rows, cols)
			for _, xs := range []int{1, 2, 4} {
				b.Run(fmt.Sprintf("%s/%s/%d", r.isa, f, xs), func(b *testing.B) {
					s := &scratch{isaTable: r}
					p, y := newPass(New(Options{Threads: 1, ISA: r.isa})), aligned(4*matvecRows)
					in := p.layOut(m, &p.laidOut[0], aligned(4*cols), xs)
					best, lo := time.Duration(1<<62), 0
					for b.Loop() {
						start := time.Now()
						s.mul(y, matvecRows, m, lo, matvecRows, in, xs)
						best = min(best, time.Since(start))
						lo = (lo + matvecRows) % rows
					}
					bytes := matvecRows * m.Bytes() / rows
					b.SetBytes(int64(bytes))
					b.ReportMetric(float64(bytes)/best.Seconds()/1e9, "best-GB/s")
					b.ReportMetric(2*matvecRows*cols*float64(xs)/best.Seconds()/1e9, "best-GFLOP/s")
				})
			}
		}
	}
}

// BenchmarkPanels is the product of many rows, on one thread, beside the rate of
// the multiplications alone.
func BenchmarkPanels(b *testing.B) {
	const cols, outs, rows = 1280, 1280, 256
	for _, r := range available() {
		x, y := aligned(rows*cols), aligned(rows*outs)
		best := func(b *testing.B, flops float64, step func()) {
			best := time.Duration(1 << 62)
			for b.Loop() {
				start := time.Now()
				step()
				best = min(best, time.Since(start))
			}
			b.ReportMetric(flops/best.Seconds()/1e9, "best-GFLOP/s")
		}
		b.Run(fmt.Sprintf("%s/gemm", r.isa), func(b *testing.B) {
			panel, rows := aligned(256*r.tileCols), len(r.gemm)
			a := &gemmArgs{c: ptr(y), a: ptr(x), b: ptr(panel), ldc: 4 * outs, lda: 4 * cols, ldb: 4 * r.tileCols, k: 256, half: 2 * r.tileCols}
			best(b, 100*2*float64(rows*r.tileCols*256), func() {
				for range 100 {
					r.gemm[rows-1](a)
				}
			})
		})
		for _, f := range []kernels.Format{kernels.F32, kernels.BF16, kernels.Q8_0, kernels.Q4_0, kernels.Q4_K, kernels.Q6_K, kernels.Affine4} {
			m := randomMatrix(f, outs, cols)
			for i, name := range []string{"exact", "rounded"} {
				b.Run(fmt.Sprintf("%s/%s/%s", r.isa, f, name), func(b *testing.B) {
					backend := New(Options{Threads: 1, ISA: r.isa, RoundActivations: i > 0})
					defer backend.Close()
					p := newPass(backend)
					best(b, 2*rows*outs*cols, func() { p.linear(linear{y: y, x: p.rounded(x), rows: rows, w: projection{m: m}}) })
				})
			}
		}
	}
}
