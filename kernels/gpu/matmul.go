package gpu

import _ "embed"

//go:embed matmul.metal
var matmulText string

var matmulSource = source{
	name:      "matmul.metal",
	headers:   []string{"formats.h", formatsHeader, "linear.h", linearHeader},
	text:      matmulText,
	constants: linearConstants,
	number:    constScaleFormat,
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
	wide := l.w.Cols%4 == 0 && l.x.off%16 == 0 && l.norm.off%16 == 0
	key.flags |= flag(constWideX, wide)
	outs := matmulOuts
	if l.up != nil {
		outs /= 2
	}
	d := p.launch(key)
	d.threads = matmulThreads
	d.groups = [3]int{ceilDiv(l.w.Rows, outs), ceilDiv(l.rows, matmulRows), 1}
	return d
}
