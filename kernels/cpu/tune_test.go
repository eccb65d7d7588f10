package cpu

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/go-openelm/go-openelm/kernels"
)

func BenchmarkTune(b *testing.B) {
	for _, cols := range []int{256, 512, 1280} {
		for _, f := range []kernels.Format{kernels.F32, kernels.BF16, kernels.Q4_0} {
			for _, xs := range []int{1, 4} {
				for _, rows := range []int{8, 64} {
					m := randomMatrix(f, rows, cols)
					b.Run(fmt.Sprintf("%d/%s/%d/%d", cols, f, xs, rows), func(b *testing.B) {
						runtime.LockOSThread()
						defer runtime.UnlockOSThread()
						s := &scratch{routines: &avx2}
						x, y, sums := aligned(8*cols), aligned(8*runRows), aligned(cols)
						start := threadTime()
						done := 0
						for b.Loop() {
							s.mul(y, runRows, m, 0, rows, x, sums, xs)
							done += rows
						}
						t := (threadTime() - start).Seconds()
						b.ReportMetric(float64(done)*float64(cols)*2*float64(xs)/t/1e9, "GFLOP/s")
						b.ReportMetric(0, "ns/op")
					})
				}
			}
		}
	}
}
