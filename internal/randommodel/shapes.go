package randommodel

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
)

// presets are Apple's sizes, as config.json names them.
var presets = map[string]string{
	"270M": "OpenELM-270M", "450M": "OpenELM-450M", "1.1B": "OpenELM-1_1B", "3B": "OpenELM-3B",
}

// Shapes are the names of shapes that a random model can have: Apple's sizes,
// and "olmo-" before one of them for an OLMo-shaped model of as many parameters.
func Shapes() []string {
	sizes := []string{"270M", "450M", "1.1B", "3B"}
	for _, s := range slices.Clone(sizes) {
		sizes = append(sizes, olmoPrefix+s)
	}
	return sizes
}

const olmoPrefix = "olmo-"

// Shape is the configuration of a shape by name; see [Shapes].
func Shape(name string) (openelm.Config, error) {
	size, olmo := strings.CutPrefix(name, olmoPrefix)
	preset, known := presets[size]
	if !known {
		return openelm.Config{}, fmt.Errorf("no shape %q; there are %s", name, strings.Join(Shapes(), ", "))
	}
	c, err := loader.ParseConfig(fmt.Appendf(nil, `{"model_name": %q}`, preset))
	if err != nil {
		return openelm.Config{}, err
	}
	if olmo {
		return olmoShape(*c), nil
	}
	return *c, nil
}

// olmoShape is a model of about as many parameters as c, built as OLMo is
// (Groeneveld et al. 2024, table 1): all layers the same, as many key-value as
// query heads, of 128 elements, neither queries nor keys normalised, and one
// layer for every 128 of the model's dimension, as OLMo 1B's 16 layers of 2048.
// The feed-forward width is what makes the number of parameters come out.
//
// OLMo's norms are LayerNorms without weights; these are RMSNorms with, as many
// of them, since the forward pass has no other. Vocabulary and model dimension
// are c's, so that the embedding and the head cost both the same.
func olmoShape(c openelm.Config) openelm.Config {
	const headDim, perLayer, unit = 128, 128, 32 // unit: the blocks of quantised formats
	want := c.Parameters()
	heads := max(1, c.ModelDim/headDim)
	layers := max(1, c.ModelDim/perLayer)
	c.HeadDim, c.QKNorm = headDim, false
	c.Layers = slices.Repeat([]openelm.LayerConfig{{QueryHeads: heads, KVHeads: heads, FFNDim: unit}}, layers)
	matricesOfFFN := 2
	if c.GLU {
		matricesOfFFN = 3
	}
	perUnit := float64(layers * matricesOfFFN * c.ModelDim * unit)
	more := math.Round(float64(want-c.Parameters()) / perUnit)
	for i := range c.Layers {
		c.Layers[i].FFNDim += unit * max(0, int(more))
	}
	return c
}
