package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// Decode returns the text of ids as SentencePiece does: control pieces are
// invisible, the unknown piece is " ⁇ ", the space of the dummy prefix is
// dropped, and byte pieces that do not form UTF-8 become U+FFFD, one for each
// byte. Ids outside the vocabulary, which a model with a padded vocabulary can
// produce, are invisible.
func (t *Tokenizer) Decode(ids []int32) string {
	d := t.NewDecoder()
	dst := make([]byte, 0, 4*len(ids))
	for _, id := range ids {
		dst = d.append(dst, id)
	}
	return string(d.appendRest(dst))
}

// Decoder decodes ids one at a time. What it returns, put together, is what
// Decode returns for all of them, and never ends within a UTF-8 character.
// The zero value is not usable; see Tokenizer.NewDecoder.
type Decoder struct {
	t       *Tokenizer
	started bool // the space of the dummy prefix is no longer expected
	held    int  // bytes in hold: the beginning of a character
	hold    [utf8.UTFMax]byte
	buf     []byte
}

// NewDecoder returns a decoder at the beginning of a text.
func (t *Tokenizer) NewDecoder() *Decoder { return &Decoder{t: t} }

// Next returns the text that id completes, which may be none: a character of
// several byte pieces comes with the last of them.
func (d *Decoder) Next(id int32) string {
	d.buf = d.append(d.buf[:0], id)
	return string(d.buf)
}

// Flush returns what is left at the end of the text, U+FFFD for each byte of an
// unfinished character, and makes the decoder ready for the beginning of another.
func (d *Decoder) Flush() string {
	d.buf = d.appendRest(d.buf[:0])
	d.started = false
	return string(d.buf)
}

func (d *Decoder) append(dst []byte, id int32) []byte {
	t := d.t
	if t.has(id) && t.types[id] == Byte {
		b, _ := byteValue(t.pieces[id])
		return d.appendByte(dst, b)
	}
	dst = d.appendRest(dst)
	if !t.has(id) || t.types[id] == Control {
		return dst
	}
	if t.types[id] == Unknown {
		d.started = d.started || t.unkSurface != ""
		return append(dst, t.unkSurface...)
	}
	text := t.texts[id]
	if !d.started && t.stripPrefix && strings.HasPrefix(text, " ") {
		text = text[1:]
		// Where extra spaces are removed, all leading ones go.
		d.started = !t.stripSpaces
	}
	d.started = d.started || text != ""
	return append(dst, text...)
}

// appendByte adds a byte to the held ones and appends what they complete.
func (d *Decoder) appendByte(dst []byte, b byte) []byte {
	d.hold[d.held] = b
	d.held++
	for d.held > 0 && utf8.FullRune(d.hold[:d.held]) {
		dst = d.appendHeld(dst)
	}
	return dst
}

// appendRest appends the held bytes, which no longer can become a character.
func (d *Decoder) appendRest(dst []byte) []byte {
	for d.held > 0 {
		dst = d.appendHeld(dst)
	}
	return dst
}

// appendHeld takes one character, or one invalid byte as U+FFFD, from the held bytes.
func (d *Decoder) appendHeld(dst []byte) []byte {
	r, n := utf8.DecodeRune(d.hold[:d.held])
	copy(d.hold[:], d.hold[n:d.held])
	d.held -= n
	d.started = true
	return utf8.AppendRune(dst, r)
}

// DecodeHF returns the text of ids as Hugging Face's tokenizers does when it
// skips special tokens, to compare with its output. It differs from Decode where
// ids are unusual: the unknown piece is invisible, and a run of byte pieces that
// is not UTF-8 as a whole becomes U+FFFD for each of its bytes, good ones
// included. There is no streaming form, since a run can be of any length.
func (t *Tokenizer) DecodeHF(ids []int32) string {
	var text, run []byte
	endRun := func() {
		if utf8.Valid(run) {
			text = append(text, run...)
		} else {
			text = append(text, strings.Repeat("\uFFFD", len(run))...)
		}
		run = run[:0]
	}
	for _, id := range ids {
		if !t.has(id) || t.types[id] == Control || t.types[id] == Unknown {
			continue // skipped before decoding, so that they do not end a run
		}
		if t.types[id] == Byte {
			b, _ := byteValue(t.pieces[id])
			run = append(run, b)
			continue
		}
		endRun()
		text = append(text, t.texts[id]...)
	}
	endRun()
	if t.stripPrefix && len(text) > 0 && text[0] == ' ' {
		text = text[1:]
	}
	return string(text)
}
