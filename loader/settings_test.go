package loader_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/internal/checkpoint"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/loader/gguf"
	"github.com/go-openelm/go-openelm/loader/tokenizer"
	"github.com/go-openelm/go-openelm/openelm"
)

// miniSized is the tiny model with the vocabulary of testdata/tokenizer/mini.
func miniSized() openelm.Config {
	c := tiny
	c.VocabSize = 512
	return c
}

// makeMini makes a checkpoint directory with files of the mini vocabulary and
// others with the given content.
func makeMini(t testing.TB, names []string, others map[string]string) string {
	t.Helper()
	dir := makeDir(t, checkpoint.Spec{Config: miniSized(), Format: kernels.BF16})
	for _, name := range names {
		write(t, dir, name, string(must(os.ReadFile(filepath.Join(tokenizerDir, "mini", name)))))
	}
	for name, content := range others {
		write(t, dir, name, content)
	}
	return dir
}

func write(t testing.TB, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
}

// miniMetadata is the mini vocabulary as a GGUF file holds it.
func miniMetadata(t testing.TB) []gguf.KeyValue {
	t.Helper()
	var pieces []string
	var scores []float32
	var types []int32
	tok, err := tokenizer.Load(os.DirFS(filepath.Join(tokenizerDir, "mini")), ".")
	if err != nil {
		t.Fatal(err)
	}
	for id := range int32(tok.VocabSize()) {
		kind := tokenizer.Normal
		switch {
		case id == tok.UNK():
			kind = tokenizer.Unknown
		case tok.IsControl(id):
			kind = tokenizer.Control
		case id < 259:
			kind = tokenizer.Byte
		}
		// Pieces come in the order of their merges.
		pieces, scores, types = append(pieces, tok.Piece(id)), append(scores, -float32(id)), append(types, int32(kind))
	}
	return []gguf.KeyValue{
		{Key: "tokenizer.ggml.model", Value: "llama"}, {Key: "tokenizer.ggml.tokens", Value: pieces},
		{Key: "tokenizer.ggml.scores", Value: scores}, {Key: "tokenizer.ggml.token_type", Value: types},
	}
}

// makeMiniGGUF makes a GGUF file with the mini vocabulary and more metadata.
func makeMiniGGUF(t testing.TB, more ...gguf.KeyValue) string {
	t.Helper()
	return makeGGUF(t, checkpoint.Spec{Config: miniSized(), Format: kernels.F16, Metadata: append(miniMetadata(t), more...)})
}

// TestFrame: the tokens around a text are those that the files ask for. Expected
// values are transformers' 4.57, llama.cpp's for GGUF; where a text is to be
// continued, the token that ends it is left out.
func TestFrame(t *testing.T) {
	text := []int32{278, 298, 387, 406} // "the hey"
	framed := func(bos, eos int32) []int32 {
		var ids []int32
		if bos >= 0 {
			ids = append(ids, bos)
		}
		if ids = append(ids, text...); eos >= 0 {
			ids = append(ids, eos)
		}
		return ids
	}
	const none = tokenizer.None
	json, model := []string{"tokenizer.json"}, []string{"tokenizer.model"}
	config := func(members string) map[string]string { return map[string]string{"tokenizer_config.json": members} }
	kv := func(key string, value any) gguf.KeyValue {
		return gguf.KeyValue{Key: "tokenizer.ggml." + key, Value: value}
	}
	for name, c := range map[string]struct {
		path     string
		bos, eos int32
	}{
		"tokenizer.json":                  {makeMini(t, json, nil), 1, none},
		"tokenizer.json without BOS":      {makeMini(t, json, config(`{"add_bos_token": false}`)), none, none},
		"tokenizer.json with EOS":         {makeMini(t, json, config(`{"add_eos_token": true}`)), 1, 2},
		"tokenizer.json with another BOS": {makeMini(t, json, config(`{"bos_token": "</s>"}`)), 2, none},
		"tokenizer.model":                 {makeMini(t, model, nil), 1, none},
		"tokenizer.model without BOS":     {makeMini(t, model, config(`{"add_bos_token": false, "add_eos_token": true}`)), none, 2},
		"no post-processor":               {makeMini(t, nil, map[string]string{"tokenizer.json": withoutPostProcessor(t)}), 1, none},
		"no post-processor, a class that adds nothing": {makeMini(t, nil, map[string]string{
			"tokenizer.json": withoutPostProcessor(t), "tokenizer_config.json": `{"tokenizer_class": "PreTrainedTokenizerFast"}`}), none, none},
		"GGUF":             {makeMiniGGUF(t), 1, none},
		"GGUF without BOS": {makeMiniGGUF(t, kv("add_bos_token", false)), none, none},
		"GGUF with EOS":    {makeMiniGGUF(t, kv("add_bos_token", true), kv("add_eos_token", true)), 1, 2},
	} {
		m := open(t, c.path, nil)
		if got, err := m.Encode("the hey"); err != nil || !slices.Equal(got, framed(c.bos, c.eos)) {
			t.Errorf("%s: %v (%v), want %v", name, got, err, framed(c.bos, c.eos))
		}
		if got, err := m.EncodePrompt("the hey"); err != nil || !slices.Equal(got, framed(c.bos, none)) {
			t.Errorf("%s: prompt %v (%v), want %v", name, got, err, framed(c.bos, none))
		}
	}
}

func withoutPostProcessor(t *testing.T) string {
	t.Helper()
	text := string(must(os.ReadFile(filepath.Join(tokenizerDir, "mini", "tokenizer.json"))))
	before, _, found := strings.Cut(text, `"post_processor"`)
	_, after, closed := strings.Cut(text, `"decoder"`)
	if !found || !closed {
		t.Fatal("tokenizer.json has no post_processor before its decoder")
	}
	return before + `"decoder"` + after
}

// TestEnds: the tokens that end a text. generation_config.json comes before
// config.json, as for transformers and mlx-lm; GGUF files have three keys.
func TestEnds(t *testing.T) {
	kv := func(key string, value any) gguf.KeyValue {
		return gguf.KeyValue{Key: "tokenizer.ggml." + key, Value: value}
	}
	generation := func(text string) string {
		dir := makeDir(t, checkpoint.Spec{Format: kernels.BF16})
		write(t, dir, "generation_config.json", text)
		return dir
	}
	for name, c := range map[string]struct {
		path     string
		want     []int32
		warnings int
	}{
		"config.json alone":   {makeDir(t, checkpoint.Spec{Format: kernels.BF16}), []int32{2}, 0},
		"one":                 {generation(`{"eos_token_id": 7}`), []int32{7}, 0},
		"a list":              {generation(`{"eos_token_id": [7, 2]}`), []int32{7, 2}, 0},
		"not given":           {generation(`{"bos_token_id": 1}`), []int32{2}, 0},
		"null":                {generation(`{"eos_token_id": null}`), []int32{2}, 0},
		"one outside":         {generation(`{"eos_token_id": [7, 32]}`), []int32{7}, 1},
		"GGUF":                {makeMiniGGUF(t), []int32{2}, 0},
		"the end of a turn":   {makeMiniGGUF(t, kv("eot_token_id", uint32(300)), kv("eom_token_id", uint32(301))), []int32{2, 300, 301}, 0},
		"the same":            {makeMiniGGUF(t, kv("eot_token_id", uint32(2))), []int32{2}, 0},
		"a turn's outside":    {makeMiniGGUF(t, kv("eot_token_id", uint32(512))), []int32{2}, 1},
		"padding outside":     {makeMiniGGUF(t, kv("padding_token_id", uint32(512))), []int32{2}, 1},
		"padding far outside": {makeMiniGGUF(t, kv("padding_token_id", uint32(1<<32-1))), []int32{2}, 1},
		"unknown outside":     {makeMiniGGUF(t, kv("unknown_token_id", uint32(600))), []int32{2}, 1},
	} {
		info, err := loader.Inspect(t.Context(), c.path, nil)
		if err != nil || !slices.Equal(info.Config.EOS, c.want) || len(info.Warnings) != c.warnings {
			t.Errorf("%s: %v, %v; want %v, %d warnings", name, err, info, c.want, c.warnings)
			continue
		}
		if info.Tokenizer == "" {
			continue
		}
		tok, err := loader.OpenTokenizer(t.Context(), c.path, nil)
		if err != nil || tok.BOS() != 1 || tok.EOS() != 2 || tok.UNK() != 0 || tok.PAD() != tokenizer.None {
			t.Errorf("%s: tokenizer %v, %v", name, tok, err)
		}
	}
	dir := generation(`{"eos_token_id": "</s>"}`)
	_, err := loader.Open(t.Context(), dir, noTokenizer)
	checkFileError(t, "a word", err, loader.ErrCorrupt, "eos_token_id", "generation_config.json")
}

// TestGGUFVocabularyAlone: a GGUF file may come without types and scores, of
// which only the order of merges depends on.
func TestGGUFVocabularyAlone(t *testing.T) {
	metadata := miniMetadata(t)
	for _, missing := range []int{2, 3} {
		some := slices.Delete(slices.Clone(metadata), missing, missing+1)
		tok, err := loader.OpenTokenizer(t.Context(), makeGGUF(t, checkpoint.Spec{Config: miniSized(), Format: kernels.F16, Metadata: some}), nil)
		if err != nil {
			t.Errorf("without %s: %v", metadata[missing].Key, err)
			continue
		}
		const text = "Once upon a time 中\n"
		if got := tok.Decode(tok.Encode(text)); got != text || !tok.IsControl(1) || tok.UNK() != 0 {
			t.Errorf("without %s: %q", metadata[missing].Key, got)
		}
		if got := tok.Encode("the hey"); missing == 3 && !slices.Equal(got, []int32{278, 298, 387, 406}) {
			t.Errorf("without types: %v", got)
		}
	}
}

// TestTokensBeyondTheModel: a tokenizer may have tokens added that the model has
// no rows for. Only a text with one of them is an error.
func TestTokensBeyondTheModel(t *testing.T) {
	pad := strings.Replace(string(must(os.ReadFile(filepath.Join(tokenizerDir, "mini", "tokenizer.json")))),
		`"added_tokens": [`, `"added_tokens": [{"id": 512, "content": "[PAD]", "special": false, "normalized": false},`, 1)
	metadata := miniMetadata(t)
	for i := range metadata {
		switch v := metadata[i].Value.(type) {
		case []string:
			metadata[i].Value = append(v, "[PAD]")
		case []float32:
			metadata[i].Value = append(v, 0)
		case []int32:
			metadata[i].Value = append(v, int32(tokenizer.UserDefined))
		}
	}
	for name, path := range map[string]string{
		"tokenizer.json":    makeMini(t, nil, map[string]string{"tokenizer.json": pad}),
		"added_tokens.json": makeMini(t, []string{"tokenizer.model"}, map[string]string{"added_tokens.json": `{"[PAD]": 512}`}),
		"GGUF":              makeGGUF(t, checkpoint.Spec{Config: miniSized(), Format: kernels.F16, Metadata: metadata}),
	} {
		m := open(t, path, nil)
		if got, err := m.Encode("the hey"); err != nil || !slices.Equal(got, []int32{1, 278, 298, 387, 406}) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		got, err := m.Encode("[PAD]")
		if err != nil || !slices.Contains(got, 512) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		s := must(m.NewSession(nil))
		defer s.Close()
		if err := s.Append(t.Context(), got...); !errors.Is(err, openelm.ErrToken) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
