package main

import (
	"fmt"
	"image/color"
	"math"

	"github.com/go-openelm/go-openelm/bench"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
)

// roofline draws every rate over its intensity, the operations that a token
// costs for each byte it reads, under the roof of its device and threads. It
// returns nil if the report has no limits.
func roofline(r *bench.Report) (*plot.Plot, error) {
	p := newPlot(r, "Roofline", "intensity, FLOP / byte", "GFLOP / s (float32)")
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = decadeTicks{}, decadeTicks{}
	p.Legend.Top, p.Legend.Left = false, false

	type subject struct{ name string }
	var (
		roofs  []roof
		series []subject
		points = map[subject]plotter.XYs{}
		low    = math.Inf(1)
		high   = 0.0
	)
	for i := range r.Results {
		result := &r.Results[i]
		if result.Limit == nil || result.Cost == nil {
			continue
		}
		roofs = addRoof(roofs, result)
		s := subject{fmt.Sprintf("%s, %s", label(&result.Subject), threads(result.Threads))}
		x, y := result.Cost.Flop/result.Cost.Bytes, result.Cost.Flop*result.Summary.Median/1e9
		if points[s] == nil {
			series = append(series, s)
		}
		points[s] = append(points[s], plotter.XY{X: x, Y: y})
		low, high = min(low, x), max(high, x)
	}
	if len(roofs) == 0 {
		return nil, nil
	}
	for _, roof := range roofs {
		if err := roof.draw(p, low/2, high*2); err != nil {
			return nil, err
		}
	}
	for i, s := range series {
		marks, err := plotter.NewScatter(points[s])
		if err != nil {
			return nil, err
		}
		marks.Color, marks.Shape, marks.Radius = colour(i), shapes[i%len(shapes)], 4
		p.Add(marks)
		p.Legend.Add(s.name, marks)
	}
	return p, nil
}

func threads(n int) string {
	switch n {
	case 0:
		return "whole device"
	case 1:
		return "1 thread"
	}
	return fmt.Sprintf("%d threads", n)
}

// roof is the limits of a device with a number of threads.
type roof struct {
	device       string
	threads      int
	read, mulAdd float64
}

// addRoof adds the limits of a result, or raises those of its device: a model
// that fits into a cache is read faster than one that does not.
func addRoof(roofs []roof, r *bench.Result) []roof {
	for i := range roofs {
		if roofs[i].device == r.Device && roofs[i].threads == r.Threads {
			roofs[i].read = max(roofs[i].read, r.Limit.Read.Median)
			roofs[i].mulAdd = max(roofs[i].mulAdd, r.Limit.MulAdd.Median)
			return roofs
		}
	}
	return append(roofs, roof{r.Device, r.Threads, r.Limit.Read.Median, r.Limit.MulAdd.Median})
}

// draw draws the roof from intensity low to high: the slope is the read rate,
// the flat part the multiply-add rate.
func (r roof) draw(p *plot.Plot, low, high float64) error {
	ridge := r.mulAdd / r.read
	points := plotter.XYs{{X: low, Y: min(low*r.read, r.mulAdd) / 1e9}}
	if ridge > low && ridge < high {
		points = append(points, plotter.XY{X: ridge, Y: r.mulAdd / 1e9})
	}
	points = append(points, plotter.XY{X: high, Y: min(high*r.read, r.mulAdd) / 1e9})
	l, err := plotter.NewLine(points)
	if err != nil {
		return err
	}
	l.Color, l.Width = color.Gray{0x60}, 1.5
	p.Add(l)
	p.Legend.Add(fmt.Sprintf("%s, %s: %.1f GB/s, %.0f GFLOP/s", r.device, threads(r.threads), r.read/1e9, r.mulAdd/1e9), l)
	return nil
}
