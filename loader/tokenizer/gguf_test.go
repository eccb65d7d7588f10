package tokenizer_test

import (
	"bytes"
	"testing"

	"github.com/go-openelm/go-openelm/loader/gguf"
	"github.com/go-openelm/go-openelm/loader/tokenizer"
)

// ggufVocabulary takes the vocabulary from a GGUF file.
func ggufVocabulary(t testing.TB, file []byte) tokenizer.Vocabulary {
	t.Helper()
	f, err := gguf.Read(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	v := tokenizer.Vocabulary{
		Pieces: metadata[[]string](t, f, "tokens"),
		Scores: metadata[[]float32](t, f, "scores"),
		BOS:    int32(metadata[uint32](t, f, "bos_token_id")),
		EOS:    int32(metadata[uint32](t, f, "eos_token_id")),
		UNK:    int32(metadata[uint32](t, f, "unknown_token_id")),
		PAD:    tokenizer.None, AddDummyPrefix: true, AddBOS: true,
	}
	for _, typ := range metadata[[]int32](t, f, "token_type") {
		v.Types = append(v.Types, tokenizer.PieceType(typ))
	}
	return v
}

func metadata[T any](t testing.TB, f *gguf.File, key string) T {
	t.Helper()
	v, ok, err := gguf.Get[T](f, "tokenizer.ggml."+key)
	if err != nil || !ok {
		t.Fatalf("%s: there %v, %v", key, ok, err)
	}
	return v
}
