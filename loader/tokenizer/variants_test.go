package tokenizer_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/go-openelm/go-openelm/loader/tokenizer"
)

// TestVariants compares with SentencePiece and Hugging Face's tokenizers on files
// that differ from Llama 2's in one respect each; testdata/variants/generate.py
// made the files and the expected values with these libraries.
func TestVariants(t *testing.T) {
	files, err := filepath.Glob("testdata/variants/*/vectors.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatal("no variants: ", err)
	}
	for _, file := range files {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			tok, err := tokenizer.Load(os.DirFS(dir), ".")
			if err != nil {
				t.Fatal(err)
			}
			decode := tok.Decode
			if strings.HasPrefix(filepath.Base(dir), "json-") {
				decode = tok.DecodeHF
			}
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for sc := bufio.NewScanner(f); sc.Scan(); {
				var v struct {
					Text, Decoded *string
					IDs, Special  []int32
				}
				if err := json.Unmarshal(sc.Bytes(), &v); err != nil {
					t.Fatal(err)
				}
				if v.Decoded != nil {
					if got := decode(v.IDs); got != *v.Decoded {
						t.Errorf("decoding %v: %q, want %q", v.IDs, got, *v.Decoded)
					}
					continue
				}
				if d := cmp.Diff(v.IDs, tok.Encode(*v.Text)); d != "" {
					t.Errorf("Encode(%q): -want +got\n%s", *v.Text, d)
				}
				if v.Special == nil {
					continue
				}
				got := tok.EncodeWith(*v.Text, tokenizer.EncodeOptions{ParseSpecial: true})
				if d := cmp.Diff(v.Special, got); d != "" {
					t.Errorf("EncodeWith(%q, ParseSpecial): -want +got\n%s", *v.Text, d)
				}
			}
		})
	}
}
