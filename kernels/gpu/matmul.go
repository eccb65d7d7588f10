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
	matmulOuts    = 64
	// Tiles of 64 rows read W and threadgroup memory half as often as tiles of
	// 32, where there are enough of them for the cores of a large GPU (unless tuned).
	matmulRows      = 64
	matmulRowsFew   = 32
	matmulMinGroups = 128
)

// launchMatmul adds a launch of matmul.
func (p *pass) launchMatmul(l *product, key kernelKey) *dispatch {
	outs := matmulOuts
	if l.up != nil {
		outs /= 2
	}
	groups := [3]int{ceilDiv(l.w.Rows, outs), ceilDiv(l.rows, matmulRows), 1}
	key.source, key.function = &matmulSource, "matmul_64"
	if groups[0]*groups[1] < p.geometry.matmulGroups {
		groups[1], key.function = ceilDiv(l.rows, matmulRowsFew), "matmul_32"
	}
	d := p.launch(key)
	d.threads, d.groups = matmulThreads, groups
	if d.compiling() { // a token will follow
		key.source, key.function = &matvecSource, matvecFunctions[0].name
		p.backend.compile(key)
	}
	return d
}
