package server_test

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/go-openelm/go-openelm/chat"
	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/server"
	"github.com/go-openelm/go-openelm/story"
)

func Example() {
	model, err := story.Open(context.Background(), nil) // or loader.Open
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	batch, err := openelm.NewBatch(model, nil)
	if err != nil {
		log.Fatal(err)
	}
	s := server.New(server.Options{})
	defer s.Close()
	if err := s.Add(server.Model{Name: "story", Model: model, Batch: batch, Template: chat.Plain}); err != nil {
		log.Fatal(err)
	}
	s.Ready()
	web := httptest.NewServer(s) // or an http.Server with limits of its own
	defer web.Close()

	answer, err := http.Post(web.URL+"/tokenize", "application/json", strings.NewReader(`{"prompt": "Once upon a time"}`))
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err := io.Copy(os.Stdout, answer.Body); err != nil {
		log.Fatal(err)
	}
	// Output: {"count":5,"max_model_len":512,"tokens":[1,494,548,261,447]}
}
