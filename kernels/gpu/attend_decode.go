package gpu

import (
	_ "embed"
	"math/bits"
)

//go:embed attend_decode.metal
var attendDecodeText string

// Function constants of attend_decode.metal, after those of heads.h.
const (
	constLanesPerKey = headConstants + iota // uint
	constSplits
	constFused
	decodeConstants
)

var attendDecodeSource = source{
	name:      "attend_decode.metal",
	headers:   []string{"sums.h", sumsHeader, "heads.h", headsHeader},
	text:      attendDecodeText,
	constants: decodeConstants,
	number:    constLanesPerKey,
	threads:   decodeSimdgroups * simdWidth,
}

// As in attend_decode.metal.
const (
	// decodeSimdgroups is how many SIMD-groups a threadgroup has. It and the
	// splits decide in which order a row adds up its keys.
	decodeSimdgroups = 4
	// A row that sees more than decodeUnsplitKeys keys has them divided among
	// threadgroups, decodeSplitKeys for each: kv_heads · splits of them keep the
	// cores of a large GPU at work from some hundred keys on. Fewer keys are read
	// sooner than a second dispatch begins.
	decodeUnsplitKeys = 128
	decodeSplitKeys   = 64
	decodeMaxDim      = 1024 // 32 lanes of 32 dimensions
)

// The instances of attend_decode: dimensions of a lane and heads of a
// threadgroup.
var decodeFunctions = [...]struct {
	maxDim, dims, heads int
	name                string
}{{256, 8, 4, "attend_decode_8"}, {decodeMaxDim, 32, 1, "attend_decode_32"}}

// attendDecode records a phase of a span: the one dispatch of a single row, or
// keys, values and queries first for several; and a merge for long ones.
func (p *pass) attendDecode(o *spanOperands, phase int, used *int) {
	a := &o.args
	fused := a.rows == 1
	if last := a.position + a.rows - 1; last >= decodeUnsplitKeys {
		a.splits = last/decodeSplitKeys + 1
	}
	var queries, parts binding
	if !fused {
		a.paddedRows, a.paddedDim = a.rows, a.headDim
		queries = p.allot(used, int(a.queryHeads*a.rows*a.headDim))
	}
	if a.splits > 1 {
		parts = p.allot(used, int(a.rows*a.queryHeads*a.splits*(a.headDim+2)))
	}
	if fused {
		phase++
	}
	switch phase {
	case 0:
		p.prepare(o, queries)
	case 1:
		p.launchAttendDecode(o, fused, queries, parts)
	case 2:
		if a.splits > 1 {
			d := p.launch(mergeKey)
			d.bind(0, o.out)
			d.bind(1, parts)
			setArgs(d, 2, *a)
			d.threads = min(ceilDiv(int(a.headDim), simdWidth), decodeSimdgroups) * simdWidth
			d.groups = [3]int{int(a.queryHeads), int(a.rows), 1}
		}
	}
}

var mergeKey = kernelKey{libraryKey: libraryKey{source: &attendDecodeSource}, function: "attend_merge", number: simdWidth}

// decodeKey is the kernel of a span's decode, and which of decodeFunctions it is.
func (o *spanOperands) decodeKey(fused, split bool) (key kernelKey, function int) {
	dim := int(o.args.headDim)
	if dim > decodeFunctions[0].maxDim {
		function = 1
	}
	f := &decodeFunctions[function]
	key = kernelKey{
		libraryKey: libraryKey{source: &attendDecodeSource},
		function:   f.name,
		flags:      o.flags | flag(constSplits, split) | flag(constFused, fused),
		number:     1 << bits.Len(uint(ceilDiv(dim, f.dims)-1)), // lanes, a power of two, to shuffle among
	}
	if !fused {
		key.flags &^= 1<<constQNorm | 1<<constKNorm
	}
	return key, function
}

// decodeAhead compiles what the single rows after d will need.
func (p *pass) decodeAhead(d *dispatch, o *spanOperands) {
	if !d.compiling() {
		return
	}
	few, _ := o.decodeKey(true, false)
	many, _ := o.decodeKey(true, true)
	switch {
	case o.args.position+o.args.rows >= decodeUnsplitKeys:
		p.backend.compile(many, mergeKey)
	case o.args.capacity > decodeUnsplitKeys:
		p.backend.compile(few, many, mergeKey)
	default:
		p.backend.compile(few)
	}
}

func (p *pass) launchAttendDecode(o *spanOperands, fused bool, queries, parts binding) {
	a := &o.args
	dim, perKV, split := int(a.headDim), int(a.queryHeads/a.kvHeads), a.splits > 1
	key, function := o.decodeKey(fused, split)
	f := &decodeFunctions[function]
	// Each SIMD-group's maxima, sums and outputs; and, fused, query heads, the
	// new key and value.
	floats := f.heads * decodeSimdgroups * (2 + dim)
	if fused {
		floats += (f.heads + 2) * dim
	}
	d := p.launch(key)
	p.decodeAhead(d, o)
	if split {
		d.bind(0, parts)
	} else {
		d.bind(0, o.out)
	}
	if fused {
		o.bindHeads(d)
	} else {
		d.bind(1, queries)
		d.bind(2, o.keys)
		d.bind(3, o.values)
		setArgs(d, 7, *a)
	}
	d.memory = (4*floats + 15) &^ 15
	d.threads = decodeSimdgroups * simdWidth
	d.groups = [3]int{int(a.kvHeads), ceilDiv(perKV, f.heads), int(a.rows * a.splits)}
}
