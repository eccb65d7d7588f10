package tokenizer

import (
	"slices"
	"unicode/utf8"
)

// bpe encodes normalized text. Its fields do not change after construction.
type bpe struct {
	syms      *symbols
	pairs     *pairTable
	bytes     *[256]int32 // ids of the byte pieces; nil without byte fallback
	unk       int32
	singleUnk bool
}

// node is a symbol of the segment being merged, in a doubly linked list.
type node struct {
	sym        int32
	prev, next int32  // positions in the segment, -1 at its ends
	rank       uint32 // rank of merging with next; noMerge if impossible or merged away
	result     int32  // what that merge makes
}

// scratch is the working memory of one call.
type scratch struct {
	text  []byte
	nodes []node
	queue mergeQueue
	unk   bool // the last id appended is an unknown piece
}

// append encodes text. Wherever no merge can reach across two characters it
// merges what came before: the segments (words, in English) are independent,
// which keeps the lists short without changing the result.
func (b *bpe) append(dst []int32, s *scratch, text []byte) []int32 {
	s.unk = false
	for len(text) > 0 {
		r, n := rune(text[0]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRune(text)
		}
		text = text[n:]
		sym := b.syms.char(r)
		if sym == None {
			dst = b.fallback(b.flush(dst, s), s, r)
			continue
		}
		if last := len(s.nodes) - 1; last >= 0 {
			p := b.pairs.find(s.nodes[last].sym, sym)
			if p.key == 0 {
				dst = b.flush(dst, s)
			} else {
				s.link(int32(last), int32(last+1), p)
			}
		}
		i := int32(len(s.nodes))
		s.nodes = appendDoubling(s.nodes, node{sym: sym, prev: i - 1, next: -1, rank: noMerge})
	}
	return b.flush(dst, s)
}

// link makes right the next of left and notes the merge they allow.
func (s *scratch) link(left, right int32, p pair) {
	n := &s.nodes[left]
	n.next, n.rank, n.result = right, noMerge, None
	if p.key != 0 && p.rank != noMerge {
		n.rank, n.result = p.rank, p.result
		s.queue.push(p.rank, left)
	}
}

// flush merges the segment in s.nodes, best rank first and leftmost first among
// equals, and appends the ids.
func (b *bpe) flush(dst []int32, s *scratch) []int32 {
	if len(s.nodes) == 0 {
		return dst
	}
	for !s.queue.empty() {
		rank, i := s.queue.pop()
		left := &s.nodes[i]
		if left.rank != rank {
			continue // one of the two has been merged meanwhile
		}
		right := &s.nodes[left.next]
		left.sym, left.rank, left.next = left.result, noMerge, right.next
		right.rank = noMerge
		if left.next >= 0 {
			s.nodes[left.next].prev = i
			s.link(i, left.next, b.pairs.find(left.sym, s.nodes[left.next].sym))
		}
		if left.prev >= 0 {
			s.link(left.prev, i, b.pairs.find(s.nodes[left.prev].sym, left.sym))
		}
	}
	for i := int32(0); i >= 0; i = s.nodes[i].next {
		if sym := s.nodes[i].sym; sym < b.syms.size {
			dst = append(dst, sym)
			s.unk = false
		} else {
			dst = b.fallback(dst, s, b.syms.extra[sym-b.syms.size])
		}
	}
	s.nodes = s.nodes[:0]
	return dst
}

// fallback appends the ids of a character that is no piece: its bytes or, without
// byte pieces, the unknown piece.
func (b *bpe) fallback(dst []int32, s *scratch, r rune) []int32 {
	if b.bytes != nil {
		var buf [utf8.UTFMax]byte
		for _, c := range buf[:utf8.EncodeRune(buf[:], r)] {
			dst = append(dst, b.bytes[c])
		}
		return dst
	}
	if s.unk && b.singleUnk {
		return dst
	}
	s.unk = true
	return append(dst, b.unk)
}

// appendDoubling is append with a growth factor of 2 for long slices too, where
// append's own of 1.25 copies more than twice as much.
func appendDoubling[E any](s []E, e E) []E {
	if len(s) == cap(s) {
		s = slices.Grow(s, max(len(s), 64))
	}
	return append(s, e)
}
