package tokenizer

import (
	"fmt"
	"unicode/utf8"
)

// Field numbers of sentencepiece_model.proto
// (https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto).
const (
	modelPieces           = 1
	modelTrainerSpec      = 2
	modelNormalizerSpec   = 3
	modelDenormalizerSpec = 5

	pieceText  = 1
	pieceScore = 2
	pieceKind  = 3

	trainerModelType    = 3
	trainerSuffixSpace  = 24
	trainerByteFallback = 35
	trainerUnkSurface   = 44
	trainerBosPiece     = 46
	trainerEosPiece     = 47
	trainerPadPiece     = 48

	normalizerCharsMap    = 2
	normalizerDummyPrefix = 3
	normalizerExtraSpaces = 4
	normalizerEscape      = 5
)

// modelTypes are the values of TrainerSpec.ModelType; the first is the default.
var modelTypes = map[int32]string{1: "unigram", 2: "BPE", 3: "word", 4: "char"}

const modelTypeBPE = 2

// FromModel makes a tokenizer of the content of a tokenizer.model file, a
// SentencePiece model of type BPE. It returns a *FormatError if data is
// damaged, is of another type, or asks for character normalization.
func FromModel(data []byte) (*Tokenizer, error) {
	s, err := parseModel("tokenizer.model", data)
	if err != nil {
		return nil, err
	}
	return s.build()
}

// model is the ModelProto message, with the defaults of its .proto file.
type model struct {
	*source
	modelType                    int32
	suffixSpace                  bool
	dummyPrefix                  bool
	escape                       bool
	bosPiece, eosPiece, padPiece string
}

func parseModel(file string, data []byte) (*source, error) {
	s := model{
		source: newSource(file), modelType: 1, dummyPrefix: true, escape: true,
		bosPiece: "<s>", eosPiece: "</s>", padPiece: "<pad>",
	}
	s.removeExtraSpaces = true
	m := message{file: file, data: string(data)}
	err := m.each(func(f field) error {
		switch f.number {
		case modelPieces:
			return s.readPiece(f, &m)
		case modelTrainerSpec:
			return s.readTrainer(f, &m)
		case modelNormalizerSpec:
			return s.readNormalizer(f, &m)
		case modelDenormalizerSpec:
			return s.readDenormalizer(f, &m)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.finish()
}

// finish checks what only the whole file tells and fills in the rest of the source.
func (s *model) finish() (*source, error) {
	if len(s.pieces) == 0 {
		return nil, fieldError(s.file, "pieces", "there are none: this is not a SentencePiece model")
	}
	if s.modelType != modelTypeBPE {
		name, ok := modelTypes[s.modelType]
		if !ok {
			name = fmt.Sprint(s.modelType)
		}
		return nil, unsupported(s.file, "trainer_spec.model_type", "is %s; OpenELM's tokenizer is BPE and no other type is supported", name)
	}
	if s.suffixSpace {
		return nil, unsupported(s.file, "trainer_spec.treat_whitespace_as_suffix", "is not supported")
	}
	if !s.escape {
		return nil, unsupported(s.file, "normalizer_spec.escape_whitespaces", "is off, which is not supported")
	}
	if !s.dummyPrefix {
		s.prefix = prefixNever
	}
	if !utf8.ValidString(s.unkSurface) {
		return nil, fieldError(s.file, "trainer_spec.unk_surface", "%s is not UTF-8", quote(s.unkSurface))
	}
	s.stripPrefix = s.dummyPrefix || s.removeExtraSpaces
	// As in SentencePiece the names of the special pieces decide, not the ids in the trainer's section.
	s.bos = s.control(s.bosPiece)
	s.eos = s.control(s.eosPiece)
	s.pad = s.control(s.padPiece)
	for i, typ := range s.types {
		if typ == Control || typ == Unknown {
			s.declare(addedToken{id: int32(i), content: s.pieces[i], special: true})
		}
		if typ == UserDefined {
			s.declare(addedToken{id: int32(i), content: s.pieces[i], normalized: true})
		}
	}
	return s.source, nil
}

func (s *model) readPiece(f field, parent *message) error {
	m, err := parent.sub(f, "pieces")
	if err != nil {
		return err
	}
	text, score, kind := "", float32(0), int32(Normal)
	err = m.each(func(f field) error {
		switch f.number {
		case pieceText:
			return m.string(f, "piece", &text)
		case pieceScore:
			return m.float(f, "score", &score)
		case pieceKind:
			return m.int32(f, "type", &kind)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if text == "" {
		return m.errorAt(0, "piece %d is empty", len(s.pieces))
	}
	s.pieces = append(s.pieces, text)
	s.scores = append(s.scores, score)
	s.types = append(s.types, PieceType(kind))
	return nil
}

func (s *model) readTrainer(f field, parent *message) error {
	m, err := parent.sub(f, "trainer_spec")
	if err != nil {
		return err
	}
	return m.each(func(f field) error {
		switch f.number {
		case trainerModelType:
			return m.int32(f, "model_type", &s.modelType)
		case trainerSuffixSpace:
			return m.bool(f, "treat_whitespace_as_suffix", &s.suffixSpace)
		case trainerByteFallback:
			return m.bool(f, "byte_fallback", &s.byteFallback)
		case trainerUnkSurface:
			return m.string(f, "unk_surface", &s.unkSurface)
		case trainerBosPiece:
			return m.string(f, "bos_piece", &s.bosPiece)
		case trainerEosPiece:
			return m.string(f, "eos_piece", &s.eosPiece)
		case trainerPadPiece:
			return m.string(f, "pad_piece", &s.padPiece)
		}
		return nil
	})
}

func (s *model) readNormalizer(f field, parent *message) error {
	m, err := parent.sub(f, "normalizer_spec")
	if err != nil {
		return err
	}
	return m.each(func(f field) error {
		switch f.number {
		case normalizerCharsMap:
			return rejectCharsMap(f, &m)
		case normalizerDummyPrefix:
			return m.bool(f, "add_dummy_prefix", &s.dummyPrefix)
		case normalizerExtraSpaces:
			return m.bool(f, "remove_extra_whitespaces", &s.removeExtraSpaces)
		case normalizerEscape:
			return m.bool(f, "escape_whitespaces", &s.escape)
		}
		return nil
	})
}

// readDenormalizer reads denormalizer_spec, of which only the character map has an effect.
func (s *model) readDenormalizer(f field, parent *message) error {
	m, err := parent.sub(f, "denormalizer_spec")
	if err != nil {
		return err
	}
	return m.each(func(f field) error {
		if f.number == normalizerCharsMap {
			return rejectCharsMap(f, &m)
		}
		return nil
	})
}

func rejectCharsMap(f field, m *message) error {
	var charsMap string
	if err := m.string(f, "precompiled_charsmap", &charsMap); err != nil || charsMap == "" {
		return err
	}
	e := unsupported(m.file, m.path("precompiled_charsmap"), "asks for character normalization (%d bytes of rules); only the identity normalizer, which OpenELM's tokenizer has, is supported", len(charsMap))
	e.Offset = f.offset
	return e
}
