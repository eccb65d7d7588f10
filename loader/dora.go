package loader

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/go-openelm/go-openelm/kernels"
)

// rowScale turns DoRA's magnitudes, which r.RowScale holds, into what the
// operations take: magnitude / ‖W + B·A‖, by row (Liu et al. 2024, eq. 5). Norms
// are sums in float64 over W as the operations see it, quantised or not. It
// stops early, without an error of its own, once ctx is done.
func rowScale(ctx context.Context, w *kernels.Matrix, r *kernels.LowRank) error {
	var (
		wg     sync.WaitGroup
		next   atomic.Int64
		failed atomic.Int64 // 1 + the row whose norm is zero
	)
	a, b, scale := r.A.Data.Floats(), r.B.Data.Floats(), r.RowScale.Floats()
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			row, sum := make([]float32, w.Cols), make([]float64, w.Cols)
			for {
				i := int(next.Add(1)) - 1
				if i >= w.Rows || ctx.Err() != nil {
					return
				}
				w.ReadRow(row, i)
				norm := adaptedNorm(sum, row, b[i*r.A.Rows:(i+1)*r.A.Rows], a)
				if !(norm > 0) || math.IsInf(norm, 0) {
					failed.Store(int64(i) + 1)
					return
				}
				scale[i] = float32(float64(scale[i]) / norm)
			}
		})
	}
	wg.Wait()
	if i := failed.Load(); i > 0 {
		return fmt.Errorf("DoRA: row %d of the adapted matrix has no norm to divide by", i-1)
	}
	return nil
}

// adaptedNorm is ‖row + b·A‖; sum is scratch space of the row's length.
func adaptedNorm(sum []float64, row, b, a []float32) float64 {
	for c, x := range row {
		sum[c] = float64(x)
	}
	for k, scale := range b {
		for c, x := range a[k*len(row) : (k+1)*len(row)] {
			sum[c] += float64(scale) * float64(x)
		}
	}
	squares := 0.0
	for _, x := range sum {
		squares += x * x
	}
	return math.Sqrt(squares)
}
