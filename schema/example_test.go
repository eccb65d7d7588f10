package schema_test

import (
	"context"
	"fmt"
	"log"

	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/schema"
	"github.com/go-openelm/go-openelm/story"
)

func ExampleGenerate() {
	model, err := story.Open(context.Background(), nil) // or loader.Open
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()

	type answer struct {
		Animal string `json:"animal" enum:"fox,owl,hen"`
		Legs   uint8  `json:"legs"`
	}
	a, err := schema.Generate[answer](context.Background(), model, "The fox ran down the hill. An animal: ", nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(a.Animal)
	// Output: fox
}

func ExampleVocabulary_Constraint() {
	model, err := story.Open(context.Background(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	vocabulary, err := schema.NewVocabulary(model) // once for a model
	if err != nil {
		log.Fatal(err)
	}
	s, err := schema.Compile([]byte(`{"type": "array", "items": {"const": "fox"}, "minItems": 2, "maxItems": 2}`))
	if err != nil {
		log.Fatal(err)
	}
	options := &openelm.GenerateOptions{Constraint: vocabulary.Constraint(s)} // for each text
	for token, err := range model.Generate(context.Background(), "Twice:", options) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(token.Text)
	}
	// Output: ["fox", "fox"]
}
