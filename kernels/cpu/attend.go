package cpu

import (
	"errors"
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
	rows, longest := 0, 0
	for i := range spans {
		if spans[i].Format == kernels.F16 {
			p.err = fmt.Errorf("cpu: a cache in %s: %w", spans[i].Format, errors.ErrUnsupported)
			return
		}
		rows += spans[i].Rows
		longest = max(longest, spans[i].Pos+spans[i].Rows)
	}
	heads := a.QueryHeads + 2*a.KVHeads
	in := p.floats("Attend", "qkv", qkv, rows*heads*a.HeadDim)
	dst := p.floats("Attend", "out", out, rows*a.QueryHeads*a.HeadDim)
	if p.err != nil {
		return
	}
	p.rotate = rotate{qkv: in, a: a, spans: spans}
	p.run(rows, 8, &p.rotate)

	t := &p.attend
	*t = attend{out: dst, qkv: in, a: a, spans: spans, parts: 1}
	for i := range spans {
		t.blocks += (spans[i].Rows + blockRows - 1) / blockRows
	}
	// One token of one sequence has few heads: cut its context, too.
	if items, want := t.blocks*a.KVHeads, 4*p.backend.threads; p.backend.threads > 1 && items < want {
		t.parts = max(1, min((want+items-1)/items, longest/partPositions))
	}
	if t.parts > 1 {
		t.partials = grow(&p.parts, t.blocks*a.KVHeads*t.parts*t.partialSize())
	}
	p.run(t.blocks*a.KVHeads*t.parts, 1, t)
	if t.parts > 1 {
		t.merge()
	}
	p.rotate, p.attend = rotate{}, attend{}
}

// rotate normalises and rotates the query and key heads of each row of qkv, in
// place, and appends keys and values to the caches. Its items are rows.
type rotate struct {
	qkv   []float32
	a     *kernels.Attention
	spans []kernels.Span
}

func (t *rotate) run(lo, hi int, s *scratch) {
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
			s.turn(qkv[h*hd:(h+1)*hd], angle, qNorm, a.QueryNorm.Eps)
		}
		keys, values := span.Keys.Floats(), span.Values.Floats()
		for h := range a.KVHeads {
			k := qkv[(a.QueryHeads+h)*hd:][:hd]
			v := qkv[(a.QueryHeads+a.KVHeads+h)*hd:][:hd]
			s.turn(k, angle, kNorm, a.KeyNorm.Eps)
			at := (h*span.Capacity + pos) * hd
			copy(keys[at:at+hd], k)
			copy(values[at:at+hd], v)
		}
	}
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

// turn applies the head norm (if any) and RoPE to one head: the pair
// (x_i, x_{i+half}) is rotated by angle i.
func (s *scratch) turn(x, angle, norm []float32, eps float32) {
	if norm != nil {
		s.norm(x, x, norm[:len(x)], eps)
	}
	half := len(x) / 2
	f := s.rope
	if half%lanes != 0 {
		f = portable.rope
	}
	s.vectorArgs = vectorArgs{dst: ptr(x), x: ptr(angle), n: half}
	f(&s.vectorArgs)
}

// attend computes softmax(q·Kᵀ/√head_dim)·V, online (Milakov and Gimelshein
// 2018; Dao et al. 2022): the context is taken in runs of runPositions, and
// what was summed so far is scaled down whenever a larger score turns up. An
// item is a block of rows of one sequence with all query heads that share a
// key-value head, and one of parts of the context.
type attend struct {
	out, qkv []float32
	a        *kernels.Attention
	spans    []kernels.Span
	blocks   int       // of at most blockRows rows, none in two spans
	parts    int       // of the context
	partials []float32 // if parts > 1: for each item and query, top, sum and values
}

const (
	blockRows     = 8
	runPositions  = 512 // long enough for the processor to foresee what is read
	partPositions = 256 // not worth sharing out below this
)

// queries is the largest number of query vectors in an item.
func (t *attend) queries() int { return blockRows * t.a.QueryHeads / t.a.KVHeads }

func (t *attend) partialSize() int { return t.queries() * (t.a.HeadDim + 2) }

// block is rows first … first+rows of the activations, the rows of span from
// offset on.
type block struct {
	span                *kernels.Span
	first, offset, rows int
}

func (t *attend) block(i int) block {
	first := 0
	for j := range t.spans {
		span := &t.spans[j]
		n := (span.Rows + blockRows - 1) / blockRows
		if i < n {
			offset := i * blockRows
			return block{span, first + offset, offset, min(blockRows, span.Rows-offset)}
		}
		i -= n
		first += span.Rows
	}
	panic("cpu: block outside the spans")
}

func (t *attend) run(lo, hi int, s *scratch) {
	for item := lo; item < hi; item++ {
		part := item % t.parts
		head := item / t.parts % t.a.KVHeads
		t.item(s, item, t.block(item/t.parts/t.a.KVHeads), head, part)
	}
}

func (t *attend) item(s *scratch, item int, b block, head, part int) {
	a, hd := t.a, t.a.HeadDim
	group := a.QueryHeads / a.KVHeads
	queries := b.rows * group
	end := b.span.Pos + b.offset + b.rows // causal: this position and all before it
	from, to := part*end/t.parts, (part+1)*end/t.parts
	first := head * b.span.Capacity * hd
	keys := b.span.Keys.Floats()[first : first+end*hd]
	values := b.span.Values.Floats()[first : first+end*hd]

	// The queries and their results so far; query i is head i%group of row i/group.
	buf := grow(&s.queries, padded(queries)*(2*hd+2))
	q, rest := buf[:padded(queries)*hd], buf[padded(queries)*hd:]
	out, tops, sums := rest[:queries*hd], rest[queries*hd:][:queries], rest[queries*(hd+1):][:queries]
	scale := float32(1 / math.Sqrt(float64(hd)))
	width := (a.QueryHeads + 2*a.KVHeads) * hd
	for i := range queries {
		from := t.qkv[(b.first+i/group)*width+(head*group+i%group)*hd:][:hd]
		for c, v := range from {
			q[i*hd+c] = v * scale
		}
		tops[i], sums[i] = float32(math.Inf(-1)), 0
	}
	clear(out)
	for ; from < to; from += runPositions {
		n := min(runPositions, to-from)
		scores := s.score(q, keys[from*hd:(from+n)*hd], queries, n, hd)
		for i := range queries {
			visible := min(n, b.span.Pos+b.offset+i/group+1-from)
			s.softmax(scores[i*runPositions:(i+1)*runPositions], visible, &tops[i], &sums[i], out[i*hd:(i+1)*hd])
		}
		s.weigh(out, scores, values[from*hd:(from+n)*hd], queries, n, hd)
	}
	if t.parts > 1 {
		partial := t.partials[item*t.partialSize():][:t.partialSize()]
		n := copy(partial, out)
		n += copy(partial[n:], tops)
		copy(partial[n:], sums)
		return
	}
	for i := range queries {
		dst := t.out[((b.first+i/group)*a.QueryHeads+head*group+i%group)*hd:][:hd]
		for c, v := range out[i*hd : (i+1)*hd] {
			dst[c] = v / sums[i]
		}
	}
}

// score returns q·k for each query and n keys, rows runPositions apart.
func (s *scratch) score(q, keys []float32, queries, n, hd int) []float32 {
	scores := grow(&s.scores, padded(queries)*runPositions)
	s.mul(scores, runPositions, s.float32s(keys, hd), 0, n, activations{x: q, stride: hd}, queries)
	return scores
}

// softmax turns one query's scores, visible of which count, into weights
// relative to the largest score so far, and scales what was summed before.
func (s *scratch) softmax(scores []float32, visible int, top, sum *float32, out []float32) {
	if visible <= 0 {
		clear(scores)
		return
	}
	n := (visible + lanes - 1) &^ (lanes - 1)
	for i := visible; i < n; i++ {
		scores[i] = float32(math.Inf(-1))
	}
	a := &s.vectorArgs
	*a = vectorArgs{dst: ptr(scores), n: n}
	s.maximum(a)
	if a.scalar > *top {
		shrink := float32(math.Exp(float64(*top - a.scalar)))
		*top = a.scalar
		*sum *= shrink
		for i := range out {
			out[i] *= shrink
		}
	}
	a.scalar = *top
	s.expSum(a)
	*sum += a.scalar
	clear(scores[n:])
}

// weigh adds Σ_j weight_j · v_j to each query's result.
func (s *scratch) weigh(out, weights, values []float32, queries, n, hd int) {
	whole := hd &^ (s.tileCols - 1)
	a := &s.gemmArgs
	for i := 0; i < queries; i += len(s.gemm) {
		f := s.gemm[min(len(s.gemm), queries-i)-1]
		for c := 0; c < whole; c += s.tileCols {
			*a = gemmArgs{
				c: &out[i*hd+c], a: &weights[i*runPositions], b: &values[c],
				ldc: 4 * hd, lda: 4 * runPositions, ldb: 4 * hd, k: n, add: 1, half: 2 * s.tileCols,
			}
			f(a)
		}
	}
	if whole == hd {
		return
	}
	for i := range queries {
		for j, w := range weights[i*runPositions:][:n] {
			for c := whole; c < hd; c++ {
				out[i*hd+c] += w * values[j*hd+c]
			}
		}
	}
}

// merge puts the parts of the context together.
func (t *attend) merge() {
	a, hd := t.a, t.a.HeadDim
	group := a.QueryHeads / a.KVHeads
	size := t.partialSize()
	for i := range t.blocks {
		b := t.block(i)
		queries := b.rows * group
		for head := range a.KVHeads {
			parts := t.partials[(i*a.KVHeads+head)*t.parts*size:][:t.parts*size]
			for q := range queries {
				top := float32(math.Inf(-1))
				for p := range t.parts {
					top = max(top, parts[p*size+queries*hd+q])
				}
				dst := t.out[((b.first+q/group)*a.QueryHeads+head*group+q%group)*hd:][:hd]
				clear(dst)
				var sum float32
				for p := range t.parts {
					part := parts[p*size:]
					w := float32(math.Exp(float64(part[queries*hd+q] - top)))
					sum += w * part[queries*(hd+1)+q]
					for c, v := range part[q*hd : (q+1)*hd] {
						dst[c] += w * v
					}
				}
				for c := range dst {
					dst[c] /= sum
				}
			}
		}
	}
}
