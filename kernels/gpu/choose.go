package gpu

import (
	_ "embed"
	"fmt"

	"github.com/go-openelm/go-openelm/kernels"
)

//go:embed choose.metal
var chooseText string

var chooseSource = source{name: "choose.metal", headers: []string{"sums.h", sumsHeader}, text: chooseText, number: -1, threads: chooseThreads}

// chooseThreads is a whole core's, unless tuned: one threadgroup reads a row.
const chooseThreads = 1024

// chooseArgs is ChooseArgs of choose.metal.
type chooseArgs struct{ n uint32 }

// Choose records tokens[r] = the index of the largest of logits[r].
func (p *pass) Choose(tokens, logits kernels.View, rows, n int) {
	const op = "Choose"
	if !p.ready() || !p.checkRows(op, rows) {
		return
	}
	if n < 1 {
		p.fail(fmt.Errorf("gpu: %s: %w: %d logits", op, kernels.ErrShape, n))
		return
	}
	to, from := p.bind(op, "tokens", tokens, 4*rows, 4), p.floats(op, "logits", logits, rows*n)
	if p.err != nil {
		return
	}
	p.depends()
	d := p.launch(kernelKey{libraryKey: libraryKey{source: &chooseSource}, function: "choose"})
	d.bind(0, to)
	d.bind(1, from)
	d.threads, d.groups = p.geometry.chooseThreads, [3]int{rows, 1, 1}
	setArgs(d, 2, chooseArgs{uint32(n)})
}
