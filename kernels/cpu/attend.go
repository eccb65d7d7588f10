package cpu

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"

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
	all := queries{out: dst, qkv: in, a: a, spans: spans}
	prompt := rows > kernels.ExactRows
	p.rotate = rotate{all, !prompt}
	p.run(rows, 8, &p.rotate)
	p.rotate = rotate{}
	if prompt {
		p.prompt = newAttendPrompt(all, p.backend.threads)
		p.run(p.prompt.items(), 1, &p.prompt)
		p.prompt = attendPrompt{}
		return
	}
	t := &p.attend
	*t = attend{queries: all, splits: 1}
	t.blockRows = blockRows
	// One token of one sequence has few heads: share out its context, too.
	items := t.items()
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
	p.attend = attend{}
}

// queries are the rows of a pass, cut into blocks of at most blockRows, none in two
// spans. An item is a block with all query heads that share a key-value head.
type queries struct {
	out, qkv  []float32
	a         *kernels.Attention
	spans     []kernels.Span
	blockRows int
}

// group is the number of query heads that share a key-value head.
func (t *queries) group() int { return t.a.QueryHeads / t.a.KVHeads }

// heads are n heads of a row of qkv, from head h on.
func (t *queries) heads(row, h, n int) []float32 {
	hd := t.a.HeadDim
	return t.qkv[(row*(t.a.QueryHeads+2*t.a.KVHeads)+h)*hd:][:n*hd]
}

// scale is what queries are multiplied by, so that powers of two are taken of scores.
func (t *queries) scale() float32 { return float32(math.Log2E / math.Sqrt(float64(t.a.HeadDim))) }

func (t *queries) items() int {
	blocks := 0
	for i := range t.spans {
		blocks += (t.spans[i].Rows + t.blockRows - 1) / t.blockRows
	}
	return blocks * t.a.KVHeads
}

// block is rows first … first+rows of the activations, the rows of span from
// offset on.
type block struct {
	span                *kernels.Span
	first, offset, rows int
}

func (t *queries) block(i int) block {
	first := 0
	for j := range t.spans {
		span := &t.spans[j]
		n := (span.Rows + t.blockRows - 1) / t.blockRows
		if i < n {
			offset := i * t.blockRows
			return block{span, first + offset, offset, min(t.blockRows, span.Rows-offset)}
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

// cached are n positions of a head from position at on.
func (b *block) cached(v kernels.View, f kernels.Format, headDim, head, at, n int) kernels.View {
	size := headDim * f.BlockBytes()
	return v.Slice((head*b.span.Capacity+at)*size, n*size)
}

// store writes the result of query i of a block: x divided by sum.
func (t *queries) store(s *scratch, b block, head, i int, x []float32, sum float32) {
	hd, group := t.a.HeadDim, t.group()
	s.scaled(t.out[((b.first+i/group)*t.a.QueryHeads+head*group+i%group)*hd:][:hd], x[:hd], 1/sum)
}

// scaled sets dst = x·factor.
func (s *scratch) scaled(dst, x []float32, factor float32) {
	whole := len(x) &^ (lanes - 1)
	if whole > 0 {
		s.vectorArgs = vectorArgs{dst: ptr(dst), x: ptr(x), n: whole, scalar: factor}
		s.scale(&s.vectorArgs)
	}
	for i := whole; i < len(x); i++ {
		dst[i] = x[i] * factor
	}
}

// rotate appends normalised and rotated keys, and values, of each row to the caches, and
// normalises, rotates and scales its queries in place, unless whoever takes them does. Its
// items are rows.
type rotate struct {
	queries
	whole bool // queries, too
}

func (t *rotate) run(lo, hi int, s *scratch) {
	a, hd := t.a, t.a.HeadDim
	queries, keys := newRotation(s, a, &a.QueryNorm, t.scale()), newRotation(s, a, &a.KeyNorm, 1)
	for row := lo; row < hi; row++ {
		span, r := locate(t.spans, row)
		pos := span.Pos + r
		if t.whole {
			q := t.heads(row, 0, a.QueryHeads)
			queries.rotate(s, q, q, pos)
		}
		k, v := grow(&s.row, a.KVHeads*hd), t.heads(row, a.QueryHeads+a.KVHeads, a.KVHeads)
		keys.rotate(s, k, t.heads(row, a.QueryHeads, a.KVHeads), pos)
		s.appendTo(span.Keys, span, pos, hd, k)
		s.appendTo(span.Values, span, pos, hd, v)
	}
}

// appendTo stores the heads in x in a cache of a span, at a position.
func (s *scratch) appendTo(cache kernels.View, span *kernels.Span, pos, headDim int, x []float32) {
	bytes, floats := cache.Bytes(), []float32(nil)
	if span.Format != kernels.F16 {
		floats = cache.Floats()
	}
	for at := pos * headDim; len(x) > 0; at, x = at+span.Capacity*headDim, x[headDim:] {
		if floats != nil {
			copy(floats[at:], x[:headDim])
		} else {
			s.toHalves(bytes[2*at:][:2*headDim], x[:headDim])
		}
	}
}

// toHalves sets dst to x as float16.
func (s *scratch) toHalves(dst []byte, x []float32) {
	whole := len(x) &^ (lanes - 1)
	if whole > 0 {
		s.vectorArgs = vectorArgs{dst: (*float32)(unsafe.Pointer(&dst[0])), x: ptr(x), n: whole}
		s.toF16(&s.vectorArgs)
	}
	for i := whole; i < len(x); i++ {
		binary.LittleEndian.PutUint16(dst[2*i:], kernels.ToF16(x[i]))
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

// rotation is what is done with the query or the key heads of all rows: norm (if any) and
// RoPE, which rotates the pair (x_i, x_{i+half}) by angle i of a position; times a factor.
type rotation struct {
	args  rotateArgs
	run   func(*rotateArgs)
	angle []float32 // [positions, 2·args.n]
}

func newRotation(s *scratch, a *kernels.Attention, norm *kernels.Norm, factor float32) rotation {
	h := rotation{rotateArgs{n: a.HeadDim / 2, factor: factor, eps: norm.Eps}, s.isaTable.rotate, a.Rope.Floats()}
	if w := norm.Weight.Floats(); w != nil {
		h.args.w, h.args.norm = ptr(w[:a.HeadDim]), 1
	} else {
		h.args.w = ptr(s.onesOf(a.HeadDim))
	}
	if h.args.n%lanes != 0 {
		h.run = portable.rotate
	}
	return h
}

// rotate sets dst to the heads in x of a row at a position. dst may be x.
func (h *rotation) rotate(s *scratch, dst, x []float32, pos int) {
	hd := 2 * h.args.n
	s.rotateArgs = h.args
	s.rotateArgs.dst, s.rotateArgs.x, s.rotateArgs.heads = ptr(dst), ptr(x), len(x)/hd
	s.rotateArgs.angle = ptr(h.angle[pos*hd:][:hd])
	h.run(&s.rotateArgs)
}

// onesOf are n ones.
func (s *scratch) onesOf(n int) []float32 {
	if len(s.ones) < n {
		for i := range grow(&s.ones, n) {
			s.ones[i] = 1
		}
	}
	return s.ones
}

// attend computes softmax(q·Kᵀ/√head_dim)·V (the sums of Milakov and Gimelshein
// 2018; Dao et al. 2022) for at most kernels.ExactRows rows: the context is cut into
// splits of splitPositions, of each a partial result is computed, and partial results
// are folded in the order of their positions. So what a row gets depends on its
// position only.
//
// Its items are those of its queries, with all splits of their contexts or, where
// splits are shared out, one.
type attend struct {
	queries
	splits   int       // of the longest context if they are shared out, else 1
	partials []float32 // if splits > 1: of each item
}

const (
	blockRows      = 8
	splitPositions = 256
)

// most is the largest number of query vectors in an item.
func (t *attend) most() int { return blockRows * t.group() }

func (t *attend) partialSize() int { return t.most() * (t.a.HeadDim + 2) }

// partial is the result of a block's queries over a part of the context. Query i is
// head i%group of row i/group.
type partial struct {
	out  []float32 // Σ 2^(score − top) · v
	tops []float32 // the largest scores
	sums []float32 // Σ 2^(score − top)
}

// partial is one in memory for at least partialSize elements.
func (t *attend) partial(buf []float32) partial {
	n := t.most()
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
		buf := grow(&s.queries, t.most()*t.a.HeadDim+2*size)
		q, first, next := buf[2*size:], t.partial(buf), t.partial(buf[size:])
		for r, heads := 0, t.group()*t.a.HeadDim; r < b.rows; r++ {
			copy(q[r*heads:(r+1)*heads], t.heads(b.first+r, head*t.group(), t.group()))
		}
		if t.splits > 1 {
			t.split(s, q, b, head, from, t.partial(t.partials[item*size:]))
			continue
		}
		t.split(s, q, b, head, 0, first)
		for from := splitPositions; from < b.end(); from += splitPositions {
			t.split(s, q, b, head, from, next)
			t.fold(first, next, b, from)
		}
		t.storeAll(s, first, b, head)
	}
}

// merge folds the splits of a context that were shared out. Its items are attend's
// without splits.
type merge struct{ *attend }

func (t *merge) run(lo, hi int, s *scratch) {
	size := t.partialSize()
	for pair := lo; pair < hi; pair++ {
		b, splits := t.block(pair/t.a.KVHeads), t.partials[pair*t.splits*size:]
		first := t.partial(splits)
		for i := 1; i*splitPositions < b.end(); i++ {
			t.fold(first, t.partial(splits[i*size:]), b, i*splitPositions)
		}
		t.storeAll(s, first, b, pair%t.a.KVHeads)
	}
}

// split sets p to the result over the split that begins at position from.
func (t *attend) split(s *scratch, q []float32, b block, head, from int, p partial) {
	hd, group := t.a.HeadDim, t.group()
	queries := b.rows * group
	n := min(splitPositions, b.end()-from)
	f := max(b.span.Format, kernels.F32) // the zero value is F32, too
	keys, values := b.cached(b.span.Keys, f, hd, head, from, n), b.cached(b.span.Values, f, hd, head, from, n)

	scores := grow(&s.scores, queries*splitPositions)
	s.keys = kernels.Matrix{Rows: n, Cols: hd, Format: f, Data: keys}
	s.mul(scores, splitPositions, &s.keys, 0, n, activations{x: q, stride: hd}, queries)
	visible := func(row int) int { return min(n, b.visible(row)-from) }
	for i := range queries {
		if n := visible(i / group); n > 0 {
			p.tops[i], p.sums[i] = s.softmax(scores[i*splitPositions:][:splitPositions], n, float32(math.Inf(-1)))
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

// softmax turns the first n scores of a query into 2^(score − top), and returns top,
// the largest of them and of before, and their sum. It overwrites what is behind them,
// up to whole vectors.
func (s *scratch) softmax(scores []float32, n int, before float32) (top, sum float32) {
	s.vectorArgs = vectorArgs{dst: ptr(scores), n: n, scalar: before}
	s.isaTable.softmax(&s.vectorArgs)
	return s.vectorArgs.scalar, s.vectorArgs.sum
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
	hd, group := t.a.HeadDim, t.group()
	for i := range b.rows * group {
		if b.visible(i/group) <= from {
			continue
		}
		top := max(p.tops[i], next.tops[i])
		keep := float32(math.Exp2(float64(p.tops[i] - top)))
		more := float32(math.Exp2(float64(next.tops[i] - top)))
		p.tops[i], p.sums[i] = top, keep*p.sums[i]+more*next.sums[i]
		out := p.out[i*hd : (i+1)*hd]
		for c, v := range next.out[i*hd : (i+1)*hd] {
			out[c] = keep*out[c] + more*v
		}
	}
}

// storeAll writes the result of a block.
func (t *attend) storeAll(s *scratch, p partial, b block, head int) {
	hd := t.a.HeadDim
	for i := range b.rows * t.group() {
		t.store(s, b, head, i, p.out[i*hd:], p.sums[i])
	}
}
