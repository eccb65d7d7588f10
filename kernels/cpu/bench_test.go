package cpu

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/go-openelm/go-openelm/kernels"
	"golang.org/x/sys/unix"
)

// threadTime is the CPU time of the calling thread: what a routine costs even
// on a machine that is busy with other things.
func threadTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}

func randomMatrix(f kernels.Format, rows, cols int) *kernels.Matrix {
	m := &kernels.Matrix{Rows: rows, Cols: cols, Format: f}
	rng := rand.New(rand.NewPCG(1, 2))
	buf := func(n int) kernels.View {
		b := alignedBytes(n)
		for i := range b {
			b[i] = byte(rng.Uint32()) & 0x3f
		}
		return kernels.Whole(&buffer{b})
	}
	if f.Affine() {
		m.Group, m.ScaleFormat = 64, kernels.F16
		m.Scales, m.Biases = buf(rows*cols/64*2), buf(rows*cols/64*2)
	}
	m.Data = buf(rows * m.RowBytes())
	return m
}

func BenchmarkMul(b *testing.B) {
	const cols, rows = 1280, 65536
	for _, r := range available() {
		if r.isa == Portable {
			continue
		}
		for _, f := range []kernels.Format{kernels.F32, kernels.F16, kernels.BF16, kernels.Q8_0, kernels.Q4_0, kernels.Q4_1, kernels.Q4_K, kernels.Q6_K, kernels.Affine4, kernels.Affine8} {
			m := randomMatrix(f, rows, cols)
			for _, xs := range []int{1, 4, 8} {
				b.Run(fmt.Sprintf("%s/%s/%d", r.isa, f, xs), func(b *testing.B) {
					runtime.LockOSThread()
					defer runtime.UnlockOSThread()
					s := &scratch{routines: r}
					x, y, sums := aligned(8*cols), aligned(8*runRows), aligned(cols)
					n := runRows
					if xs > 4 {
						n = 1 << 15 / m.RowBytes()
					}
					start := threadTime()
					done := 0
					for b.Loop() {
						lo := done % (rows - n)
						s.mul(y, runRows, m, lo, n, x, sums, xs)
						done += n
					}
					t := (threadTime() - start).Seconds()
					b.ReportMetric(float64(done)*float64(m.Bytes())/rows/t/1e9, "GB/s")
					b.ReportMetric(float64(done)*cols*2*float64(xs)/t/1e9, "GFLOP/s")
					b.ReportMetric(0, "ns/op")
				})
			}
		}
	}
}
