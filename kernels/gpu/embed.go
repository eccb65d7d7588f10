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
	headers:   []string{"sums.h", sumsHeader, "formats.h", formatsHeader},
	text:      embedText,
	constants: embedConstants,
	number:    constScaleLayout,
	threads:   embedThreads,
}

const embedThreads = 64 // two SIMD-groups; a row of 1,280 columns is 80 or 160 units

// Function constants of embed.metal, by index, beside those of formats.h.
const (
	constEmbedLoRA = constRagged + 1 + iota
	constEmbedRowScale
	embedConstants
)

// embedArgs is EmbedArgs of embed.metal.
type embedArgs struct{ vocabulary, cols, rowBytes, rank uint32 }

// Embed records x[r] = table[token[r]].
func (p *pass) Embed(x kernels.View, l kernels.Linear, tokens kernels.View, rows int) {
	p.embed("Embed", x, l, tokens, rows, true)
}

// EmbedChosen is Embed of tokens that are not known yet.
func (p *pass) EmbedChosen(x kernels.View, l kernels.Linear, tokens kernels.View, rows int) {
	p.embed("EmbedChosen", x, l, tokens, rows, false)
}

func (p *pass) embed(op string, x kernels.View, l kernels.Linear, tokens kernels.View, rows int, known bool) {
	if !p.ready() || !p.checkRows(op, rows) {
		return
	}
	table := l.W
	p.checkLinear(op, "table", l)
	data, scales, biases := p.matrix(op, table)
	to := p.floats(op, "x", x, rows*table.Cols)
	ids := p.bind(op, "tokens", tokens, 4*rows, 4)
	if p.err != nil {
		return
	}
	if known {
		if err := kernels.CheckTokens(tokens, rows, table); err != nil {
			p.fail(fmt.Errorf("gpu: %s: %w", op, err))
			return
		}
	}
	affine := table.Format.Affine()
	key := kernelKey{
		libraryKey: libraryKey{&embedSource, table.Format},
		function:   "embed",
		flags:      weightFlags(table),
		number:     scaleLayout(table),
	}
	args := embedArgs{uint32(table.Rows), uint32(table.Cols), uint32(table.RowBytes()), 0}
	var a, b, scale binding
	if r := l.LoRA; r != nil {
		args.rank = uint32(r.A.Rows)
		key.flags |= flag(constEmbedLoRA, true) | flag(constEmbedRowScale, !r.RowScale.IsZero())
		a = p.floats(op, "adapter A", r.A.Data, r.A.Rows*r.A.Cols)
		b = p.floats(op, "adapter B", r.B.Data, r.B.Rows*r.B.Cols)
		if !r.RowScale.IsZero() {
			scale = p.floats(op, "adapter row scale", r.RowScale, table.Rows)
		}
		if p.err != nil {
			return
		}
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
	d.threads, d.groups = embedThreads, [3]int{ceilDiv(table.Cols, unitCols(table.Format)*embedThreads), rows, 1}
	setArgs(d, 5, args)
	if l.LoRA != nil {
		d.bind(6, a)
		d.bind(7, b)
		if key.flags>>constEmbedRowScale&1 == 1 {
			d.bind(8, scale)
		}
	}
}
