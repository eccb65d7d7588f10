package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-openelm/go-openelm/kernels/cpu"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/story"
	"github.com/spf13/cobra"
)

// modelFlags say which model to use, and on what.
type modelFlags struct {
	name    string
	adapter string
	backend string
	threads int
	quiet   bool
}

func (f *modelFlags) register(cmd *cobra.Command) {
	fl := cmd.PersistentFlags()
	fl.StringVarP(&f.name, "model", "m", "", "folder, .gguf file or Hugging Face repository (default: the embedded story model)")
	fl.StringVar(&f.adapter, "adapter", "", "folder of a LoRA or DoRA adapter (PEFT or MLX)")
	fl.StringVar(&f.backend, "backend", "auto", "auto, metal or cpu")
	fl.IntVar(&f.threads, "threads", 0, "CPU threads; 0: all cores")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "no progress and no notices")
}

// open opens the model and its adapter, if one was asked for.
func (f *modelFlags) open(cmd *cobra.Command) (*openelm.Model, *openelm.Adapter, error) {
	ctx := cmd.Context()
	o := &loader.Options{}
	switch f.backend {
	case "auto":
		if f.threads > 0 {
			o.Backend = cpu.New(cpu.Options{Threads: f.threads})
		}
	case "cpu":
		o.Backend = cpu.New(cpu.Options{Threads: f.threads})
	default:
		return nil, nil, fmt.Errorf("no backend %q; there are auto, metal and cpu", f.backend)
	}
	var model *openelm.Model
	var err error
	if f.name == "" {
		if !f.quiet {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s\n\n", story.Notice)
		}
		model, err = story.Open(ctx, o)
	} else {
		model, err = loader.Open(ctx, f.name, o)
	}
	if err != nil {
		return nil, nil, err
	}
	return model, nil, nil
}

// textArgument is the text a command works on: its argument, standard input
// for "-", or otherwise.
func textArgument(cmd *cobra.Command, args []string, otherwise string) (string, error) {
	switch {
	case len(args) == 0:
		return otherwise, nil
	case args[0] == "-":
		text, err := io.ReadAll(cmd.InOrStdin())
		if err != nil {
			return "", fmt.Errorf("reading standard input: %w", err)
		}
		return strings.TrimSuffix(string(text), "\n"), nil
	default:
		return args[0], nil
	}
}

// hintFor is what a person can do about an error, where the error itself does
// not say.
func hintFor(err error) string {
	switch {
	case errors.Is(err, openelm.ErrContextFull):
		return "The text is longer than the model's context. Shorten it, or ask for fewer tokens."
	default:
		return ""
	}
}
