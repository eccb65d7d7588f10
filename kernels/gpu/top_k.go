package gpu

import (
	_ "embed"
	"fmt"

	"github.com/go-openelm/go-openelm/kernels"
)

//go:embed top_k.metal
var topKText string

var topKSource = source{name: "top_k.metal", text: topKText, number: -1, threads: topKThreads}

const topKThreads = 512

// topKArgs is TopKArgs of top_k.metal.
type topKArgs struct{ n, k uint32 }

// Sampler is what the passes of a [Backend] can do besides [kernels.Ops]: choose
// the most probable tokens where the logits are, so that the CPU need not read
// all of them. One token with it is 5·L + 3 dispatches.
type Sampler interface {
	// TopK sets ids[r] and values[r], [rows, k] int32 and float32, to the k
	// largest of logits[r], [rows, n], and their indices, the largest first and
	// of equal ones the one with the smaller index. k is at most n. NaNs are
	// passed over; where nothing is left the id is −1.
	TopK(ids, values, logits kernels.View, rows, n, k int)
}

var _ Sampler = (*pass)(nil)

func (p *pass) TopK(ids, values, logits kernels.View, rows, n, k int) {
	const op = "TopK"
	if !p.ready() || !p.checkRows(op, rows) {
		return
	}
	if k < 1 || k > n {
		p.fail(fmt.Errorf("gpu: %s: %w: %d of %d", op, kernels.ErrShape, k, n))
		return
	}
	to, best := p.bind(op, "ids", ids, 4*rows*k, 4), p.floats(op, "values", values, rows*k)
	from := p.floats(op, "logits", logits, rows*n)
	if p.err != nil {
		return
	}
	p.depends()
	d := p.launch(kernelKey{libraryKey: libraryKey{source: &topKSource}, function: "top_k"})
	d.bind(0, to)
	d.bind(1, best)
	d.bind(2, from)
	d.threads, d.groups = topKThreads, [3]int{rows, 1, 1}
	setArgs(d, 3, topKArgs{uint32(n), uint32(k)})
}
