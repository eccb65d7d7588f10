package tokenizer_test

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/go-openelm/go-openelm/loader/tokenizer"
)

// The committed corpora, testdata/fuzz, hold every case of badModels and badJSONs.

func FuzzModel(f *testing.F) {
	f.Add(readFile(f, "mini/tokenizer.model"))
	f.Fuzz(func(t *testing.T, data []byte) {
		tok, err := tokenizer.FromModel(data)
		checkParsed(t, tok, err)
	})
}

func FuzzJSON(f *testing.F) {
	f.Add(readFile(f, "mini/tokenizer.json"))
	f.Fuzz(func(t *testing.T, data []byte) {
		tok, err := tokenizer.FromJSON(data)
		checkParsed(t, tok, err)
	})
}

func FuzzEncode(f *testing.F) {
	llama, mini := fromModel(f, "."), fromJSON(f, "mini")
	f.Fuzz(func(t *testing.T, text string) {
		checkRoundTrip(t, llama, text)
		checkRoundTrip(t, mini, text)
	})
}

func FuzzDecode(f *testing.F) {
	tok := fromModel(f, ".")
	f.Fuzz(func(t *testing.T, data []byte) {
		var ids []int32
		for pair := range slices.Chunk(data, 2) {
			if len(pair) == 2 {
				ids = append(ids, int32(int16(binary.LittleEndian.Uint16(pair)))) // some negative
			}
		}
		checkDecode(t, tok, ids)
	})
}

// checkParsed checks what must hold for whatever a parser accepts or refuses.
func checkParsed(t *testing.T, tok *tokenizer.Tokenizer, err error) {
	if err != nil {
		var format *tokenizer.FormatError
		if !errors.As(err, &format) || tok != nil {
			t.Fatalf("got %v with error %v, want nil with a *FormatError", tok, err)
		}
		return
	}
	for _, text := range []string{"", " the  and\nthe ", "aaaa ▁▁中\xff", "<s>a</s><unk>"} {
		for _, o := range []tokenizer.EncodeOptions{{}, {ParseSpecial: true, AddBOS: true, AddEOS: true}} {
			ids := tok.EncodeWith(text, o)
			for _, id := range ids {
				if tok.Piece(id) == "" {
					t.Fatalf("EncodeWith(%q, %+v) has %d; there are %d pieces", text, o, id, tok.VocabSize())
				}
				if !o.ParseSpecial && tok.IsControl(id) {
					t.Fatalf("EncodeWith(%q) has the control piece %q", text, tok.Piece(id))
				}
			}
			checkStream(t, tok, ids)
		}
	}
	ids := make([]int32, min(tok.VocabSize(), 1000)+2)
	for i := range ids {
		ids[i] = int32(i - 1)
	}
	checkStream(t, tok, ids)
}

// checkStream checks the streaming decoder against Decode.
func checkStream(t *testing.T, tok *tokenizer.Tokenizer, ids []int32) {
	d := tok.NewDecoder()
	var got string
	for _, id := range ids {
		got += d.Next(id)
	}
	got += d.Flush()
	if want := tok.Decode(ids); got != want || !utf8.ValidString(want) {
		t.Fatalf("the stream of %v is %q, Decode %q", ids, got, want)
	}
	if !utf8.ValidString(tok.DecodeHF(ids)) {
		t.Fatalf("DecodeHF(%v) is not UTF-8", ids)
	}
}
