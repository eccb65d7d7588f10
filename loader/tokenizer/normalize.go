package tokenizer

import (
	"bytes"
	"unicode/utf8"
)

// prefixRule says which parts of a text, cut at added tokens, get the dummy prefix.
type prefixRule int

const (
	prefixAlways prefixRule = iota // every part
	prefixFirst                    // the part at the very beginning of the text
	prefixNever
)

// place says what precedes a part of a text.
type place int

const (
	atStart    place = iota // nothing
	afterToken              // a token that cuts the text
	inside                  // text, which the part goes on
)

// normalizer rewrites text into the alphabet of the pieces, where a space is "▁".
type normalizer struct {
	prefix            prefixRule
	prefixUnlessSpace bool
	removeExtraSpaces bool
}

// append appends the normalized form of text to dst, which is empty. Bytes that
// are not UTF-8 become U+FFFD, one for each, as in SentencePiece.
func (z *normalizer) append(dst []byte, text string, at place) []byte {
	if text == "" {
		return dst
	}
	prefix := z.prefix == prefixAlways && at != inside || z.prefix == prefixFirst && at == atStart
	if z.prefixUnlessSpace && (text[0] == ' ' || len(text) >= len(spaceMark) && text[:len(spaceMark)] == spaceMark) {
		prefix = false
	}
	if prefix {
		dst = append(dst, spaceMark...)
	}
	skip := z.removeExtraSpaces && at != inside // whether a space here would be an extra one
	for _, r := range text {
		switch {
		case r == ' ' && skip:
		case r == ' ':
			dst = append(dst, spaceMark...)
			skip = z.removeExtraSpaces
		case r < utf8.RuneSelf:
			dst = append(dst, byte(r))
			skip = false
		default:
			dst = utf8.AppendRune(dst, r)
			skip = false
		}
	}
	if z.removeExtraSpaces {
		for bytes.HasSuffix(dst, []byte(spaceMark)) {
			dst = dst[:len(dst)-len(spaceMark)]
		}
	}
	return dst
}
