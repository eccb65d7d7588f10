package tokenizer_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"github.com/go-openelm/go-openelm/loader/tokenizer"
)

// ggufVocabulary reads the metadata of a GGUF file (version 3, little-endian) for
// FromPieces. It trusts the file and is for tests alone.
func ggufVocabulary(t testing.TB, file []byte) tokenizer.Vocabulary {
	t.Helper()
	r := bytes.NewReader(file)
	read := func(v any) {
		if err := binary.Read(r, binary.LittleEndian, v); err != nil {
			t.Fatal("GGUF: ", err)
		}
	}
	u32 := func() (v uint32) { read(&v); return }
	u64 := func() (v uint64) { read(&v); return }
	text := func() string {
		b := make([]byte, u64())
		if _, err := io.ReadFull(r, b); err != nil {
			t.Fatal("GGUF: ", err)
		}
		return string(b)
	}
	if magic, version := u32(), u32(); magic != 0x46554747 || version != 3 {
		t.Fatalf("magic %x, version %d: not a GGUF file of version 3", magic, version)
	}
	_ = u64() // number of tensors
	v := tokenizer.Vocabulary{BOS: tokenizer.None, EOS: tokenizer.None, UNK: tokenizer.None, PAD: tokenizer.None, AddDummyPrefix: true, AddBOS: true}
	ids := map[string]*int32{
		"tokenizer.ggml.bos_token_id":     &v.BOS,
		"tokenizer.ggml.eos_token_id":     &v.EOS,
		"tokenizer.ggml.unknown_token_id": &v.UNK,
		"tokenizer.ggml.padding_token_id": &v.PAD,
	}
	for range u64() {
		key := text()
		switch typ := u32(); typ {
		case 4, 5, 6: // uint32, int32, float32
			if id := ids[key]; id != nil {
				read(id)
			} else {
				u32()
			}
		case 7: // bool
			var b bool
			read(&b)
			switch key {
			case "tokenizer.ggml.add_space_prefix":
				v.AddDummyPrefix = b
			case "tokenizer.ggml.add_bos_token":
				v.AddBOS = b
			case "tokenizer.ggml.add_eos_token":
				v.AddEOS = b
			}
		case 8:
			text()
		case 9:
			elem, n := u32(), u64()
			switch {
			case elem == 8:
				all := make([]string, n)
				for i := range all {
					all[i] = text()
				}
				if key == "tokenizer.ggml.tokens" {
					v.Pieces = all
				}
			case key == "tokenizer.ggml.scores":
				v.Scores = make([]float32, n)
				read(v.Scores)
			case key == "tokenizer.ggml.token_type":
				v.Types = make([]tokenizer.PieceType, n)
				read(v.Types)
			default:
				t.Fatalf("GGUF: array %s of type %d", key, elem)
			}
		default:
			t.Fatalf("GGUF: %s has type %d", key, typ)
		}
	}
	return v
}
