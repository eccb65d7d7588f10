package main

import (
	"fmt"
	"image/color"
	"slices"

	"github.com/go-openelm/go-openelm/bench"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// lines groups rates into lines of points, in order of appearance.
type lines struct {
	names  []string
	points map[string]plotter.XYs
}

func (l *lines) add(name string, x, y float64) {
	if l.points == nil {
		l.points = map[string]plotter.XYs{}
	}
	if l.points[name] == nil {
		l.names = append(l.names, name)
	}
	l.points[name] = append(l.points[name], plotter.XY{X: x, Y: y})
}

// draw draws the lines that have more than one point, sorted, and returns how
// many those are.
func (l *lines) draw(p *plot.Plot, change func(plotter.XYs)) (int, error) {
	n := 0
	for _, name := range l.names {
		points := l.points[name]
		if len(points) < 2 {
			continue
		}
		slices.SortFunc(points, func(a, b plotter.XY) int {
			if a.X < b.X {
				return -1
			}
			return 1
		})
		change(points)
		if err := line(p, n, name, points); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// byThreads draws how many times faster than with the fewest threads each test
// is. It returns nil if the report has one number of threads only.
func byThreads(r *bench.Report) (*plot.Plot, error) {
	p := newPlot(r, "Speed by threads", "threads", "times as fast as with the fewest")
	p.Legend.Top, p.Legend.Left = true, true
	p.X.Tick.Marker = evenTicks{whole: true}
	var all lines
	most := 1.0
	for i := range r.Results {
		result := &r.Results[i]
		if result.Kind.Rate() && result.Threads > 0 {
			all.add(label(&result.Subject)+", "+result.Test.String(), float64(result.Threads), result.Summary.Median)
		}
	}
	n, err := all.draw(p, func(points plotter.XYs) {
		most = max(most, points[len(points)-1].X/points[0].X)
		relative(points)
	})
	if n == 0 || err != nil {
		return nil, err
	}
	ideal, err := plotter.NewLine(plotter.XYs{{X: p.X.Min, Y: 1}, {X: p.X.Max, Y: most}})
	if err != nil {
		return nil, err
	}
	ideal.Color, ideal.Dashes = color.Gray{0x60}, []vg.Length{4, 4}
	p.Add(ideal)
	p.Legend.Add("as many times as threads", ideal)
	p.Y.Min, p.Y.Max = 0, max(p.Y.Max, most)*1.6 // room for the legend
	return p, nil
}

// relative divides by the first point's value.
func relative(points plotter.XYs) {
	base := points[0].Y
	for i := range points {
		points[i].Y /= base
	}
}

// byContext draws how the speed of decoding changes with the number of tokens in
// the KV cache. It returns nil if the report has one such number only.
func byContext(r *bench.Report) (*plot.Plot, error) {
	p := newPlot(r, "Speed of decoding by length of the context", "tokens in the KV cache", "of the speed with the fewest")
	var all lines
	for i := range r.Results {
		result := &r.Results[i]
		if result.Kind == bench.Decode {
			all.add(fmt.Sprintf("%s, %s", label(&result.Subject), threads(result.Threads)), float64(result.Context), result.Summary.Median)
		}
	}
	n, err := all.draw(p, relative)
	if n == 0 || err != nil {
		return nil, err
	}
	p.Y.Min, p.Y.Max = 0, p.Y.Max*1.05
	return p, nil
}

// bandwidth draws, for every model's decoding with the most threads, the rate
// at which each engine reads the weights and the KV cache, and the rate that
// just reading them reaches. It returns nil if the report has no such result.
func bandwidth(r *bench.Report) (*plot.Plot, error) {
	p := newPlot(r, "Decoding: weights and KV cache read", "", "GB / s")
	p.Legend.Top = true
	p.Legend.Left = true
	bars := bars{values: map[string]map[string]float64{}}
	for i := range r.Results {
		result := &r.Results[i]
		if result.Kind != bench.Decode || !mostThreads(r, result) {
			continue
		}
		cost := costOf(r, result)
		if cost == nil {
			continue
		}
		group := fmt.Sprintf("%s\nat %d", modelName(result.Model), result.Context)
		if result.Limit != nil && result.Variant == "" {
			bars.add("reading only, "+result.Device, group, result.Limit.Read.Median/1e9)
		}
		engine := result.Label()
		if result.Device != "cpu" {
			engine += ", " + result.Device
		}
		bars.add(engine, group, cost.Bytes*result.Summary.Median/1e9)
	}
	if len(bars.groups) == 0 {
		return nil, nil
	}
	return p, bars.draw(p)
}

// mostThreads reports whether no other result is of the same with more threads.
func mostThreads(r *bench.Report, result *bench.Result) bool {
	return !slices.ContainsFunc(r.Results, func(o bench.Result) bool {
		return o.Model == result.Model && o.Engine == result.Engine && o.Variant == result.Variant && o.Device == result.Device && o.Threads > result.Threads
	})
}

// costOf is the cost of a result, which a peer's takes from this engine's.
func costOf(r *bench.Report, result *bench.Result) *bench.Cost {
	for i := range r.Results {
		if o := &r.Results[i]; o.Model == result.Model && o.Test == result.Test && o.Cost != nil {
			return o.Cost
		}
	}
	return nil
}

// bars are grouped bars: a value for a series in a group.
type bars struct {
	series, groups []string
	values         map[string]map[string]float64
}

func (b *bars) add(series, group string, value float64) {
	if !slices.Contains(b.groups, group) {
		b.groups = append(b.groups, group)
	}
	if b.values[series] == nil {
		b.series = append(b.series, series)
		b.values[series] = map[string]float64{}
	}
	b.values[series][group] = value
}

func (b *bars) draw(p *plot.Plot) error {
	// The bars of a group, and a gap as wide as one, fill its share of the plot.
	one := width * 0.85 / vg.Length(len(b.groups)*(len(b.series)+1))
	for i, series := range b.series {
		values := make(plotter.Values, len(b.groups))
		for j, group := range b.groups {
			values[j] = b.values[series][group]
		}
		chart, err := plotter.NewBarChart(values, one)
		if err != nil {
			return err
		}
		chart.Color, chart.LineStyle.Width = colour(i), 0
		if i == 0 {
			chart.Color = color.Gray{0xc0}
		}
		chart.Offset = one * (vg.Length(i) - vg.Length(len(b.series)-1)/2)
		p.Add(chart)
		p.Legend.Add(series, chart)
	}
	p.NominalX(b.groups...)
	p.Y.Min, p.Y.Max = 0, p.Y.Max*1.4
	return nil
}
