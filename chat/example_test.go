package chat_test

import (
	"context"
	"fmt"
	"log"

	"github.com/go-openelm/go-openelm/chat"
	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/story"
)

func Example() {
	ctx := context.Background()
	model, err := story.Open(ctx, nil) // or loader.Open(ctx, "apple/OpenELM-1_1B-Instruct", nil) and chat.Instruct
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	conversation, err := chat.New(model, chat.Options{Template: chat.Plain})
	if err != nil {
		log.Fatal(err)
	}
	defer conversation.Close()

	for _, message := range []string{"What is the capital of France?", "What is the moon?"} {
		for token, err := range conversation.Say(ctx, message, &openelm.GenerateOptions{Stop: []string{"\n\n"}}) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Print(token.Text)
		}
		fmt.Println()
	}
	// Output:
	// The capital of France is Paris.
	// The moon is a round body that moves around the Earth.
}
