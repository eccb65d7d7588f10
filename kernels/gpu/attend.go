package gpu

import (
	_ "embed"
	"fmt"

	"github.com/go-openelm/go-openelm/kernels"
)

//go:embed heads.h
var headsHeader string

// Function constants of heads.h.
const (
	constQNorm = iota
	constKNorm
	constHalfCache
	constWideDims
	headConstants
)

// attendArgs is AttendArgs of heads.h.
type attendArgs struct {
	queryHeads, kvHeads, headDim, position, rows, capacity, splits, paddedRows, paddedDim uint32
	qEps, kEps                                                                            float32
}

// HeadDimError says that no kernel takes heads of that many dimensions.
type HeadDimError struct{ HeadDim, Max int }

func (e *HeadDimError) Error() string {
	return fmt.Sprintf("gpu: Attend: head_dim %d: the kernels take %d at most; use the CPU backend", e.HeadDim, e.Max)
}

// spanOperands is one span of an Attend being recorded.
type spanOperands struct {
	out, qkv, keys, values binding
	rope, qNorm, kNorm     binding
	flags                  uint32 // function constants of heads.h
	args                   attendArgs
}

// attendPhases is the most dispatches of a span that need one another.
const attendPhases = 3

// Attend records attention. Sequences do not depend on each other: the first
// dispatches of all of them overlap, and so do the second and third ones.
func (p *pass) Attend(out, qkv kernels.View, a *kernels.Attention, spans []kernels.Span) {
	const op = "Attend"
	if !p.ready() {
		return
	}
	if err := a.Validate(spans); err != nil {
		p.fail(fmt.Errorf("gpu: %s: %w", op, err))
		return
	}
	if a.HeadDim > decodeMaxDim {
		p.fail(&HeadDimError{a.HeadDim, decodeMaxDim})
		return
	}
	o := spanOperands{rope: p.floats(op, "RoPE table", a.Rope, a.HeadDim)}
	if !a.QueryNorm.Weight.IsZero() {
		o.qNorm = p.floats(op, "query norm", a.QueryNorm.Weight, a.HeadDim)
		o.flags |= 1 << constQNorm
	}
	if !a.KeyNorm.Weight.IsZero() {
		o.kNorm = p.floats(op, "key norm", a.KeyNorm.Weight, a.HeadDim)
		o.flags |= 1 << constKNorm
	}
	o.flags |= flag(constWideDims, a.HeadDim%4 == 0)
	rows := 0
	for i := range spans {
		rows += spans[i].Rows
	}
	width := (a.QueryHeads + 2*a.KVHeads) * a.HeadDim
	allOut := p.floats(op, "out", out, rows*a.QueryHeads*a.HeadDim)
	allQKV := p.floats(op, "qkv", qkv, rows*width)

	// Heads that attend_prefill cannot hold are attend_decode's, for any number of
	// rows.
	decode := rows <= kernels.ExactRows || a.HeadDim > prefillMaxDim
	headFlags := o.flags
	for phase := range attendPhases {
		p.depends()
		row, used := 0, 0
		for i := range spans {
			s := &spans[i]
			size := 4
			if s.Format == kernels.F16 {
				size = 2
			}
			n := size * a.KVHeads * s.Capacity * a.HeadDim
			o.keys, o.values = p.bind(op, "keys", s.Keys, n, size), p.bind(op, "values", s.Values, n, size)
			if p.err != nil {
				return
			}
			o.out = binding{allOut.buf, allOut.off + 4*row*a.QueryHeads*a.HeadDim}
			o.qkv = binding{allQKV.buf, allQKV.off + 4*row*width}
			o.flags = headFlags | flag(constHalfCache, s.Format == kernels.F16)
			o.args = attendArgs{
				queryHeads: uint32(a.QueryHeads), kvHeads: uint32(a.KVHeads), headDim: uint32(a.HeadDim),
				position: uint32(s.Pos), rows: uint32(s.Rows), capacity: uint32(s.Capacity), splits: 1,
				qEps: a.QueryNorm.Eps, kEps: a.KeyNorm.Eps,
			}
			if decode {
				p.attendDecode(&o, phase, &used)
			} else {
				p.attendPrefill(&o, phase, &used)
			}
			row += s.Rows
		}
	}
}

// prepare records attend_prepare: keys and values go to the cache, queries to
// scratch.
func (p *pass) prepare(o *spanOperands, scratch binding) *dispatch {
	const simdgroups = prefillThreads / simdWidth
	d := p.launch(kernelKey{libraryKey: libraryKey{source: &attendPrefillSource}, function: "attend_prepare", flags: o.flags &^ (1 << constWideDims)})
	d.bind(0, scratch)
	o.bindHeads(d)
	d.threads = prefillThreads
	d.groups = [3]int{int(o.args.queryHeads + 2*o.args.kvHeads), ceilDiv(int(o.args.paddedRows), simdgroups), 1}
	return d
}

// bindHeads binds what every kernel that normalises and rotates heads takes.
func (o *spanOperands) bindHeads(d *dispatch) {
	d.bind(1, o.qkv)
	d.bind(2, o.keys)
	d.bind(3, o.values)
	d.bind(4, o.rope)
	if o.flags>>constQNorm&1 == 1 {
		d.bind(5, o.qNorm)
	}
	if o.flags>>constKNorm&1 == 1 {
		d.bind(6, o.kNorm)
	}
	setArgs(d, 7, o.args)
}
