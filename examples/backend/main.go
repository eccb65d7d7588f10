// Backend runs a model on a device of the program's choice: the GPU, if it is asked
// for and there is one that runs the kernels, otherwise as many CPU threads as
// it is told.
//
//	go run ./examples/backend -gpu "Once upon a time"
//	go run ./examples/backend -threads 2 "Once upon a time"
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/cpu"
	"github.com/go-openelm/go-openelm/kernels/gpu"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/story"
)

func main() {
	log.SetFlags(0)
	wantGPU := flag.Bool("gpu", false, "use the GPU if there is one")
	threads := flag.Int("threads", 0, "CPU threads; 0: all cores")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *wantGPU, *threads, strings.Join(flag.Args(), " ")); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, wantGPU bool, threads int, prompt string) error {
	backend, err := open(wantGPU, threads)
	if err != nil {
		return err
	}
	defer backend.Close() // after the model: who opens a backend closes it
	log.Printf("running on %s", backend.Name())

	model, err := story.Open(ctx, &loader.Options{Backend: backend})
	if err != nil {
		return err
	}
	defer model.Close()
	fmt.Print(prompt)
	for token, err := range model.Generate(ctx, prompt, &openelm.GenerateOptions{MaxTokens: 50, Stop: []string{"\n"}}) {
		if err != nil {
			return err
		}
		fmt.Print(token.Text)
	}
	fmt.Println()
	return nil
}

func open(wantGPU bool, threads int) (kernels.Backend, error) {
	if wantGPU {
		b, err := gpu.Open(gpu.Options{})
		switch {
		case err == nil:
			return b, nil
		case !gpu.Unusable(err):
			return nil, err
		}
		log.Printf("no GPU: %v", err)
	}
	return cpu.New(cpu.Options{Threads: threads}), nil
}
