// Score tells how probable a model finds texts, the most probable first. A text
// is given as one argument; -begin is what all of them begin with, and is
// evaluated once:
//
//	go run ./examples/score -begin "The capital of Italy is" " Oslo." " Rome."
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"slices"

	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/story"
)

func main() {
	log.SetFlags(0)
	name := flag.String("model", "", "checkpoint folder, .gguf file or Hugging Face repository (default: the embedded story model)")
	begin := flag.String("begin", "", "what all texts begin with")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *name, *begin, flag.Args()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, name, begin string, texts []string) error {
	var model *openelm.Model
	var err error
	if name == "" {
		model, err = story.Open(ctx, nil)
	} else {
		model, err = loader.Open(ctx, name, nil)
	}
	if err != nil {
		return err
	}
	defer model.Close()
	session, err := model.NewSession(nil)
	if err != nil {
		return err
	}
	defer session.Close()
	prompt, err := model.EncodePrompt(begin)
	if err != nil {
		return err
	}
	if err := session.Append(ctx, prompt...); err != nil {
		return err
	}
	last := int32(-1)
	if n := len(prompt); n > 0 {
		last = prompt[n-1]
	}

	type scored struct {
		text    string
		logProb float64
	}
	var list []scored
	for _, text := range texts {
		s := scored{text: text}
		tokens := model.Tokenizer().EncodeAfter(last, text)
		for token, err := range session.Score(ctx, tokens, 0) {
			if err != nil {
				return err
			}
			s.logProb += float64(token.LogProb)
		}
		if err := session.Truncate(len(prompt)); err != nil { // back to the beginning
			return err
		}
		list = append(list, s)
	}
	slices.SortStableFunc(list, func(a, b scored) int { return cmp.Compare(b.logProb, a.logProb) })
	for _, s := range list {
		fmt.Printf("%8.2f %s%s\n", s.logProb, begin, s.text)
	}
	return nil
}
