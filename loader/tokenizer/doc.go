// Package tokenizer is the Llama 2 tokenizer, which OpenELM uses: SentencePiece
// byte-pair encoding with byte fallback. A tokenizer comes from tokenizer.model,
// from tokenizer.json, or from the metadata of a GGUF file.
//
//	tok, err := tokenizer.Load(os.DirFS(home), "models/OpenELM-270M") // a checkpoint directory
//	tok, err := tokenizer.FromModel(data)                             // the content of tokenizer.model
//	tok, err := tokenizer.FromJSON(data)                              // the content of tokenizer.json
//	tok, err := tokenizer.FromPieces(vocabulary)                      // slices, as GGUF holds them
//
// # Encoding
//
// Text becomes pieces in three steps, one file each:
//
//   - Added tokens cut the text (match.go): control tokens such as </s> only if
//     EncodeOptions.ParseSpecial is set.
//   - The text is rewritten in the alphabet of the pieces (normalize.go): a space
//     is "▁", and one more, the dummy prefix, is put in front.
//   - Byte-pair encoding (bpe.go) starts from single characters and joins, again
//     and again, the two neighbours whose merge ranks first, from left to right
//     among equals. In a tokenizer.model the rank of a merge is that of the score
//     of what it makes; a tokenizer.json lists merges in order.
//
// Characters that are no pieces become the pieces of their UTF-8 bytes, <0x00> to
// <0xFF>, so every text can be encoded, and decoded again to itself. (What does
// not come back: bytes that are not UTF-8, which become U+FFFD, and "▁" itself,
// which becomes a space.)
//
// A queue of the possible merges makes the time n·log n in the longest stretch
// that merges can reach across, and stretches end at every word or sooner: the
// time grows in proportion to the text, whatever the text is.
//
// # Decoding
//
// Decode is SentencePiece's whatever file the tokenizer came from; DecodeHF is
// what Hugging Face's tokenizers returns where that differs. Decoder decodes a
// stream id by id.
//
// # Bad files
//
// Files are read as if they came from an enemy. What is damaged, inconsistent, or
// asks for something this package does not do, gives a *FormatError that names
// file, field and reason; nothing is silently ignored.
package tokenizer
