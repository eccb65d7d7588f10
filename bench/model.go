package bench

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/go-openelm/go-openelm/internal/randommodel"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/story"
)

const storyName = "story"

// model is a checkpoint to measure.
type model struct {
	name   string            // as it was asked for
	random *randommodel.Name // nil for others
	path   string            // of its file or directory, or its repository's name; empty for the story model
}

func randomModel(n randommodel.Name) model { return model{name: n.String(), random: &n} }

func parseModel(name string) (model, error) {
	switch {
	case name == storyName:
		return model{name: name}, nil
	case !strings.HasPrefix(name, randommodel.Prefix):
		_, err := os.Stat(name)
		owner, repository, _ := strings.Cut(name, "/")
		if err != nil && (owner == "" || owner == "." || owner == ".." || repository == "" || strings.Contains(repository, "/")) {
			return model{}, fmt.Errorf("%w: no model %q: it is no path, no Hugging Face repository (owner/name), nor %q, nor random:SHAPE:FORMAT",
				ErrOptions, name, storyName)
		}
		return model{name: name, path: name}, nil
	}
	n, err := randommodel.Parse(name)
	if err != nil {
		return model{}, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return randomModel(n), nil
}

// find makes m's checkpoint, if it is random and not there, and sets its path.
func (m *model) find(ctx context.Context, s *randommodel.Store) (err error) {
	switch {
	case m.random == nil:
		return nil
	case m.random.Safetensors():
		m.path, err = s.Safetensors(ctx, *m.random)
	default:
		m.path, err = s.GGUF(ctx, *m.random)
	}
	return err
}

// checkpoint is m in every form there is; a random model is made in both.
func (m *model) checkpoint(ctx context.Context, s *randommodel.Store) (c Checkpoint, err error) {
	if m.random == nil {
		info, err := os.Stat(m.path)
		switch {
		case err != nil: // the name of a repository
		case info.IsDir():
			c.Safetensors = m.path
		case strings.HasSuffix(m.path, ".gguf"):
			c.GGUF = m.path
		}
		return c, nil
	}
	if m.random.Safetensors() && m.random.GGUF() { // weights that others read, too
		if c.Safetensors, err = s.Safetensors(ctx, *m.random); err != nil {
			return c, err
		}
	}
	if m.random.GGUF() {
		c.GGUF, err = s.GGUF(ctx, *m.random)
	}
	return c, err
}

// open opens the checkpoint at path, or the story model if that is empty.
func open(ctx context.Context, path string, b kernels.Backend) (*openelm.Model, error) {
	o := &loader.Options{Backend: b, NoTokenizer: true}
	if path == "" {
		return story.Open(ctx, o)
	}
	return loader.Open(ctx, path, o)
}
