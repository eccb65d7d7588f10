package schema

import (
	"cmp"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// node is a kind of value. Nodes are immutable once they are compiled.
type node struct {
	kind kind

	words []string // of a literal: spellings, sorted
	any   []*node  // of a choice; flat once it is compiled

	least, most int // of a string, in characters, and of an array; most is −1 for any

	integer bool    // of a number
	bounds  *bounds // nil: any

	prefix []*node // of an array: the first items
	rest   *node   // of an array: the items after them; of an object: further properties; nil: none

	properties []property // of an object
	byName     []int32    // properties in the order of their names' spellings
	required   []int32    // the next one that is required, from each on; their number if there is none

	finite bool // there is a value
}

type kind uint8

const (
	literal kind = iota
	choice
	text
	number
	array
	object
)

type property struct {
	key      string // as it is spelled, with quotes and colon
	value    *node
	required bool
}

// name is the spelling without quotes and colon.
func (p *property) name() string { return p.key[1 : len(p.key)-2] }

// close makes the tables of an object.
func (n *node) close() {
	n.byName = n.byName[:0]
	next := int32(len(n.properties))
	n.required = make([]int32, len(n.properties)+1)
	n.required[next] = next
	for i := len(n.properties) - 1; i >= 0; i-- {
		if n.properties[i].required {
			next = int32(i)
		}
		n.required[i] = next
	}
	for i := range n.properties {
		n.byName = append(n.byName, int32(i))
	}
	slices.SortFunc(n.byName, func(a, b int32) int { return cmp.Compare(n.properties[a].key, n.properties[b].key) })
}

// more reports whether anything may follow the first properties.
func (n *node) more(from int32) bool { return int(from) < len(n.properties) || n.rest != nil }

// item is the item at i, nil if there can be none.
func (n *node) item(i int) *node {
	switch {
	case n.most >= 0 && i >= n.most:
		return nil
	case i < len(n.prefix):
		return n.prefix[i]
	}
	return n.rest
}

// settle removes what has no value, so that whatever begins can be completed. It
// reports whether anything changed.
func (n *node) settle() bool {
	if n.finite {
		return false
	}
	switch n.kind {
	case literal, text:
		n.finite = true
	case number:
		n.finite = n.bounds == nil || n.bounds.lowest.Cmp(n.bounds.highest) <= 0
	case choice:
		n.finite = slices.ContainsFunc(n.any, func(a *node) bool { return a.finite })
	case array:
		n.finite = true
		for i := range n.least {
			item := n.item(i)
			n.finite = n.finite && item != nil && item.finite
			if i >= len(n.prefix) {
				break // all the others are alike
			}
		}
	case object:
		n.finite = true
		for _, p := range n.properties {
			n.finite = n.finite && (!p.required || p.value.finite)
		}
	}
	return n.finite
}

// prune removes what was not found to have a value.
func (n *node) prune() {
	switch n.kind {
	case choice:
		n.any = slices.DeleteFunc(n.any, func(a *node) bool { return !a.finite })
	case array:
		if i := slices.IndexFunc(n.prefix, func(p *node) bool { return !p.finite }); i >= 0 {
			n.prefix, n.rest = n.prefix[:i], nil
		}
		if n.rest != nil && !n.rest.finite {
			n.rest = nil
		}
	case object:
		n.properties = slices.DeleteFunc(n.properties, func(p property) bool { return !p.value.finite })
		if n.rest != nil && !n.rest.finite {
			n.rest = nil
		}
		n.close()
	}
}

// flat are the alternatives of a value that are no choices themselves.
func (n *node) flat() []*node {
	var all []*node
	seen := map[*node]bool{}
	var add func(*node)
	add = func(n *node) {
		if seen[n] {
			return
		}
		seen[n] = true
		if n.kind != choice {
			all = append(all, n)
			return
		}
		for _, a := range n.any {
			add(a)
		}
	}
	add(n)
	return all
}

// alternatives are those of a node that is compiled.
func (n *node) alternatives() []*node {
	if n.kind == choice {
		return n.any
	}
	return []*node{n}
}

// step is the work of a comparison, in bytes that could be read instead.
const step = 32

// disjoint reports whether no value is seen to be both an a and a b. Once there is
// no work left, it reports false.
func (c *compiler) disjoint(a, b *node, depth int) bool {
	if c.spend(step) != nil || a == b {
		return false
	}
	for _, x := range a.alternatives() {
		for _, y := range b.alternatives() {
			if !c.apart(x, y, depth) {
				return false
			}
		}
	}
	return true
}

// apart is disjoint for nodes that are no choices.
func (c *compiler) apart(a, b *node, depth int) bool {
	if c.spend(step) != nil {
		return false
	}
	switch {
	case a.kind == literal && b.kind == literal:
		x, y := c.meaning(a), c.meaning(b)
		if len(x.known) > len(y.known) {
			x, y = y, x
		}
		if c.spend(step*len(x.known)) != nil || x.kinds&y.unknown|x.unknown&y.kinds != 0 {
			return false
		}
		for v := range x.known {
			if y.known[v] {
				return false
			}
		}
		return true
	case a.kind == literal:
		return c.meaning(a).kinds&(1<<b.kind) == 0
	case b.kind == literal:
		return c.apart(b, a, depth)
	case a.kind != b.kind:
		return true
	case a.kind != object || depth == 0:
		return false
	}
	for _, p := range a.properties {
		if c.spend(step) != nil {
			return false
		}
		if q := b.property(p.key); q != nil && p.required && q.required && c.disjoint(p.value, q.value, depth-1) {
			return true
		}
	}
	return false
}

// property is the one whose name is spelled so, nil if there is none.
func (n *node) property(key string) *property {
	i, ok := slices.BinarySearchFunc(n.byName, key, func(i int32, key string) int { return cmp.Compare(n.properties[i].key, key) })
	if !ok {
		return nil
	}
	return &n.properties[n.byName[i]]
}

// values are what the words of a literal mean.
type values struct {
	known          map[string]bool // equal values are the same string
	kinds, unknown uint            // bits by kind: of all, and of those that may equal any other of their kind
}

// meaning is what the words of a literal mean.
func (c *compiler) meaning(n *node) *values {
	if v, ok := c.meanings[n]; ok {
		return v
	}
	v := &values{known: map[string]bool{}}
	for _, w := range n.words {
		k := kindOf(w)
		v.kinds |= 1 << k
		switch k {
		case number:
			x, err := strconv.ParseFloat(w, 64)
			if err != nil {
				v.unknown |= 1 << k
				continue
			}
			if x == 0 {
				x = 0 // −0 is 0
			}
			v.known[strconv.FormatFloat(x, 'g', -1, 64)] = true
		case array, object:
			v.unknown |= 1 << k
		default:
			v.known[w] = true
		}
	}
	c.meanings[n] = v
	return v
}

// kindOf is the kind of value that a word is; literal for true, false and null.
func kindOf(word string) kind {
	switch c := word[0]; {
	case c == '"':
		return text
	case c == '[':
		return array
	case c == '{':
		return object
	case strings.IndexByte("-0123456789", c) >= 0:
		return number
	}
	return literal
}

// digits is how many digits a number has before and after its point.
const digits = 15

// bounds are those of a number, in units of its last digit: 1 for integers,
// 10^−digits otherwise.
type bounds struct {
	scale           int // digits after the point
	lowest, highest *big.Int
}

// at reports whether text, the beginning of a number, is a number within the
// bounds, and whether it can be made one by more digits or none.
func (b *bounds) at(text string) (complete, possible bool) {
	rest, negative := strings.CutPrefix(text, "-")
	if rest == "" {
		return false, !negative || b.lowest.Sign() < 0
	}
	whole, fraction, point := strings.Cut(rest, ".")
	if len(whole) > digits || len(whole) > 1 && whole[0] == '0' || whole == "" || point && b.scale == 0 || len(fraction) > b.scale {
		return false, false
	}
	v, ok := new(big.Int).SetString(whole+fraction, 10)
	if !ok {
		return false, false
	}
	v.Mul(v, power(b.scale-len(fraction)))
	within := func(low, high *big.Int) bool {
		if negative {
			low, high = new(big.Int).Neg(high), new(big.Int).Neg(low)
		}
		return low.Cmp(b.highest) <= 0 && high.Cmp(b.lowest) >= 0
	}
	complete = within(v, v) && (!point || fraction != "")
	// What can be reached: any digits at the places that follow.
	width := power(b.scale - len(fraction))
	for low, high := v, new(big.Int).Add(v, width); ; low, high = times10(low), times10(high) {
		if within(low, new(big.Int).Sub(high, one)) {
			return complete, true
		}
		if point || whole == "0" || len(whole) == digits {
			return complete, false
		}
		whole += "0"
	}
}

var one, ten = big.NewInt(1), big.NewInt(10)

func power(n int) *big.Int        { return new(big.Int).Exp(ten, big.NewInt(int64(n)), nil) }
func times10(v *big.Int) *big.Int { return new(big.Int).Mul(v, ten) }
