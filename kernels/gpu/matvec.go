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
	threads:   matvecMaxSimdgroups * simdWidth,
}

const (
	// matvecSimdgroups is how many SIMD-groups a threadgroup has, unless tuned.
	// Nothing is shared in one; what counts is that there are hundreds, so that every
	// core of a large GPU has several and their loads cover the latency of memory.
	matvecSimdgroups    = 2
	matvecMaxSimdgroups = 8
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
	outs, gated := matvecOuts, 0
	if l.up != nil {
		outs, gated = outs/2, 1
	}
	all, simdgroups := ceilDiv(l.w.Rows, outs), matvecSimdgroups
	if f.rows == 1 {
		simdgroups = p.geometry.matvec[l.w.Format][gated][matvecClass(all)]
	}
	d := p.launch(key)
	d.threads = simdgroups * simdWidth
	d.groups = [3]int{ceilDiv(all, simdgroups) * ceilDiv(l.rows, f.rows), 1, 1}
	return d
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
