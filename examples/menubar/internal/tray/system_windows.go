package tray

import (
	"bytes"
	"context"
	"encoding/binary"
	"image/color"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/icon"
)

// decorateFirst: an icon's picture is set once there is an icon.
const decorateFirst = false

// available is always true: every desktop of Windows shows icons.
func available(context.Context) error { return nil }

// panelIcon is an icon file with one PNG.
func panelIcon() []byte {
	const size = 32
	image := icon.PNG(icon.Glyph(size, color.RGBA{60, 160, 90, 255}))
	var b bytes.Buffer
	binary.Write(&b, binary.LittleEndian, struct {
		Reserved, Type, Count       uint16
		Width, Height, Colours, Pad uint8
		Planes, Bits                uint16
		Length, Offset              uint32
	}{0, 1, 1, size, size, 0, 0, 1, 32, uint32(len(image)), 22})
	b.Write(image)
	return b.Bytes()
}

// Clipboard returns nil: there is no entry for it.
func Clipboard() func(ctx context.Context) (string, error) { return nil }
