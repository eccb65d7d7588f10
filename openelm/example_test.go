package openelm_test

import (
	"context"
	"fmt"
	"log"
	"strings"
	"sync"

	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/story"
)

// The embedded story model stands for any model that package loader opens.
func open() *openelm.Model {
	model, err := story.Open(context.Background(), nil)
	if err != nil {
		log.Fatal(err)
	}
	return model
}

func ExampleModel_Generate() {
	model := open()
	defer model.Close()

	o := &openelm.GenerateOptions{Stop: []string{"."}}
	for token, err := range model.Generate(context.Background(), "Once upon a time", o) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(token.Text)
	}
	// Output: , there was a little boy named Tim
}

// Sampling at a temperature gives another text for each seed.
func ExampleSampling() {
	model := open()
	defer model.Close()

	for _, seed := range []uint64{3, 4} {
		o := &openelm.GenerateOptions{
			Sampling: openelm.Sampling{Temperature: 0.7, TopP: 0.95, Seed: seed},
			Stop:     []string{"."},
		}
		for token, err := range model.Generate(context.Background(), "The little fox", o) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Print(token.Text)
		}
		fmt.Println()
	}
	// Output:
	//  lived near the garden
	//  named Teddy lived in the village
}

// A session keeps what it has evaluated: a common beginning is paid for once.
func ExampleSession_Fork() {
	ctx := context.Background()
	model := open()
	defer model.Close()

	question, err := model.Encode("Question: What is the capital of")
	if err != nil {
		log.Fatal(err)
	}
	common, err := model.NewSession(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer common.Close()
	if err := common.Append(ctx, question...); err != nil {
		log.Fatal(err)
	}
	for _, country := range []string{"Norway", "Japan"} {
		s, err := common.Fork(nil)
		if err != nil {
			log.Fatal(err)
		}
		rest := model.Tokenizer().Encode(country + "?\nAnswer:")
		for token, err := range s.Generate(ctx, rest, &openelm.GenerateOptions{Stop: []string{"\n"}}) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Print(token.Text)
		}
		fmt.Println()
		s.Close()
	}
	// Output:
	//  The capital of Norway is Oslo.
	//  The capital of Japan is Tokyo.
}

// Score tells how probable a text is.
func ExampleSession_Score() {
	ctx := context.Background()
	model := open()
	defer model.Close()

	logProb := func(text string) (sum float64) {
		s, err := model.NewSession(nil)
		if err != nil {
			log.Fatal(err)
		}
		tokens, err := model.Encode(text)
		if err != nil {
			log.Fatal(err)
		}
		defer s.Close()
		for token, err := range s.Score(ctx, tokens, 0) {
			if err != nil {
				log.Fatal(err)
			}
			sum += float64(token.LogProb)
		}
		return sum
	}
	fmt.Println(logProb("The capital of Italy is Rome.") > logProb("The capital of Italy is Oslo."))
	// Output: true
}

// Several sessions decode in one pass over the weights.
func ExampleStep() {
	ctx := context.Background()
	model := open()
	defer model.Close()

	var sessions []*openelm.Session
	for _, prompt := range []string{"The capital of Spain is", "The capital of Peru is"} {
		s, err := model.NewSession(nil)
		if err != nil {
			log.Fatal(err)
		}
		defer s.Close()
		tokens, err := model.Encode(prompt)
		if err != nil {
			log.Fatal(err)
		}
		if err := s.Append(ctx, tokens...); err != nil {
			log.Fatal(err)
		}
		sessions = append(sessions, s)
	}
	sampler, err := openelm.NewSampler(openelm.Sampling{}, model.Config().VocabSize)
	if err != nil {
		log.Fatal(err)
	}
	next := make([]int32, len(sessions))
	for range 4 {
		for i, s := range sessions {
			if next[i], err = sampler.Sample(s.Logits(), s.Tokens(), 0); err != nil {
				log.Fatal(err)
			}
		}
		if err := openelm.Step(ctx, sessions, next); err != nil {
			log.Fatal(err)
		}
	}
	for _, s := range sessions {
		fmt.Println(model.Tokenizer().Decode(s.Tokens()))
	}
	// Output:
	// The capital of Spain is Madrid.
	// The capital of Peru is Lima.
}

// A batch runs the calls of many goroutines in shared passes. Each session is
// used as it would be alone.
func ExampleBatch() {
	ctx := context.Background()
	model := open()
	defer model.Close()
	batch, err := openelm.NewBatch(model, nil)
	if err != nil {
		log.Fatal(err)
	}

	countries := []string{"Spain", "Peru", "Egypt"}
	answers := make([]string, len(countries))
	var wg sync.WaitGroup
	for i, country := range countries {
		wg.Go(func() {
			leave, err := batch.Enter(ctx) // no more sessions than there are places
			if err != nil {
				log.Fatal(err)
			}
			defer leave()
			session, err := model.NewSession(&openelm.SessionOptions{Capacity: 50, Batch: batch})
			if err != nil {
				log.Fatal(err)
			}
			defer session.Close()
			prompt, err := model.EncodePrompt("The capital of " + country + " is")
			if err != nil {
				log.Fatal(err)
			}
			for token, err := range session.Generate(ctx, prompt, &openelm.GenerateOptions{Stop: []string{"."}}) {
				if err != nil {
					log.Fatal(err)
				}
				answers[i] += token.Text
			}
		})
	}
	wg.Wait()
	fmt.Println(strings.Join(answers, ","))
	// Output: Madrid, Lima, Cairo
}

func ExampleModel_Embed() {
	model := open()
	defer model.Close()
	embed := func(text string) []float32 {
		tokens, err := model.Encode(text)
		if err != nil {
			log.Fatal(err)
		}
		v, err := model.Embed(context.Background(), tokens, nil)
		if err != nil {
			log.Fatal(err)
		}
		return v
	}
	similarity := func(a, b []float32) (sum float32) { // the cosine: lengths are 1
		for i := range a {
			sum += a[i] * b[i]
		}
		return sum
	}
	text := embed("The capital of Spain is Madrid.")
	fmt.Println(similarity(text, embed("The capital of Peru is Lima.")) > similarity(text, embed("Once upon a time there was a fox.")))
	// Output: true
}
