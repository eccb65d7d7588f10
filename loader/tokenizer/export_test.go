package tokenizer_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/go-openelm/go-openelm/loader/tokenizer"
	"pgregory.net/rapid"
)

// TestVocabulary: a tokenizer of slices, and one of the model file made of them,
// cut text as the one that they come from.
func TestVocabulary(t *testing.T) {
	for _, name := range []string{"tokenizer.model", "tokenizer.json"} {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join("../../story/model", name))
			if err != nil {
				t.Fatal(err)
			}
			parse := tokenizer.FromModel
			if name == "tokenizer.json" {
				parse = tokenizer.FromJSON
			}
			want, err := parse(data)
			if err != nil {
				t.Fatal(err)
			}
			v := want.Vocabulary()
			slicesOf, err := tokenizer.FromPieces(v)
			if err != nil {
				t.Fatal(err)
			}
			model, err := tokenizer.FromModel(v.Model())
			if err != nil {
				t.Fatal(err)
			}
			for _, got := range []*tokenizer.Tokenizer{slicesOf, model} {
				if got.BOS() != want.BOS() || got.EOS() != want.EOS() || got.UNK() != want.UNK() || got.PAD() != want.PAD() || got.VocabSize() != want.VocabSize() {
					t.Errorf("special tokens %d %d %d %d of %d", got.BOS(), got.EOS(), got.UNK(), got.PAD(), got.VocabSize())
				}
			}
			rapid.Check(t, func(r *rapid.T) {
				text := rapid.StringOf(rapid.OneOf(rapid.RuneFrom([]rune("  \n abcdefgothinsr,.\"▁<s/>é")), rapid.Rune())).Draw(r, "text")
				ids := want.Encode(text)
				for i, got := range []*tokenizer.Tokenizer{slicesOf, model} {
					if other := got.Encode(text); !slices.Equal(other, ids) {
						r.Fatalf("tokenizer %d: %q is %d, want %d", i, text, other, ids)
					}
				}
			})
		})
	}
}
