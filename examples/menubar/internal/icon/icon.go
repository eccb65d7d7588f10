// Package icon draws the program's icon: a leaf of an elm, whose two halves do not
// meet at the stalk.
package icon

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"
)

// App draws the icon of an application: the leaf on a rounded square, which leaves
// the margin that macOS wants.
func App(size int) image.Image {
	return draw(size, func(x, y float64) color.RGBA64 {
		// 824 of 1024 points, corners of 185: Apple's grid for icons.
		const half, radius = 412.0 / 1024, 185.0 / 1024
		dx, dy := math.Max(math.Abs(x-0.5)-half+radius, 0), math.Max(math.Abs(y-0.5)-half+radius, 0)
		if math.Hypot(dx, dy) > radius {
			return color.RGBA64{}
		}
		if leaf((x-0.5)/0.62+0.5, (y-0.5)/0.62+0.5) {
			return color.RGBA64{0xf6f6, 0xfafa, 0xefef, 0xffff}
		}
		t := y - (0.5 - half)
		mix := func(top, bottom float64) uint16 { return uint16(257 * (top + (bottom-top)*t)) }
		return color.RGBA64{mix(86, 22), mix(168, 96), mix(98, 72), 0xffff}
	})
}

// Glyph draws the leaf alone in one colour, for a panel or a menu bar.
func Glyph(size int, c color.Color) image.Image {
	r, g, b, a := c.RGBA()
	ink := color.RGBA64{uint16(r), uint16(g), uint16(b), uint16(a)}
	return draw(size, func(x, y float64) color.RGBA64 {
		if leaf(x, y) {
			return ink
		}
		return color.RGBA64{}
	})
}

// PNG encodes an image.
func PNG(m image.Image) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		panic(err) // a buffer takes everything, and no drawing is too large
	}
	return b.Bytes()
}

// leaf reports whether a point of the unit square is part of the leaf.
func leaf(x, y float64) bool {
	// The axis runs from the stalk, below on the left, to the tip.
	const turn = math.Pi / 5
	sin, cos := math.Sincos(turn)
	u, v := (x-0.5)*cos-(y-0.5)*sin, (x-0.5)*sin+(y-0.5)*cos // v grows towards the stalk
	along := (0.46 - v) / 0.92                               // 0 at the stalk, 1 at the tip
	if along < 0 || along > 1 {
		return false
	}
	if along < 0.16 && math.Abs(u) < 0.022 {
		return true // the stalk
	}
	if math.Abs(u) < 0.018 {
		return false // the vein between the halves
	}
	// The right half begins further up, as an elm's does.
	begin := 0.12
	if u > 0 {
		begin = 0.2
	}
	if along < begin {
		return false
	}
	s := (along - begin) / (1 - begin)
	width := 0.31 * math.Pow(math.Sin(math.Pi*math.Pow(s, 0.8)), 0.75)
	// Side veins, which point to the tip.
	_, rib := math.Modf((along-0.75*math.Abs(u))*6.5 + 10)
	return math.Abs(u) < width && (rib > 0.13 || math.Abs(u) > width*0.8 || along > 0.86)
}

// draw paints a square image of what at says of points of the unit square, each
// pixel the mean of a grid of them.
func draw(size int, at func(x, y float64) color.RGBA64) image.Image {
	grid := 5
	if size >= 256 {
		grid = 3
	}
	m := image.NewRGBA(image.Rect(0, 0, size, size))
	for py := range size {
		for px := range size {
			var r, g, b, a int
			for i := range grid * grid {
				c := at((float64(px)+(float64(i%grid)+0.5)/float64(grid))/float64(size), (float64(py)+(float64(i/grid)+0.5)/float64(grid))/float64(size))
				r, g, b, a = r+int(c.R), g+int(c.G), b+int(c.B), a+int(c.A)
			}
			n := grid * grid
			m.Set(px, py, color.RGBA64{uint16(r / n), uint16(g / n), uint16(b / n), uint16(a / n)})
		}
	}
	return m
}
