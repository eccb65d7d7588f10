// Adapters continues one text with a model as it is and with each of several
// LoRA or DoRA adapters over it. The weights are in memory once.
//
//	go run ./examples/adapters -model apple/OpenELM-270M -prompt "The moon" ./poet ./pirate
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/story"
)

func main() {
	log.SetFlags(0)
	name := flag.String("model", "", "checkpoint folder, .gguf file or Hugging Face repository (default: the embedded story model)")
	prompt := flag.String("prompt", "Once upon a time", "text to continue")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *name, *prompt, flag.Args()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, name, prompt string, adapters []string) error {
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

	if err := tell(ctx, model, "base", nil, prompt); err != nil {
		return err
	}
	for _, path := range adapters {
		adapter, err := loader.OpenAdapter(ctx, path, model, nil)
		if err != nil {
			return err
		}
		defer adapter.Release() // before the model is closed
		if err := tell(ctx, model, filepath.Base(path), adapter, prompt); err != nil {
			return err
		}
	}
	return nil
}

// tell prints how the model goes on with an adapter, or without one.
func tell(ctx context.Context, model *openelm.Model, label string, adapter *openelm.Adapter, prompt string) error {
	fmt.Printf("%s: %s", label, prompt)
	options := &openelm.GenerateOptions{
		MaxTokens: 50,
		Stop:      []string{"\n"},
		Session:   &openelm.SessionOptions{Adapter: adapter},
	}
	for token, err := range model.Generate(ctx, prompt, options) {
		if err != nil {
			return err
		}
		fmt.Print(token.Text)
	}
	fmt.Println()
	return nil
}
