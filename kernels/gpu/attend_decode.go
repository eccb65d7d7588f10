package gpu

import (
	_ "embed"
	"math/bits"
)

//go:embed attend_decode.metal
var attendDecodeText string

// Function constants of attend_decode.metal, after those of heads.h.
const (
	constLanesPerKey = 2 // uint
	constWideDims    = 3
	constSplits      = 4
)

var attendDecodeSource = source{
	name:      "attend_decode.metal",
	headers:   []string{"heads.h", headsHeader},
	text:      attendDecodeText,
	constants: constSplits + 1,
	number:    constLanesPerKey,
	threads:   decodeSimdgroups * simdWidth,
}

const (
	// decodeSimdgroups is the most SIMD-groups of a threadgroup: with 512
	// threads each has registers for 8 dimensions of a key, a value, and of
	// queries and sums of 4 heads.
	decodeSimdgroups    = 16
	decodeMinSimdgroups = 4 // normalise the heads side by side
	// decodeKeysPerSlot is how many keys a slot should see at least; fewer
	// make merging the slots the larger part.
	decodeKeysPerSlot = 4
	// decodeSplitFrom is the position beyond which the keys are divided among
	// threadgroups, and decodeSplitKeys how many keys each takes then.
	decodeSplitFrom = 1024
	decodeSplitKeys = 512
	decodeMaxDim    = 1024 // 32 lanes of 32 dimensions
)

// The instances of attend_decode: dimensions of a lane and heads of a
// threadgroup.
var decodeFunctions = [...]struct {
	maxDim, dims, heads int
	name                string
}{{256, 8, 4, "attend_decode_8"}, {decodeMaxDim, 32, 1, "attend_decode_32"}}

// attendDecode records the one dispatch (phase 0) of a span of one row, or the
// two of a long one.
func (p *pass) attendDecode(o *spanOperands, phase int, used *int) {
	out := o.out
	if o.args.position > decodeSplitFrom {
		o.args.splits = uint32(ceilDiv(int(o.args.position)+1, decodeSplitKeys))
		out = p.allot(used, int(o.args.queryHeads*o.args.splits*(o.args.headDim+2)))
	}
	switch {
	case phase == 0:
		p.launchAttendDecode(o, out)
	case o.args.splits > 1:
		d := p.launch(kernelKey{libraryKey: libraryKey{source: &attendDecodeSource}, function: "attend_merge", number: simdWidth})
		d.bind(0, o.out)
		d.bind(1, out)
		setArgs(d, 2, o.args)
		d.threads = min(ceilDiv(int(o.args.headDim), simdWidth), decodeSimdgroups) * simdWidth
		d.groups = [3]int{int(o.args.queryHeads), 1, 1}
	}
}

// attendRowByRow records a span of several rows as that many of one row, for
// heads that attend_prefill cannot hold.
func (p *pass) attendRowByRow(o *spanOperands) {
	row := *o
	dim := 4 * int(o.args.headDim)
	row.args.rows = 1
	for range o.args.rows {
		p.depends()
		p.launchAttendDecode(&row, row.out)
		row.out.off += int(o.args.queryHeads) * dim
		row.qkv.off += int(o.args.queryHeads+2*o.args.kvHeads) * dim
		row.args.position++
	}
}

func (p *pass) launchAttendDecode(o *spanOperands, out binding) {
	dim, perKV := int(o.args.headDim), int(o.args.queryHeads/o.args.kvHeads)
	f := &decodeFunctions[0]
	if dim > f.maxDim {
		f = &decodeFunctions[1]
	}
	lanes := 1 << bits.Len(uint(ceilDiv(dim, f.dims)-1)) // a power of two, to shuffle among
	wide := dim%4 == 0 && o.keys.off%16 == 0 && o.values.off%16 == 0

	// As in attend_decode.metal: query heads, new key and value, each
	// SIMD-group's maxima and sums, and one head's output of each.
	fixed := f.heads*dim + 2*dim + 2*f.heads*simdWidth
	keys := ceilDiv(int(o.args.position)+1, int(o.args.splits))
	simdgroups := max(decodeMinSimdgroups, ceilDiv(keys, decodeKeysPerSlot*simdWidth/lanes))
	simdgroups = min(simdgroups, decodeSimdgroups, (threadgroupMemory/4-fixed)/dim)

	d := p.launch(kernelKey{
		libraryKey: libraryKey{source: &attendDecodeSource},
		function:   f.name,
		flags:      o.flags | flag(constWideDims, wide) | flag(constSplits, o.args.splits > 1),
		number:     uint32(lanes),
	})
	d.bind(0, out)
	o.bindHeads(d)
	d.memory = (4*(fixed+simdgroups*dim) + 15) &^ 15
	d.threads = simdgroups * simdWidth
	d.groups = [3]int{int(o.args.kvHeads), ceilDiv(perKV, f.heads), int(o.args.splits)}
}
