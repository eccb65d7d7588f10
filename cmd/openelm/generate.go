package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-openelm/go-openelm/openelm"
	"github.com/spf13/cobra"
)

// samplingFlags are the options of a generation.
type samplingFlags struct {
	o    openelm.GenerateOptions
	seed uint64
	stop []string // with escapes
}

func (f *samplingFlags) register(cmd *cobra.Command, maxTokens int) {
	fl := cmd.Flags()
	fl.IntVarP(&f.o.MaxTokens, "tokens", "n", maxTokens, "generate at most this many tokens; 0: until the context is full")
	fl.Float32VarP(&f.o.Temperature, "temperature", "t", 0.7, "0 always takes the most probable token; higher is more varied")
	fl.IntVar(&f.o.TopK, "top-k", 0, "choose among the k most probable tokens; 0: all")
	fl.Float32Var(&f.o.TopP, "top-p", 0.95, "choose among the most probable tokens that reach p together; 0 or 1: all")
	fl.Float32Var(&f.o.MinP, "min-p", 0, "choose among tokens at least p times as probable as the best")
	fl.Float32Var(&f.o.RepetitionPenalty, "repetition-penalty", 1, "make tokens that occur already less probable; 1: off")
	fl.Float32Var(&f.o.PresencePenalty, "presence-penalty", 0, "subtract from the logits of generated tokens, once")
	fl.Float32Var(&f.o.FrequencyPenalty, "frequency-penalty", 0, "subtract from the logits of generated tokens, for each time")
	fl.IntVar(&f.o.PenaltyWindow, "penalty-window", 0, "penalties look at this many last tokens; 0: all")
	fl.StringArrayVar(&f.stop, "stop", nil, `end before this text, in which \n, \t, \\, \x0a and \u00e9 are escapes; may be given several times`)
	fl.Uint64Var(&f.seed, "seed", 0, "the same seed gives the same text (default: a new one each time)")
}

// options is what the flags say. A seed that was not given is drawn.
func (f *samplingFlags) options(cmd *cobra.Command) (*openelm.GenerateOptions, error) {
	o := f.o
	o.Seed = f.seed
	if !cmd.Flags().Changed("seed") {
		o.Seed = rand.Uint64N(1 << 32)
	}
	if o.MaxTokens < 0 {
		return nil, fmt.Errorf("--tokens %d makes no sense", o.MaxTokens)
	}
	for _, stop := range f.stop {
		text, err := unescape(stop)
		if err != nil {
			return nil, fmt.Errorf("--stop %q: %w", stop, err)
		}
		o.Stop = append(o.Stop, text)
	}
	_, err := openelm.NewSampler(o.Sampling, 1) // of any vocabulary: it checks them
	return &o, err
}

// unescape replaces Go's escapes of a string.
func unescape(s string) (string, error) {
	if s == "" {
		return "", errors.New("an empty text ends everything")
	}
	var text []byte
	for s != "" {
		r, multibyte, rest, err := strconv.UnquoteChar(s, 0)
		if err != nil {
			return "", fmt.Errorf(`%.4s is no escape (a backslash is written \\)`, s)
		}
		if s = rest; multibyte {
			text = utf8.AppendRune(text, r)
		} else {
			text = append(text, byte(r))
		}
	}
	return string(text), checkUTF8("it", string(text))
}

func generateCommand(m *modelFlags) *cobra.Command {
	var (
		sampling  samplingFlags
		asJSON    bool
		stats     bool
		ignoreEOS bool
	)
	cmd := &cobra.Command{
		Use:   "generate [prompt]...",
		Short: "Continue a text",
		Long: `Continue a text. It is streamed to standard output, everything else goes to
standard error.

` + inputHelp + `
Without either the model begins with "Once upon a time".`,
		Example: `  openelm generate "Once upon a time"
  openelm generate --model apple/OpenELM-270M --temperature 0 "The capital of France is"
  openelm generate --seed 7 --stop "\n" --stats "The little fox"
  openelm generate --json --logprobs 3 --tokens 5 "The capital of France is"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := sampling.options(cmd)
			if err != nil {
				return err
			}
			o.IgnoreEOS = ignoreEOS
			if o.TopLogProbs < 0 {
				return fmt.Errorf("--logprobs %d makes no sense", o.TopLogProbs)
			}
			prompt, err := textArgument(cmd, args)
			if errors.Is(err, errNoText) {
				prompt, err = "Once upon a time", nil
			}
			if err != nil {
				return err
			}
			model, err := m.open(cmd)
			if err != nil {
				return err
			}
			defer model.Close()
			o.LogProbs = asJSON || o.TopLogProbs > 0
			g := generation{out: cmd.OutOrStdout(), echo: prompt}
			switch {
			case asJSON:
				g.print = g.printJSON
			case o.TopLogProbs > 0:
				g.print = g.printLine
			default:
				g.print = g.printText
			}
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
	cmd.Flags().IntVar(&sampling.o.TopLogProbs, "logprobs", 0, "print one line a token, with this many most probable ones")
	cmd.Flags().BoolVar(&stats, "stats", false, "print the speed and the seed at the end")
	cmd.Flags().BoolVar(&ignoreEOS, "ignore-eos", false, "go on after the end of the text")
	return cmd
}

// generation prints tokens and counts them.
type generation struct {
	out   io.Writer
	echo  string // printed before the text
	print func(*openelm.Model, openelm.Token) error

	start, first, last time.Time
	tokens             int
}

func (g *generation) run(cmd *cobra.Command, model *openelm.Model, prompt string, o *openelm.GenerateOptions) error {
	g.start = time.Now()
	for t, err := range model.Generate(cmd.Context(), prompt, o) {
		if err != nil {
			return err
		}
		g.last = time.Now()
		if g.tokens++; g.tokens == 1 {
			g.first = g.last
		}
		if err := g.print(model, t); err != nil {
			return err
		}
	}
	return nil
}

// printText prints the text, after the prompt, with a line break at its end.
func (g *generation) printText(_ *openelm.Model, t openelm.Token) error {
	text := t.Text
	if g.tokens == 1 {
		text = g.echo + text
	}
	if t.Stop != "" {
		text += "\n"
	}
	_, err := io.WriteString(g.out, text)
	return err
}

func (g *generation) printLine(m *openelm.Model, t openelm.Token) error {
	_, err := fmt.Fprintf(g.out, "%d\t%q\t%.4f%s\n", t.ID, t.Text, t.LogProb, alternatives(m, t))
	return err
}

func (g *generation) printJSON(_ *openelm.Model, t openelm.Token) error {
	return json.NewEncoder(g.out).Encode(newTokenJSON(t))
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
