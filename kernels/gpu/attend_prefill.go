package gpu

import _ "embed"

//go:embed attend_prefill.metal
var attendPrefillText string

var attendPrefillSource = source{
	name:      "attend_prefill.metal",
	headers:   []string{"sums.h", sumsHeader, "heads.h", headsHeader},
	text:      attendPrefillText,
	constants: headConstants,
	number:    -1,
	threads:   prefillThreads,
}

// As in attend_prefill.metal.
const (
	prefillThreads = 128 // four SIMD-groups
	prefillTile    = 8   // rows of a SIMD-group
	prefillMaxDim  = 256
)

var prefillFunctions = [...]struct {
	maxDim int
	name   string
}{{16, "attend_prefill_16"}, {32, "attend_prefill_32"}, {64, "attend_prefill_64"}, {128, "attend_prefill_128"}, {prefillMaxDim, "attend_prefill_256"}}

// attendPrefill records a phase of a span of many rows: its keys, values and
// queries, then its attention.
func (p *pass) attendPrefill(o *spanOperands, phase int, used *int) {
	i := 0
	for prefillFunctions[i].maxDim < int(o.args.headDim) {
		i++
	}
	f := &prefillFunctions[i]
	tiles := ceilDiv(int(o.args.rows), prefillTile)
	o.args.paddedRows, o.args.paddedDim = uint32(tiles*prefillTile), uint32(f.maxDim)
	heads, kvHeads := int(o.args.queryHeads), int(o.args.kvHeads)
	scratch := p.allot(used, heads*tiles*prefillTile*f.maxDim)

	switch phase {
	case 0:
		p.decodeAhead(p.prepare(o, scratch), o)
	case 1:
		d := p.launch(kernelKey{
			libraryKey: libraryKey{source: &attendPrefillSource},
			function:   f.name,
			flags:      o.flags & (1<<constHalfCache | 1<<constWideDims),
		})
		d.bind(0, o.out)
		d.bind(1, scratch)
		d.bind(2, o.keys)
		d.bind(3, o.values)
		setArgs(d, 4, o.args)
		d.threads = prefillThreads
		d.groups = [3]int{kvHeads, ceilDiv(heads/kvHeads*tiles, prefillThreads/simdWidth), 1}
	}
}
