// Command openelm runs OpenELM models from the command line: generate, chat,
// inspect, tokenize, score and bench. Run it with --help.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	err := newCommand().Execute()
	switch {
	case err == nil:
	case errors.Is(err, context.Canceled):
		os.Exit(130) // what a shell gives a command ended by ^C
	default:
		fmt.Fprintln(os.Stderr, "openelm:", err)
		if hint := hintFor(err); hint != "" {
			fmt.Fprintln(os.Stderr, hint)
		}
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "openelm",
		Short: "Run Apple's OpenELM language models",
		Long: `Run Apple's OpenELM language models on an Apple GPU, or on the CPU elsewhere.

Every command takes --model: a folder with config.json and *.safetensors (from
Hugging Face or MLX), a .gguf file, or the name of a Hugging Face repository,
which is downloaded once. Without it, a small story-teller that is part of this
program is used.`,
		Example: `  openelm generate "Once upon a time"
  openelm chat --model apple/OpenELM-1_1B-Instruct
  openelm inspect --model ~/models/OpenELM-270M`,
		PersistentPreRun: func(cmd *cobra.Command, _ []string) {
			ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			cmd.SetContext(ctx)
		},
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	var m modelFlags
	m.register(cmd)
	cmd.AddCommand(generateCommand(&m), chatCommand(&m), inspectCommand(&m), tokenizeCommand(&m), scoreCommand(&m), benchCommand(&m))
	return cmd
}
