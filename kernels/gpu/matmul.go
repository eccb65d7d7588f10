package gpu

import _ "embed"

//go:embed matmul.metal
var matmulText string

var matmulSource = source{
	name:      "matmul.metal",
	headers:   []string{"sums.h", sumsHeader, "formats.h", formatsHeader, "linear.h", linearHeader},
	text:      matmulText,
	constants: linearConstants,
	number:    constScaleLayout,
	threads:   matmulThreads,
}

// The tile of y a threadgroup computes, as in matmul.metal.
const (
	matmulThreads = 128
	matmulRows    = 32
	matmulOuts    = 64
)

// launchMatmul adds a launch of matmul.
func (p *pass) launchMatmul(l *product, key kernelKey) *dispatch {
	key.source, key.function = &matmulSource, "matmul"
	outs := matmulOuts
	if l.up != nil {
		outs /= 2
	}
	d := p.launch(key)
	d.threads = matmulThreads
	d.groups = [3]int{ceilDiv(l.w.Rows, outs), ceilDiv(l.rows, matmulRows), 1}
	return d
}
