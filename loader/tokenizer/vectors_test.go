package tokenizer_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/go-openelm/go-openelm/loader/tokenizer"
)

// data is the folder of the reference vectors; its README tells where they come from.
const data = "../../testdata/tokenizer"

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(data, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// lines decodes a file of one JSON value a line.
func lines[T any](t testing.TB, name string) []T {
	t.Helper()
	f, err := os.Open(filepath.Join(data, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []T
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		var v T
		if err := json.Unmarshal(sc.Bytes(), &v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, v)
	}
	if err := sc.Err(); err != nil || len(all) == 0 {
		t.Fatalf("%s: %d lines, %v", name, len(all), err)
	}
	return all
}

func must(t testing.TB, tok *tokenizer.Tokenizer, err error) *tokenizer.Tokenizer {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func fromModel(t testing.TB, dir string) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := tokenizer.FromModel(readFile(t, filepath.Join(dir, "tokenizer.model")))
	return must(t, tok, err)
}

func fromJSON(t testing.TB, dir string) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := tokenizer.FromJSON(readFile(t, filepath.Join(dir, "tokenizer.json")))
	return must(t, tok, err)
}

func fromGGUF(t testing.TB) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := tokenizer.FromPieces(ggufVocabulary(t, readFile(t, "llama-spm-vocab.gguf")))
	return must(t, tok, err)
}

// eachSource runs f for every form in which each vocabulary comes; dir is where
// the vectors are.
func eachSource(t *testing.T, f func(t *testing.T, tok *tokenizer.Tokenizer, dir string)) {
	for _, dir := range []string{".", "mini"} {
		name := map[string]string{".": "llama2", "mini": "mini"}[dir]
		t.Run(name+"/model", func(t *testing.T) { f(t, fromModel(t, dir), dir) })
		t.Run(name+"/json", func(t *testing.T) { f(t, fromJSON(t, dir), dir) })
	}
	t.Run("llama2/gguf", func(t *testing.T) { f(t, fromGGUF(t), ".") })
}

func TestEncodeVectors(t *testing.T) {
	type vector struct {
		Text    string
		IDs     []int32
		Decoded *string // where it is not Text
	}
	eachSource(t, func(t *testing.T, tok *tokenizer.Tokenizer, dir string) {
		vectors := lines[vector](t, filepath.Join(dir, "encode.jsonl"))
		if dir == "." {
			vectors = append(vectors, lines[vector](t, "llama_cpp_vectors.jsonl")...)
		}
		for _, v := range vectors {
			if d := cmp.Diff(v.IDs, tok.Encode(v.Text)); d != "" {
				t.Errorf("Encode(%q): -want +got\n%s", v.Text, d)
			}
			want := v.Text
			if v.Decoded != nil {
				want = *v.Decoded
			}
			if got := tok.Decode(v.IDs); got != want {
				t.Errorf("Decode(%v) = %q, want %q", v.IDs, got, want)
			}
		}
	})
}

func TestEncodeSpecialVectors(t *testing.T) {
	type vector struct {
		Text  string
		Plain []int32 `json:"ids_plain"`
		HF    []int32 `json:"ids_hf"`
	}
	eachSource(t, func(t *testing.T, tok *tokenizer.Tokenizer, dir string) {
		for _, v := range lines[vector](t, filepath.Join(dir, "encode_special.jsonl")) {
			if d := cmp.Diff(v.Plain, tok.Encode(v.Text)); d != "" {
				t.Errorf("Encode(%q): -want +got\n%s", v.Text, d)
			}
			got := tok.EncodeWith(v.Text, tokenizer.EncodeOptions{ParseSpecial: true})
			if d := cmp.Diff(v.HF, got); d != "" {
				t.Errorf("EncodeWith(%q, ParseSpecial): -want +got\n%s", v.Text, d)
			}
		}
	})
}

// TestEncodeAfter holds texts that are encoded piece by piece to the reference's
// ids of the whole: cut at end-of-text tokens, and after line breaks, over which
// no piece of these vocabularies reaches.
func TestEncodeAfter(t *testing.T) {
	type vector struct {
		Text string
		IDs  []int32
		HF   []int32 `json:"ids_hf"`
	}
	eachSource(t, func(t *testing.T, tok *tokenizer.Tokenizer, dir string) {
		cuts := 0
		check := func(text string, parts []string, between []int32, want []int32) {
			var ids []int32
			prev := tokenizer.None
			for i, part := range parts {
				if i > 0 && between != nil {
					ids, prev = append(ids, between...), between[0]
				}
				ids = append(ids, tok.EncodeAfter(prev, part)...)
				if len(ids) > 0 {
					prev = ids[len(ids)-1]
				}
			}
			if d := cmp.Diff(want, ids, cmpopts.EquateEmpty()); d != "" {
				t.Errorf("%q in %d parts: -want +got\n%s", text, len(parts), d)
			}
			cuts += len(parts) - 1
		}
		for _, v := range lines[vector](t, filepath.Join(dir, "encode_special.jsonl")) {
			if !strings.Contains(v.Text, "<s>") && !strings.Contains(v.Text, "<unk>") {
				check(v.Text, strings.Split(v.Text, "</s>"), []int32{tok.EOS()}, v.HF)
			}
		}
		for _, v := range lines[vector](t, filepath.Join(dir, "encode.jsonl")) {
			check(v.Text, strings.SplitAfter(v.Text, "\n"), nil, v.IDs)
		}
		if cuts < 20 {
			t.Errorf("only %d cuts were made", cuts)
		}
	})
}

func TestDecodeVectors(t *testing.T) {
	type vector struct {
		IDs  []int32
		Text string
		HF   *string `json:"text_hf"` // where it is not Text
	}
	eachSource(t, func(t *testing.T, tok *tokenizer.Tokenizer, dir string) {
		for _, v := range lines[vector](t, filepath.Join(dir, "decode.jsonl")) {
			if got := tok.Decode(v.IDs); got != v.Text {
				t.Errorf("Decode(%v) = %q, want %q", v.IDs, got, v.Text)
			}
			want := v.Text
			if v.HF != nil {
				want = *v.HF
			}
			if got := tok.DecodeHF(v.IDs); got != want {
				t.Errorf("DecodeHF(%v) = %q, want %q", v.IDs, got, want)
			}
		}
	})
}
