// Chat holds a conversation with the model that is embedded in the library or
// with any other; each line of the input is a message:
//
//	go run ./examples/chat
//	go run ./examples/chat -model apple/OpenELM-1_1B-Instruct
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"

	"github.com/go-openelm/go-openelm/chat"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/story"
)

func main() {
	log.SetFlags(0)
	name := flag.String("model", "", "an Instruct model: checkpoint folder, .gguf file or Hugging Face repository (default: the embedded story model)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *name); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, name string) error {
	var model *openelm.Model
	var err error
	template := chat.Instruct
	if name == "" {
		model, err = story.Open(ctx, nil)
		template = chat.Plain // it was never taught to take turns
		template.Stop = []string{"\n\n"}
	} else {
		model, err = loader.Open(ctx, name, nil)
	}
	if err != nil {
		return err
	}
	defer model.Close()
	conversation, err := chat.New(model, chat.Options{Template: template})
	if err != nil {
		return err
	}
	defer conversation.Close()

	messages := bufio.NewScanner(os.Stdin)
	for messages.Scan() {
		for token, err := range conversation.Say(ctx, messages.Text(), &openelm.GenerateOptions{MaxTokens: 200}) {
			if err != nil {
				return err
			}
			fmt.Print(token.Text)
		}
		fmt.Println()
	}
	return messages.Err()
}
