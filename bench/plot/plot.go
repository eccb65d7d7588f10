package main

import (
	"context"
	"fmt"
	"image/color"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-openelm/go-openelm/bench"
	"github.com/go-openelm/go-openelm/internal/filewrite"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// write draws the plots that the report has data for into folder dir, each as
// PNG and as SVG, and returns the names of the files.
func write(dir string, r *bench.Report) ([]string, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	var files []string
	for _, figure := range []struct {
		name string
		draw func(*bench.Report) (*plot.Plot, error)
	}{
		{"roofline", roofline}, {"threads", byThreads}, {"context", byContext}, {"bandwidth", bandwidth},
	} {
		p, err := figure.draw(r)
		if err != nil {
			return files, fmt.Errorf("plot: %s: %w", figure.name, err)
		}
		if p == nil {
			continue
		}
		for _, kind := range []string{".png", ".svg"} {
			path := filepath.Join(dir, figure.name+kind)
			image, err := p.WriterTo(width, height, kind[1:])
			if err == nil {
				err = filewrite.Atomic(context.Background(), path, func(w io.Writer) error {
					_, err := image.WriteTo(w)
					return err
				})
			}
			if err != nil {
				return files, fmt.Errorf("plot: %w", err)
			}
			files = append(files, path)
		}
	}
	return files, nil
}

const (
	width  = 22 * vg.Centimeter
	height = 13 * vg.Centimeter
)

// palette is Okabe and Ito's (2008), which colour-blind people can tell apart.
var palette = []color.Color{
	color.RGBA{0x00, 0x72, 0xb2, 0xff}, color.RGBA{0xd5, 0x5e, 0x00, 0xff}, color.RGBA{0x00, 0x9e, 0x73, 0xff},
	color.RGBA{0xcc, 0x79, 0xa7, 0xff}, color.RGBA{0xe6, 0x9f, 0x00, 0xff}, color.RGBA{0x56, 0xb4, 0xe9, 0xff},
	color.RGBA{0x00, 0x00, 0x00, 0xff}, color.RGBA{0x80, 0x80, 0x80, 0xff},
}

func colour(i int) color.Color { return palette[i%len(palette)] }

var shapes = []draw.GlyphDrawer{
	draw.CircleGlyph{}, draw.SquareGlyph{}, draw.PyramidGlyph{}, draw.BoxGlyph{}, draw.CrossGlyph{}, draw.RingGlyph{},
}

func newPlot(r *bench.Report, title, x, y string) *plot.Plot {
	p := plot.New()
	machine := r.Machine.CPU
	if machine == "" {
		machine = r.Machine.OS + "/" + r.Machine.Arch
	}
	p.Title.Text = title + "\n" + machine
	p.Title.Padding = 8
	p.X.Label.Text, p.Y.Label.Text = x, y
	p.X.Tick.Marker, p.Y.Tick.Marker = evenTicks{}, evenTicks{}
	p.Legend.Padding = 2
	p.BackgroundColor = color.White
	for _, style := range []*text.Style{
		&p.Title.TextStyle, &p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle,
	} {
		style.Font.Variant = "Sans"
	}
	return p
}

// line is a named line with marks; series i of the plot.
func line(p *plot.Plot, i int, name string, points plotter.XYs) error {
	l, marks, err := plotter.NewLinePoints(points)
	if err != nil {
		return err
	}
	l.Color, l.Width = colour(i), 1.5
	marks.Color, marks.Shape, marks.Radius = colour(i), shapes[i%len(shapes)], 3
	p.Add(l, marks)
	p.Legend.Add(name, l, marks)
	return nil
}

// label is what a result's subject is called in a legend.
func label(s *bench.Subject) string {
	name := modelName(s.Model)
	if s.Engine != bench.Engine || s.Variant != "" {
		name += ", " + s.Label()
	}
	if s.Device != "cpu" {
		name += ", " + s.Device
	}
	return name
}

// modelName is a model's name without what need not be said in a plot.
func modelName(name string) string {
	return filepath.Base(strings.TrimPrefix(name, "random:"))
}
