// Command gohuggingface runs a model that github.com/gomlx/go-huggingface
// downloads, for programs that already use that package. It is a module of its
// own, so that nobody else depends on what go-huggingface depends on.
//
//	go run . apple/OpenELM-270M "Once upon a time"
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"

	gohf "github.com/gomlx/go-huggingface/hub"

	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/loader/hub"
	"github.com/go-openelm/go-openelm/openelm"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: gohuggingface org/name prompt")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	// go-huggingface does not look at HF_TOKEN itself.
	repo := gohf.New(os.Args[1]).WithAuth(os.Getenv("HF_TOKEN"))
	if err := generate(ctx, hub.From(repo), os.Args[2], os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// generate continues prompt with a repository's model.
func generate(ctx context.Context, repo hub.Source, prompt string, w io.Writer) error {
	model, err := loader.OpenSource(ctx, repo, nil)
	if err != nil {
		return err
	}
	defer model.Close()
	for token, err := range model.Generate(ctx, prompt, &openelm.GenerateOptions{MaxTokens: 100}) {
		if err != nil {
			return err
		}
		if _, err := fmt.Fprint(w, token.Text); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(w)
	return err
}
