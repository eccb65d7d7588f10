package schema

import (
	"os"
	"testing"

	"github.com/go-openelm/go-openelm/loader/tokenizer"
)

// BenchmarkMask is the time of one mask over Llama 2's 32,000 pieces, which OpenELM
// has, where nothing is known of the state yet, and where it is.
func BenchmarkMask(b *testing.B) {
	pieces, eos := llama(b)
	v := newVocabulary(pieces, eos)
	s, err := Compile([]byte(`{"type":"object","properties":{"name":{"type":"string"},"short":{"type":"string","maxLength":9},"n":{"type":"number","minimum":-5,"maximum":1000},"any":{},
		"list":{"type":"array","items":{"anyOf":[{"type":"object","properties":{"kind":{"const":"a"},"x":{"type":"string"}},"required":["kind"]},{"type":"string"},{"type":"null"}]}}},"additionalProperties":{"type":"string"}}`))
	if err != nil {
		b.Fatal(err)
	}
	for name, written := range map[string]string{
		"start": ``, "key": `{"`, "string": `{"name":"A b`, "limited": `{"short":"A b`, "number": `{"n":1`, "choice": `{"list":[`, "anything": `{"any":`, "deep": `{"any":[[[[[{"x":"`, "extra": `{"other`,
	} {
		c := v.Constraint(s)
		if err := c.write([]byte(written)); err != nil {
			b.Fatal(err)
		}
		mask := make([]uint64, v.words())
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				clear(c.masks)
				c.Mask(mask)
			}
		})
		b.Run(name+"/again", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Mask(mask)
			}
		})
	}
}

// BenchmarkVocabulary is the time of what is made once for a model.
func BenchmarkVocabulary(b *testing.B) {
	pieces, eos := llama(b)
	for b.Loop() {
		newVocabulary(pieces, eos)
	}
}

// llama is what Llama 2's tokens spell, and which ends a text.
func llama(t testing.TB) (pieces [][]byte, eos []int32) {
	tokens, err := tokenizer.Load(os.DirFS("../testdata/tokenizer"), ".")
	if err != nil {
		t.Fatal(err)
	}
	for id := range int32(tokens.VocabSize()) {
		pieces = append(pieces, tokens.Bytes(id))
	}
	return pieces, []int32{tokens.EOS()}
}
