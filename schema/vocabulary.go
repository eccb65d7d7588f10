package schema

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"sort"
	"unicode/utf8"

	"github.com/go-openelm/go-openelm/openelm"
)

// Vocabulary is what a model's tokens spell. It is immutable, and may be shared.
type Vocabulary struct {
	size   int
	pieces [][]byte
	eos    []int32
	all    trie
	// Inside of a string most tokens are allowed, and change nothing but its length:
	// those of whole characters that need no escape. plain has those of at most so
	// many characters; special are all others.
	plain   [][]uint64
	special trie
}

// NewVocabulary makes the vocabulary of a model. Its tokenizer must say what its
// pieces spell, as those of package loader do (Bytes).
func NewVocabulary(m *openelm.Model) (*Vocabulary, error) {
	tokens, ok := m.Tokenizer().(interface{ Bytes(id int32) []byte })
	if !ok {
		return nil, openelm.ErrNoTokenizer
	}
	c := m.Config()
	if len(c.EOS) == 0 {
		return nil, errors.New("schema: the model has no token that ends a text")
	}
	pieces := make([][]byte, c.VocabSize)
	for id := range pieces {
		pieces[id] = tokens.Bytes(int32(id))
	}
	return newVocabulary(pieces, c.EOS), nil
}

func newVocabulary(pieces [][]byte, eos []int32) *Vocabulary {
	v := &Vocabulary{size: len(pieces), eos: eos, pieces: pieces}
	var all, special []int32
	lengths := map[int][]int32{}
	longest := 0
	for id, p := range pieces {
		if len(p) == 0 || slices.Contains(eos, int32(id)) {
			continue
		}
		all = append(all, int32(id))
		if plain(p) {
			n := utf8.RuneCount(p)
			lengths[n] = append(lengths[n], int32(id))
			longest = max(longest, n)
		} else {
			special = append(special, int32(id))
		}
	}
	v.all, v.special = newTrie(pieces, all), newTrie(pieces, special)
	v.plain = make([][]uint64, longest+1)
	for n := range v.plain {
		v.plain[n] = make([]uint64, v.words())
		if n > 0 {
			copy(v.plain[n], v.plain[n-1])
		}
		for _, id := range lengths[n] {
			set(v.plain[n], id)
		}
	}
	return v
}

// plain reports whether a string may hold p as it is.
func plain(p []byte) bool {
	return utf8.Valid(p) && bytes.IndexFunc(p, func(r rune) bool { return r < 0x20 || r == 0x7F || r == '"' || r == '\\' }) < 0
}

func (v *Vocabulary) words() int { return (v.size + 63) / 64 }

func set(mask []uint64, id int32) { mask[id/64] |= 1 << (id % 64) }

func has(mask []uint64, id int32) bool { return mask[id/64]>>(id%64)&1 != 0 }

// trie is the spellings of tokens, as a tree of bytes in preorder.
type trie struct {
	nodes []trieNode
	ids   []int32 // in the order of the nodes
}

type trieNode struct {
	past  int32 // the node after those below it
	first int32 // of ids, those of the tokens that end here
	depth uint16
	ends  uint16 // how many they are
	byte  byte
}

func newTrie(pieces [][]byte, ids []int32) trie {
	sort.SliceStable(ids, func(i, j int) bool { return bytes.Compare(pieces[ids[i]], pieces[ids[j]]) < 0 })
	t := trie{ids: ids}
	var path []int32 // the node at each depth
	var before []byte
	leave := func(depth int) {
		for ; len(path) > depth; path = path[:len(path)-1] {
			t.nodes[path[len(path)-1]].past = int32(len(t.nodes))
		}
	}
	for i, id := range ids {
		p := pieces[id]
		same := 0
		for same < min(len(p), len(before)) && p[same] == before[same] {
			same++
		}
		leave(same)
		for _, b := range p[same:] {
			path = append(path, int32(len(t.nodes)))
			t.nodes = append(t.nodes, trieNode{first: int32(i), depth: uint16(len(path) - 1), byte: b})
		}
		n := &t.nodes[path[len(path)-1]]
		if n.ends == 0 {
			n.first = int32(i)
		}
		n.ends++
		before = p
	}
	leave(0)
	return t
}

// Constraint makes the constraint of one generation, of a model with this
// vocabulary. It is for [openelm.GenerateOptions].
func (v *Vocabulary) Constraint(s *Schema) *Constraint {
	c := &Constraint{vocabulary: v, masks: map[string][]uint64{}}
	c.machine.kept = map[cell]*cell{}
	c.machine.start(s.root, nil)
	c.threads = slices.Clone(c.machine.out)
	return c
}

// Constraint holds a text to a schema. It implements [openelm.Constraint].
type Constraint struct {
	vocabulary *Vocabulary
	machine    machine
	threads    []*cell // the ways to understand what is written, empty when nothing may follow
	complete   bool
	ended      bool

	masks map[string][]uint64 // by what may follow
	key   []byte

	stack  []*cell // threads of the nodes on the way to one
	levels []level // of each of these nodes
}

// level is a part of the stack, and how many cells there are up to it.
type level struct{ start, end, used int }

// Complete reports whether what is written is a value.
func (c *Constraint) Complete() bool { return c.complete }

// Mask implements [openelm.Constraint].
func (c *Constraint) Mask(allowed []uint64) {
	if c.ended {
		return
	}
	if c.complete {
		for _, id := range c.vocabulary.eos {
			set(allowed, id)
		}
	}
	c.key = c.key[:0]
	for _, t := range c.threads {
		c.key = binary.AppendUvarint(c.key, uint64(t.id))
	}
	mask, ok := c.masks[string(c.key)]
	if !ok {
		mask = c.compute()
		c.masks[string(c.key)] = mask
	}
	for i, m := range mask {
		allowed[i] |= m
	}
}

// compute is the mask of what may follow.
func (c *Constraint) compute() []uint64 {
	v := c.vocabulary
	mask := make([]uint64, v.words())
	c.machine.walking = true
	defer func() { c.machine.walking = false }()
	var free, others []*cell
	for _, t := range c.threads {
		left, ok := t.free()
		if !ok {
			others = append(others, t)
			continue
		}
		free = append(free, t)
		for i, m := range v.plain[min(left, len(v.plain)-1)] {
			mask[i] |= m
		}
	}
	c.walk(&v.special, free, mask)
	c.walk(&v.all, others, mask)
	return mask
}

// free reports whether a stack is between two characters of a string that may hold
// any, and how many more it may.
func (c *cell) free() (left int, ok bool) {
	const any = 1 << 30
	switch {
	case c.char != boundary:
	case c.kind == text && c.phase == writing && c.most < 0, c.kind == object && c.phase == extra:
		return any, true
	case c.kind == text && c.phase == writing:
		return c.most - int(c.count), true
	}
	return 0, false
}

// walk adds the tokens of a trie that threads can take.
func (c *Constraint) walk(t *trie, threads []*cell, mask []uint64) {
	if len(threads) == 0 {
		return
	}
	m := &c.machine
	m.used = 0
	c.stack = append(c.stack[:0], threads...)
	c.levels = append(c.levels[:0], level{0, len(threads), 0})
	for i := int32(0); int(i) < len(t.nodes); {
		n := &t.nodes[i]
		// Back to the threads of the node above.
		c.levels = c.levels[:n.depth+1]
		l := c.levels[n.depth]
		c.stack, m.used = c.stack[:l.end], l.used
		m.out, m.done = m.out[:0], false
		for _, s := range c.stack[l.start:] {
			m.step(s, n.byte)
		}
		if len(m.out) > 0 || m.done {
			for _, id := range t.ids[n.first : n.first+int32(n.ends)] {
				set(mask, id)
			}
		}
		if len(m.out) == 0 {
			i = n.past
			continue
		}
		c.stack = append(c.stack, m.out...)
		c.levels = append(c.levels, level{l.end, len(c.stack), m.used})
		i++
	}
}

// errToken is the error about a token that was not allowed.
var errToken = errors.New("schema: the token may not come here")

// Accept implements [openelm.Constraint].
func (c *Constraint) Accept(token int32) error {
	v := c.vocabulary
	if c.ended {
		return errToken
	}
	if slices.Contains(v.eos, token) {
		if !c.complete {
			return errToken
		}
		c.ended = true
		return nil
	}
	if token < 0 || int(token) >= v.size || len(v.pieces[token]) == 0 {
		return errToken
	}
	return c.write(v.pieces[token])
}

// write goes on by bytes.
func (c *Constraint) write(piece []byte) error {
	m := &c.machine
	for _, b := range piece {
		m.out, m.done = m.out[:0], false
		for _, t := range c.threads {
			m.step(t, b)
		}
		c.threads, c.complete = append(c.threads[:0], m.out...), m.done
		if len(c.threads) == 0 && !c.complete {
			return errToken
		}
	}
	return nil
}
