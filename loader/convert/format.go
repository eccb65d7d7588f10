package convert

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-openelm/go-openelm/kernels"
)

// ErrFormat is wrapped by errors about formats that this package does not write.
// It is an [errors.ErrUnsupported].
var ErrFormat error = sentinel{"convert: no such format", errors.ErrUnsupported}

// Kind is a kind of checkpoint.
type Kind int

// The kinds of checkpoint.
const (
	Safetensors Kind = iota + 1 // a folder, as transformers writes it
	MLX                         // a folder, as mlx-lm writes it
	GGUF                        // a file, as llama.cpp's converter and llama-quantize write it
)

func (k Kind) String() string {
	return map[Kind]string{Safetensors: "safetensors", MLX: "mlx", GGUF: "gguf"}[k]
}

// Format is a format of a checkpoint; [ParseFormat] makes it from its name.
type Format struct {
	Kind Kind

	// Matrix is how matrices are stored: a float for Safetensors, Affine4 or
	// Affine8 for MLX, any that package quantize writes for GGUF. There some are
	// stored with more bits, as llama-quantize does: see Mixed.
	Matrix kernels.Format

	// Mixed, of GGUF, gives Q6_K to those matrices of some layers that need it most:
	// Q4_K_M and Q5_K_M.
	Mixed bool

	// MLX only: the columns that share a scale, 64 if zero, and the type of the
	// scales and norms; if zero the model's own, F16 where that is none of the floats.
	Group  int
	Scales kernels.Format
}

// ggufTypes are the GGUF formats: their names in llama-quantize, and the numbers
// in general.file_type (llama_ftype).
var ggufTypes = []struct {
	name   string
	format Format
	number uint32
}{
	{"F32", Format{Kind: GGUF, Matrix: kernels.F32}, 0},
	{"F16", Format{Kind: GGUF, Matrix: kernels.F16}, 1},
	{"BF16", Format{Kind: GGUF, Matrix: kernels.BF16}, 32},
	{"Q8_0", Format{Kind: GGUF, Matrix: kernels.Q8_0}, 7},
	{"Q6_K", Format{Kind: GGUF, Matrix: kernels.Q6_K}, 18},
	{"Q5_K_M", Format{Kind: GGUF, Matrix: kernels.Q5_K, Mixed: true}, 17},
	{"Q4_K_M", Format{Kind: GGUF, Matrix: kernels.Q4_K, Mixed: true}, 15},
	{"Q4_0", Format{Kind: GGUF, Matrix: kernels.Q4_0}, 2},
}

// floats are the formats of safetensors, and of MLX's scales: their names here
// and in a config.json.
var floats = []struct {
	name   string
	format kernels.Format
	torch  string
}{{"f32", kernels.F32, "float32"}, {"f16", kernels.F16, "float16"}, {"bf16", kernels.BF16, "bfloat16"}}

// Names lists the formats, without MLX's rarer ones, the largest files first.
func Names() []string {
	var list []string
	for _, f := range floats {
		list = append(list, "safetensors-"+f.name)
	}
	list = append(list, "mlx-8", "mlx-4")
	for _, g := range ggufTypes {
		list = append(list, "gguf-"+strings.ToLower(g.name))
	}
	return list
}

// String is the name that [ParseFormat] reads.
func (f Format) String() string {
	switch f.Kind {
	case GGUF:
		for _, g := range ggufTypes {
			if g.format == f {
				return "gguf-" + strings.ToLower(g.name)
			}
		}
	case Safetensors:
		return "safetensors-" + strings.ToLower(f.Matrix.String())
	case MLX:
		s := "mlx-" + strconv.Itoa(f.bits())
		if f.Group != 0 && f.Group != 64 {
			s += "-g" + strconv.Itoa(f.Group)
		}
		if f.Scales != 0 {
			s += "-" + strings.ToLower(f.Scales.String())
		}
		return s
	}
	return fmt.Sprintf("Format(%d, %v)", f.Kind, f.Matrix)
}

// UsesImportance reports whether matrices are of a type that [Options].Importance
// changes.
func (f Format) UsesImportance() bool { return f.Kind == GGUF && f.Matrix.BlockCols() == 256 }

func (f Format) bits() int {
	if f.Matrix == kernels.Affine8 {
		return 8
	}
	return 4
}

// ParseFormat reads the name of a format, of capital or small letters:
//
//	safetensors-f32, -f16, -bf16
//	mlx-4, mlx-8, with -g32 or -g128 for another group than 64, and with -f32, -f16
//	or -bf16 for the type of the scales: mlx-4-g32-bf16
//	gguf-f32, -f16, -bf16, -q8_0, -q6_k, -q5_k_m, -q4_k_m, -q4_0
//
// What only GGUF has may go without "gguf-".
func ParseFormat(name string) (Format, error) {
	kind, rest, _ := strings.Cut(strings.ToLower(name), "-")
	switch kind {
	case "safetensors":
		for _, f := range floats {
			if f.name == rest {
				return Format{Kind: Safetensors, Matrix: f.format}, nil
			}
		}
	case "mlx":
		if f, ok := parseMLX(rest); ok {
			return f, nil
		}
	case "gguf":
		for _, g := range ggufTypes {
			if strings.EqualFold(g.name, rest) {
				return g.format, nil
			}
		}
	default:
		for _, g := range ggufTypes {
			if strings.EqualFold(g.name, name) && !g.format.Matrix.Float() {
				return g.format, nil
			}
		}
	}
	return Format{}, fmt.Errorf("%w: %.60q; there are %s, and for MLX groups and scales as in mlx-4-g32-bf16", ErrFormat, name, strings.Join(Names(), ", "))
}

func parseMLX(rest string) (Format, bool) {
	parts := strings.Split(rest, "-")
	f := Format{Kind: MLX}
	switch parts[0] {
	case "4":
		f.Matrix = kernels.Affine4
	case "8":
		f.Matrix = kernels.Affine8
	default:
		return f, false
	}
	for _, p := range parts[1:] {
		group, isGroup := map[string]int{"g32": 32, "g64": 64, "g128": 128}[p]
		switch {
		case isGroup && f.Group == 0:
			f.Group = group
			continue
		case f.Scales != 0:
			return f, false
		}
		for _, kind := range floats {
			if kind.name == p {
				f.Scales = kind.format
			}
		}
		if f.Scales == 0 {
			return f, false
		}
	}
	return f, true
}

// check refuses a format that was put together wrongly.
func (f Format) check() error {
	if g, err := ParseFormat(f.String()); err != nil || g != f && f.Kind != MLX {
		return fmt.Errorf("%w: %v", ErrFormat, f)
	}
	return nil
}
