package tokenizer_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	sentencepiece "github.com/eliben/go-sentencepiece"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/go-openelm/go-openelm/loader/tokenizer"
)

// texts draws texts that are hard for a tokenizer: runs of spaces, characters
// outside the vocabulary, control tokens spelled out, bytes that are not UTF-8.
func texts() *rapid.Generator[string] {
	part := rapid.OneOf(
		rapid.SampledFrom([]string{" ", "  ", "▁", "the", " the", "ing", "\n", "\t", "a", "s", "中文", "😀", "👨‍👩‍👧", "</s>", "<s>", "<unk>", "<0x41>", "\x00", "0", "http://"}),
		rapid.String(),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 6), func(b []byte) string { return string(b) }),
	)
	return rapid.Map(rapid.SliceOfN(part, 0, 12), func(parts []string) string { return strings.Join(parts, "") })
}

// naiveEncode is byte-pair encoding by its definition, in quadratic time.
func naiveEncode(v tokenizer.Vocabulary, text string) []int32 {
	if text == "" {
		return []int32{}
	}
	ids := make(map[string]int)
	for i, p := range v.Pieces {
		if v.Types[i] == tokenizer.Normal {
			ids[p] = i
		}
	}
	var symbols []string
	for _, r := range " " + text { // the dummy prefix
		if r == ' ' {
			r = '▁'
		}
		symbols = append(symbols, string(r))
	}
	for {
		best := -1
		var bestScore float32
		for i := range len(symbols) - 1 {
			id, ok := ids[symbols[i]+symbols[i+1]]
			if ok && (best < 0 || v.Scores[id] > bestScore) {
				best, bestScore = i, v.Scores[id]
			}
		}
		if best < 0 {
			break
		}
		symbols[best] += symbols[best+1]
		symbols = slices.Delete(symbols, best+1, best+2)
	}
	var out []int32
	for _, s := range symbols {
		if id, ok := ids[s]; ok {
			out = append(out, int32(id))
			continue
		}
		for _, b := range []byte(s) {
			out = append(out, int32(slices.Index(v.Pieces, fmt.Sprintf("<0x%02X>", b))))
		}
	}
	return out
}

// TestEncodeIsNaiveBPE checks segmentation, queue and tables on random
// vocabularies, with equal scores and with pieces whose characters are no pieces.
func TestEncodeIsNaiveBPE(t *testing.T) {
	alphabet := rapid.SampledFrom([]string{"a", "b", "é", "▁"})
	word := func(least, most int) *rapid.Generator[string] {
		return rapid.Map(rapid.SliceOfN(alphabet, least, most), func(s []string) string { return strings.Join(s, "") })
	}
	rapid.Check(t, func(t *rapid.T) {
		v := tokenizer.Vocabulary{BOS: tokenizer.None, EOS: tokenizer.None, UNK: 0, PAD: tokenizer.None, AddDummyPrefix: true}
		add := func(piece string, score float32, typ tokenizer.PieceType) {
			v.Pieces, v.Scores, v.Types = append(v.Pieces, piece), append(v.Scores, score), append(v.Types, typ)
		}
		add("<unk>", 0, tokenizer.Unknown)
		for b := range 256 {
			add(fmt.Sprintf("<0x%02X>", b), 0, tokenizer.Byte)
		}
		for _, p := range rapid.SliceOfNDistinct(word(1, 4), 10, 60, rapid.ID).Draw(t, "pieces") {
			add(p, float32(rapid.IntRange(0, 4).Draw(t, "score")), tokenizer.Normal)
		}
		tok, err := tokenizer.FromPieces(v)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(word(0, 200).Draw(t, "text"), "▁", " ")
		if d := cmp.Diff(naiveEncode(v, text), tok.Encode(text)); d != "" {
			t.Fatalf("Encode(%q): -naive +got\n%s", text, d)
		}
	})
}

// TestUnknown checks what happens without byte pieces: characters outside the
// vocabulary that stand together become one unknown piece.
func TestUnknown(t *testing.T) {
	tok, err := tokenizer.FromModel(join(pbUnk, pbBPE, pbPiece("a", 0, tokenizer.Normal), pbPiece("<x>", 0, tokenizer.UserDefined),
		pbBytes(3, join(pbVarint(3, 0), pbVarint(4, 0)))))
	tok = must(t, tok, err)
	for range 2 { // the second call finds the working memory of the first
		for text, want := range map[string][]int32{"中国": {0}, "中a国": {0, 1, 0}, "中<x>国": {0, 2, 0}, "a中 国": {1, 0}} {
			if got := tok.Encode(text); !slices.Equal(got, want) {
				t.Errorf("Encode(%q) = %v, want %v", text, got, want)
			}
		}
	}
}

func TestRoundTrip(t *testing.T) {
	eachSource(t, func(t *testing.T, tok *tokenizer.Tokenizer, _ string) {
		rapid.Check(t, func(t *rapid.T) { checkRoundTrip(t, tok, texts().Draw(t, "text")) })
	})
}

// checkRoundTrip checks what holds for every text.
func checkRoundTrip(t rapid.TB, tok *tokenizer.Tokenizer, text string) {
	ids := tok.Encode(text)
	for _, id := range ids {
		if tok.IsControl(id) || tok.Piece(id) == "" || id == tok.UNK() {
			t.Fatalf("Encode(%q) has %d, %q", text, id, tok.Piece(id))
		}
	}
	// Runes also turn bytes that are not UTF-8 into U+FFFD.
	want := strings.ReplaceAll(string([]rune(text)), "▁", " ")
	if got := tok.Decode(ids); got != want {
		t.Fatalf("Decode(Encode(%q)) = %q", text, got)
	}
	if got := tok.DecodeHF(ids); got != want {
		t.Fatalf("DecodeHF(Encode(%q)) = %q", text, got)
	}
	prefix := []int32{7, 8}
	if got := tok.AppendEncode(prefix, text); !slices.Equal(got, append(prefix, ids...)) {
		t.Fatalf("AppendEncode([7 8], %q) = %v, Encode %v", text, got, ids)
	}
	with := tok.EncodeWith(text, tokenizer.EncodeOptions{AddBOS: true, AddEOS: true})
	if want := append(append([]int32{tok.BOS()}, ids...), tok.EOS()); !slices.Equal(with, want) {
		t.Fatalf("EncodeWith(%q, BOS and EOS) = %v, want %v", text, with, want)
	}
}

// referenceDecode follows SentencePiece's definition on the whole sequence: runs
// of byte pieces decode together, the first "▁" is dropped.
func referenceDecode(tok *tokenizer.Tokenizer, ids []int32) string {
	var text string
	var run []byte
	dropped := false
	endRun := func() {
		text += string([]rune(string(run)))
		run = nil
	}
	for _, id := range ids {
		piece := tok.Piece(id)
		var b byte
		if n, err := fmt.Sscanf(piece, "<0x%02X>", &b); n == 1 && err == nil {
			run = append(run, b)
			continue
		}
		endRun()
		switch {
		case piece == "" || tok.IsControl(id):
			continue
		case id == tok.UNK():
			text += " ⁇ "
			continue
		}
		if text == "" && !dropped && strings.HasPrefix(piece, "▁") {
			piece, dropped = strings.TrimPrefix(piece, "▁"), true
		}
		text += strings.ReplaceAll(piece, "▁", " ")
	}
	endRun()
	return text
}

// checkDecode checks Decode and the streaming decoder for every sequence of ids.
func checkDecode(t rapid.TB, tok *tokenizer.Tokenizer, ids []int32) {
	want := referenceDecode(tok, ids)
	if got := tok.Decode(ids); got != want {
		t.Fatalf("Decode(%v) = %q, want %q", ids, got, want)
	}
	d := tok.NewDecoder()
	for round := range 2 { // Flush makes the decoder new
		var got strings.Builder
		for i, id := range ids {
			chunk := d.Next(id)
			if !utf8.ValidString(chunk) {
				t.Fatalf("%v: Next gave %q for id %d at %d", ids, chunk, id, i)
			}
			got.WriteString(chunk)
		}
		got.WriteString(d.Flush())
		if got.String() != want {
			t.Fatalf("round %d: the stream of %v is %q, want %q", round, ids, got.String(), want)
		}
	}
}

func TestDecoderStreamsDecode(t *testing.T) {
	eachSource(t, func(t *testing.T, tok *tokenizer.Tokenizer, _ string) {
		id := rapid.OneOf(
			rapid.Int32Range(-2, int32(tok.VocabSize())+2),
			rapid.Int32Range(0, 2),   // <unk>, <s>, </s>
			rapid.Int32Range(3, 258), // bytes
			rapid.SampledFrom([]int32{35, 195, 198, 227, 229, 240, 243, 131, 163, 162, 155}), // a space, lead and continuation bytes
			rapid.SampledFrom([]int32{259, 263, 268}),                                        // begin with "▁"
		)
		rapid.Check(t, func(t *rapid.T) { checkDecode(t, tok, rapid.SliceOfN(id, 0, 20).Draw(t, "ids")) })
	})
}

// TestDecoderGivesCharactersAtOnce checks that a character comes with its last
// byte, not later.
func TestDecoderGivesCharactersAtOnce(t *testing.T) {
	d := fromModel(t, ".").NewDecoder()
	for i, want := range []string{"", "", "", "😀", "!"} {
		if got := d.Next([]int32{243, 162, 155, 131, 29991}[i]); got != want {
			t.Errorf("id %d gave %q, want %q", i, got, want)
		}
	}
}

// TestAgainstGoSentencePiece compares with an independent implementation. It
// knows no dummy prefix, so the file it reads asks for none and it is given " " in front.
func TestAgainstGoSentencePiece(t *testing.T) {
	model := readFile(t, "tokenizer.model")
	spec := []byte("\x18\x01\x20\x00\x28\x01") // add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces
	i := strings.LastIndex(string(model), string(spec))
	if i < 0 {
		t.Fatal("normalizer_spec is not where it was")
	}
	model[i+1] = 0
	other, err := sentencepiece.NewProcessor(strings.NewReader(string(model)))
	if err != nil {
		t.Fatal(err)
	}
	tok := fromModel(t, ".")
	rapid.Check(t, func(t *rapid.T) {
		text := strings.ToValidUTF8(texts().Draw(t, "text"), "")
		text = strings.ReplaceAll(text, "<", "") // or it finds control tokens
		if text == "" {
			return
		}
		var want []int32
		for _, token := range other.Encode(" " + text) {
			want = append(want, int32(token.ID))
		}
		if d := cmp.Diff(want, tok.Encode(text)); d != "" {
			t.Fatalf("Encode(%q): -go-sentencepiece +got\n%s", text, d)
		}
	})
}

// TestConcurrentUse is for the race detector.
func TestConcurrentUse(t *testing.T) {
	tok := fromModel(t, "mini")
	want := tok.Encode(english)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				if got := tok.Encode(english); !slices.Equal(got, want) {
					t.Error("Encode gave something else while others encode")
				}
			}
		})
	}
	wg.Wait()
}
