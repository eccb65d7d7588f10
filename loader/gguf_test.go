package loader_test

import (
	"errors"
	"os"
	"testing"

	"github.com/go-openelm/go-openelm/internal/checkpoint"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/loader/gguf"
)

// FuzzGGUFModel: whatever is accepted is a model whose tensors hold the weights
// that its configuration wants, in the file.
func FuzzGGUFModel(f *testing.F) {
	smallest := tiny
	smallest.Layers, smallest.VocabSize, smallest.TiedHead = smallest.Layers[:1], 8, true
	tokenizer := []gguf.KeyValue{
		{Key: "tokenizer.ggml.model", Value: "llama"},
		{Key: "tokenizer.ggml.tokens", Value: []string{"<unk>", "<s>", "</s>", "▁", "a"}},
		{Key: "tokenizer.ggml.scores", Value: []float32{0, 0, 0, -1, -2}},
		{Key: "tokenizer.ggml.token_type", Value: []int32{2, 3, 3, 1, 1}},
		{Key: "tokenizer.ggml.unknown_token_id", Value: uint32(0)},
	}
	for _, format := range []kernels.Format{kernels.F16, kernels.Q4_0} {
		data, err := os.ReadFile(makeGGUF(f, checkpoint.Spec{Config: smallest, Format: format, Metadata: tokenizer}))
		if err != nil {
			f.Fatal(err)
		}
		if _, _, err := loader.CheckGGUF(data); err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, weights, err := loader.CheckGGUF(data)
		if err != nil {
			var bad *loader.FileError
			if !errors.As(err, &bad) || bad.Kind == nil {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		if err := c.Validate(); err != nil {
			t.Fatalf("accepted %+v: %v", c, err)
		}
		// Parameters counts the norms of a layer and the last one.
		if want := c.Parameters(); weights != want {
			t.Fatalf("%d weights for a model of %d parameters", weights, want)
		}
	})
}
