package openelm

import (
	"context"
	"errors"
	"math"

	"github.com/go-openelm/go-openelm/kernels"
)

// ErrNoEmbedding is returned for a text whose hidden states are not finite, or
// all zero, as where weights are damaged.
var ErrNoEmbedding = errors.New("openelm: the hidden states have no mean of length 1")

// Embed returns the embedding of a text of tokens, [model_dim] with a Euclidean
// length of 1: the mean of the last hidden states, which are those after the
// model's last norm, over all tokens. A capacity of 0 in o is what tokens need.
//
// It is what a causal language model has to offer, and less than what a model
// trained for embeddings gives: texts of similar words are near each other, but
// all texts are rather near, so that only the order of similarities means much.
// Embeddings of different models, or of one with different adapters, cannot be
// compared.
func (m *Model) Embed(ctx context.Context, tokens []int32, o *SessionOptions) ([]float32, error) {
	var so SessionOptions
	if o != nil {
		so = *o
	}
	if len(tokens) == 0 {
		return nil, ErrEmpty
	}
	if so.Capacity == 0 {
		so.Capacity = len(tokens)
	}
	s, err := m.NewSession(&so)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	if err := s.add(tokens); err != nil {
		return nil, err
	}
	s.states = make([]float64, m.parts.Config.ModelDim)
	s.upTo, s.wanted = len(tokens), nil
	if err := s.evaluate(ctx); err != nil {
		return nil, err
	}
	return unit(s.states)
}

// addStates adds the hidden states of rows after the last norm to sums, each
// [model_dim]. Sums of a text are in order, however it was cut into passes.
func addStates(sums []float64, x []float32, norm kernels.Norm) {
	weight := norm.Weight.Floats()
	for ; len(x) > 0; x = x[len(sums):] {
		row := x[:len(sums)]
		squares := 0.0
		for _, v := range row {
			squares += float64(v) * float64(v)
		}
		scale := 1 / math.Sqrt(squares/float64(len(row))+float64(norm.Eps))
		for i, v := range row {
			sums[i] += float64(v) * scale * float64(weight[i])
		}
	}
}

// unit is v at a length of 1, which makes the mean of a sum, too.
func unit(v []float64) ([]float32, error) {
	squares := 0.0
	for _, x := range v {
		squares += x * x
	}
	out := make([]float32, len(v))
	for i, x := range v {
		if out[i] = float32(x / math.Sqrt(squares)); !finite(out[i]) {
			return nil, ErrNoEmbedding
		}
	}
	return out, nil
}
