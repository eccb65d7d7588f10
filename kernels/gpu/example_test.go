package gpu_test

import (
	"context"
	"fmt"
	"log"

	"github.com/go-openelm/go-openelm/kernels/gpu"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
)

// A model on the GPU, told explicitly; on a Mac the loader chooses it by itself.
func ExampleOpen() {
	backend, err := gpu.Open(gpu.Options{})
	if err != nil {
		log.Fatal(err) // metal.ErrNoDevice, metal.ErrUnsupported
	}
	defer backend.Close()
	model, err := loader.Open(context.Background(), "OpenELM-270M-Instruct", &loader.Options{Backend: backend})
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	session, err := model.NewSession(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	prompt := model.Tokenizer().Encode("Once upon a time")
	for token, err := range session.Generate(context.Background(), prompt, &openelm.GenerateOptions{MaxTokens: 50}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(token.Text)
	}
	s := backend.Stats()
	fmt.Printf("\n%d dispatches in %d command buffers\n", s.Dispatches, s.CommandBuffers)
}
