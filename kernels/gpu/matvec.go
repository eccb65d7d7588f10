package gpu

import _ "embed"

//go:embed matvec.metal
var matvecText string

var matvecSource = source{
	name:      "matvec.metal",
	headers:   []string{"sums.h", sumsHeader, "formats.h", formatsHeader, "linear.h", linearHeader},
	text:      matvecText,
	constants: linearConstants,
	number:    constScaleLayout,
	threads:   matvecSimdgroups * simdWidth,
}

const (
	// matvecSimdgroups is how many SIMD-groups a threadgroup has. Nothing is
	// shared in one; what counts is that there are hundreds, so that every core of
	// a large GPU has several and their loads cover the latency of memory.
	matvecSimdgroups = 2
	// matvecOuts is how many rows of W a SIMD-group works on, as in matvec.metal.
	matvecOuts = 4
)

// The instances of matvec. More rows of x than the last one takes are divided
// among threadgroups.
var matvecFunctions = [...]struct {
	rows int
	name string
}{{1, "matvec_1"}, {2, "matvec_2"}, {4, "matvec_4"}, {8, "matvec_8"}}

// launchMatvec adds a launch of matvec.
func (p *pass) launchMatvec(l *product, key kernelKey) *dispatch {
	f := &matvecFunctions[0]
	for i := range matvecFunctions {
		if f = &matvecFunctions[i]; f.rows >= l.rows {
			break
		}
	}
	key.function = f.name
	outs := matvecOuts * matvecSimdgroups
	if l.up != nil {
		outs /= 2
	}
	d := p.launch(key)
	d.threads = matvecSimdgroups * simdWidth
	d.groups = [3]int{ceilDiv(l.w.Rows, outs) * ceilDiv(l.rows, f.rows), 1, 1}
	return d
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
