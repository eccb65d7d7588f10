package gpu

import (
	_ "embed"
	"fmt"

	"github.com/go-openelm/go-openelm/kernels"
)

//go:embed embed.metal
var embedText string

var embedSource = source{
	name:      "embed.metal",
	headers:   []string{"formats.h", formatsHeader},
	text:      embedText,
	constants: constScaleFormat + 1,
	number:    constScaleFormat,
	threads:   embedThreads,
}

const embedThreads = 64 // two SIMD-groups; a row of 1,280 columns is 40 to 160 units

// embedArgs is EmbedArgs of embed.metal.
type embedArgs struct{ vocabulary, cols, rowBytes, group uint32 }

// Embed records x[r] = table[token[r]].
func (p *pass) Embed(x kernels.View, table *kernels.Matrix, tokens kernels.View, rows int) {
	const op = "Embed"
	if !p.ready() || !p.checkRows(op, rows) {
		return
	}
	wide := true
	data, scales, biases := p.matrix(op, table, &wide)
	to := p.floats(op, "x", x, rows*table.Cols)
	ids := p.bind(op, "tokens", tokens, 4*rows, 4)
	if p.err != nil {
		return
	}
	for _, id := range tokens.Ints()[:rows] {
		if id < 0 || int(id) >= table.Rows {
			p.fail(fmt.Errorf("gpu: %s: %w: token %d is outside the table of %d rows", op, kernels.ErrShape, id, table.Rows))
			return
		}
	}
	affine := table.Format.Affine()
	key := kernelKey{
		libraryKey: libraryKey{&embedSource, table.Format},
		function:   "embed",
		flags:      flag(constWideWeights, wide) | flag(constAffine, affine),
	}
	if affine {
		key.number = uint32(table.ScaleFormat - kernels.F32)
	}
	p.depends()
	d := p.launch(key)
	d.bind(0, to)
	d.bind(1, ids)
	d.bind(2, data)
	if affine {
		d.bind(3, scales)
		d.bind(4, biases)
	}
	unit := 32 // columns that a thread unpacks
	if table.Format.Float() {
		unit = 8
	}
	d.threads, d.groups = embedThreads, [3]int{ceilDiv(table.Cols, unit*embedThreads), rows, 1}
	setArgs(d, 5, embedArgs{uint32(table.Rows), uint32(table.Cols), uint32(table.RowBytes()), uint32(table.Group)})
}
