package cpu

import (
	"math"
	"unsafe"

	"github.com/go-openelm/go-openelm/kernels"
)

// rounding sets to to from, each element rounded to bfloat16. Its items are vectors.
type rounding struct{ to, from []float32 }

func (t *rounding) run(lo, hi int, s *scratch) {
	to, from := t.to[lo*lanes:min(hi*lanes, len(t.to))], t.from[lo*lanes:]
	n := len(to) &^ (lanes - 1)
	a := &s.vectorArgs
	if n > 0 {
		*a = vectorArgs{dst: ptr(to), x: ptr(from), n: n}
		s.round(a)
	}
	if n < len(to) {
		*a = vectorArgs{dst: ptr(to[n:]), x: ptr(from[n:]), n: len(to) - n}
		round(a)
	}
}

// rounded is x as it enters a product: rounded if the backend rounds.
func (p *pass) rounded(x []float32) []float32 {
	if !p.backend.rounds {
		return x
	}
	p.rounding = rounding{grow(&p.bf16, len(x)), x}
	p.run((len(x)+lanes-1)/lanes, 1<<11, &p.rounding)
	p.rounding = rounding{}
	return p.bf16
}

// round is what the routines of that name compute.
func round(a *vectorArgs) {
	dst := unsafe.Slice(a.dst, a.n)
	for i, v := range unsafe.Slice(a.x, a.n) {
		dst[i] = math.Float32frombits(uint32(kernels.ToBF16(v)) << 16)
	}
}

// halves is what the routines of that name compute.
func halves(a *vectorArgs) {
	dst := unsafe.Slice((*uint16)(unsafe.Pointer(a.dst)), a.n)
	for i, v := range unsafe.Slice(a.x, a.n) {
		dst[i] = uint16(math.Float32bits(v) >> 16)
	}
}
