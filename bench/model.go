package bench

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-openelm/go-openelm/internal/checkpoint"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/story"
)

const (
	storyName    = "story"
	randomPrefix = "random:"
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

// model is a checkpoint to measure.
type model struct {
	name   string // as it was asked for
	shape  string // of a random model, else empty
	format string
	path   string // of its file or directory, or its repository's name; empty for the story model
}

func parseModel(name string) (model, error) {
	rest, random := strings.CutPrefix(name, randomPrefix)
	switch {
	case name == storyName:
		return model{name: name}, nil
	case !random:
		_, err := os.Stat(name)
		owner, repository, _ := strings.Cut(name, "/")
		if err != nil && (owner == "" || owner == "." || owner == ".." || repository == "" || strings.Contains(repository, "/")) {
			return model{}, fmt.Errorf("%w: no model %q: it is no path, no Hugging Face repository (owner/name), nor %q, nor random:SHAPE:FORMAT",
				ErrOptions, name, storyName)
		}
		return model{name: name, path: name}, nil
	}
	shape, format, ok := strings.Cut(rest, ":")
	if !ok {
		return model{}, fmt.Errorf("%w: model %q, want random:SHAPE:FORMAT, such as random:270M:bf16", ErrOptions, name)
	}
	if _, err := Shape(shape); err != nil {
		return model{}, err
	}
	if formats[format] == 0 {
		return model{}, fmt.Errorf("%w: no format %q; there are %s", ErrOptions, format, strings.Join(Formats(), ", "))
	}
	return model{name: name, shape: shape, format: format}, nil
}

// olmo is the OLMo-shaped counterpart of a random model.
func (m model) olmo() (model, bool) {
	if m.shape == "" || strings.HasPrefix(m.shape, olmoPrefix) {
		return model{}, false
	}
	shape := olmoPrefix + m.shape
	return model{name: randomPrefix + shape + ":" + m.format, shape: shape, format: m.format}, true
}

// store keeps random checkpoints in a directory, under names that say what
// they are.
type store struct {
	dir  string
	made []string
}

// makerVersion changes when the same name means other bytes.
const makerVersion = "1"

// find makes m's checkpoint, if it is random and not there, and sets its path.
func (s *store) find(ctx context.Context, m *model) error {
	if m.shape == "" {
		return nil
	}
	path, err := s.random(ctx, m.shape, m.format, formats[m.format].Float() || formats[m.format].Affine())
	m.path = path
	return err
}

// random makes a checkpoint: a directory of safetensors, or a GGUF file.
func (s *store) random(ctx context.Context, shape, format string, safetensors bool) (string, error) {
	config, err := Shape(shape)
	if err != nil {
		return "", err
	}
	spec := checkpoint.Spec{Config: config, Format: formats[format]}
	name := "openelm-" + shape + "-" + format + "-" + makerVersion
	write := checkpoint.WriteDir
	if !safetensors {
		name += ".gguf"
		write = checkpoint.WriteGGUF
		spec.Metadata = noVocabulary(&config)
	}
	path := filepath.Join(s.dir, "models", name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	temporary := filepath.Join(s.dir, "models", ".making")
	if err := os.MkdirAll(temporary, 0o777); err != nil {
		return "", err
	}
	temporary, err = os.MkdirTemp(temporary, name)
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temporary)
	if err := write(ctx, filepath.Join(temporary, name), spec); err != nil {
		return "", orCause(ctx, fmt.Errorf("bench: making %s: %w", name, err))
	}
	if err := os.Rename(filepath.Join(temporary, name), path); err != nil {
		return "", err
	}
	s.made = append(s.made, path)
	return path, nil
}

// remove removes what this run made.
func (s *store) remove() error {
	for _, path := range s.made {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}

// Clean removes the random checkpoints in a cache directory.
func Clean(cacheDir string) error {
	err := os.RemoveAll(filepath.Join(cacheDir, "models"))
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return nil
}

// open opens the checkpoint at path, or the story model if that is empty.
func open(ctx context.Context, path string, b kernels.Backend) (*openelm.Model, error) {
	o := &loader.Options{Backend: b, NoTokenizer: true}
	if path == "" {
		return story.Open(ctx, o)
	}
	return loader.Open(ctx, path, o)
}
