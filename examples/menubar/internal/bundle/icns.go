package bundle

import (
	"bytes"
	"encoding/binary"
	"sync"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/icon"
)

// pictures are the types of Apple's icon format that hold PNG, and their sizes. Those
// of a size twice are for screens with one and with two pixels a point.
var pictures = []struct {
	kind string
	size int
}{
	{"icp4", 16}, {"icp5", 32}, {"ic11", 32}, {"ic12", 64}, {"ic07", 128}, {"ic13", 256}, {"ic08", 256}, {"ic14", 512}, {"ic09", 512}, {"ic10", 1024},
}

// icns is the program's icon as an .icns file: "icns" and the file's length, then for
// each picture its type, its length with these eight bytes, and the PNG.
var icns = sync.OnceValue(func() []byte {
	drawn := map[int][]byte{}
	var body bytes.Buffer
	chunk := func(w *bytes.Buffer, kind string, content []byte) {
		w.WriteString(kind)
		binary.Write(w, binary.BigEndian, uint32(8+len(content)))
		w.Write(content)
	}
	for _, p := range pictures {
		if drawn[p.size] == nil {
			drawn[p.size] = icon.PNG(icon.App(p.size))
		}
		chunk(&body, p.kind, drawn[p.size])
	}
	var file bytes.Buffer
	chunk(&file, "icns", body.Bytes())
	return file.Bytes()
})
