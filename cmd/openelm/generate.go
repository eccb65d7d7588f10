package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/go-openelm/go-openelm/openelm"
	"github.com/spf13/cobra"
)

// samplingFlags are the options of a generation.
type samplingFlags struct {
	o    openelm.GenerateOptions
	seed uint64
}

func (f *samplingFlags) register(cmd *cobra.Command, maxTokens int) {
	fl := cmd.Flags()
	fl.IntVarP(&f.o.MaxTokens, "tokens", "n", maxTokens, "generate at most this many tokens; 0: until the context is full")
	fl.Float32VarP(&f.o.Temperature, "temperature", "t", 0.7, "0 always takes the most probable token; higher is more varied")
	fl.IntVar(&f.o.TopK, "top-k", 0, "choose among the k most probable tokens; 0: all")
	fl.Float32Var(&f.o.TopP, "top-p", 0.95, "choose among the most probable tokens that reach p together; 1: all")
	fl.Float32Var(&f.o.MinP, "min-p", 0, "choose among tokens at least p times as probable as the best")
	fl.Float32Var(&f.o.RepetitionPenalty, "repetition-penalty", 1, "make tokens that occur already less probable; 1: off")
	fl.Float32Var(&f.o.PresencePenalty, "presence-penalty", 0, "subtract from the logits of generated tokens, once")
	fl.Float32Var(&f.o.FrequencyPenalty, "frequency-penalty", 0, "subtract from the logits of generated tokens, for each time")
	fl.IntVar(&f.o.PenaltyWindow, "penalty-window", 0, "penalties look at this many last tokens; 0: all")
	fl.StringArrayVar(&f.o.Stop, "stop", nil, "end before this text; may be given several times")
	fl.Uint64Var(&f.seed, "seed", 0, "the same seed gives the same text (default: a new one each time)")
}

// options is what the flags say. A seed that was not given is drawn.
func (f *samplingFlags) options(cmd *cobra.Command) *openelm.GenerateOptions {
	o := f.o
	o.Seed = f.seed
	if !cmd.Flags().Changed("seed") {
		o.Seed = rand.Uint64N(1 << 32)
	}
	return &o
}

func generateCommand(m *modelFlags) *cobra.Command {
	var (
		sampling  samplingFlags
		asJSON    bool
		stats     bool
		ignoreEOS bool
	)
	cmd := &cobra.Command{
		Use:   "generate [prompt]",
		Short: "Continue a text",
		Long: `Continue a text. The prompt is the argument, or standard input when the
argument is "-". The text is streamed to standard output, everything else goes
to standard error.`,
		Example: `  openelm generate "Once upon a time"
  openelm generate --model apple/OpenELM-270M --temperature 0 "The capital of France is"
  openelm generate --seed 7 --stop "\n" --stats "The little fox"
  openelm generate --json --logprobs 3 --tokens 5 "The capital of France is"`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			model, prompt, err := m.openWithText(cmd, args, "Once upon a time")
			if err != nil {
				return err
			}
			defer model.Close()
			o := sampling.options(cmd)
			o.IgnoreEOS = ignoreEOS
			o.LogProbs = asJSON
			g := generation{out: cmd.OutOrStdout(), json: asJSON, echo: prompt}
			if err := g.run(cmd, model.Model, prompt, o); err != nil {
				return err
			}
			if stats {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s, seed %d\n", g.summary(model.Model), o.Seed)
			}
			return nil
		},
	}
	sampling.register(cmd, 300)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a token")
	cmd.Flags().IntVar(&sampling.o.TopLogProbs, "logprobs", 0, "with --json: list this many most probable tokens")
	cmd.Flags().BoolVar(&stats, "stats", false, "print the speed and the seed at the end")
	cmd.Flags().BoolVar(&ignoreEOS, "ignore-eos", false, "go on after the end of the text")
	return cmd
}

// generation prints tokens and counts them.
type generation struct {
	out  io.Writer
	json bool
	echo string // printed before the text

	start, first, last time.Time
	tokens             int
}

func (g *generation) run(cmd *cobra.Command, model *openelm.Model, prompt string, o *openelm.GenerateOptions) error {
	g.start = time.Now()
	if !g.json {
		fmt.Fprint(g.out, g.echo)
		defer fmt.Fprintln(g.out)
	}
	for t, err := range model.Generate(cmd.Context(), prompt, o) {
		if err != nil {
			return err
		}
		g.last = time.Now()
		if g.tokens++; g.tokens == 1 {
			g.first = g.last
		}
		if g.json {
			err = json.NewEncoder(g.out).Encode(newTokenJSON(t))
		} else {
			_, err = fmt.Fprint(g.out, t.Text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// summary is the speed in words.
func (g *generation) summary(m *openelm.Model) string {
	s := fmt.Sprintf("%d tokens on %s, first after %d ms", g.tokens, m.Backend().Name(), g.first.Sub(g.start).Milliseconds())
	if d := g.last.Sub(g.first).Seconds(); g.tokens > 1 && d > 0 {
		s += fmt.Sprintf(", then %.1f tokens/s", float64(g.tokens-1)/d)
	}
	return s
}

// tokenJSON is a token as --json prints it.
type tokenJSON struct {
	ID      int32     `json:"id"`
	Text    string    `json:"text"`
	LogProb float32   `json:"logprob"`
	Top     []topJSON `json:"top,omitempty"`
	Stop    string    `json:"stop,omitempty"`
}

type topJSON struct {
	ID      int32   `json:"id"`
	LogProb float32 `json:"logprob"`
}

func newTokenJSON(t openelm.Token) tokenJSON {
	j := tokenJSON{ID: t.ID, Text: t.Text, LogProb: t.LogProb, Stop: string(t.Stop)}
	for _, p := range t.Top {
		j.Top = append(j.Top, topJSON{p.ID, p.LogProb})
	}
	return j
}
