// Generate continues a text, token by token, with the model that is embedded in
// the library or with any other:
//
//	go run ./examples/generate "Once upon a time"
//	go run ./examples/generate -model apple/OpenELM-270M "The moon is"
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/story"
)

func main() {
	model := flag.String("model", "", "checkpoint folder, .gguf file or Hugging Face repository (default: the embedded story model)")
	tokens := flag.Int("tokens", 300, "generate at most this many tokens")
	temperature := flag.Float64("temperature", 0.7, "0 always takes the most probable token")
	seed := flag.Uint64("seed", 1, "another seed tells another story")
	flag.Parse()
	prompt := strings.Join(flag.Args(), " ")
	if prompt == "" {
		prompt = "Once upon a time"
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *model, prompt, &openelm.GenerateOptions{
		Sampling:  openelm.Sampling{Temperature: float32(*temperature), TopP: 0.95, Seed: *seed},
		MaxTokens: *tokens,
	}); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, name, prompt string, o *openelm.GenerateOptions) error {
	model, err := open(ctx, name)
	if err != nil {
		return err
	}
	defer model.Close()

	fmt.Print(prompt)
	for token, err := range model.Generate(ctx, prompt, o) {
		if err != nil {
			fmt.Println()
			return err
		}
		fmt.Print(token.Text)
	}
	fmt.Println()
	return nil
}

func open(ctx context.Context, name string) (*openelm.Model, error) {
	if name == "" {
		fmt.Fprintln(os.Stderr, story.Notice)
		fmt.Fprintln(os.Stderr)
		return story.Open(ctx, nil)
	}
	return loader.Open(ctx, name, nil)
}
