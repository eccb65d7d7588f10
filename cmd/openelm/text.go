package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/go-openelm/go-openelm/openelm"
	"github.com/spf13/cobra"
)

func tokenizeCommand(m *modelFlags) *cobra.Command {
	var ids, decode bool
	cmd := &cobra.Command{
		Use:         "tokenize [text]...",
		Annotations: map[string]string{noUse: "adapter backend threads activations"},
		Short:       "Show a text as tokens, or tokens as text",
		Long: `Show a text as tokens, or tokens as text.

` + inputHelp,
		Example: `  openelm tokenize "Once upon a time"
  openelm tokenize --ids - < story.txt
  openelm tokenize --decode 1 427 632`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if ids && decode {
				return errors.New("--ids prints tokens and --decode their text; choose one")
			}
			model, text, err := m.openWithText(cmd, args)
			if err != nil {
				return err
			}
			defer model.Close()
			if model.Tokenizer() == nil {
				return openelm.ErrNoTokenizer
			}
			out := cmd.OutOrStdout()
			if decode {
				tokens, err := parseIDs(text, model.Config().VocabSize)
				if err != nil {
					return err
				}
				fmt.Fprintln(out, model.Tokenizer().Decode(tokens))
				return nil
			}
			tokens, err := model.Encode(text)
			if err != nil {
				return err
			}
			if ids {
				fmt.Fprintln(out, strings.Trim(fmt.Sprint(tokens), "[]"))
				return nil
			}
			w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
			d := model.Tokenizer().NewDecoder()
			for _, id := range tokens {
				fmt.Fprintf(w, "%d\t%q\n", id, d.Next(id))
			}
			if rest := d.Flush(); rest != "" {
				fmt.Fprintf(w, "\t%q\n", rest)
			}
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&ids, "ids", false, "print the numbers only, on one line")
	cmd.Flags().BoolVar(&decode, "decode", false, "the text is token numbers; print what they stand for")
	return cmd
}

func parseIDs(text string, vocab int) ([]int32, error) {
	var tokens []int32
	for _, f := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" ,\t\n[]", r) }) {
		id, err := strconv.ParseInt(f, 10, 32)
		if err != nil || id < 0 || int(id) >= vocab {
			return nil, fmt.Errorf("%q is no token number; they go from 0 to %d", f, vocab-1)
		}
		tokens = append(tokens, int32(id))
	}
	return tokens, nil
}

func scoreCommand(m *modelFlags) *cobra.Command {
	var asJSON, perToken bool
	var top int
	cmd := &cobra.Command{
		Use:   "score [text]...",
		Short: "Tell how probable a text is, without generating",
		Long: `Tell how probable the model finds a text: the sum of the log-probabilities of
its tokens, each given the text before it, and the perplexity. The text must fit
into the model's context.

` + inputHelp,
		Example: `  openelm score "The capital of France is Paris."
  openelm score --per-token --logprobs 3 "The capital of France is Rome."
  openelm score --json - < text.txt`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if top < 0 {
				return fmt.Errorf("--logprobs %d makes no sense", top)
			}
			perToken = perToken || top > 0
			model, text, err := m.openWithText(cmd, args)
			if err != nil {
				return err
			}
			defer model.Close()
			tokens, err := model.Encode(text)
			if err != nil {
				return err
			}
			if len(tokens) < 2 {
				return errors.New("the text is too short to score: it needs at least two tokens")
			}
			if most := model.Config().MaxContext; len(tokens) > most {
				return fmt.Errorf("%w: the text is %d tokens, the model's context %d", openelm.ErrContextFull, len(tokens), most)
			}
			s, err := model.NewSession(&openelm.SessionOptions{Capacity: len(tokens)})
			if err != nil {
				return err
			}
			defer s.Close()
			out := cmd.OutOrStdout()
			enc := json.NewEncoder(out)
			w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
			sum, n := 0.0, 0
			for t, err := range s.Score(cmd.Context(), tokens, top) {
				if err != nil {
					return err
				}
				sum += float64(t.LogProb)
				n++
				switch {
				case asJSON:
					err = enc.Encode(newTokenJSON(t))
				case perToken:
					_, err = fmt.Fprintf(w, "%d\t%q\t%.4f%s\n", t.ID, t.Text, t.LogProb, alternatives(model.Model, t))
				}
				if err != nil {
					return err
				}
			}
			if asJSON {
				return enc.Encode(map[string]any{"tokens": n, "logprob": sum, "perplexity": math.Exp(-sum / float64(n))})
			}
			fmt.Fprintf(w, "%d tokens, log-probability %.4f, %.4f a token, perplexity %.4g\n", n, sum, sum/float64(n), math.Exp(-sum/float64(n)))
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&perToken, "per-token", false, "print one line a token, with its log-probability")
	cmd.Flags().IntVar(&top, "logprobs", 0, "with this many most probable tokens in each place")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a token, then the sum")
	return cmd
}

// alternatives lists a token's most probable rivals.
func alternatives(m *openelm.Model, t openelm.Token) string {
	var b strings.Builder
	for _, p := range t.Top {
		d := m.Tokenizer().NewDecoder()
		d.Next(t.ID) // so that the rival is not the first word of a text
		fmt.Fprintf(&b, "\t%q %.2f", d.Next(p.ID)+d.Flush(), p.LogProb)
	}
	return b.String()
}
