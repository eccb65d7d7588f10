// Command gohuggingface hands a repository of github.com/gomlx/go-huggingface to
// this library, for programs that already use that package. It is a module of its own,
// so that nobody else depends on what go-huggingface depends on.
//
//	go run . apple/OpenELM-270M-Instruct
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"

	gohf "github.com/gomlx/go-huggingface/hub"

	"github.com/go-openelm/go-openelm/loader/hub"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: gohuggingface org/name")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	// go-huggingface does not look at HF_TOKEN itself.
	repo := gohf.New(os.Args[1]).WithAuth(os.Getenv("HF_TOKEN"))
	if err := describe(ctx, hub.From(repo), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// describe says what model a repository has. It takes a [hub.Source], which
// hub.Client.Source makes too.
func describe(ctx context.Context, repo hub.Source, w io.Writer) error {
	path, err := repo.File(ctx, "config.json")
	if err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var config struct {
		ModelType string `json:"model_type"`
		ModelDim  int    `json:"model_dim"`
		Layers    int    `json:"num_transformer_layers"`
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	_, err = fmt.Fprintf(w, "%s: %d layers, model_dim %d\n", config.ModelType, config.Layers, config.ModelDim)
	return err
}
