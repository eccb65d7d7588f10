package openelm_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/openelm"
)

// TestTensors lists a layer with everything and a model without what is optional.
func TestTensors(t *testing.T) {
	names := func(qkNorm, glu, tied bool) (list []string) {
		c := openelm.Config{VocabSize: 7, ModelDim: 4, HeadDim: 2, QKNorm: qkNorm, GLU: glu, TiedHead: tied,
			Layers: []openelm.LayerConfig{{QueryHeads: 2, KVHeads: 1, FFNDim: 6}}}
		w := openelm.Weights{Layers: make([]openelm.LayerWeights, 1)}
		var size int64
		for x := range w.Tensors(&c) {
			if (x.Matrix == nil) == (x.Vector == nil) {
				t.Errorf("%s has no place, or two", x.Name())
			}
			size += int64(x.Rows * x.Cols)
			list = append(list, x.Name())
		}
		if size != c.Parameters() {
			t.Errorf("%d weights are listed, the model has %d", size, c.Parameters())
		}
		for x := range w.Tensors(&c) {
			if x.Role == openelm.RoleQKV {
				return list // leaving the loop early
			}
		}
		return list
	}
	want := []string{
		"embedding", "layers.0.attn_norm", "layers.0.qkv", "layers.0.q_norm", "layers.0.k_norm", "layers.0.out",
		"layers.0.ffn_norm", "layers.0.gate", "layers.0.up", "layers.0.down", "norm", "head",
	}
	if got := names(true, true, false); !slices.Equal(got, want) {
		t.Errorf("all tensors: %q", got)
	}
	want = []string{
		"embedding", "layers.0.attn_norm", "layers.0.qkv", "layers.0.out",
		"layers.0.ffn_norm", "layers.0.gate", "layers.0.down", "norm",
	}
	if got := names(false, false, true); !slices.Equal(got, want) {
		t.Errorf("the fewest tensors: %q", got)
	}
}

// TestAdapterWithoutPlace: an update of a matrix that the model does not have.
func TestAdapterWithoutPlace(t *testing.T) {
	m := openPack(t, "tiny-noglu")
	a := &openelm.Adapter{Layers: make([]openelm.LayerAdapter, len(m.Config().Layers))}
	if err := a.Validate(m); err != nil {
		t.Fatal(err)
	}
	a.Layers[1].Up = &kernels.LowRank{}
	if err := a.Validate(m); !errors.Is(err, openelm.ErrConfig) || !strings.Contains(err.Error(), "layers.1.up") {
		t.Errorf("an update of a second half that is not there: %v", err)
	}
}
