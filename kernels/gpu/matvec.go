package gpu

import _ "embed"

//go:embed matvec.metal
var matvecText string

var matvecSource = source{
	name:      "matvec.metal",
	headers:   []string{"formats.h", formatsHeader, "linear.h", linearHeader},
	text:      matvecText,
	constants: linearConstants,
	number:    constScaleFormat,
	threads:   matvecSimdgroups * simdWidth,
}

const (
	// matvecRows is the most rows that matvec takes; a tile of matmul would be
	// three quarters empty for as few.
	matvecRows = 8
	// matvecSimdgroups is the most SIMD-groups of a threadgroup: with 512
	// threads each has some hundred registers, which two rows of weights and
	// their sums fit in.
	matvecSimdgroups = 16
	// matvecSlots is how many rows of W a SIMD-group reads side by side, and
	// matvecRowsPerLane how many of them a lane works on in turn.
	matvecSlots       = 4
	matvecRowsPerLane = 2
	// matvecMinGroups is how many threadgroups a product is divided into at
	// least: all cores of a small GPU have work, and a larger GPU is kept busy by
	// 512 threads on each of as many cores.
	matvecMinGroups = 12
	// matvecOverhead bounds what threadgroups read of x and the norm, beyond
	// matvecMinGroups: this fraction of what they read of W.
	matvecOverhead = 1.0 / 100
	// matvecChunkBytes is the most threadgroup memory that x takes; the rest of
	// 32 KiB is for sums of squares.
	matvecChunkBytes = 28 << 10
)

var matvecFunctions = [...]struct {
	rows int
	name string
}{{1, "matvec_1"}, {2, "matvec_2"}, {4, "matvec_4"}, {8, "matvec_8"}}

// skewed is skewed of matvec.metal.
func skewed(n int) int { return n + n/32*4 }

// launchMatvec adds a launch of matvec and fills in the arguments that say how
// the work is divided.
func (p *pass) launchMatvec(l *product, key kernelKey, args *linearArgs) *dispatch {
	i := 0
	for matvecFunctions[i].rows < l.rows {
		i++
	}
	rows := matvecFunctions[i].rows
	key.function = matvecFunctions[i].name

	// All of a row in threadgroup memory if it fits, else multiples of 256
	// columns, which are whole units of every format.
	chunk := (l.w.Cols + 31) / 32 * 32
	if 4*rows*skewed(chunk) > matvecChunkBytes {
		chunk = matvecChunkBytes / (4 * rows) * 8 / 9 / 256 * 256
	}

	xBytes := 4 * l.rows * l.w.Cols
	if key.flags>>constNorm&1 == 1 {
		xBytes += 4 * l.w.Cols
	}
	outsPerSimdgroup, weightBytes := matvecSlots*matvecRowsPerLane, l.w.Bytes()
	if l.up != nil {
		outsPerSimdgroup, weightBytes = matvecSlots, 2*weightBytes
	}
	groups := max(matvecMinGroups, int(matvecOverhead*float64(weightBytes)/float64(xBytes)))
	share := ceilDiv(ceilDiv(l.w.Rows, groups), outsPerSimdgroup) // tiles of a threadgroup
	tiles := ceilDiv(share, matvecSimdgroups)
	if chunk < l.w.Cols {
		tiles = 1 // each tile would stage all chunks again
	}
	simdgroups := min(ceilDiv(share, tiles), matvecSimdgroups)

	d := p.launch(key)
	d.memory = 4 * rows * skewed(chunk)
	d.threads = simdgroups * simdWidth
	d.groups = [3]int{ceilDiv(l.w.Rows, tiles*simdgroups*outsPerSimdgroup), 1, 1}
	args.chunk, args.tiles = uint32(chunk), uint32(tiles)
	return d
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
