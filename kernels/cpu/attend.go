package cpu

import (
	"encoding/binary"
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
	*t = attend{out: dst, qkv: in, a: a, spans: spans, splits: 1}
	for i := range spans {
		t.blocks += (spans[i].Rows + blockRows - 1) / blockRows
	}
	// One token of one sequence has few heads: share out its context, too.
	items := t.blocks * a.KVHeads
	if p.backend.threads > 1 && items < 4*p.backend.threads {
		t.splits = (longest + splitPositions - 1) / splitPositions
	}
	if t.splits == 1 {
		p.run(items, 1, t)
	} else {
		t.partials = grow(&p.partials, items*t.splits*t.partialSize())
		p.run(items*t.splits, 1, t)
		p.merge = merge{t}
		p.run(items, 4, &p.merge)
		p.merge = merge{}
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
			s.rotateHead(qkv[h*hd:(h+1)*hd], angle, qNorm, a.QueryNorm.Eps)
		}
		for h := range a.KVHeads {
			k := qkv[(a.QueryHeads+h)*hd:][:hd]
			v := qkv[(a.QueryHeads+a.KVHeads+h)*hd:][:hd]
			s.rotateHead(k, angle, kNorm, a.KeyNorm.Eps)
			at := (h*span.Capacity + pos) * hd
			appendTo(span.Keys, span.Format, at, k)
			appendTo(span.Values, span.Format, at, v)
		}
	}
}

// appendTo stores x in a cache of format f, from element at on.
func appendTo(cache kernels.View, f kernels.Format, at int, x []float32) {
	if f != kernels.F16 {
		copy(cache.Floats()[at:], x)
		return
	}
	for i, v := range x {
		binary.LittleEndian.PutUint16(cache.Bytes()[2*(at+i):], kernels.ToF16(v))
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

// rotateHead applies the head norm (if any) and RoPE to one head: the pair
// (x_i, x_{i+half}) is rotated by angle i.
func (s *scratch) rotateHead(x, angle, norm []float32, eps float32) {
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

// attend computes softmax(q·Kᵀ/√head_dim)·V (the sums of Milakov and Gimelshein
// 2018; Dao et al. 2022): the context is cut into splits of splitPositions, of each
// a partial result is computed, and partial results are folded in the order of
// their positions. So what a row gets depends on its position only.
//
// An item is a block of rows of one sequence with all query heads that share a
// key-value head: all splits of its context or, where splits are shared out, one.
type attend struct {
	out, qkv []float32
	a        *kernels.Attention
	spans    []kernels.Span
	blocks   int       // of at most blockRows rows, none in two spans
	splits   int       // of the longest context if they are shared out, else 1
	partials []float32 // if splits > 1: of each item
}

const (
	blockRows      = 8
	splitPositions = 256
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

// visible is how many positions row r of the block sees: its own and all before it.
func (b *block) visible(r int) int { return b.span.Pos + b.offset + r + 1 }

// end is how many positions the block sees.
func (b *block) end() int { return b.visible(b.rows - 1) }

// partial is the result of a block's queries over a part of the context. Query i is
// head i%group of row i/group.
type partial struct {
	out  []float32 // Σ e^(score − top) · v
	tops []float32 // the largest scores
	sums []float32 // Σ e^(score − top)
}

// partial is one in memory for at least partialSize elements.
func (t *attend) partial(buf []float32) partial {
	n := t.queries()
	out, rest := buf[:n*t.a.HeadDim], buf[n*t.a.HeadDim:]
	return partial{out, rest[:n], rest[n:][:n]}
}

func (t *attend) run(lo, hi int, s *scratch) {
	for item := lo; item < hi; item++ {
		pair, split := item/t.splits, item%t.splits
		b, head := t.block(pair/t.a.KVHeads), pair%t.a.KVHeads
		from := split * splitPositions
		if from >= b.end() {
			continue
		}
		size := t.partialSize()
		buf := grow(&s.queries, t.queries()*t.a.HeadDim+2*size)
		q, first, next := buf[2*size:], t.partial(buf), t.partial(buf[size:])
		t.scaled(q, b, head)
		if t.splits > 1 {
			t.split(s, q, b, head, from, t.partial(t.partials[item*size:]))
			continue
		}
		t.split(s, q, b, head, 0, first)
		for from := splitPositions; from < b.end(); from += splitPositions {
			t.split(s, q, b, head, from, next)
			t.fold(first, next, b, from)
		}
		t.store(first, b, head)
	}
}

// merge folds the splits of a context that were shared out. Its items are attend's
// without splits.
type merge struct{ *attend }

func (t *merge) run(lo, hi int, _ *scratch) {
	size := t.partialSize()
	for pair := lo; pair < hi; pair++ {
		b, splits := t.block(pair/t.a.KVHeads), t.partials[pair*t.splits*size:]
		first := t.partial(splits)
		for i := 1; i*splitPositions < b.end(); i++ {
			t.fold(first, t.partial(splits[i*size:]), b, i*splitPositions)
		}
		t.store(first, b, pair%t.a.KVHeads)
	}
}

// scaled sets q to the queries of a block, divided by √head_dim.
func (t *attend) scaled(q []float32, b block, head int) {
	hd, group := t.a.HeadDim, t.a.QueryHeads/t.a.KVHeads
	scale := float32(1 / math.Sqrt(float64(hd)))
	width := (t.a.QueryHeads + 2*t.a.KVHeads) * hd
	for i := range b.rows * group {
		for c, v := range t.qkv[(b.first+i/group)*width+(head*group+i%group)*hd:][:hd] {
			q[i*hd+c] = v * scale
		}
	}
}

// split sets p to the result over the split that begins at position from.
func (t *attend) split(s *scratch, q []float32, b block, head, from int, p partial) {
	hd, group := t.a.HeadDim, t.a.QueryHeads/t.a.KVHeads
	queries := b.rows * group
	n := min(splitPositions, b.end()-from)
	f := max(b.span.Format, kernels.F32) // the zero value is F32, too
	at, size := (head*b.span.Capacity+from)*hd*f.BlockBytes(), n*hd*f.BlockBytes()
	keys, values := b.span.Keys.Slice(at, size), b.span.Values.Slice(at, size)

	scores := grow(&s.scores, queries*splitPositions)
	s.keys = kernels.Matrix{Rows: n, Cols: hd, Format: f, Data: keys}
	s.mul(scores, splitPositions, &s.keys, 0, n, activations{x: q, stride: hd}, queries)
	visible := func(row int) int { return min(n, b.visible(row)-from) }
	for i := range queries {
		if n := visible(i / group); n > 0 {
			p.tops[i], p.sums[i] = s.softmax(scores[i*splitPositions:][:splitPositions], n)
		}
	}
	v := s.float32sOf(values, f, n*hd)
	if visible(0) == n {
		s.weigh(p.out, scores, v, queries, n, hd)
		return
	}
	for row := range b.rows {
		if n := visible(row); n > 0 {
			i := row * group
			s.weigh(p.out[i*hd:], scores[i*splitPositions:], v, group, n, hd)
		}
	}
}

// float32sOf are the n values of a view in a floating-point format.
func (s *scratch) float32sOf(v kernels.View, f kernels.Format, n int) []float32 {
	if f == kernels.F32 {
		return v.Floats()
	}
	values := grow(&s.rows, n)
	s.floats(values, v, f, 0)
	return values
}

// softmax turns the first n scores of a query into e^(score − top), and returns top,
// the largest of them, and their sum.
func (s *scratch) softmax(scores []float32, n int) (top, sum float32) {
	whole := (n + lanes - 1) &^ (lanes - 1)
	for i := n; i < whole; i++ {
		scores[i] = float32(math.Inf(-1))
	}
	a := &s.vectorArgs
	*a = vectorArgs{dst: ptr(scores), n: whole}
	s.maximum(a)
	top = a.scalar
	s.expSum(a)
	return top, a.scalar
}

// weigh sets out to Σ_j weight_j · v_j for each query, over n positions.
func (s *scratch) weigh(out, weights, values []float32, queries, n, hd int) {
	whole := hd &^ (s.tileCols - 1)
	a := &s.gemmArgs
	for i := 0; i < queries; i += len(s.gemm) {
		f := s.gemm[min(len(s.gemm), queries-i)-1]
		for c := 0; c < whole; c += s.tileCols {
			*a = gemmArgs{
				c: &out[i*hd+c], a: &weights[i*splitPositions], b: &values[c],
				ldc: 4 * hd, lda: 4 * splitPositions, ldb: 4 * hd, k: n, half: 2 * s.tileCols,
			}
			f(a)
		}
	}
	if whole == hd {
		return
	}
	for i := range queries {
		clear(out[i*hd+whole : (i+1)*hd])
		for j, w := range weights[i*splitPositions:][:n] {
			for c := whole; c < hd; c++ {
				out[i*hd+c] += w * values[j*hd+c]
			}
		}
	}
}

// fold adds the result over the split that begins at position from to p, the result
// over all before it.
func (t *attend) fold(p, next partial, b block, from int) {
	hd, group := t.a.HeadDim, t.a.QueryHeads/t.a.KVHeads
	for i := range b.rows * group {
		if b.visible(i/group) <= from {
			continue
		}
		top := max(p.tops[i], next.tops[i])
		keep := float32(math.Exp(float64(p.tops[i] - top)))
		more := float32(math.Exp(float64(next.tops[i] - top)))
		p.tops[i], p.sums[i] = top, keep*p.sums[i]+more*next.sums[i]
		out := p.out[i*hd : (i+1)*hd]
		for c, v := range next.out[i*hd : (i+1)*hd] {
			out[c] = keep*out[c] + more*v
		}
	}
}

// store writes the result of a block.
func (t *attend) store(p partial, b block, head int) {
	hd, group := t.a.HeadDim, t.a.QueryHeads/t.a.KVHeads
	for i := range b.rows * group {
		dst := t.out[((b.first+i/group)*t.a.QueryHeads+head*group+i%group)*hd:][:hd]
		for c, v := range p.out[i*hd : (i+1)*hd] {
			dst[c] = v / p.sums[i]
		}
	}
}
