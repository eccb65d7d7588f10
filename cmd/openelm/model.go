package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/cpu"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/loader/hub"
	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/story"
	"github.com/spf13/cobra"
)

// What --activations can be.
const (
	exactActivations   = "exact"
	roundedActivations = "bf16"
)

// checkActivations refuses what --activations cannot be.
func checkActivations(name string) error {
	if name != exactActivations && name != roundedActivations {
		return fmt.Errorf("--activations %q makes no sense; there are exact and bf16", name)
	}
	return nil
}

// errActivations says where activations can be rounded.
var errActivations = fmt.Errorf("--activations bf16 is for the CPU; leave it out with --backend metal: %w", errors.ErrUnsupported)

// modelFlags say which model to use, and on what.
type modelFlags struct {
	name        string
	adapter     string
	backend     string
	threads     int
	activations string
	quiet       bool

	bare bool // without the tokenizer
}

func (f *modelFlags) register(cmd *cobra.Command) {
	fl := cmd.PersistentFlags()
	fl.StringVarP(&f.name, "model", "m", "", "folder, .gguf or .pt file, or Hugging Face repository (default: the embedded story model)")
	fl.StringVar(&f.adapter, "adapter", "", "folder of a LoRA or DoRA adapter (PEFT or MLX), or .pt file of CoreNet with one")
	fl.StringVar(&f.backend, "backend", "auto", "auto, metal or cpu")
	fl.IntVar(&f.threads, "threads", 0, "CPU threads, at most one for each core; 0: all cores (auto is the CPU with any other number)")
	fl.StringVar(&f.activations, "activations", exactActivations, "exact, or bf16: rounded to bfloat16 for faster prompts, on CPUs that multiply it (auto is the CPU then)")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "no progress and no notices")
}

// loaderOptions are how the loader should work for this command: with a
// progress bar for downloads unless it should be quiet.
func (f *modelFlags) loaderOptions(cmd *cobra.Command) *loader.Options {
	o := &loader.Options{Adapter: f.adapter, DownloadTokenizer: true, NoTokenizer: f.bare, Hub: &hub.Client{}}
	if !f.quiet {
		o.Hub.Progress = downloadProgress(cmd.ErrOrStderr())
		o.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	return o
}

// open opens the model. The caller closes what it gets.
func (f *modelFlags) open(cmd *cobra.Command) (*opened, error) {
	return f.openContext(cmd.Context(), cmd)
}

// openContext is open for less long than the command runs.
func (f *modelFlags) openContext(ctx context.Context, cmd *cobra.Command) (*opened, error) {
	o := f.loaderOptions(cmd)
	var err error
	if o.Backend, err = f.openBackend(o.Logger); err != nil {
		return nil, err
	}
	m := &opened{backend: o.Backend}
	if n := runtime.NumCPU(); f.threads > n && !f.quiet {
		fmt.Fprintf(cmd.ErrOrStderr(), "note: %d threads, one for each core, instead of %d\n", n, f.threads)
	}
	if f.name == "" {
		if !f.quiet {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s\n\n", story.Notice)
		}
		m.Model, err = story.Open(ctx, o)
	} else {
		m.Model, err = loader.Open(ctx, f.name, o)
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// openWithText reads the text that a command works on and opens the model.
func (f *modelFlags) openWithText(cmd *cobra.Command, args []string) (*opened, string, error) {
	text, err := textArgument(cmd, args)
	if err != nil {
		return nil, "", err
	}
	m, err := f.open(cmd)
	return m, text, err
}

// noUse is the annotation of a command, and of those below it, that names the
// flags of all commands which mean nothing to it.
const noUse = "no use"

// useless are the flags that cmd has no use for.
func useless(cmd *cobra.Command) (names []string) {
	for c := cmd; c != nil; c = c.Parent() {
		names = append(names, strings.Fields(c.Annotations[noUse])...)
	}
	return names
}

// hideUseless leaves the flags that a command has no use for out of its help.
func hideUseless(cmd *cobra.Command) {
	for _, name := range useless(cmd) {
		cmd.InheritedFlags().Lookup(name).Hidden = true
	}
}

// check refuses what makes no sense, before a command does anything.
func (f *modelFlags) check(cmd *cobra.Command) error {
	for _, name := range useless(cmd) {
		if cmd.Flags().Changed(name) {
			return fmt.Errorf("%s has no use for --%s (see %[1]s --help)", cmd.CommandPath(), name)
		}
	}
	switch {
	case f.backend != "auto" && f.backend != "cpu" && f.backend != "metal":
		return fmt.Errorf("no backend %q; there are auto, metal and cpu", f.backend)
	case f.threads < 0:
		return fmt.Errorf("--threads %d makes no sense", f.threads)
	case f.threads > 0 && f.backend == "metal":
		return errors.New("--threads is for the CPU; leave it out with --backend metal")
	case f.activations == roundedActivations && f.backend == "metal":
		return errActivations
	}
	return checkActivations(f.activations)
}

// openBackend is the backend that was asked for, nil for the loader's choice.
func (f *modelFlags) openBackend(log *slog.Logger) (kernels.Backend, error) {
	switch {
	case f.backend == "metal":
		return openGPU(log)
	case f.backend == "auto" && f.threads == 0 && f.activations == exactActivations:
		return nil, nil
	}
	// More threads than the machine runs at once only wait for each other.
	return cpu.New(cpu.Options{Threads: min(f.threads, runtime.NumCPU()), RoundActivations: f.activations == roundedActivations}), nil
}

// opened is a model with what belongs to it.
type opened struct {
	*openelm.Model
	backend kernels.Backend // to close after the model; nil if the model does
}

// Close closes everything, the backend last.
func (o *opened) Close() {
	if o.Model != nil {
		o.Model.Close()
	}
	if o.backend != nil {
		o.backend.Close()
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
