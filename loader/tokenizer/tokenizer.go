package tokenizer

import (
	"slices"
	"strings"
	"sync"
)

// Tokenizer turns text into piece ids and back. It does not change once made
// and serves any number of goroutines at once.
type Tokenizer struct {
	pieces []string
	texts  []string // what a piece contributes to decoded text: "▁" is a space
	types  []PieceType
	scores []float32 // nil where the file has merges instead

	bos, eos, unk, pad int32
	addBOS, addEOS     bool

	normalizer  normalizer
	bpe         bpe
	plain       splitter // control tokens in the text are text
	special     splitter // control tokens in the text are themselves
	stripPrefix bool
	stripSpaces bool
	unkSurface  string

	scratch sync.Pool // of *scratch; the garbage collector empties it when memory is short
}

// splitter finds added tokens. The raw text is cut at those of the first
// matcher, what is left at those of the second; frozen works on normalized text.
type splitter struct {
	raw    [2]*matcher
	frozen *matcher
}

// cutsAt reports whether id is a token that the raw text is cut at.
func (s *splitter) cutsAt(id int32) bool {
	for _, m := range s.raw {
		if m != nil && slices.ContainsFunc(m.tokens, func(a addedToken) bool { return a.id == id }) {
			return true
		}
	}
	return false
}

// EncodeOptions says what EncodeWith does beyond Encode. The zero value is Encode.
type EncodeOptions struct {
	AddBOS bool // begin with the beginning-of-sequence id, if the vocabulary has one
	AddEOS bool // end with the end-of-sequence id, if the vocabulary has one

	// ParseSpecial makes control tokens that the text spells, such as "</s>",
	// their own ids, as Hugging Face's tokenizers do. Text from a user should be
	// encoded without it, or the user can end or forge a turn of a conversation.
	// The text between such tokens is encoded part by part, each with the dummy
	// prefix if the file says so (Llama 2's does).
	ParseSpecial bool
}

// Encode returns the ids of text, without BOS or EOS. Control tokens spelled in
// the text are plain text. Bytes that are not UTF-8 count as U+FFFD each.
func (t *Tokenizer) Encode(text string) []int32 {
	return t.AppendEncode(make([]int32, 0, len(text)/3+2), text)
}

// AppendEncode appends the ids that Encode returns to dst and returns it. With
// room in dst it allocates only where its working memory, kept between calls, is
// new or too small.
func (t *Tokenizer) AppendEncode(dst []int32, text string) []int32 {
	return t.encode(dst, text, atStart, &t.plain)
}

// EncodeAfter returns the ids of text where it goes on after id prev of a longer
// text, of which the ids so far are fixed, as those of a conversation are. After
// a control token or another that cuts a text, such as EOS, it has the dummy
// prefix only if the file gives one to every part; after any other token it has
// none. Where nothing was before it (prev is BOS or [None]) it is Encode.
func (t *Tokenizer) EncodeAfter(prev int32, text string) []int32 {
	at := inside
	switch {
	case prev == t.bos, !t.has(prev):
		at = atStart
	case t.types[prev] == Control, t.plain.cutsAt(prev):
		at = afterToken
	}
	return t.encode(make([]int32, 0, len(text)/3+2), text, at, &t.plain)
}

// EncodeWith encodes text as the options say.
func (t *Tokenizer) EncodeWith(text string, o EncodeOptions) []int32 {
	dst := make([]int32, 0, len(text)/3+4)
	if o.AddBOS && t.bos != None {
		dst = append(dst, t.bos)
	}
	split := &t.plain
	if o.ParseSpecial {
		split = &t.special
	}
	dst = t.encode(dst, text, atStart, split)
	if o.AddEOS && t.eos != None {
		dst = append(dst, t.eos)
	}
	return dst
}

func (t *Tokenizer) encode(dst []int32, text string, at place, split *splitter) []int32 {
	s := t.scratch.Get().(*scratch)
	dst = t.encodeParts(dst, s, text, at, split, split.raw[:])
	t.scratch.Put(s)
	return dst
}

// encodeParts cuts text at the tokens of the first matcher, the parts at those
// of the next, and encodes what remains.
func (t *Tokenizer) encodeParts(dst []int32, s *scratch, text string, at place, split *splitter, cut []*matcher) []int32 {
	if len(cut) == 0 {
		s.text = t.normalizer.append(s.text[:0], text, at)
		return t.encodeNormal(dst, s, split.frozen)
	}
	for c := (cutter[string]{text: text}); ; {
		id, start, end := c.next(cut[0])
		if c.done < start {
			dst = t.encodeParts(dst, s, text[c.done:start], at, split, cut[1:])
		}
		if end == 0 {
			return dst
		}
		dst, c.done, at = append(dst, id), end, afterToken
	}
}

// encodeNormal encodes s.text, which is normalized, and is cut at frozen's tokens.
func (t *Tokenizer) encodeNormal(dst []int32, s *scratch, frozen *matcher) []int32 {
	for c := (cutter[[]byte]{text: s.text}); ; {
		id, start, end := c.next(frozen)
		if c.done < start {
			dst = t.bpe.append(dst, s, c.text[c.done:start])
		}
		if end == 0 {
			return dst
		}
		dst, c.done = append(dst, id), end
	}
}

// VocabSize returns the number of pieces; ids run from 0 to VocabSize()-1. A
// model's own vocab_size may be larger, padded for speed.
func (t *Tokenizer) VocabSize() int { return len(t.pieces) }

// Piece returns the spelling of a piece, with "▁" for a space, "<0x0A>" for a
// byte; "" if there is no such id.
func (t *Tokenizer) Piece(id int32) string {
	if t.has(id) {
		return t.pieces[id]
	}
	return ""
}

// Bytes returns what a piece adds to a text that it does not begin: nothing for
// pieces that no text is made of, such as control pieces and the unknown one.
func (t *Tokenizer) Bytes(id int32) []byte {
	switch t.Type(id) {
	case Normal, UserDefined:
		return []byte(t.texts[id])
	case Byte:
		b, _ := byteValue(t.pieces[id])
		return []byte{b}
	}
	return nil
}

// Type returns what a piece is for, 0 if there is no such id.
func (t *Tokenizer) Type(id int32) PieceType {
	if t.has(id) {
		return t.types[id]
	}
	return 0
}

// IsControl reports whether id is a control piece, which decodes to nothing.
func (t *Tokenizer) IsControl(id int32) bool { return t.Type(id) == Control }

func (t *Tokenizer) has(id int32) bool { return id >= 0 && int(id) < len(t.pieces) }

// BOS returns the id of the beginning-of-sequence piece, or None.
func (t *Tokenizer) BOS() int32 { return t.bos }

// EOS returns the id of the end-of-sequence piece, or None.
func (t *Tokenizer) EOS() int32 { return t.eos }

// UNK returns the id of the unknown piece, or None.
func (t *Tokenizer) UNK() int32 { return t.unk }

// PAD returns the id of the padding piece, or None. Llama 2 has none.
func (t *Tokenizer) PAD() int32 { return t.pad }

// AddsBOS reports whether the files ask for BOS before a prompt. Encode does not
// add it; pass the answer to EncodeWith.
func (t *Tokenizer) AddsBOS() bool { return t.addBOS && t.bos != None }

// AddsEOS reports whether the files ask for EOS after a text. For a prompt to be
// continued it must not be there.
func (t *Tokenizer) AddsEOS() bool { return t.addEOS && t.eos != None }

// build checks the source and makes its tokenizer.
func (s *source) build() (*Tokenizer, error) {
	ids, err := s.check()
	if err != nil {
		return nil, err
	}
	syms, pairs, err := s.rules(ids)
	if err != nil {
		return nil, err
	}
	t := &Tokenizer{
		pieces: s.pieces, texts: pieceTexts(s.pieces), types: s.types, scores: s.scores,
		bos: s.bos, eos: s.eos, unk: s.unk, pad: s.pad,
		addBOS: s.addBOS, addEOS: s.addEOS,
		normalizer:  normalizer{s.prefix, s.prefixUnlessSpace, s.removeExtraSpaces},
		bpe:         bpe{syms: syms, pairs: pairs, unk: s.unk, singleUnk: s.singleUnk},
		stripPrefix: s.stripPrefix, stripSpaces: s.removeExtraSpaces,
		unkSurface: s.unkSurface,
	}
	for _, a := range s.added { // one found in normalized text stands for that
		t.texts[a.id] = strings.ReplaceAll(a.content, spaceMark, " ")
	}
	if s.byteFallback {
		t.bpe.bytes = new([256]int32)
		for i, typ := range s.types {
			if b, ok := byteValue(s.pieces[i]); ok && typ == Byte {
				t.bpe.bytes[b] = int32(i)
			}
		}
	}
	t.plain = s.splitter(false)
	t.special = s.splitter(true)
	t.scratch.New = func() any { return new(scratch) }
	return t, nil
}

// splitter makes the matchers for the added tokens, with or without special ones.
func (s *source) splitter(special bool) splitter {
	wanted := func(a addedToken) bool { return special || !a.special }
	split := splitter{raw: [2]*matcher{newMatcher(s.added, func(a addedToken) bool { return wanted(a) && !a.normalized })}}
	normalized := newMatcher(s.added, func(a addedToken) bool { return wanted(a) && a.normalized })
	if s.cutNormalized {
		split.raw[1] = normalized
	} else {
		split.frozen = normalized
	}
	return split
}

// pieceTexts returns the pieces with spaces for "▁", all in one block of memory.
func pieceTexts(pieces []string) []string {
	texts := slices.Clone(pieces)
	all := strings.ReplaceAll(strings.Join(pieces, ""), spaceMark, " ")
	for i, p := range pieces {
		n := len(p) - strings.Count(p, spaceMark)*(len(spaceMark)-1)
		texts[i], all = all[:n], all[n:]
	}
	return texts
}
