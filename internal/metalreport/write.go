package main

import (
	"fmt"
	"image/color"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

func writeReport(path string, rows []row) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	fmt.Fprintf(f, `# What one token costs a GPU

Counted on the Metal simulator (`+"`make metal-report`"+`) while the unchanged Metal kernels run one token with %d tokens in
the KV cache. Counts are the same on every GPU; no speed was measured.

![Dispatches of a token](img/metal-report.svg)

## A token

*Bytes* are what the kernels read and write, each byte counted once a dispatch: what memory has to deliver as long as a few
kilobytes of activations stay in a cache. *Requested* counts every load of every thread for itself; a cache serves the repeated
ones, and fewer of them are no merit: dividing a product among more threadgroups raises the count and keeps more cores of a
large GPU busy. Both are given relative to the weights and the live KV cache, which no implementation can avoid reading. One token is one wait, and none where the GPU chooses the tokens.

The unfused graph is the model's definition with every norm, rotation, copy and addition an operation of its own, and
attention one: 17 dispatches a layer. Its bytes are the same weights and cache, and the activations that pass between its
operations through memory.

`, cached)
	if err := writeTable(f, rows); err != nil {
		return err
	}
	fmt.Fprint(f, `
## A layer

| operation | dispatches | of the unfused graph |
|---|--:|---|
| NormQKV | 1 | norm; query, key, value |
| Attend | 1 (2 from 128 cached tokens on) | query norm; key norm; rotate query; rotate key; store key; store value; attention |
| ProjAdd | 1 | output; add |
| NormSwiGLU | 1 | norm; gate; up; silu and product |
| ProjAdd | 1 | down; add |

The mean of all layers but the first:

| model | format | dispatches | barriers | threadgroups | bytes | unfused: dispatches |
|---|---|--:|--:|--:|--:|--:|
`)
	for _, r := range rows {
		n := float64(len(r.config.Layers) - 1)
		whole, _ := unfusedToken(r.config)
		first, _ := unfusedToken(r.ends.config)
		fmt.Fprintf(f, "| %s | %s | %.0f | %.0f | %.1f | %.2f MB | %.0f |\n", r.size, r.format,
			float64(r.dispatches-r.ends.dispatches)/n, float64(r.barriers-r.ends.barriers)/n,
			float64(r.threadgroups-r.ends.threadgroups)/n, (r.unique-r.ends.unique)/n/1e6, float64(whole-first)/n)
	}
	fmt.Fprint(f, `
## By kernel

`)
	fmt.Fprintln(f, "| model | format | kernel | dispatches | threadgroups | threads | bytes |\n|---|---|---|--:|--:|--:|--:|")
	for _, r := range rows {
		for _, name := range slices.Sorted(maps.Keys(r.byKernel)) {
			k := r.byKernel[name]
			fmt.Fprintf(f, "| %s | %s | %s | %d | %d | %d | %.2f MB |\n", r.size, r.format, name, k.Dispatches, k.Threadgroups, k.Threads,
				float64(k.Bytes.UniqueRead+k.Bytes.UniqueWritten)/1e6)
		}
	}
	return f.Close()
}

func writeTable(w io.Writer, rows []row) error {
	fmt.Fprintln(w, "| model | format | weights and cache | bytes | requested | dispatches | barriers | threadgroups | unfused: dispatches | unfused: bytes |")
	fmt.Fprintln(w, "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|")
	for _, r := range rows {
		n, activations := unfusedToken(r.config)
		if _, err := fmt.Fprintf(w, "| %s | %s | %.1f MB | %.4f | %.4f | %d | %d | %d | %d | %.4f |\n", r.size, r.format,
			r.ideal/1e6, r.unique/r.ideal, r.requested/r.ideal, r.dispatches, r.barriers, r.threadgroups, n, (r.ideal+activations)/r.ideal); err != nil {
			return err
		}
	}
	return nil
}

// draw puts the dispatches of a token, fused and unfused, side by side.
func draw(dir string, rows []row) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	var names []string
	var fused, unfused plotter.Values
	for _, r := range rows {
		if r.format != layouts[0].name {
			continue // dispatches do not depend on the format
		}
		n, _ := unfusedToken(r.config)
		names = append(names, r.size)
		fused, unfused = append(fused, float64(r.dispatches)), append(unfused, float64(n))
	}
	p := plot.New()
	p.Title.Text = "GPU dispatches for one token"
	p.Y.Label.Text = "dispatches"
	p.Y.Min = 0
	p.Legend.Top, p.Legend.Left = true, true
	p.NominalX(names...)
	const width = 1 * vg.Centimeter
	for i, bars := range []struct {
		name   string
		values plotter.Values
		color  color.Color
	}{
		{"every operation by itself", unfused, color.RGBA{0xd5, 0x5e, 0x00, 0xff}},
		{"go-openelm", fused, color.RGBA{0x00, 0x72, 0xb2, 0xff}},
	} {
		b, err := plotter.NewBarChart(bars.values, width)
		if err != nil {
			return err
		}
		b.Color, b.LineStyle.Width = bars.color, 0
		b.Offset = (vg.Length(i) - 0.5) * width
		var points plotter.XYLabels
		for x, v := range bars.values {
			points.XYs = append(points.XYs, plotter.XY{X: float64(x), Y: v})
			points.Labels = append(points.Labels, fmt.Sprintf("%.0f", v))
		}
		labels, err := plotter.NewLabels(points)
		if err != nil {
			return err
		}
		for j := range labels.TextStyle {
			labels.TextStyle[j].XAlign = -0.5
		}
		labels.Offset = vg.Point{X: b.Offset, Y: 2}
		p.Add(b, labels)
		p.Legend.Add(bars.name, b)
	}
	p.Y.Max *= 1.1
	for _, kind := range []string{".png", ".svg"} {
		if err := p.Save(16*vg.Centimeter, 9*vg.Centimeter, filepath.Join(dir, "metal-report"+kind)); err != nil {
			return err
		}
	}
	return nil
}
