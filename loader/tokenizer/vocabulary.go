package tokenizer

import (
	"fmt"
	"math"
	"slices"
	"unicode/utf8"
)

// PieceType says what a piece is for. The numbers are those of SentencePiece's
// ModelProto.SentencePiece.Type, which GGUF's tokenizer.ggml.token_type keeps.
type PieceType int32

// The piece types.
const (
	Normal      PieceType = 1 // ordinary text, reached by merges
	Unknown     PieceType = 2 // stands for characters that nothing else can spell
	Control     PieceType = 3 // invisible mark such as <s>; text never encodes to it unless asked
	UserDefined PieceType = 4 // always taken whole where the text spells it
	Unused      PieceType = 5 // has an id but is never produced
	Byte        PieceType = 6 // one byte, spelled <0xXX>, for characters outside the vocabulary
)

// None is the id of a special piece that a vocabulary does not have.
const None int32 = -1

// spaceMark is U+2581, which SentencePiece writes for a space.
const spaceMark = "▁"

// maxPieceLen is the longest piece accepted, in characters: the upper bound of
// SentencePiece's own max_sentencepiece_length. It bounds the work a hostile
// file can ask for.
const maxPieceLen = 512

// Vocabulary is a SentencePiece BPE vocabulary as plain slices, the form in
// which a GGUF file holds it (tokenizer.ggml.model = "llama"); the comments name
// the metadata key of each field and the value to use where the key is absent.
type Vocabulary struct {
	Pieces []string    // tokens
	Scores []float32   // scores: of two possible merges the higher goes first
	Types  []PieceType // token_type

	// Ids of the special pieces, None where there is none.
	BOS int32 // bos_token_id
	EOS int32 // eos_token_id
	UNK int32 // unknown_token_id
	PAD int32 // padding_token_id

	// AddDummyPrefix puts a space before the text, so that a word at its
	// beginning is the same piece as elsewhere (add_space_prefix, default true).
	AddDummyPrefix bool

	AddBOS bool // add_bos_token, default true: see Tokenizer.AddsBOS
	AddEOS bool // add_eos_token, default false
}

// FromPieces makes a tokenizer of a vocabulary in memory, with llama.cpp's
// rules: user-defined pieces, and control pieces where they are parsed, cut the
// text before anything else, and the text after one gets the dummy prefix again.
// It returns a *FormatError if v is not a usable vocabulary; its File is
// "vocabulary", its Field names the array. The slices of v are not kept.
func FromPieces(v Vocabulary) (*Tokenizer, error) {
	s := newSource("vocabulary")
	s.pieces = slices.Clone(v.Pieces)
	s.scores = v.Scores
	s.types = slices.Clone(v.Types)
	s.bos, s.eos, s.unk, s.pad = v.BOS, v.EOS, v.UNK, v.PAD
	s.addBOS, s.addEOS = v.AddBOS, v.AddEOS
	s.stripPrefix = v.AddDummyPrefix
	if !v.AddDummyPrefix {
		s.prefix = prefixNever
	}
	if len(v.Scores) != len(v.Pieces) {
		return nil, fieldError(s.file, "scores", "%d scores for %d tokens: a BPE vocabulary needs one each", len(v.Scores), len(v.Pieces))
	}
	if len(v.Types) != len(v.Pieces) {
		return nil, fieldError(s.file, "token_type", "%d types for %d tokens: need one each", len(v.Types), len(v.Pieces))
	}
	for i, typ := range s.types {
		switch typ {
		case Byte:
			s.byteFallback = true
		case UserDefined, Control, Unknown:
			s.declare(addedToken{id: int32(i), content: s.pieces[i], special: typ != UserDefined})
		}
	}
	return s.build()
}

// source is what every file format is read into before a Tokenizer is built.
type source struct {
	file string // for errors

	pieces       []string
	types        []PieceType
	scores       []float32 // nil if merges is given
	merges       []merge   // in order of priority; nil if derived from scores
	byteFallback bool

	bos, eos, unk, pad int32
	addBOS, addEOS     bool
	framed             bool // the vocabulary's file says what it adds

	prefix            prefixRule
	prefixUnlessSpace bool // the dummy prefix is left out where the text begins with a space
	removeExtraSpaces bool
	stripPrefix       bool   // decoding drops the space the dummy prefix made
	unkSurface        string // what Decode shows for the unknown piece
	singleUnk         bool   // adjacent unknown characters become one unknown piece
	added             []addedToken
	addedAt           map[int32]int // index in added, by id
	cutNormalized     bool          // normalized added tokens cut the raw text too, after the others
}

// merge is a pair of pieces and the piece they make.
type merge struct{ left, right, result int32 }

func newSource(file string) *source {
	return &source{
		file: file, bos: None, eos: None, unk: None, pad: None,
		addBOS: true, prefix: prefixAlways, stripPrefix: true,
		unkSurface: " \u2047 ", singleUnk: true, addedAt: make(map[int32]int),
	}
}

// control returns the id of a control piece, or None.
func (s *source) control(piece string) int32 {
	i := slices.Index(s.pieces, piece) // for a handful of look-ups no map is needed
	if i < 0 || s.types[i] != Control {
		return None
	}
	return int32(i)
}

func (s *source) pieceError(i int, format string, args ...any) error {
	return fieldError(s.file, fmt.Sprintf("piece %d", i), format, args...)
}

// check verifies the pieces and returns the ids of those that text can become:
// normal, user-defined and unused ones.
func (s *source) check() (map[string]int32, error) {
	if len(s.pieces) == 0 {
		return nil, fieldError(s.file, "", "the vocabulary is empty")
	}
	for _, special := range []struct {
		name string
		id   int32
	}{{"bos", s.bos}, {"eos", s.eos}, {"unk", s.unk}, {"pad", s.pad}} {
		if special.id < None || int(special.id) >= len(s.pieces) {
			return nil, fieldError(s.file, special.name, "id %d is outside the vocabulary of %d pieces", special.id, len(s.pieces))
		}
	}
	if s.unk != None {
		s.types[s.unk] = Unknown
	}
	seen := make(map[string]int32, len(s.pieces))
	bytes := 0 // number of byte pieces, all different since their spellings are
	for i, p := range s.pieces {
		if p == "" {
			return nil, s.pieceError(i, "is empty")
		}
		if !utf8.ValidString(p) {
			return nil, s.pieceError(i, "%s is not UTF-8", quote(p))
		}
		if len(p) > maxPieceLen && utf8.RuneCountInString(p) > maxPieceLen {
			return nil, s.pieceError(i, "%s has %d characters, more than SentencePiece's limit of %d", quote(p), utf8.RuneCountInString(p), maxPieceLen)
		}
		if j, dup := seen[p]; dup {
			return nil, s.pieceError(i, "%s is piece %d already", quote(p), j)
		}
		seen[p] = int32(i)
		if s.scores != nil && math.IsNaN(float64(s.scores[i])) {
			return nil, s.pieceError(i, "%s has a score that is not a number", quote(p))
		}
		switch typ := s.types[i]; typ {
		case Normal, Control, UserDefined, Unused:
		case Unknown:
			if s.unk == None {
				s.unk = int32(i)
			} else if s.unk != int32(i) {
				return nil, s.pieceError(i, "%s is a second unknown piece, after piece %d", quote(p), s.unk)
			}
		case Byte:
			if _, ok := byteValue(p); !ok {
				return nil, s.pieceError(i, "%s has type byte, but bytes are spelled <0x00> to <0xFF>", quote(p))
			}
			if !s.byteFallback {
				return nil, s.pieceError(i, "%s has type byte, but byte_fallback is off", quote(p))
			}
			bytes++
		default:
			return nil, s.pieceError(i, "%s has type %d; SentencePiece's types are 1 to 6", quote(p), typ)
		}
	}
	switch {
	case s.byteFallback && bytes != 256:
		return nil, fieldError(s.file, "byte_fallback", "is on, but only %d of the 256 byte pieces <0x00> to <0xFF> are there", bytes)
	case !s.byteFallback && s.unk == None:
		return nil, fieldError(s.file, "unk", "neither an unknown piece nor byte pieces: text outside the vocabulary could not be encoded")
	}
	for p, id := range seen {
		if t := s.types[id]; t != Normal && t != UserDefined && t != Unused {
			delete(seen, p)
		}
	}
	return seen, nil
}

// byteValue returns the byte that a piece spelled <0xXX> stands for.
func byteValue(piece string) (byte, bool) {
	if len(piece) != 6 || piece[:3] != "<0x" || piece[5] != '>' {
		return 0, false
	}
	hi, ok1 := hexDigit(piece[3])
	lo, ok2 := hexDigit(piece[4])
	return hi<<4 | lo, ok1 && ok2
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
