package tokenizer

import (
	"encoding/binary"
	"math"
	"slices"
)

// Vocabulary is the tokenizer as plain slices, from which [FromPieces] and the
// program that reads a GGUF file make one that cuts ordinary text in the same
// way. Where the tokenizer was read from a list of merges, each piece's score is
// minus the place of its first merge. What slices cannot say is left out: the
// spaces that some added tokens take, and a dummy prefix for the beginning of a
// text only.
func (t *Tokenizer) Vocabulary() Vocabulary {
	v := Vocabulary{
		Pieces: slices.Clone(t.pieces), Scores: slices.Clone(t.scores), Types: slices.Clone(t.types),
		BOS: t.bos, EOS: t.eos, UNK: t.unk, PAD: t.pad,
		AddDummyPrefix: t.normalizer.prefix != prefixNever, AddBOS: t.addBOS, AddEOS: t.addEOS,
	}
	if v.Scores != nil {
		return v
	}
	v.Scores = make([]float32, len(t.pieces))
	last := float32(0)
	merged := make([]bool, len(t.pieces))
	for _, p := range t.bpe.pairs.slots {
		if p.key == 0 || p.rank == noMerge {
			continue
		}
		if score := -float32(p.rank); !merged[p.result] || score > v.Scores[p.result] {
			merged[p.result], v.Scores[p.result] = true, score
		}
		last = min(last, -float32(p.rank))
	}
	for i := range v.Scores {
		if !merged[i] && v.Types[i] == Normal { // reached by no merge: after all that are
			v.Scores[i] = last - 1
		}
	}
	return v
}

// Model is the vocabulary as a tokenizer.model file, which SentencePiece and
// transformers read as well as [FromModel].
func (v *Vocabulary) Model() []byte {
	var m, trainer, normalizer encoder
	byteFallback := uint64(0)
	for i, p := range v.Pieces {
		var piece encoder
		piece.bytes(pieceText, p)
		piece.float(pieceScore, v.Scores[i])
		piece.varint(pieceKind, uint64(v.Types[i]))
		m.bytes(modelPieces, string(piece))
		if v.Types[i] == Byte {
			byteFallback = 1
		}
	}
	const ( // of TrainerSpec and NormalizerSpec, and of no use to this package's reader
		trainerVocabSize = 4
		trainerUnkID     = 40 // followed by those of bos, eos and pad
		trainerUnkPiece  = 45
		normalizerName   = 1
	)
	trainer.varint(trainerModelType, modelTypeBPE)
	trainer.varint(trainerVocabSize, uint64(len(v.Pieces)))
	trainer.varint(trainerByteFallback, byteFallback)
	for i, id := range []int32{v.UNK, v.BOS, v.EOS, v.PAD} {
		trainer.varint(trainerUnkID+i, uint64(int64(id)))
	}
	for i, id := range []int32{v.UNK, v.BOS, v.EOS, v.PAD} {
		if id != None {
			trainer.bytes(trainerUnkPiece+i, v.Pieces[id])
		}
	}
	m.bytes(modelTrainerSpec, string(trainer))
	normalizer.bytes(normalizerName, "identity")
	normalizer.varint(normalizerDummyPrefix, one(v.AddDummyPrefix))
	normalizer.varint(normalizerExtraSpaces, 0)
	normalizer.varint(normalizerEscape, 1)
	m.bytes(modelNormalizerSpec, string(normalizer))
	return m
}

func one(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// encoder appends the fields of a protobuf message.
type encoder []byte

func (e *encoder) tag(number, wire int) {
	*e = binary.AppendUvarint(*e, uint64(number)<<3|uint64(wire))
}

func (e *encoder) varint(number int, v uint64) {
	e.tag(number, wireVarint)
	*e = binary.AppendUvarint(*e, v)
}

func (e *encoder) float(number int, v float32) {
	e.tag(number, wireFixed32)
	*e = binary.LittleEndian.AppendUint32(*e, math.Float32bits(v))
}

func (e *encoder) bytes(number int, s string) {
	e.tag(number, wireBytes)
	*e = binary.AppendUvarint(*e, uint64(len(s)))
	*e = append(*e, s...)
}
