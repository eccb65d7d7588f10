package tokenizer_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/loader/tokenizer"
)

// The functions below write protobuf: a field with a varint, with bytes, with a float.

func pbVarint(field int, v uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(nil, uint64(field)<<3), v)
}

func pbBytes[T string | []byte](field int, v T) []byte {
	b := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(field)<<3|2), uint64(len(v)))
	return append(b, v...)
}

func pbFloat(field int, v float32) []byte {
	b := binary.AppendUvarint(nil, uint64(field)<<3|5)
	return binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func pbPiece(text string, score float32, typ tokenizer.PieceType) []byte {
	return pbBytes(1, join(pbBytes(1, text), pbFloat(2, score), pbVarint(3, uint64(typ))))
}

var (
	pbUnk     = pbPiece("<unk>", 0, tokenizer.Unknown)
	pbBPE     = pbBytes(2, pbVarint(3, 2))                                // trainer_spec.model_type
	pbBPEByte = pbBytes(2, join(pbVarint(3, 2), pbVarint(35, 1)))         // with byte_fallback
	pbNormal  = pbBytes(3, join(pbVarint(4, 0)))                          // normalizer_spec.remove_extra_whitespaces
	pbModel   = join(pbUnk, pbPiece("a", 0, 1), pbBPE, pbNormal)          // the smallest useful model
	hugeLen   = append([]byte{0x0a}, binary.AppendUvarint(nil, 1<<62)...) // a piece said to have 2^62 bytes
)

// badModels are damaged or unsupported tokenizer.model files; the fuzz corpus starts with them.
var badModels = []struct {
	name          string
	data          []byte
	field, reason string
}{
	{"empty", nil, "pieces", "none"},
	{"text", []byte("version https://git-lfs.github.com/spec/v1\n"), "", ""},
	{"huge length", hugeLen, "", "length of 4611686018427387904"},
	{"length past the end", []byte{0x0a, 5, 0x0a}, "", "1 are left"},
	{"endless varint", bytes.Repeat([]byte{0xff}, 20), "", "64 bits"},
	{"varint cut off", []byte{0x0a, 0x80}, "", "cut off"},
	{"field number 0", []byte{0x02, 0}, "", "field number 0"},
	{"group", []byte{0x0b, 0x0c}, "", "wire type 3"},
	{"float cut off", pbBytes(1, []byte{0x15, 0, 0}), "pieces", "needs 4 bytes"},
	{"pieces of the wrong type", pbVarint(1, 7), "pieces", "wire type 0"},
	{"score of the wrong type", pbBytes(1, join(pbBytes(1, "a"), pbVarint(2, 1))), "pieces.score", "wire type 0"},
	{"type of the wrong type", pbBytes(1, join(pbBytes(1, "a"), pbBytes(3, "x"))), "pieces.type", "wire type 2"},
	{"trainer_spec of the wrong type", join(pbModel, pbVarint(2, 2)), "trainer_spec", "wire type 0"},
	{"flag of the wrong type", join(pbModel, pbBytes(3, pbBytes(3, "yes"))), "normalizer_spec.add_dummy_prefix", "wire type 2"},
	{"piece empty", join(pbModel, pbBytes(1, "")), "pieces", "piece 2 is empty"},
	{"piece not UTF-8", join(pbModel, pbPiece("\xff", 0, 1)), "piece 2", "UTF-8"},
	{"piece too long", join(pbModel, pbPiece(strings.Repeat("a", 513), 0, 1)), "piece 2", "513 characters"},
	{"piece twice", join(pbModel, pbPiece("a", 1, 1)), "piece 2", "piece 1 already"},
	{"piece type unknown", join(pbModel, pbPiece("b", 1, 9)), "piece 2", "type 9"},
	{"piece type negative", join(pbModel, pbPiece("b", 1, -1)), "piece 2", "type -1"},
	{"score not a number", join(pbModel, pbPiece("b", float32(math.NaN()), 1)), "piece 2", "not a number"},
	{"two unknown pieces", join(pbModel, pbPiece("<u>", 0, 2)), "piece 2", "second unknown"},
	{"no unknown piece", join(pbPiece("a", 0, 1), pbBPE), "unk", "could not be encoded"},
	{"byte without byte_fallback", join(pbModel, pbPiece("<0x00>", 0, 6)), "piece 2", "byte_fallback"},
	{"byte misspelled", join(pbModel, pbBPEByte, pbPiece("<0xG0>", 0, 6)), "piece 2", "<0x00>"},
	{"bytes missing", join(pbModel, pbBPEByte, pbPiece("<0x00>", 0, 6)), "byte_fallback", "1 of the 256"},
	{"unsupported: unused but reachable", join(pbModel, pbPiece("aa", 0, 5)), "piece 2", "unused"},
	{"unsupported: unigram", join(pbModel, pbBytes(2, pbVarint(3, 1))), "trainer_spec.model_type", "unigram"},
	{"unsupported: unigram by default", join(pbUnk, pbNormal), "trainer_spec.model_type", "unigram"},
	{"unsupported: model type unknown", join(pbModel, pbBytes(2, pbVarint(3, 99))), "trainer_spec.model_type", "99"},
	{"unsupported: space as suffix", join(pbModel, pbBytes(2, pbVarint(24, 1))), "trainer_spec.treat_whitespace_as_suffix", "not supported"},
	{"unk_surface not UTF-8", join(pbModel, pbBytes(2, pbBytes(44, "\xff"))), "trainer_spec.unk_surface", "UTF-8"},
	{"unsupported: spaces as they are", join(pbModel, pbBytes(3, pbVarint(5, 0))), "normalizer_spec.escape_whitespaces", "not supported"},
	{"unsupported: character map", join(pbModel, pbBytes(3, pbBytes(2, "xxxx"))), "normalizer_spec.precompiled_charsmap", "4 bytes"},
	{"unsupported: denormalizer", join(pbModel, pbBytes(5, pbBytes(2, "xxxx"))), "denormalizer_spec.precompiled_charsmap", "4 bytes"},
}

func TestBadModels(t *testing.T) {
	if _, err := tokenizer.FromModel(pbModel); err != nil {
		t.Fatal("the model that the cases damage: ", err)
	}
	for _, c := range badModels {
		t.Run(c.name, func(t *testing.T) {
			tok, err := tokenizer.FromModel(c.data)
			if tok != nil {
				t.Error("a tokenizer with an error")
			}
			checkFormatError(t, err, "tokenizer.model", c.field, c.reason)
			if got, want := errors.Is(err, errors.ErrUnsupported), strings.HasPrefix(c.name, "unsupported"); got != want {
				t.Errorf("errors.ErrUnsupported: %v, want %v", got, want)
			}
		})
	}
}

// TestErrorsNamePlace checks the message a user sees.
func TestErrorsNamePlace(t *testing.T) {
	_, err := tokenizer.FromModel(join(pbModel, pbBytes(1, join(pbBytes(1, "a"), pbVarint(2, 1)))))
	want := fmt.Sprintf("tokenizer: tokenizer.model: pieces.score at byte %d: has protobuf wire type 0, expected 5", len(pbModel)+6)
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	_, err = tokenizer.FromJSON([]byte(`{"model": }`))
	want = "tokenizer: tokenizer.json at byte 11: is not JSON: invalid character '}' looking for beginning of value"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// smallJSON is the smallest useful tokenizer.json; %s is the rest of its model.
const smallJSON = `{"version": "1.0", "model": {"type": "BPE", "unk_token": "u", %s},
 "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
 "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "Fuse"}]}}`

func model(rest string) []byte { return fmt.Appendf(nil, smallJSON, rest) }

// replaced is the small document with one part replaced.
func replaced(old, new string) []byte {
	s := string(model(`"vocab": {"u": 0, "a": 1}, "merges": []`))
	if strings.Count(s, old) != 1 {
		panic("the small tokenizer.json does not have once: " + old)
	}
	return []byte(strings.Replace(s, old, new, 1))
}

// badJSONs are damaged or unsupported tokenizer.json files; the fuzz corpus starts with them.
var badJSONs = []struct {
	name          string
	data          []byte
	field, reason string
}{
	{"empty", nil, "", "not JSON"},
	{"not UTF-8", []byte("\"\xff\""), "", "UTF-8"},
	{"an array", []byte("[]"), "", "expected an object"},
	{"no model", []byte("{}"), "model", "missing"},
	{"deep", []byte(strings.Repeat("[", 100000)), "", "not JSON"},
	{"section twice", []byte(`{"model": 1, "model": 2}`), "", `has "model" twice`},
	{"unsupported: other version", replaced(`"1.0"`, `"2.0"`), "version", "2.0"},
	{"unsupported: other type", replaced(`"BPE"`, `"WordPiece"`), "model.type", "WordPiece"},
	{"type no string", replaced(`"BPE"`, `[]`), "model.type", "[]"},
	{"no vocabulary", model(`"merges": []`), "model.vocab", "missing"},
	{"no merges", model(`"vocab": {"u": 0}`), "model.merges", "missing"},
	{"vocabulary an array", model(`"vocab": ["u"], "merges": []`), "model.vocab", "expected an object"},
	{"vocabulary empty", model(`"vocab": {}, "merges": []`), "model.unk_token", "not in the vocabulary"},
	{"id past the end", model(`"vocab": {"u": 0, "a": 2}, "merges": []`), `model.vocab["a"]`, "id 2 is out of range"},
	{"id huge", model(`"vocab": {"u": 0, "a": 2147483647}, "merges": []`), `model.vocab["a"]`, "out of range"},
	{"id beyond 32 bits", model(`"vocab": {"u": 0, "a": 4294967296}, "merges": []`), `model.vocab["a"]`, "expected an id"},
	{"id negative", model(`"vocab": {"u": 0, "a": -1}, "merges": []`), `model.vocab["a"]`, "out of range"},
	{"id a fraction", model(`"vocab": {"u": 0, "a": 1.0}, "merges": []`), `model.vocab["a"]`, "expected an id"},
	{"id null", model(`"vocab": {"u": 0, "a": null}, "merges": []`), `model.vocab["a"]`, "expected an id"},
	{"id twice", model(`"vocab": {"u": 0, "a": 0}, "merges": []`), `model.vocab["a"]`, `as has "u"`},
	{"piece twice", model(`"vocab": {"u": 0, "a": 1, "\u0061": 2}, "merges": []`), "model.vocab", `has "a" twice`},
	{"piece empty", model(`"vocab": {"u": 0, "": 1}, "merges": []`), `model.vocab[""]`, "empty"},
	{"merges an object", model(`"vocab": {"u": 0}, "merges": {}`), "model.merges", "expected an array"},
	{"merge a number", model(`"vocab": {"u": 0}, "merges": [1]`), "model.merges[0]", "expected two pieces"},
	{"merge of one", model(`"vocab": {"u": 0}, "merges": ["u"]`), "model.merges[0]", "expected two pieces"},
	{"merge of three", model(`"vocab": {"u": 0}, "merges": [["u", "u", "u"]]`), "model.merges[0]", "expected two pieces"},
	{"merge of three in a string", model(`"vocab": {"u": 0}, "merges": ["u u u"]`), "model.merges[0]", "expected two pieces"},
	{"merge of a stranger", model(`"vocab": {"u": 0, "a": 1}, "merges": ["a b"]`), "model.merges[0]", `"b" is not in`},
	{"merge into a stranger", model(`"vocab": {"u": 0, "a": 1}, "merges": ["a a"]`), "model.merges[0]", `"aa" is not in`},
	{"unsupported: merge of the unknown piece", model(`"vocab": {"u": 0, "a": 1, "ua": 2}, "merges": ["u a"]`), "model.merges[0]", "cannot be merged"},
	{"merge twice", model(`"vocab": {"u": 0, "a": 1, "aa": 2}, "merges": ["a a", ["a", "a"]]`), "model.merges[1]", "as one before"},
	{"unknown piece no piece", replaced(`"unk_token": "u"`, `"unk_token": "v"`), "model.unk_token", "not in the vocabulary"},
	{"no unknown piece", replaced(`"unk_token": "u"`, `"unk_token": null`), "unk", "could not be encoded"},
	{"unsupported: decoder without bytes", replaced(`"unk_token": "u"`, `"byte_fallback": true`), "decoder", "ByteFallback"},
	{"bytes missing", bytes.Replace(replaced(`"unk_token": "u"`, `"byte_fallback": true`), []byte(`{"type": "Fuse"}`), []byte(`{"type": "ByteFallback"}, {"type": "Fuse"}`), 1), "byte_fallback", "0 of the 256"},
	{"unsupported: dropout", replaced(`"unk_token": "u"`, `"dropout": 0.1`), "model.dropout", "0.1"},
	{"unsupported: subword prefix", replaced(`"unk_token": "u"`, `"continuing_subword_prefix": "##"`), "model.continuing_subword_prefix", "##"},
	{"unsupported: word suffix", replaced(`"unk_token": "u"`, `"end_of_word_suffix": "</w>"`), "model.end_of_word_suffix", "</w>"},
	{"unsupported: ignore_merges", replaced(`"unk_token": "u"`, `"ignore_merges": true`), "model.ignore_merges", "not supported"},
	{"unsupported: unknown member", replaced(`"unk_token": "u"`, `"speed": "high"`), "model.speed", "not supported"},
	{"unsupported: no normalizer", replaced(`"normalizer"`, `"x"`), "normalizer", "missing"},
	{"unsupported: other normalizer", replaced(`"Replace", "pattern": {"String": " "}, "content": "▁"}`, `"NFKC"}`), "normalizer", "NFKC"},
	{"normalizer a number", replaced(`{"type": "Replace", "pattern": {"String": " "}, "content": "▁"}`, `1`), "normalizer", "expected an object"},
	{"normalizer without list", replaced(`{"type": "Replace", "pattern": {"String": " "}, "content": "▁"}`, `{"type": "Sequence"}`), "normalizer.normalizers", "missing"},
	{"unsupported: pre-tokenizer", replaced(`"normalizer"`, `"pre_tokenizer": {"type": "ByteLevel"}, "normalizer"`), "pre_tokenizer", "ByteLevel"},
	{"unsupported: decoder of another kind", replaced(`{"type": "Fuse"}`, `{"type": "Metaspace"}`), "decoder", "Metaspace"},
	{"unsupported: no decoder", replaced(`"decoder"`, `"x"`), "decoder", "expected Llama's"},
	{"unsupported: post-processor", replaced(`"normalizer"`, `"post_processor": {"type": "ByteLevel"}, "normalizer"`), "post_processor.type", "ByteLevel"},
	{"template with a stranger", replaced(`"normalizer"`, `"post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "s"}}]}, "normalizer"`), "post_processor.single[0]", "not a special token"},
	{"unsupported: template without text", replaced(`"normalizer"`, `"post_processor": {"type": "TemplateProcessing", "single": []}, "normalizer"`), "post_processor.single", "0 texts"},
	{"template with another text", replaced(`"normalizer"`, `"post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "B"}}]}, "normalizer"`), "post_processor.single[0]", "neither"},
	{"added tokens an object", replaced(`"normalizer"`, `"added_tokens": {}, "normalizer"`), "added_tokens", "expected an array"},
	{"added token a string", replaced(`"normalizer"`, `"added_tokens": ["x"], "normalizer"`), "added_tokens[0]", "string"},
	{"added without id", replaced(`"normalizer"`, `"added_tokens": [{"content": "x"}], "normalizer"`), "added_tokens[0].id", "missing"},
	{"added id past the end", replaced(`"normalizer"`, `"added_tokens": [{"id": 3, "content": "x"}], "normalizer"`), "added_tokens[0]", "the next, 2"},
	{"added id of another", replaced(`"normalizer"`, `"added_tokens": [{"id": 1, "content": "x"}], "normalizer"`), "added_tokens[0]", `that of "a"`},
	{"added content known", replaced(`"normalizer"`, `"added_tokens": [{"id": 2, "content": "a"}], "normalizer"`), "piece 2", "piece 1 already"},
	{"special token made by a merge", edited(`"vocab": {"u": 0, "a": 1, "aa": 2}, "merges": ["a a"]`, `"added_tokens": [{"id": 2, "content": "aa", "special": true}]`), "model.merges[0]", "special token"},
}

// edited is the small document with a section added and another model.
func edited(rest, section string) []byte {
	return []byte(strings.Replace(string(model(rest)), `"normalizer"`, section+`, "normalizer"`, 1))
}

func TestBadJSONs(t *testing.T) {
	if _, err := tokenizer.FromJSON(replaced(`"1.0"`, `"1.0"`)); err != nil {
		t.Fatal("the document that the cases damage: ", err)
	}
	for _, c := range badJSONs {
		t.Run(c.name, func(t *testing.T) {
			tok, err := tokenizer.FromJSON(c.data)
			if tok != nil {
				t.Error("a tokenizer with an error")
			}
			checkFormatError(t, err, "tokenizer.json", c.field, c.reason)
			if got, want := errors.Is(err, errors.ErrUnsupported), strings.HasPrefix(c.name, "unsupported"); got != want {
				t.Errorf("errors.ErrUnsupported: %v, want %v", got, want)
			}
		})
	}
}

func TestBadVocabularies(t *testing.T) {
	good := tokenizer.Vocabulary{
		Pieces: []string{"<unk>", "a"}, Scores: []float32{0, 0}, Types: []tokenizer.PieceType{tokenizer.Unknown, tokenizer.Normal},
		BOS: tokenizer.None, EOS: tokenizer.None, UNK: 0, PAD: tokenizer.None,
	}
	if _, err := tokenizer.FromPieces(good); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name          string
		change        func(*tokenizer.Vocabulary)
		field, reason string
	}{
		{"empty", func(v *tokenizer.Vocabulary) { *v = tokenizer.Vocabulary{} }, "", "empty"},
		{"scores missing", func(v *tokenizer.Vocabulary) { v.Scores = nil }, "scores", "0 scores for 2"},
		{"types missing", func(v *tokenizer.Vocabulary) { v.Types = v.Types[:1] }, "token_type", "1 types for 2"},
		{"bos past the end", func(v *tokenizer.Vocabulary) { v.BOS = 2 }, "bos", "id 2 is outside"},
		{"eos negative", func(v *tokenizer.Vocabulary) { v.EOS = -2 }, "eos", "id -2 is outside"},
		{"unk huge", func(v *tokenizer.Vocabulary) { v.UNK = math.MaxInt32 }, "unk", "outside"},
		{"pad past the end", func(v *tokenizer.Vocabulary) { v.PAD = 2 }, "pad", "outside"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := good
			c.change(&v)
			_, err := tokenizer.FromPieces(v)
			checkFormatError(t, err, "vocabulary", c.field, c.reason)
		})
	}
}

// TestCutOff cuts files at every length.
func TestCutOff(t *testing.T) {
	check := func(t *testing.T, err error, n int) {
		var format *tokenizer.FormatError
		if !errors.As(err, &format) {
			t.Fatalf("%d bytes: got %v, want a *FormatError", n, err)
		}
	}
	t.Run("model", func(t *testing.T) {
		file := readFile(t, "mini/tokenizer.model")
		whole := 0
		for n := range file {
			tok, err := tokenizer.FromModel(file[:n])
			if err == nil && tok.VocabSize() == 512 {
				whole = n // without normalizer_spec, which is the last section, the file is valid
				continue
			}
			check(t, err, n)
		}
		if rest := len(file) - whole; rest > 30 {
			t.Errorf("a file without its last %d bytes is accepted", rest)
		}
	})
	t.Run("json", func(t *testing.T) {
		file := bytes.TrimSpace(readFile(t, "mini/tokenizer.json"))
		for n := range file {
			_, err := tokenizer.FromJSON(file[:n])
			check(t, err, n)
		}
	})
}

// TestMemory bounds the memory that reading a file takes, garbage included, by a
// multiple of its size.
func TestMemory(t *testing.T) {
	chain := [][]byte{pbUnk, pbBPE} // every prefix of a long piece is a piece: the most merges for the size
	for n := 1; n <= 512; n++ {
		chain = append(chain, pbPiece(strings.Repeat("a", n), float32(-n), tokenizer.Normal))
	}
	special := [][]byte{pbUnk, pbBPE}
	words := make(map[string]int)
	for i := range 20000 {
		special = append(special, pbPiece(fmt.Sprintf("%x", i), 0, tokenizer.UserDefined))
		words[fmt.Sprintf("%x", i)] = i
	}
	manyWords, err := json.Marshal(words)
	if err != nil {
		t.Fatal(err)
	}
	model := func(b []byte) (*tokenizer.Tokenizer, error) { return tokenizer.FromModel(b) }
	cases := map[string]struct {
		data []byte
		read func([]byte) (*tokenizer.Tokenizer, error)
	}{
		"llama model":   {readFile(t, "tokenizer.model"), model},
		"llama json":    {readFile(t, "tokenizer.json"), tokenizer.FromJSON},
		"merge chain":   {join(chain...), model},
		"user-defined":  {join(special...), model},
		"many words":    {fmt.Appendf(nil, smallJSON, `"vocab": `+string(manyWords)+`, "merges": []`), tokenizer.FromJSON},
		"deep json":     {[]byte(strings.Repeat(`{"a":[`, 4000)), tokenizer.FromJSON},
		"empty pieces":  {bytes.Repeat([]byte{0x0a, 0}, 100000), model},
		"small pieces":  {bytes.Repeat([]byte{0x0a, 3, 0x0a, 1, 'a'}, 100000), model},
		"unknown field": {bytes.Repeat(pbVarint(99, 1), 100000), model},
	}
	for _, c := range badModels {
		cases["bad model: "+c.name] = struct {
			data []byte
			read func([]byte) (*tokenizer.Tokenizer, error)
		}{c.data, model}
	}
	for _, c := range badJSONs {
		cases["bad json: "+c.name] = struct {
			data []byte
			read func([]byte) (*tokenizer.Tokenizer, error)
		}{c.data, tokenizer.FromJSON}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _ = c.read(c.data)
			runtime.ReadMemStats(&after)
			got, limit := after.TotalAlloc-before.TotalAlloc, uint64(64*len(c.data)+32<<10)
			t.Logf("%d bytes of memory for a file of %d: %.1f times", got, len(c.data), float64(got)/float64(len(c.data)))
			if got > limit {
				t.Errorf("over the limit of %d", limit)
			}
		})
	}
}
