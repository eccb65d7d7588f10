// Command openelm runs OpenELM models from the command line: generate, chat,
// inspect, tokenize, score, serve, convert, perplexity, models, bench and tune. Run
// it with --help.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/go-openelm/go-openelm/internal/version"
	"github.com/spf13/cobra"
)

func main() {
	ctx, signals := watchSignals(context.Background(), os.Exit)
	err := run(ctx, signals, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	os.Exit(exitStatus(ctx, err, os.Stderr))
}

// run executes the command line args.
func run(ctx context.Context, s *signals, args []string, in io.Reader, out, errs io.Writer) error {
	o := &output{w: out}
	cmd := newCommand(s)
	cmd.SetArgs(args)
	cmd.SetIn(in)
	cmd.SetOut(o)
	cmd.SetErr(errs)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		err = o.err
	}
	return err
}

// exitStatus complains about err and returns the exit status.
func exitStatus(ctx context.Context, err error, w io.Writer) int {
	if err == nil {
		return 0
	}
	if status := statusOfSignal(ctx); status != 0 {
		return status // no news for whoever sent it
	}
	fmt.Fprintf(w, "openelm: %s\n", strings.TrimPrefix(err.Error(), "openelm: "))
	if hint := hintFor(err); hint != "" {
		fmt.Fprintln(w, hint)
	}
	return 1
}

// output is standard output. A command that could not write all of it has failed,
// wherever it wrote.
type output struct {
	w   io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.w.Write(p)
	if err != nil {
		o.err = fmt.Errorf("standard output: %w", err)
	}
	return n, o.err
}

// conversion is the part of an error about a number that is no news: the number
// stands before it.
var conversion = regexp.MustCompile(`strconv\.\w+: parsing "[^"]*": `)

// noArguments is the Args of commands that take flags only.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments, and got %q (see %[1]s --help)", cmd.CommandPath(), args[0])
	}
	return nil
}

func newCommand(s *signals) *cobra.Command {
	var m modelFlags
	cmd := &cobra.Command{
		Use:     "openelm",
		Short:   "Run Apple's OpenELM language models",
		Version: version.Line(),
		Long: `Run Apple's OpenELM language models on an Apple GPU, or on the CPU elsewhere.

Every command takes --model: a folder with config.json and *.safetensors (from
Hugging Face or MLX), a .gguf file, a .pt file of CoreNet, or the name of a
Hugging Face repository, which is downloaded once. Without it, a small
story-teller that is part of this program is used.`,
		Example: `  openelm generate "Once upon a time"
  openelm chat --model apple/OpenELM-1_1B-Instruct
  openelm inspect --model ~/models/OpenELM-270M`,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return m.check(cmd) },
		SilenceUsage:      true,
		SilenceErrors:     true,
	}
	cmd.SetVersionTemplate("openelm {{.Version}}\n")
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%s (see %s --help)", conversion.ReplaceAllString(err.Error(), ""), cmd.CommandPath())
	})
	m.register(cmd)
	help := cmd.HelpFunc()
	cmd.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		hideUseless(cmd)
		help(cmd, args)
	})
	cmd.AddCommand(generateCommand(&m), chatCommand(&m, s), inspectCommand(&m), tokenizeCommand(&m), scoreCommand(&m), serveCommand(&m, s), convertCommand(&m), perplexityCommand(&m), modelsCommand(&m), benchCommand(&m), tuneCommand(&m))
	return cmd
}
