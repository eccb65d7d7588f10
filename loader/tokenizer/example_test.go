package tokenizer_test

import (
	"fmt"
	"os"

	"github.com/go-openelm/go-openelm/loader/tokenizer"
)

// The examples use a vocabulary of 512 pieces cut from Llama 2's, so words fall
// into smaller parts than with the whole one.
const exampleDir = "testdata/tokenizer/mini"

func Example() {
	tok, err := tokenizer.Load(os.DirFS("../.."), exampleDir)
	if err != nil {
		fmt.Println(err)
		return
	}
	ids := tok.Encode("Once upon a time")
	for _, id := range ids {
		fmt.Printf("%d %s\n", id, tok.Piece(id))
	}
	fmt.Println(tok.Decode(ids))
	// Output:
	// 386 ▁
	// 464 O
	// 391 n
	// 346 ce
	// 318 ▁u
	// 401 p
	// 265 on
	// 263 ▁a
	// 260 ▁t
	// 326 im
	// 387 e
	// Once upon a time
}

// A prompt for a model begins with BOS where the checkpoint asks for it.
func ExampleTokenizer_EncodeWith() {
	tok, err := tokenizer.Load(os.DirFS("../.."), exampleDir)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(tok.EncodeWith("the end", tokenizer.EncodeOptions{AddBOS: tok.AddsBOS()}))

	// "</s>" is text, unless the caller vouches for it.
	fmt.Println(tok.Encode("a</s>"))
	fmt.Println(tok.EncodeWith("a</s>", tokenizer.EncodeOptions{ParseSpecial: true}))
	// Output:
	// [1 278 386 355]
	// [263 481 429 394 473]
	// [263 2]
}

// A character outside the vocabulary comes in bytes; the decoder waits for all of them.
func ExampleDecoder() {
	tok, err := tokenizer.Load(os.DirFS("../.."), exampleDir)
	if err != nil {
		fmt.Println(err)
		return
	}
	d := tok.NewDecoder()
	for _, id := range tok.Encode("a 🦙!") {
		fmt.Printf("%s %q\n", tok.Piece(id), d.Next(id))
	}
	fmt.Printf("%q\n", d.Flush()) // what was left unfinished: nothing here
	// Output:
	// ▁a "a"
	// ▁ " "
	// <0xF0> ""
	// <0x9F> ""
	// <0xA6> ""
	// <0x99> "🦙"
	// ! "!"
	// ""
}

// A GGUF file holds the vocabulary as arrays.
func ExampleFromPieces() {
	v := tokenizer.Vocabulary{
		Pieces: []string{"<unk>", "▁", "h", "i", "hi", "▁hi"},
		Scores: []float32{0, -9, -9, -9, -1, -2},
		Types: []tokenizer.PieceType{tokenizer.Unknown, tokenizer.Normal, tokenizer.Normal,
			tokenizer.Normal, tokenizer.Normal, tokenizer.Normal},
		BOS: tokenizer.None, EOS: tokenizer.None, UNK: 0, PAD: tokenizer.None,
		AddDummyPrefix: true,
	}
	tok, err := tokenizer.FromPieces(v)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(tok.Encode("hi hhi?"))
	// Output:
	// [5 1 2 4 0]
}
