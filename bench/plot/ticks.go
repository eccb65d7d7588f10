package plot

import (
	"fmt"
	"math"

	"gonum.org/v1/plot"
)

// wholeTicks marks whole numbers.
type wholeTicks struct{}

func (wholeTicks) Ticks(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	step := max(1, int(high-low)/12)
	for v := int(low); float64(v) <= high; v += step {
		if float64(v) >= low {
			ticks = append(ticks, plot.Tick{Value: float64(v), Label: fmt.Sprint(v)})
		}
	}
	return ticks
}

// decadeTicks marks 1, 2 and 5 of every power of ten.
type decadeTicks struct{}

func (decadeTicks) Ticks(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	for decade := math.Pow(10, math.Floor(math.Log10(low))); decade <= high; decade *= 10 {
		for _, digit := range []float64{1, 2, 5} {
			if v := digit * decade; v >= low && v <= high {
				ticks = append(ticks, plot.Tick{Value: v, Label: fmt.Sprintf("%g", v)})
			}
		}
	}
	return ticks
}
