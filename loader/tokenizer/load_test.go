package tokenizer_test

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/go-openelm/go-openelm/loader/tokenizer"
)

// checkpoint is a directory "ckpt" with the named files of the mini vocabulary
// and others with the given content.
func checkpoint(t testing.TB, names []string, others map[string]string) fstest.MapFS {
	t.Helper()
	fsys := fstest.MapFS{"ckpt/config.json": {Data: []byte("{}")}}
	for _, name := range names {
		fsys["ckpt/"+name] = &fstest.MapFile{Data: readFile(t, "mini/"+name)}
	}
	for name, content := range others {
		fsys["ckpt/"+name] = &fstest.MapFile{Data: []byte(content)}
	}
	return fsys
}

func load(t testing.TB, fsys fs.FS) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := tokenizer.Load(fsys, "ckpt")
	return must(t, tok, err)
}

func TestLoadFindsTheVocabulary(t *testing.T) {
	for _, names := range [][]string{{"tokenizer.json"}, {"tokenizer.model"}, {"tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json"}} {
		tok := load(t, checkpoint(t, names, nil))
		if got := tok.Decode(tok.Encode("Once upon a time")); got != "Once upon a time" {
			t.Errorf("%v: got %q", names, got)
		}
		if tok.VocabSize() != 512 || tok.UNK() != 0 || tok.BOS() != 1 || tok.EOS() != 2 || tok.PAD() != tokenizer.None {
			t.Errorf("%v: %d pieces, unk %d, bos %d, eos %d, pad %d", names, tok.VocabSize(), tok.UNK(), tok.BOS(), tok.EOS(), tok.PAD())
		}
		if !tok.AddsBOS() || tok.AddsEOS() {
			t.Errorf("%v: adds BOS %v, EOS %v, want true, false", names, tok.AddsBOS(), tok.AddsEOS())
		}
	}
}

func TestLoadPrefersJSON(t *testing.T) {
	_, err := tokenizer.Load(checkpoint(t, []string{"tokenizer.model"}, map[string]string{"tokenizer.json": "{"}), "ckpt")
	var format *tokenizer.FormatError
	if !errors.As(err, &format) || format.File != "ckpt/tokenizer.json" {
		t.Errorf("a damaged tokenizer.json beside a tokenizer.model gave %v", err)
	}
}

func TestLoadWithoutFiles(t *testing.T) {
	_, err := tokenizer.Load(checkpoint(t, nil, nil), "ckpt")
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "ckpt") {
		t.Errorf("got %v", err)
	}
}

func TestLoadHonoursConfig(t *testing.T) {
	special := tokenizer.EncodeOptions{ParseSpecial: true}
	t.Run("special tokens", func(t *testing.T) {
		for _, name := range []string{"tokenizer.json", "tokenizer.model"} {
			tok := load(t, checkpoint(t, []string{name}, map[string]string{
				"tokenizer_config.json":   `{"add_bos_token": false, "add_eos_token": true, "eos_token": {"content": "<unk>"}, "bos_token": null}`,
				"special_tokens_map.json": `{"bos_token": "</s>", "eos_token": "<s>", "pad_token": "</s>"}`,
			}))
			if tok.AddsBOS() || !tok.AddsEOS() {
				t.Errorf("%s: adds BOS %v, EOS %v, want false, true", name, tok.AddsBOS(), tok.AddsEOS())
			}
			if tok.BOS() != 2 || tok.EOS() != 0 || tok.PAD() != 2 {
				t.Errorf("%s: bos %d, eos %d, pad %d, want 2, 0, 2", name, tok.BOS(), tok.EOS(), tok.PAD())
			}
		}
	})
	t.Run("padding outside the vocabulary", func(t *testing.T) {
		tok := load(t, checkpoint(t, []string{"tokenizer.model"}, map[string]string{"tokenizer_config.json": `{"pad_token": "[PAD]"}`}))
		if tok.PAD() != tokenizer.None || tok.VocabSize() != 512 {
			t.Errorf("pad %d, %d pieces", tok.PAD(), tok.VocabSize())
		}
	})
	t.Run("a piece made special", func(t *testing.T) {
		tok := load(t, checkpoint(t, []string{"tokenizer.model"}, map[string]string{"tokenizer_config.json": `{"eos_token": "▁a"}`}))
		if tok.EOS() != 263 || !tok.IsControl(263) || slices.Contains(tok.Encode(" a a"), 263) {
			t.Errorf("eos %d, control %v, %v", tok.EOS(), tok.IsControl(263), tok.Encode(" a a"))
		}
	})
	t.Run("legacy", func(t *testing.T) {
		// As transformers' LlamaTokenizer: without legacy the text after a special token gets no "▁".
		for legacy, first := range map[string]string{"true": "▁a", "false": "a"} {
			tok := load(t, checkpoint(t, []string{"tokenizer.model"}, map[string]string{"tokenizer_config.json": `{"legacy": ` + legacy + `}`}))
			ids := tok.EncodeWith("<s>a", special)
			if len(ids) != 2 || tok.Piece(ids[1]) != first {
				t.Errorf("legacy %s: %v", legacy, ids)
			}
			if ids := tok.EncodeWith("a</s>", special); len(ids) != 2 || tok.Piece(ids[0]) != "▁a" {
				t.Errorf("legacy %s: %v", legacy, ids)
			}
		}
	})
	t.Run("add_prefix_space", func(t *testing.T) {
		tok := load(t, checkpoint(t, []string{"tokenizer.model"}, map[string]string{"tokenizer_config.json": `{"add_prefix_space": false}`}))
		if ids := tok.Encode("a"); len(ids) != 1 || tok.Piece(ids[0]) != "a" {
			t.Errorf("Encode(a) = %v", ids)
		}
		if got := tok.Decode(tok.Encode(" a")); got != " a" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("added tokens", func(t *testing.T) {
		tok := load(t, checkpoint(t, []string{"tokenizer.model"}, map[string]string{
			"tokenizer_config.json": `{"added_tokens_decoder": {
				"1": {"content": "<s>", "special": true},
				"513": {"content": "<|end|>", "special": true},
				"512": {"content": "<tool>", "special": false}}}`,
			"added_tokens.json": `{"<tool>": 512, "<|end|>": 513}`,
		}))
		if tok.VocabSize() != 514 || !tok.IsControl(513) || tok.IsControl(512) {
			t.Errorf("%d pieces, control %v, %v", tok.VocabSize(), tok.IsControl(513), tok.IsControl(512))
		}
		text := "<tool><|end|>"
		if got := tok.EncodeWith(text, special); !slices.Equal(got, []int32{512, 513}) {
			t.Errorf("ParseSpecial: %v", got)
		}
		if got := tok.Encode(text); got[0] != 512 || slices.Contains(got, 513) {
			t.Errorf("Encode: %v", got)
		}
		if got := tok.Decode([]int32{512, 513}); got != "<tool>" {
			t.Errorf("Decode: %q", got)
		}
	})
}

// TestAddedTokensJSON: tokens that only added_tokens.json has. The expected ids
// are those of transformers 4.57.1 (LlamaTokenizer, use_fast=False); its fast
// tokenizer has the special ones the same, but does not find plain ones in a word.
func TestAddedTokensJSON(t *testing.T) {
	for _, names := range [][]string{{"tokenizer.model"}, {"tokenizer.json"}} {
		for file, special := range map[string]string{
			"tokenizer_config.json":   `{"additional_special_tokens": ["<|end|>"]}`,
			"special_tokens_map.json": `{"additional_special_tokens": [{"content": "<|end|>", "lstrip": false}], "pad_token": "<pad>"}`,
			"./tokenizer_config.json": `{"extra_special_tokens": {"end": "<|end|>"}}`,
		} {
			tok := load(t, checkpoint(t, names, map[string]string{path.Clean(file): special, "added_tokens.json": `{"<|end|>": 513, "<tool>": 512, "<s>": 1}`}))
			if tok.VocabSize() != 514 || !tok.IsControl(513) || tok.Type(512) != tokenizer.UserDefined || tok.PAD() != tokenizer.None {
				t.Errorf("%s: %d pieces, types %d and %d, pad %d", file, tok.VocabSize(), tok.Type(512), tok.Type(513), tok.PAD())
			}
			for text, want := range map[string][]int32{
				"a<tool>b": {263, 512, 289}, "a <tool> b": {263, 386, 512, 386, 289}, "<tool>": {512}, "<tool><tool>x": {512, 512, 386, 431},
				"a<|end|>b": {263, 513, 289}, "a <|end|> b\n": {263, 386, 513, 386, 289, 13}, "the<|end|>the": {278, 513, 278},
			} {
				if got := tok.EncodeWith(text, tokenizer.EncodeOptions{ParseSpecial: true}); !slices.Equal(got, want) {
					t.Errorf("%s: %q is %v, want %v", file, text, got, want)
				}
				if got := tok.Encode(text); slices.Contains(got, 513) {
					t.Errorf("%s: %q is %v, with a special token", file, text, got)
				}
			}
		}
	}
}

// TestLoadRefuses lists what the files around the vocabulary can get wrong.
func TestLoadRefuses(t *testing.T) {
	for _, c := range []struct{ name, file, content, field, reason string }{
		{"not JSON", "tokenizer_config.json", `{"bos_token": `, "", "not JSON"},
		{"not an object", "tokenizer_config.json", `[]`, "", "array"},
		{"flag of the wrong type", "tokenizer_config.json", `{"add_bos_token": "yes"}`, "add_bos_token", "string"},
		{"token of the wrong type", "tokenizer_config.json", `{"bos_token": 1}`, "bos_token", "number"},
		{"unknown token", "special_tokens_map.json", `{"eos_token": "<|end|>"}`, "eos_token", "not in the vocabulary"},
		{"added id no number", "tokenizer_config.json", `{"added_tokens_decoder": {"x": {"content": "a"}}}`, "added_tokens_decoder", "not an id"},
		{"added id out of range", "tokenizer_config.json", `{"added_tokens_decoder": {"2000000000": {"content": "a"}}}`, "added_tokens_decoder[2000000000]", "512"},
		{"added id negative", "tokenizer_config.json", `{"added_tokens_decoder": {"-1": {"content": "a"}}}`, "added_tokens_decoder[-1]", "512"},
		{"added id of another", "tokenizer_config.json", `{"added_tokens_decoder": {"300": {"content": "nonsense"}}}`, "added_tokens_decoder[300]", "that of"},
		{"added without content", "tokenizer_config.json", `{"added_tokens_decoder": {"512": {}}}`, "added_tokens_decoder[512]", "no content"},
		{"added_tokens.json with a gap", "added_tokens.json", `{"<tool>": 513}`, `"<tool>"`, "the next, 512"},
		{"added_tokens.json with the id of another", "added_tokens.json", `{"<tool>": 300}`, `"<tool>"`, "that of"},
		{"added_tokens.json without content", "added_tokens.json", `{"": 512}`, `""`, "no content"},
		{"additional token a number", "special_tokens_map.json", `{"additional_special_tokens": [1]}`, "additional_special_tokens", "number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := tokenizer.Load(checkpoint(t, []string{"tokenizer.model"}, map[string]string{c.file: c.content}), "ckpt")
			checkFormatError(t, err, "ckpt/"+c.file, c.field, c.reason)
		})
	}
}

// checkFormatError checks the type of an error and what it names.
func checkFormatError(t *testing.T, err error, file, field, reason string) {
	t.Helper()
	var format *tokenizer.FormatError
	if !errors.As(err, &format) {
		t.Fatalf("got %v, want a *FormatError", err)
	}
	if format.File != file || format.Field != field || !strings.Contains(format.Reason, reason) {
		t.Errorf("got file %q, field %q, reason %q; want %q, %q, one with %q", format.File, format.Field, format.Reason, file, field, reason)
	}
	if !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), format.Reason) {
		t.Errorf("the message hides something: %s", err)
	}
}
