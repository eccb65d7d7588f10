package tokenizer

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"unicode/utf8"
)

// symbols numbers what BPE merges: ids below the vocabulary size are pieces,
// those above are characters that occur in pieces without being one themselves.
type symbols struct {
	ascii  [utf8.RuneSelf]int32 // symbol of a character, None if it has none
	others map[rune]int32
	size   int32  // number of pieces
	extra  []rune // characters of the symbols from size on
}

// char returns the symbol of a character, or None if no merge can involve it.
func (s *symbols) char(r rune) int32 {
	if r < utf8.RuneSelf {
		return s.ascii[r]
	}
	if sym, ok := s.others[r]; ok {
		return sym
	}
	return None
}

func newSymbols(ids map[string]int32, size int) *symbols {
	s := &symbols{others: make(map[rune]int32), size: int32(size)}
	for i := range s.ascii {
		s.ascii[i] = None
	}
	for p, id := range ids {
		if r, n := utf8.DecodeRuneInString(p); n == len(p) {
			s.set(r, id)
		}
	}
	return s
}

func (s *symbols) set(r rune, sym int32) {
	if r < utf8.RuneSelf {
		s.ascii[r] = sym
	} else {
		s.others[r] = sym
	}
}

// add makes sure that r has a symbol.
func (s *symbols) add(r rune) int32 {
	if sym := s.char(r); sym != None {
		return sym
	}
	sym := s.size + int32(len(s.extra))
	s.extra = append(s.extra, r)
	s.set(r, sym)
	return sym
}

// noMerge is the rank of two symbols that stand side by side within a piece
// without forming one. Merges have ranks below it; the lowest goes first.
const noMerge = ^uint32(0)

// pairTable maps two adjacent symbols to the merge they allow. It also holds
// every pair of characters across which a merge can happen (rank noMerge), so
// that a pair of characters it lacks is a border no merge ever crosses.
type pairTable struct {
	slots []pair // open addressing, a power of two, at most two thirds full
	shift uint
	seed  uint64
}

type pair struct {
	key    uint64 // 0 in a free slot
	rank   uint32
	result int32
}

func pairKey(left, right int32) uint64 { return uint64(left+1)<<32 | uint64(right+1) }

// slot spreads keys with two rounds of multiplication. The seed differs in
// every process, so that no file can be made whose keys collide.
func (t *pairTable) slot(key uint64) uint64 {
	h := (key ^ t.seed) * 0x9E3779B97F4A7C15
	h = (h ^ h>>32) * 0xD6E8FEB86659FD93
	return h >> t.shift
}

// find returns the entry of two symbols; its key is 0 if there is none.
func (t *pairTable) find(left, right int32) pair {
	key := pairKey(left, right)
	for i := t.slot(key); ; i = (i + 1) & uint64(len(t.slots)-1) {
		if e := t.slots[i]; e.key == key || e.key == 0 {
			return e
		}
	}
}

// insert adds an entry unless its key is there.
func (t *pairTable) insert(e pair) (added bool) {
	for i := t.slot(e.key); ; i = (i + 1) & uint64(len(t.slots)-1) {
		switch t.slots[i].key {
		case 0:
			t.slots[i] = e
			return true
		case e.key:
			return false
		}
	}
}

// newPairTable makes the table of merges with their ranks; duplicate is the index
// of a merge whose pair has occurred before, or -1.
func newPairTable(merges []merge, rank func(i int) uint32, borders [][2]int32) (t *pairTable, duplicate int) {
	n := len(merges) + len(borders)
	bits := 1
	for 1<<bits <= n+n/2 {
		bits++
	}
	t = &pairTable{slots: make([]pair, 1<<bits), shift: uint(64 - bits), seed: rand.Uint64()}
	for i, m := range merges {
		if !t.insert(pair{pairKey(m.left, m.right), rank(i), m.result}) {
			return nil, i
		}
	}
	for _, b := range borders {
		t.insert(pair{pairKey(b[0], b[1]), noMerge, None})
	}
	return t, -1
}

// rules turns the source's merges, or its scores, into the tables of the encoder.
func (s *source) rules(ids map[string]int32) (*symbols, *pairTable, error) {
	syms := newSymbols(ids, len(s.pieces))
	merges := s.merges
	rank := func(i int) uint32 { return uint32(i) }
	if merges == nil {
		var err error
		if merges, err = s.mergesByScore(ids, syms); err != nil {
			return nil, nil, err
		}
		ranks := s.ranks()
		rank = func(i int) uint32 { return ranks[merges[i].result] }
	}
	// A merge joins the last character of its left side to the first of its right.
	seen := make(map[[2]int32]bool)
	var borders [][2]int32
	for i, m := range merges {
		if t := s.types[m.result]; t == Control || t == Unknown {
			return nil, nil, fieldError(s.file, mergePath(i), "makes the special token %s, so that any text could spell it", quote(s.pieces[m.result]))
		}
		last, _ := utf8.DecodeLastRuneInString(s.spelling(m.left, syms))
		first, _ := utf8.DecodeRuneInString(s.spelling(m.right, syms))
		b := [2]int32{syms.char(last), syms.char(first)}
		if b[0] != None && b[1] != None && !seen[b] {
			seen[b] = true
			borders = append(borders, b)
		}
	}
	table, duplicate := newPairTable(merges, rank, borders)
	if duplicate >= 0 {
		return nil, nil, fieldError(s.file, mergePath(duplicate), "merges the same two pieces as one before")
	}
	return syms, table, nil
}

func (s *source) spelling(sym int32, syms *symbols) string {
	if sym < syms.size {
		return s.pieces[sym]
	}
	return string(syms.extra[sym-syms.size])
}

// mergesByScore lists every way to cut a piece into two symbols. SentencePiece
// stores no merges: it joins any two neighbours whose concatenation is a piece,
// the one with the highest score first.
func (s *source) mergesByScore(ids map[string]int32, syms *symbols) ([]merge, error) {
	most := 0 // merges there can be: one for every place to cut a piece
	for _, p := range s.pieces {
		most += utf8.RuneCountInString(p) - 1
	}
	merges := make([]merge, 0, most)
	for id, p := range s.pieces {
		if s.types[id] != Normal && s.types[id] != Unused {
			continue
		}
		for i := range p {
			if i == 0 {
				continue
			}
			left, ok := s.symbol(p[:i], ids, syms)
			if !ok {
				continue
			}
			right, ok := s.symbol(p[i:], ids, syms)
			if !ok {
				continue
			}
			if s.types[id] == Unused {
				return nil, unsupported(s.file, fmt.Sprintf("piece %d", id), "%s is unused, yet merges produce it: splitting it again is not supported", quote(p))
			}
			merges = append(merges, merge{left, right, int32(id)})
		}
	}
	return merges, nil
}

// symbol returns the symbol spelled p: a piece or a single character.
func (s *source) symbol(p string, ids map[string]int32, syms *symbols) (int32, bool) {
	if id, ok := ids[p]; ok {
		return id, true
	}
	if r, n := utf8.DecodeRuneInString(p); n == len(p) {
		return syms.add(r), true
	}
	return None, false
}

// ranks numbers the distinct scores from the highest down.
func (s *source) ranks() []uint32 {
	order := make([]int32, len(s.scores))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(s.scores[b], s.scores[a]) })
	ranks := make([]uint32, len(order))
	for i := 1; i < len(order); i++ {
		ranks[order[i]] = ranks[order[i-1]]
		if s.scores[order[i]] != s.scores[order[i-1]] {
			ranks[order[i]]++
		}
	}
	return ranks
}
