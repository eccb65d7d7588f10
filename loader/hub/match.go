package hub

import (
	"strings"
	"unicode/utf8"
)

// match reports whether name matches a pattern of Python's fnmatch.fnmatchcase,
// which huggingface_hub filters files with. It goes back to the last * only, which is
// enough, and keeps it from taking exponential time.
func match(pattern, name string) bool {
	var star string    // the pattern after the last *
	starAt, i := -1, 0 // where in name that * stopped matching; how much of name is matched
	for {
		if rest, ok := strings.CutPrefix(pattern, "*"); ok {
			pattern, star, starAt = rest, rest, i
			continue
		}
		if i == len(name) && pattern == "" {
			return true
		}
		if i < len(name) && pattern != "" {
			c, size := utf8.DecodeRuneInString(name[i:])
			if ok, rest := matchOne(pattern, c); ok {
				pattern, i = rest, i+size
				continue
			}
		}
		if starAt < 0 || starAt >= len(name) {
			return false
		}
		_, size := utf8.DecodeRuneInString(name[starAt:])
		starAt += size
		pattern, i = star, starAt
	}
}

// matchOne reports whether c matches the pattern's first element, and returns what follows it.
func matchOne(pattern string, c rune) (ok bool, rest string) {
	switch pattern[0] {
	case '?':
		return true, pattern[1:]
	case '[':
		if set, rest, ok := cutSet(pattern[1:]); ok {
			return inSet(set, c), rest
		}
	}
	p, size := utf8.DecodeRuneInString(pattern)
	return p == c, pattern[size:]
}

// cutSet splits "abc]rest" into "abc" and "rest". A ] that comes first is one of the
// set; without a closing ] there is no set and [ stands for itself.
func cutSet(s string) (set, rest string, ok bool) {
	first := 0
	if strings.HasPrefix(s, "!") {
		first = 1
	}
	if strings.HasPrefix(s[first:], "]") {
		first++
	}
	end := strings.IndexByte(s[first:], ']')
	if end < 0 {
		return "", "", false
	}
	return s[:first+end], s[first+end+1:], true
}

// inSet reports whether c is in a set such as "a-z_" or, with ! before it, is not.
func inSet(set string, c rune) bool {
	set, negated := strings.CutPrefix(set, "!")
	runes := []rune(set)
	for len(runes) > 0 {
		low, high := runes[0], runes[0]
		runes = runes[1:]
		if len(runes) >= 2 && runes[0] == '-' {
			high, runes = runes[1], runes[2:]
		}
		if low <= c && c <= high {
			return !negated
		}
	}
	return negated
}
