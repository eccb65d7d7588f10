package tokenizer

import (
	"cmp"
	"slices"
	"sort"
	"unicode"
	"unicode/utf8"
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

// longest returns the index of the longest token of m that text begins with and
// its length, 0 if there is none.
func longest[T string | []byte](m *matcher, text T) (index, length int) {
	if !m.first[text[0]] {
		return 0, 0
	}
	// Each byte narrows the sorted tokens to those that agree with the text so far.
	lo, hi := 0, len(m.tokens)
	for n := range len(text) {
		c, left := text[n], m.tokens[lo:hi]
		from := sort.Search(len(left), func(i int) bool { return n < len(left[i].content) && left[i].content[n] >= c })
		to := from + sort.Search(len(left)-from, func(i int) bool { return left[from+i].content[n] > c })
		lo, hi = lo+from, lo+to
		if lo == hi {
			break
		}
		if len(m.tokens[lo].content) == n+1 {
			index, length = lo, n+1
		}
	}
	return index, length
}

// cutter goes through the tokens in a text.
type cutter[T string | []byte] struct {
	text T
	at   int // where the next token may begin
	done int // end of the last one, with the white space it took
}

// next finds the next token and its place, with the white space that it takes
// from its neighbours (lstrip, rstrip); end is 0 if there is none. Text between
// done and start is no token. The caller sets done to end. The rules are those
// of Hugging Face's tokenizers (find_matches in added_vocabulary.rs), where a
// token is looked for in what another has taken as well.
func (c *cutter[T]) next(m *matcher) (id int32, start, end int) {
	for m != nil && c.at < len(c.text) {
		i, n := longest(m, c.text[c.at:])
		if n == 0 {
			c.at++
			continue
		}
		token := &m.tokens[i]
		start, end = c.at, c.at+n
		c.at = end
		if token.singleWord && (isWord(lastRune(c.text[:start])) || isWord(firstRune(c.text[end:]))) {
			continue
		}
		if token.lstrip {
			for start > c.done && unicode.IsSpace(lastRune(c.text[:start])) {
				start -= utf8.RuneLen(lastRune(c.text[:start]))
			}
			start = max(start, c.done)
		}
		if token.rstrip {
			for unicode.IsSpace(firstRune(c.text[end:])) {
				end += utf8.RuneLen(firstRune(c.text[end:]))
			}
		}
		return token.id, start, end
	}
	return None, len(c.text), 0
}

// firstRune and lastRune return utf8.RuneError, which is neither a space nor of
// a word, where there is no character.

func firstRune[T string | []byte](text T) rune {
	r, _ := utf8.DecodeRuneInString(string(text[:min(len(text), utf8.UTFMax)]))
	return r
}

func lastRune[T string | []byte](text T) rune {
	r, _ := utf8.DecodeLastRuneInString(string(text[max(len(text)-utf8.UTFMax, 0):]))
	return r
}

// isWord reports whether r is a \w of Rust's regular expressions.
func isWord(r rune) bool {
	return unicode.In(r, unicode.L, unicode.Other_Alphabetic, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc, unicode.Join_Control)
}
