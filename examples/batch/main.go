// Batch continues several texts at the same time, in shared passes over the
// weights. Each gets what it would get alone, to the bit.
//
//	go run ./examples/batch "The capital of Spain is" "The capital of Peru is"
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"sync"

	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/story"
)

func main() {
	log.SetFlags(0)
	name := flag.String("model", "", "checkpoint folder, .gguf file or Hugging Face repository (default: the embedded story model)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *name, flag.Args()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, name string, prompts []string) error {
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
	batch, err := openelm.NewBatch(model, &openelm.BatchOptions{Queue: max(1, len(prompts))})
	if err != nil {
		return err
	}

	texts := make([]string, len(prompts))
	errs := make([]error, len(prompts))
	var wg sync.WaitGroup
	for i, prompt := range prompts {
		wg.Go(func() { texts[i], errs[i] = complete(ctx, model, batch, prompt) })
	}
	wg.Wait()
	for i, prompt := range prompts {
		if errs[i] != nil {
			return fmt.Errorf("%q: %w", prompt, errs[i])
		}
		fmt.Println(prompt + texts[i])
	}
	return nil
}

// complete is what a server does for a request, in the request's goroutine.
func complete(ctx context.Context, model *openelm.Model, batch *openelm.Batch, prompt string) (string, error) {
	leave, err := batch.Enter(ctx) // waits while the batch is full
	if err != nil {
		return "", err
	}
	defer leave()
	var text strings.Builder
	options := &openelm.GenerateOptions{
		MaxTokens: 50,
		Stop:      []string{"\n"},
		Session:   &openelm.SessionOptions{Batch: batch},
	}
	for token, err := range model.Generate(ctx, prompt, options) {
		if err != nil {
			return "", err
		}
		text.WriteString(token.Text)
	}
	return text.String(), nil
}
