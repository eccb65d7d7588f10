package cpu

import (
	"fmt"
	"math"

	"github.com/go-openelm/go-openelm/kernels"
)

func (p *pass) Attend(out, qkv kernels.View, a *kernels.Attention, spans []kernels.Span) {
	if !p.ready() {
		return
	}
	if err := a.Validate(spans); err != nil {
		p.err = fmt.Errorf("cpu: %w", err)
		return
	}
	rows := 0
	for i := range spans {
		rows += spans[i].Rows
	}
	heads := a.QueryHeads + 2*a.KVHeads
	in := p.floats("Attend", "qkv", qkv, rows*heads*a.HeadDim)
	dst := p.floats("Attend", "out", out, rows*a.QueryHeads*a.HeadDim)
	if p.err != nil {
		return
	}
	p.rotate = rotate{qkv: in, a: a, spans: spans}
	p.backend.pool.run(rows, 8, &p.rotate)
	p.attend = attend{out: dst, qkv: in, a: a, spans: spans}
	p.backend.pool.run(rows*a.QueryHeads, 1, &p.attend)
}

// locate finds the span that row belongs to, and the row's place in it.
func locate(spans []kernels.Span, row int) (*kernels.Span, int) {
	for i := range spans {
		if row < spans[i].Rows {
			return &spans[i], row
		}
		row -= spans[i].Rows
	}
	panic("cpu: row outside the spans")
}

// rotate normalises and rotates the query and key heads of each row of qkv, in
// place, and appends keys and values to the caches. Its items are rows.
type rotate struct {
	qkv   []float32
	a     *kernels.Attention
	spans []kernels.Span
}

func (t *rotate) run(lo, hi int, _ *scratch) {
	a, hd := t.a, t.a.HeadDim
	angles := a.Rope.Floats()
	qNorm, kNorm := a.QueryNorm.Weight.Floats(), a.KeyNorm.Weight.Floats()
	width := (a.QueryHeads + 2*a.KVHeads) * hd
	for row := lo; row < hi; row++ {
		span, r := locate(t.spans, row)
		pos := span.Pos + r
		angle := angles[pos*hd : (pos+1)*hd]
		qkv := t.qkv[row*width : (row+1)*width]
		for h := range a.QueryHeads {
			turn(qkv[h*hd:(h+1)*hd], angle, qNorm, a.QueryNorm.Eps)
		}
		keys, values := span.Keys.Floats(), span.Values.Floats()
		for h := range a.KVHeads {
			k := qkv[(a.QueryHeads+h)*hd:][:hd]
			v := qkv[(a.QueryHeads+a.KVHeads+h)*hd:][:hd]
			turn(k, angle, kNorm, a.KeyNorm.Eps)
			at := (h*span.Capacity + pos) * hd
			copy(keys[at:at+hd], k)
			copy(values[at:at+hd], v)
		}
	}
}

// turn applies the head norm (if any) and RoPE to one head: the pair
// (x_i, x_{i+half}) is rotated by angle i.
func turn(x, angle, norm []float32, eps float32) {
	if norm != nil {
		rmsNorm(x, x, norm, eps)
	}
	half := len(x) / 2
	for i := range half {
		cos, sin := angle[i], angle[half+i]
		a, b := x[i], x[half+i]
		x[i], x[half+i] = a*cos-b*sin, b*cos+a*sin
	}
}

// attend computes softmax(q·Kᵀ/√head_dim)·V. Its items are (row, query head).
type attend struct {
	out, qkv []float32
	a        *kernels.Attention
	spans    []kernels.Span
}

func (t *attend) run(lo, hi int, s *scratch) {
	a, hd := t.a, t.a.HeadDim
	group := a.QueryHeads / a.KVHeads
	width := (a.QueryHeads + 2*a.KVHeads) * hd
	scale := float32(1 / math.Sqrt(float64(hd)))
	for item := lo; item < hi; item++ {
		row, h := item/a.QueryHeads, item%a.QueryHeads
		span, r := locate(t.spans, row)
		n := span.Pos + r + 1 // causal: this position and all before it
		first := h / group * span.Capacity * hd
		keys := span.Keys.Floats()[first : first+n*hd]
		values := span.Values.Floats()[first : first+n*hd]
		q := t.qkv[row*width+h*hd:][:hd]
		out := t.out[(row*a.QueryHeads+h)*hd:][:hd]

		weights := s.floats(n)
		top := float32(math.Inf(-1))
		for j := range weights {
			weights[j] = dot(q, keys[j*hd:(j+1)*hd]) * scale
			top = max(top, weights[j])
		}
		var sum float32
		for j, w := range weights {
			w = float32(math.Exp(float64(w - top)))
			weights[j] = w
			sum += w
		}
		clear(out)
		for j, w := range weights {
			for i, v := range values[j*hd : (j+1)*hd] {
				out[i] += w * v
			}
		}
		for i := range out {
			out[i] /= sum
		}
	}
}
