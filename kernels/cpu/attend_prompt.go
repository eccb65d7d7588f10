package cpu

import (
	"iter"
	"math"

	"github.com/go-openelm/go-openelm/kernels"
)

// attendPrompt computes what attend does, for more than kernels.ExactRows rows, as
// products of matrices: a block of many queries shares a split of promptPositions keys,
// transposed in the second-level cache, and values; few queries at a time have their
// scores in the first-level cache. A row's sums go through the positions in their order
// and end at its own: what it gets depends on nothing else.
type attendPrompt struct{ queries }

const (
	// promptQueries is how many queries a block has at most: many, because keys and
	// values are brought from memory and transposed for each block.
	promptQueries = 144
	// promptPositions is how many keys and values they share at a time.
	promptPositions = 512
	// scoredQueries is how many of them have their scores in the first-level cache: whole
	// tiles of every instruction set.
	scoredQueries = 12
	// scoreStride is the distance of their scores. It is not a multiple of a page, or of
	// a large part of one, for which a first-level cache has few places.
	scoreStride = promptPositions + 16
)

// newAttendPrompt cuts the queries so that each thread gets some blocks.
func newAttendPrompt(q queries, threads int) attendPrompt {
	t := attendPrompt{q}
	for t.blockRows = max(1, promptQueries/t.group()); threads > 1 && t.blockRows > 2 && t.items() < 4*threads; {
		t.blockRows = (t.blockRows + 1) / 2
	}
	return t
}

func (t *attendPrompt) run(lo, hi int, s *scratch) {
	last := t.items() - 1
	for i := lo; i < hi; i++ {
		item := last - i // those with the longest contexts come first
		t.attend(s, t.block(item/t.a.KVHeads), item%t.a.KVHeads)
	}
}

// promptBlock is a block at work. Query i is head i%group of row i/group.
type promptBlock struct {
	block
	head, headDim, group, queries int

	q          []float32 // [queries, headDim]
	cols       int       // headDim, in whole tiles
	out, next  []float32 // [queries, cols]: Σ 2^(score − top)·v over all splits, and over one
	tops, sums []float32 // the largest scores, and Σ 2^(score − top)
	keep       []float32 // what is left of out and sums: 2^(old top − top)

	keys   []float32 // of a split: panels [headDim, tileCols]
	values []float32 // of a split: [positions, cols]
	scores []float32 // [scoredQueries, scoreStride]
}

func (t *attendPrompt) attend(s *scratch, b block, head int) {
	p := promptBlock{block: b, head: head, headDim: t.a.HeadDim, group: t.group(), queries: b.rows * t.group()}
	p.cols = (p.headDim + s.tileCols - 1) / s.tileCols * s.tileCols
	buf := grow(&s.queries, p.queries*(p.headDim+2*p.cols+3))
	take := func(n int) (part []float32) {
		part, buf = buf[:n], buf[n:]
		return part
	}
	p.out, p.next, p.q = take(p.queries*p.cols), take(p.queries*p.cols), take(p.queries*p.headDim)
	p.tops, p.sums, p.keep = take(p.queries), take(p.queries), take(p.queries)
	p.scores = grow(&s.scores, scoredQueries*scoreStride)
	rotation, size := newRotation(s, t.a, &t.a.QueryNorm, t.scale()), p.group*p.headDim
	for r := range b.rows {
		rotation.rotate(s, p.q[r*size:(r+1)*size], t.heads(b.first+r, head*p.group, p.group), b.visible(r)-1)
	}
	for i := range p.tops {
		p.tops[i], p.sums[i] = float32(math.Inf(-1)), 0
	}
	for from := 0; from < b.end(); from += promptPositions {
		n := min(promptPositions, b.end()-from)
		p.pack(s, from, n)
		p.values = p.widened(s, from, n)
		for lo := p.seeing(from); lo < p.queries; lo += scoredQueries {
			hi := min(lo+scoredQueries, p.queries)
			p.score(s, lo, hi, from, n)
			p.softmax(s, lo, hi, from, n)
			p.weigh(s, lo, hi, from, n)
		}
	}
	for i := range p.queries {
		t.store(s, b, head, i, p.out[i*p.cols:], p.sums[i])
	}
}

// seeing is the first query that sees a position; all after it do, too.
func (p *promptBlock) seeing(position int) int {
	return max(0, position-p.visible(0)+1) * p.group
}

// limit is how many of n positions from from on query i sees.
func (p *promptBlock) limit(i, from, n int) int { return min(n, p.visible(i/p.group)-from) }

// depth is the number of columns of keys that are packed.
func (p *promptBlock) depth() int { return (p.headDim + lanes - 1) &^ (lanes - 1) }

// pack transposes n keys from position from on, tileCols at a time.
func (p *promptBlock) pack(s *scratch, from, n int) {
	depth := p.depth()
	size := s.tileCols * depth
	p.keys = grow(&s.packed, (n+s.tileCols-1)/s.tileCols*size)
	for at := 0; at < n; at += s.tileCols {
		keys, stride := p.panel(s, from+at, min(s.tileCols, n-at), depth)
		for i := 0; i < s.tileCols; i += packRows {
			s.packArgs = packArgs{dst: &p.keys[at*depth+i*depth], src: &keys[i*stride], stride: 4 * stride, n: depth}
			s.pack(&s.packArgs)
		}
	}
}

// score sets the scores of queries lo … hi with n positions from from on, those of each
// panel for the queries that see any of it.
func (p *promptBlock) score(s *scratch, lo, hi, from, n int) {
	depth := p.depth()
	a := &s.gemmArgs
	*a = gemmArgs{ldc: 4 * scoreStride, lda: 4 * p.headDim, ldb: 4 * packRows, k: p.headDim, half: 2 * packRows}
	if s.tileCols > packRows {
		a.half = 4 * packRows * depth
	}
	for at := 0; at < n; at += s.tileCols {
		a.b = &p.keys[at*depth]
		for i, end := range s.gemmTiles(max(lo, p.seeing(from+at)), hi) {
			a.a, a.c = &p.q[i*p.headDim], &p.scores[(i-lo)*scoreStride+at]
			s.gemm[end-i-1](a)
		}
	}
}

// panel are tileCols keys of depth columns, of which n from position at on, and headDim
// columns count. It returns how far they are apart, too.
func (p *promptBlock) panel(s *scratch, at, n, depth int) ([]float32, int) {
	f := max(p.span.Format, kernels.F32) // the zero value is F32, too
	keys := p.cached(p.span.Keys, f, p.headDim, p.head, at, n)
	if f == kernels.F32 && depth == p.headDim && n == s.tileCols {
		return keys.Floats(), depth
	}
	rows := grow(&s.rows, s.tileCols*depth)
	for i := range n {
		s.floats(rows[i*depth:][:p.headDim], keys, f, i*p.headDim)
	}
	return rows, depth
}

// softmax turns the scores of n positions from from on into 2^(score − top), where top
// is the largest score until now.
func (p *promptBlock) softmax(s *scratch, lo, hi, from, n int) {
	for i := lo; i < hi; i++ {
		top, sum := s.softmax(p.scores[(i-lo)*scoreStride:][:scoreStride], p.limit(i, from, n), p.tops[i])
		p.keep[i] = 1
		if top != p.tops[i] {
			p.keep[i] = float32(math.Exp2(float64(p.tops[i] - top)))
		}
		p.tops[i], p.sums[i] = top, p.keep[i]*p.sums[i]+sum
	}
}

// weigh adds the values of n positions from from on to the results.
func (p *promptBlock) weigh(s *scratch, lo, hi, from, n int) {
	to := p.next
	if from == 0 {
		to = p.out
	}
	a := &s.gemmArgs
	*a = gemmArgs{ldc: 4 * p.cols, lda: 4 * scoreStride, ldb: 4 * p.cols, half: 2 * s.tileCols}
	for first, end := range s.gemmTiles(lo, hi) {
		// All positions that the first row of the tile sees, and then those that only
		// rows after it see: a value that is not a number must not reach the others.
		done := 0
		a.add = 0
		for i := first; i < end; i = (i/p.group + 1) * p.group {
			limit := p.limit(i, from, n)
			if limit == done {
				break
			}
			a.a, a.k = &p.scores[(i-lo)*scoreStride+done], limit-done
			for c := 0; c < p.cols; c += s.tileCols {
				a.c, a.b = &to[i*p.cols+c], &p.values[done*p.cols+c]
				s.gemm[end-i-1](a)
			}
			done, a.add = limit, 2
		}
	}
	if from == 0 {
		return
	}
	for i := lo; i < hi; i++ {
		s.vectorArgs = vectorArgs{dst: &p.out[i*p.cols], x: &p.next[i*p.cols], n: p.cols, scalar: p.keep[i]}
		s.fold(&s.vectorArgs)
	}
}

// widened are n values from position from on, cols columns apart.
func (p *promptBlock) widened(s *scratch, from, n int) []float32 {
	f := max(p.span.Format, kernels.F32)
	view := p.cached(p.span.Values, f, p.headDim, p.head, from, n)
	if p.cols == p.headDim {
		return s.float32sOf(view, f, n*p.cols)
	}
	values := grow(&s.rows, n*p.cols)
	for i := range n {
		row := values[i*p.cols:][:p.cols]
		s.floats(row[:p.headDim], view, f, i*p.headDim)
		clear(row[p.headDim:])
	}
	return values
}

// gemmTiles are the tiles of rows lo … hi, if any, of about the same height: a low one is slow.
func (s *scratch) gemmTiles(lo, hi int) iter.Seq2[int, int] {
	n := max(0, hi-lo+len(s.gemm)-1) / len(s.gemm)
	return func(yield func(int, int) bool) {
		for i := range n {
			if !yield(lo+i*(hi-lo)/n, lo+(i+1)*(hi-lo)/n) {
				return
			}
		}
	}
}
