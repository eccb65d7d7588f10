package openelm

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// byteTokens is a tokenizer whose tokens are bytes, decoded without regard to
// characters: enough to test stop strings.
type byteTokens struct{}

func (byteTokens) Encode(text string) (tokens []int32) {
	for _, b := range []byte(text) {
		tokens = append(tokens, int32(b))
	}
	return tokens
}
func (b byteTokens) EncodeAfter(_ int32, text string) []int32 { return b.Encode(text) }
func (byteTokens) Decode(tokens []int32) string {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteByte(byte(t))
	}
	return b.String()
}
func (byteTokens) NewDecoder() Decoder      { return byteDecoder{} }
func (byteDecoder) Next(token int32) string { return string([]byte{byte(token)}) }
func (byteDecoder) Flush() string           { return "" }

type byteDecoder struct{}

func TestStopStrings(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		alphabet := rapid.StringMatching(`[ab]{1,4}`)
		text := rapid.StringMatching(`[abc]{0,30}`).Draw(r, "text")
		stops := rapid.SliceOfN(alphabet, 0, 3).Draw(r, "stops")

		// The text ends before the stop string that is complete first; of
		// those, before the one that begins first.
		want, stopped := text, false
		for end := 1; end <= len(text) && !stopped; end++ {
			for begin := 0; begin < end && !stopped; begin++ {
				for _, s := range stops {
					if text[begin:end] == s {
						want, stopped = text[:begin], true
					}
				}
			}
		}

		s, err := newTextStream(byteTokens{}, stops)
		if err != nil {
			r.Fatal(err)
		}
		got := ""
		for _, id := range (byteTokens{}).Encode(text) {
			part, reason := s.next(id)
			got += part
			if !strings.HasPrefix(want, got) {
				r.Fatalf("stops %q: emitted %q, which is not the beginning of %q", stops, got, want)
			}
			if reason != "" {
				if !stopped {
					r.Fatalf("stops %q stopped %q at %q", stops, text, got)
				}
				if got != want {
					r.Fatalf("stops %q: text %q ended as %q, want %q", stops, text, got, want)
				}
				return
			}
		}
		if got += s.flush(); got != want || stopped {
			r.Fatalf("stops %q: text %q came out as %q, want %q, stopped %v", stops, text, got, want, stopped)
		}
	})
}
