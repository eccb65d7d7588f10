package openelm

import "strings"

// textStream turns generated tokens into text that can be shown at once: whole
// characters, and never the beginning of a stop string.
type textStream struct {
	decoder Decoder // nil without a tokenizer: no text
	stops   []string
	held    string // decoded, but may be the beginning of a stop string
}

func newTextStream(t Tokenizer, stops []string) (*textStream, error) {
	if t == nil {
		if len(stops) > 0 {
			return nil, ErrNoTokenizer
		}
		return &textStream{}, nil
	}
	return &textStream{decoder: t.NewDecoder(), stops: stops}, nil
}

// follow makes the stream continue tokens, whose text is not part of it. The
// last few suffice: they tell whether a text begins here, and may hold the
// first bytes of a character.
func (t *textStream) follow(tokens []int32) {
	if t.decoder == nil {
		return
	}
	const longestCharacter = 4
	for _, id := range tokens[max(0, len(tokens)-longestCharacter):] {
		t.decoder.Next(id)
	}
}

// next adds a token and returns the text that is certain now, and StopString if
// a stop string has come up.
func (t *textStream) next(id int32) (string, StopReason) {
	if t.decoder == nil {
		return "", ""
	}
	text := t.held + t.decoder.Next(id)
	t.held = ""
	first := -1
	for _, stop := range t.stops {
		if i := strings.Index(text, stop); i >= 0 && (first < 0 || i < first) {
			first = i
		}
	}
	if first >= 0 {
		return text[:first], StopString
	}
	hold := 0
	for _, stop := range t.stops {
		for n := min(len(stop)-1, len(text)); n > hold; n-- {
			if strings.HasSuffix(text, stop[:n]) {
				hold = n
				break
			}
		}
	}
	t.held = text[len(text)-hold:]
	return text[:len(text)-hold], ""
}

// flush returns what is held back when the generation ends.
func (t *textStream) flush() string {
	if t.decoder == nil {
		return ""
	}
	text := t.held + t.decoder.Flush()
	t.held = ""
	return text
}
