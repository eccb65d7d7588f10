package loader_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/go-openelm/go-openelm/kernels/cpu"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/loader/hub"
	"github.com/go-openelm/go-openelm/openelm"
)

// A model by its name on Hugging Face. The first call downloads it.
func ExampleOpen() {
	ctx := context.Background()
	model, err := loader.Open(ctx, "apple/OpenELM-270M-Instruct", &loader.Options{
		Hub: &hub.Client{Progress: func(p hub.Progress) {
			fmt.Printf("\r%s %3d%%", p.File, 100*p.Done/max(p.Total, 1))
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	for token, err := range model.Generate(ctx, "Once upon a time", &openelm.GenerateOptions{MaxTokens: 50}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(token.Text)
	}
}

// A quantised model from a directory, on a device of the program's choice.
func ExampleOpen_directory() {
	backend := cpu.New(cpu.Options{Threads: 2})
	defer backend.Close()
	model, err := loader.Open(context.Background(), filepath.Join("..", "testdata", "golden", "mlx-q4"), &loader.Options{
		Backend:     backend,
		NoTokenizer: true, // this one takes and gives tokens only
	})
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	qkv := model.Weights().Layers[0].QKV
	fmt.Println(model.Config().Parameters(), "parameters;", qkv.Format, "in groups of", qkv.Group)
	// Output: 386112 parameters; Affine4 in groups of 64
}

// What goes wrong can be told apart.
func ExampleOpen_errors() {
	_, err := loader.Open(context.Background(), filepath.Join("..", "testdata", "golden", "tiny-f32"), nil)
	switch {
	case errors.Is(err, loader.ErrNotFound):
		fmt.Println("no such model")
	case errors.Is(err, loader.ErrCorrupt):
		fmt.Println("damaged")
	case errors.Is(err, loader.ErrNoTokenizer):
		fmt.Println("it needs a tokenizer")
	}
	// Output: it needs a tokenizer
}

// What a checkpoint holds, from its headers alone.
func ExampleInspect() {
	info, err := loader.Inspect(context.Background(), filepath.Join("..", "testdata", "golden", "gguf-q4_0", "model.gguf"), nil)
	if err != nil {
		log.Fatal(err)
	}
	for i, l := range info.Config.Layers {
		fmt.Printf("layer %d: %d query heads, %d key-value heads, width %d\n", i, l.QueryHeads, l.KVHeads, l.FFNDim)
	}
	for _, f := range info.Formats {
		fmt.Printf("%s: %d matrices, %d weights in %d bytes\n", f.Format, f.Matrices, f.Parameters, f.Bytes)
	}
	fmt.Println("tokenizer:", info.Tokenizer)
	// Output:
	// layer 0: 2 query heads, 1 key-value heads, width 64
	// layer 1: 4 query heads, 2 key-value heads, width 192
	// layer 2: 4 query heads, 2 key-value heads, width 256
	// Q4_0: 15 matrices, 319488 weights in 179712 bytes
	// Q8_0: 1 matrices, 65536 weights in 69632 bytes
	// tokenizer: GGUF
}

// Two texts from one model, one with an adapter.
func ExampleOpenAdapter() {
	ctx := context.Background()
	pack := filepath.Join("..", "testdata", "golden", "lora-peft")
	model, err := loader.Open(ctx, pack, &loader.Options{NoTokenizer: true})
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	adapter, err := loader.OpenAdapter(ctx, filepath.Join(pack, "adapter"), model, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer adapter.Release()
	for _, a := range []*openelm.Adapter{nil, adapter} {
		s, err := model.NewSession(&openelm.SessionOptions{Adapter: a})
		if err != nil {
			log.Fatal(err)
		}
		defer s.Close()
		if err := s.Append(ctx, 1, 42, 7); err != nil {
			log.Fatal(err)
		}
		fmt.Printf("adapted: %t, rank %d\n", s.Adapter() != nil, rank(s.Adapter()))
	}
	// Output:
	// adapted: false, rank 0
	// adapted: true, rank 8
}

func rank(a *openelm.Adapter) int {
	if a == nil {
		return 0
	}
	return a.Layers[0].QKV.A.Rows
}

// A long text is evaluated once, and continued in another run of the program.
func ExampleSaveSession() {
	ctx := context.Background()
	pack := filepath.Join("..", "testdata", "golden", "tiny-f32")
	file := filepath.Join(os.TempDir(), "openelm-example.safetensors")
	defer os.Remove(file)

	run := func(work func(*openelm.Model) error) {
		model, err := loader.Open(ctx, pack, &loader.Options{NoTokenizer: true})
		if err != nil {
			log.Fatal(err)
		}
		defer model.Close()
		if err := work(model); err != nil {
			log.Fatal(err)
		}
	}
	run(func(m *openelm.Model) error {
		s, err := m.NewSession(nil)
		if err != nil {
			return err
		}
		defer s.Close()
		if err := s.Append(ctx, 1, 42, 7); err != nil {
			return err
		}
		return loader.SaveSession(ctx, file, s)
	})
	run(func(m *openelm.Model) error {
		s, err := loader.OpenSession(file, m, nil)
		if err != nil {
			return err
		}
		defer s.Close()
		fmt.Println(s.Tokens(), s.Logits() != nil)
		return s.Append(ctx, 9)
	})
	// Output: [1 42 7] true
}
