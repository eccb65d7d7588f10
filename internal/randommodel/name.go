package randommodel

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-openelm/go-openelm/kernels"
)

// formats are the formats of random checkpoints: safetensors directories as
// transformers and mlx-lm write them, and GGUF files.
var formats = map[string]kernels.Format{
	"f32": kernels.F32, "f16": kernels.F16, "bf16": kernels.BF16,
	"q8_0": kernels.Q8_0, "q4_0": kernels.Q4_0, "q4_1": kernels.Q4_1, "q5_0": kernels.Q5_0, "q5_1": kernels.Q5_1,
	"q2_k": kernels.Q2_K, "q3_k": kernels.Q3_K, "q4_k": kernels.Q4_K, "q5_k": kernels.Q5_K, "q6_k": kernels.Q6_K,
	"iq4_nl": kernels.IQ4_NL, "iq4_xs": kernels.IQ4_XS,
	"mlx4": kernels.Affine4, "mlx8": kernels.Affine8,
}

// Formats are the names of formats that a random model can have.
func Formats() []string { return slices.Sorted(maps.Keys(formats)) }

// Prefix is what the names of random models begin with.
const Prefix = "random:"

// Name is what a random model is called, random:SHAPE:FORMAT.
type Name struct{ Shape, Format string }

// Parse reads a name.
func Parse(s string) (Name, error) {
	rest, random := strings.CutPrefix(s, Prefix)
	shape, format, ok := strings.Cut(rest, ":")
	if !random || !ok {
		return Name{}, fmt.Errorf("model %q, want random:SHAPE:FORMAT, such as random:270M:bf16", s)
	}
	if _, err := Shape(shape); err != nil {
		return Name{}, err
	}
	if formats[format] == 0 {
		return Name{}, fmt.Errorf("no format %q; there are %s", format, strings.Join(Formats(), ", "))
	}
	return Name{shape, format}, nil
}

func (n Name) String() string { return Prefix + n.Shape + ":" + n.Format }

// Safetensors and GGUF report in which files there can be such a model.
func (n Name) Safetensors() bool { return formats[n.Format].Float() || formats[n.Format].Affine() }
func (n Name) GGUF() bool        { return !formats[n.Format].Affine() }

// IsOLMo reports whether n has OLMo's shape.
func (n Name) IsOLMo() bool { return strings.HasPrefix(n.Shape, olmoPrefix) }

// OLMo is the OLMo-shaped counterpart of n.
func (n Name) OLMo() Name {
	return Name{olmoPrefix + strings.TrimPrefix(n.Shape, olmoPrefix), n.Format}
}
