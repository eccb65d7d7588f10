package tokenizer

import (
	"cmp"
	"slices"
	"sort"
)

// matcher finds added tokens in text: at the leftmost place where one begins,
// the longest that begins there. A nil matcher finds nothing.
type matcher struct {
	tokens []addedToken // sorted by content
	first  [256]bool    // bytes that a token can begin with
}

// newMatcher returns the matcher of the tokens chosen by use, nil if there are none.
func newMatcher(added []addedToken, use func(addedToken) bool) *matcher {
	m := &matcher{}
	for _, a := range added {
		if use(a) {
			m.tokens = append(m.tokens, a)
			m.first[a.content[0]] = true
		}
	}
	if m.tokens == nil {
		return nil
	}
	slices.SortFunc(m.tokens, func(a, b addedToken) int { return cmp.Compare(a.content, b.content) })
	return m
}

// longest returns the longest token of m that text begins with and its length, 0
// if there is none.
func longest[T string | []byte](m *matcher, text T) (id int32, length int) {
	if m == nil || !m.first[text[0]] {
		return None, 0
	}
	// Each byte narrows the sorted tokens to those that agree with the text so far.
	id, left := None, m.tokens
	for n := range len(text) {
		c := text[n]
		lo := sort.Search(len(left), func(i int) bool { return n < len(left[i].content) && left[i].content[n] >= c })
		left = left[lo:]
		left = left[:sort.Search(len(left), func(i int) bool { return left[i].content[n] > c })]
		if len(left) == 0 {
			break
		}
		if len(left[0].content) == n+1 {
			id, length = left[0].id, n+1
		}
	}
	return id, length
}

// find returns the first token in text, where it begins and how long it is; its
// length is 0 if there is none.
func (m *matcher) find(text string) (id int32, start, length int) {
	if m != nil {
		for i := range len(text) {
			if id, n := longest(m, text[i:]); n > 0 {
				return id, i, n
			}
		}
	}
	return None, len(text), 0
}
