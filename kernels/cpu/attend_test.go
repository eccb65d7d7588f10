package cpu_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/cpu"
)

// TestAttendPrompt is attention of prompts around the sizes of what they are cut into:
// blocks of queries, tiles, panels and splits of the context. One thread evaluates a
// prompt whole; three threads in pieces, beside other sequences. Both results are the
// same, bit by bit, and those of float64.
func TestAttendPrompt(t *testing.T) {
	rows := []int{17, 24, 35, 36, 37, 73, 143, 145, 289}
	if testing.Short() {
		rows = []int{37, 145}
	}
	for _, isa := range cpu.ISAs() {
		if testing.Short() && (isa == cpu.Portable || isa == cpu.AVX2) {
			continue // as in TestExactness
		}
		t.Run(isa.String(), func(t *testing.T) {
			whole, pieces := cpu.New(cpu.Options{Threads: 1, ISA: isa}), cpu.New(cpu.Options{Threads: 3, ISA: isa})
			defer whole.Close()
			defer pieces.Close()
			rng := rand.New(rand.NewPCG(3, 14))
			for i, n := range rows {
				p := &prompt{TB: t, rng: rng, kvHeads: 1 + i%2, group: []int{1, 4, 4, 3}[i%4], headDim: []int{64, 128, 50, 96}[i%4], rows: n}
				p.format = []kernels.Format{kernels.F32, kernels.F16}[i/2%2]
				p.pos = []int{0, 255, 3, 500}[rng.IntN(4)] // a prefix that was evaluated before
				p.test(whole, pieces)
			}
		})
	}
}

// prompt is one sequence whose last rows tokens are evaluated.
type prompt struct {
	testing.TB
	rng                     *rand.Rand
	kvHeads, group, headDim int
	format                  kernels.Format
	pos, rows               int
}

func (p *prompt) test(whole, pieces kernels.Backend) {
	what := fmt.Sprintf("%d tokens behind %d, %d × %d heads of %d, %s", p.rows, p.pos, p.kvHeads, p.group, p.headDim, p.format)
	const capacity = 1000
	width, outWidth := p.kvHeads*(p.group+2)*p.headDim, p.kvHeads*p.group*p.headDim
	others := []int{1, 20} // rows of the sequences beside it
	total := p.rows + others[0] + others[1]

	a := &kernels.Attention{QueryHeads: p.kvHeads * p.group, KVHeads: p.kvHeads, HeadDim: p.headDim, Rope: p.buffer(whole, 4*capacity*p.headDim)}
	for i := range a.Rope.Floats() { // no rotation: the reference needs none
		if i%p.headDim < p.headDim/2 {
			a.Rope.Floats()[i] = 1
		}
	}
	random := func(n int) kernels.View {
		v := p.buffer(whole, 4*n)
		for i := range v.Floats() {
			v.Floats()[i] = float32(p.rng.NormFloat64())
		}
		return v
	}
	qkv := random(total * width)
	cache := func(pos, rows int) kernels.Span {
		view := func() kernels.View {
			v := p.buffer(whole, p.kvHeads*capacity*p.headDim*p.format.BlockBytes())
			for i := 0; i < v.Len; i += p.format.BlockBytes() {
				if x := float32(p.rng.NormFloat64()); p.format == kernels.F16 {
					h := kernels.ToF16(x)
					v.Bytes()[i], v.Bytes()[i+1] = byte(h), byte(h>>8)
				} else {
					v.Floats()[i/4] = x
				}
			}
			return v
		}
		return kernels.Span{Keys: view(), Values: view(), Format: p.format, Capacity: capacity, Pos: pos, Rows: rows}
	}
	span, company := cache(p.pos, p.rows), []kernels.Span{cache(0, others[0]), cache(300, others[1])}

	want := p.buffer(whole, 4*p.rows*outWidth)
	in := p.buffer(whole, 4*p.rows*width)
	copy(in.Floats(), qkv.Floats())
	p.attend(whole, want, in, a, []kernels.Span{span})

	got := p.buffer(whole, 4*p.rows*outWidth)
	for first := 0; first < p.rows; {
		n := p.rows - first
		if n >= 2*(kernels.ExactRows+1) {
			n = kernels.ExactRows + 1 + p.rng.IntN(n-2*kernels.ExactRows-1)
		}
		piece := span
		piece.Pos, piece.Rows = p.pos+first, n
		in, out := p.buffer(whole, 4*total*width), p.buffer(whole, 4*total*outWidth)
		spans := []kernels.Span{company[0], piece, company[1]}
		at := others[0]
		copy(in.Floats()[at*width:], qkv.Floats()[first*width:(first+n)*width])
		copy(in.Floats()[(at+n)*width:], qkv.Floats()[p.rows*width:(p.rows+others[1])*width])
		p.attend(pieces, out, in, a, spans)
		copy(got.Floats()[first*outWidth:], out.Floats()[at*outWidth:(at+n)*outWidth])
		first += n
	}
	if !slices.Equal(got.Bytes(), want.Bytes()) {
		p.Errorf("%s: whole and in pieces differ", what)
	}
	for range 40 {
		row, h := p.rng.IntN(p.rows), p.rng.IntN(a.QueryHeads)
		if d := p.worst(want, qkv, span, row, h, width); d > 1e-5 {
			p.Errorf("%s: row %d, head %d is off by %.2g", what, row, h, d)
		}
	}
}

// worst is the largest difference of a head of a row from attention in float64.
func (p *prompt) worst(got, qkv kernels.View, span kernels.Span, row, h, width int) float64 {
	hd, positions := p.headDim, p.pos+row+1
	widened := func(v kernels.View) []float32 {
		x := make([]float32, positions*hd)
		size := p.format.BlockBytes()
		kernels.Widen(x, v.Bytes()[h/p.group*span.Capacity*hd*size:], p.format)
		return x
	}
	keys, values := widened(span.Keys), widened(span.Values)
	q := qkv.Floats()[row*width+h*hd:][:hd]
	scores := make([]float64, positions)
	for j := range scores {
		for c, v := range q {
			scores[j] += float64(v) * float64(keys[j*hd+c])
		}
		scores[j] /= math.Sqrt(float64(hd))
	}
	top, sum := slices.Max(scores), 0.0
	out := make([]float64, hd)
	for j, s := range scores {
		e := math.Exp(s - top)
		sum += e
		for c := range out {
			out[c] += e * float64(values[j*hd+c])
		}
	}
	worst := 0.0
	for c, v := range got.Floats()[(row*p.kvHeads*p.group+h)*hd:][:hd] {
		worst = max(worst, math.Abs(float64(v)-out[c]/sum))
	}
	return worst
}

func (p *prompt) attend(b kernels.Backend, out, qkv kernels.View, a *kernels.Attention, spans []kernels.Span) {
	ops, err := b.Begin(p.Context())
	if err != nil {
		p.Fatal(err)
	}
	defer ops.End()
	ops.Attend(out, qkv, a, spans)
	if err := ops.Run(); err != nil {
		p.Fatal(err)
	}
}

func (p *prompt) buffer(b kernels.Backend, n int) kernels.View {
	buf, err := b.NewBuffer(n)
	if err != nil {
		p.Fatal(err)
	}
	return kernels.Whole(buf)
}
