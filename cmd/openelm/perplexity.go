package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/go-openelm/go-openelm/evaluate"
	"github.com/spf13/cobra"
)

func perplexityCommand(m *modelFlags) *cobra.Command {
	var against string
	var context int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "perplexity file",
		Short: "Measure how well a model predicts a text, alone or beside another model",
		Long: `Measure how well a model predicts a text of any length, and with --against how far
its predictions are from another model's: what a format or an adapter costs, or
with --activations bf16, which the other model does without, what rounding does.
The text is read in windows of the model's context that overlap by half. A file
"-" is standard input.

KL divergence is in nats; the first choices are the tokens that each model finds
most probable.`,
		Example: `  openelm perplexity --model q4_k_m.gguf text.txt
  openelm perplexity --model q4_k_m.gguf --against apple/OpenELM-270M text.txt
  openelm perplexity --model story-q8.gguf --against story text.txt
  openelm perplexity --activations bf16 --against story text.txt`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("perplexity takes one file, or - for standard input, and got %d (see %s --help)", len(args), cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if context < 0 || context == 1 {
				return fmt.Errorf("--context %d makes no sense", context)
			}
			text, err := readTextFile(cmd, args[0])
			if err != nil {
				return err
			}
			model, err := m.open(cmd)
			if err != nil {
				return err
			}
			defer model.Close()
			tokens, err := model.Encode(text)
			if err != nil {
				return err
			}
			progress := newStepProgress(cmd.ErrOrStderr(), m.quiet)
			defer progress.end()
			o := &evaluate.Options{Context: context, Progress: func(done, total int) { progress.update("tokens", int64(done), int64(total)) }}
			if against == "" {
				r, err := evaluate.Perplexity(cmd.Context(), model.Model, tokens, o)
				if err != nil {
					return err
				}
				progress.end()
				return printPerplexity(cmd.OutOrStdout(), r, asJSON)
			}
			f := *m
			f.name, f.adapter, f.activations, f.quiet = against, "", exactActivations, true
			if against == "story" {
				f.name = ""
			}
			other, err := f.open(cmd)
			if err != nil {
				return err
			}
			defer other.Close()
			if theirs, err := other.Encode(text); err != nil {
				return err
			} else if !slices.Equal(tokens, theirs) {
				return fmt.Errorf("%w: the text is %d tokens for one and %d for the other", evaluate.ErrDifferent, len(tokens), len(theirs))
			}
			c, err := evaluate.Compare(cmd.Context(), model.Model, other.Model, tokens, o)
			if err != nil {
				return err
			}
			progress.end()
			return printComparison(cmd.OutOrStdout(), c, asJSON)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&against, "against", "", "another model to compare with, named as for --model; story is the embedded one")
	fl.IntVar(&context, "context", 0, "tokens in a window; 0: the model's context")
	fl.BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func printPerplexity(out io.Writer, r *evaluate.Result, asJSON bool) error {
	p := r.NLL.Perplexity()
	if asJSON {
		return json.NewEncoder(out).Encode(perplexityJSON(r))
	}
	_, err := fmt.Fprintf(out, "perplexity %.4f ± %.4f over %s\n", p.Value, p.StdErr, extent(r))
	return err
}

// extent is how much of a text was predicted.
func extent(r *evaluate.Result) string {
	return fmt.Sprintf("%s in %s", count(r.Tokens, "token"), count(r.Windows, "window"))
}

// count is a number of things.
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

func perplexityJSON(r *evaluate.Result) map[string]any {
	p := r.NLL.Perplexity()
	m := map[string]any{"tokens": r.Tokens, "windows": r.Windows, "nll": r.NLL.Value, "perplexity": p.Value}
	if r.Tokens > 1 { // of one token there is no error
		m["nll_stderr"], m["perplexity_stderr"] = r.NLL.StdErr, p.StdErr
	}
	return m
}

func printComparison(out io.Writer, c *evaluate.Comparison, asJSON bool) error {
	theirs := c.Other.Perplexity()
	if asJSON {
		m := perplexityJSON(&c.Result)
		for key, v := range map[string]float64{
			"other_perplexity": theirs.Value, "nll_difference": c.Worse.Value, "kl": c.KL.Value, "kl_max": c.MaxKL,
			"same_top": c.SameTop, "logit_mean_difference": c.MeanLogit, "logit_max_difference": c.MaxLogit,
		} {
			m[key] = v
		}
		if c.Tokens > 1 {
			m["other_perplexity_stderr"], m["nll_difference_stderr"], m["kl_stderr"] = theirs.StdErr, c.Worse.StdErr, c.KL.StdErr
		}
		return json.NewEncoder(out).Encode(m)
	}
	p := c.NLL.Perplexity()
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	row("text", "%s", extent(&c.Result))
	row("perplexity", "%.4f ± %.4f", p.Value, p.StdErr)
	row("of the other", "%.4f ± %.4f", theirs.Value, theirs.StdErr)
	row("log of their ratio", "%+.5f ± %.5f", c.Worse.Value, c.Worse.StdErr)
	row("KL divergence", "%.6f ± %.6f, largest %.4f", c.KL.Value, c.KL.StdErr, c.MaxKL)
	row("same first choice", "%.2f%%", 100*c.SameTop)
	row("difference of a logit", "mean %.4f, largest %.4f", c.MeanLogit, c.MaxLogit)
	return w.Flush()
}
