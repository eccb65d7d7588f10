package convert_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/loader/convert"
	"github.com/go-openelm/go-openelm/story"
)

func ExampleWrite() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	model, err := story.Open(ctx, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer model.Close()

	format, err := convert.ParseFormat("gguf-q8_0")
	if err != nil {
		fmt.Println(err)
		return
	}
	path := filepath.Join(dir, "story-Q8_0.gguf")
	if err := convert.Write(ctx, path, model, &convert.Options{Format: format, Beside: story.FS()}); err != nil {
		fmt.Println(err)
		return
	}
	info, err := loader.Inspect(ctx, path, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(info.Kind, info.Formats[0].Format, info.Tokenizer)
	// Output: GGUF Q8_0 GGUF
}
