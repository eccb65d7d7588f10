package schema_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/go-openelm/go-openelm/internal/strictjson"
	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/schema"
	"github.com/go-openelm/go-openelm/story"
)

func storyModel(t testing.TB) *openelm.Model {
	t.Helper()
	m, err := story.Open(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// TestGenerated: what a model writes to random schemas, greedily and sampled, is
// valid to a validator that is not ours, and nothing else ends than at a limit.
func TestGenerated(t *testing.T) {
	schemas := 12
	if os.Getenv("OPENELM_SOAK") != "" {
		schemas = 2000
	}
	m := storyModel(t)
	v, err := schema.NewVocabulary(m)
	if err != nil {
		t.Fatal(err)
	}
	finished, all := 0, 0
	for seed := range schemas {
		r := rand.New(rand.NewPCG(uint64(seed), 1))
		root := randomSchema(r, 3).(obj)
		root["$defs"] = obj{"x": randomSchema(r, 0)}
		text := mustJSON(root)
		s, err := schema.Compile(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		valid := validator(t, text)
		for _, temperature := range []float32{0, 1, 3} {
			c := v.Constraint(s)
			all++
			o := openelm.GenerateOptions{Constraint: c, MaxTokens: 80, Lookup: temperature == 1}
			o.Temperature, o.Seed = temperature, uint64(seed)
			out, stop := "", openelm.StopReason("")
			for tok, err := range m.Generate(t.Context(), "The fox said: ", &o) {
				if err != nil {
					t.Fatalf("%s: after %q: %v", text, out, err)
				}
				out += tok.Text
				stop = tok.Stop
			}
			switch {
			case stop == openelm.StopLength && !c.Complete():
			case stop == openelm.StopEOS || c.Complete():
				finished++
				v, err := jsonschema.UnmarshalJSON(strings.NewReader(out))
				if err == nil {
					err = valid.Validate(v)
				}
				if err != nil {
					t.Errorf("%s: %s: %v", text, out, err)
				}
			default:
				t.Errorf("%s: %q ended with %q", text, out, stop)
			}
		}
	}
	t.Logf("%d of %d answers were finished within 80 tokens", finished, all)
	if finished < all/2 {
		t.Errorf("only %d of %d answers were finished", finished, all)
	}
}

func validator(t testing.TB, text []byte) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

type obj = map[string]any

// randomSchema is a schema of the subset, nested depth deep at most, which may
// refer to a definition x.
func randomSchema(r *rand.Rand, depth int) any {
	name := func() string { return []string{"a", "ab", "b", "name", "é\"\n", "the fox", ""}[r.IntN(7)] }
	scalar := func() any {
		return []any{"x", "fox", "\"q\"\n", "ü€", 0, -3, 12, 1.5, true, false, nil}[r.IntN(11)]
	}
	kinds := 12
	if depth == 0 {
		kinds = 7
	}
	switch k := r.IntN(kinds); k {
	case 0:
		s := obj{"type": "string"}
		if r.IntN(2) == 0 {
			s["minLength"] = r.IntN(4)
		}
		if r.IntN(4) > 0 {
			s["maxLength"] = 4 + r.IntN(8)
		}
		return s
	case 1, 2:
		s := obj{"type": []string{"integer", "number"}[k-1]}
		low := float64(r.IntN(400) - 200)
		if k == 2 {
			low /= 8
		}
		if r.IntN(2) == 0 {
			s[[]string{"minimum", "exclusiveMinimum"}[r.IntN(2)]] = low
		}
		if r.IntN(2) == 0 {
			s[[]string{"maximum", "exclusiveMaximum"}[r.IntN(2)]] = low + 2 + float64(r.IntN(3000))
		}
		return s
	case 3:
		return obj{"type": []string{"boolean", "null"}[r.IntN(2)]}
	case 4:
		seen, list := obj{}, []any{}
		for range 1 + r.IntN(5) {
			if v := scalar(); seen[fmt.Sprint(v)] == nil {
				seen[fmt.Sprint(v)] = true
				list = append(list, v)
			}
		}
		return obj{"enum": list}
	case 5:
		return obj{"const": scalar()}
	case 6:
		return obj{"type": []string{"integer", "null", "boolean"}[r.IntN(2):], "minimum": 5, "maximum": 70}
	case 7:
		s := obj{"type": "array", "items": randomSchema(r, depth-1), "maxItems": 1 + r.IntN(3)}
		if r.IntN(3) == 0 {
			s["minItems"] = 1
		}
		if r.IntN(3) == 0 {
			s["prefixItems"] = []any{randomSchema(r, depth-1), randomSchema(r, depth-1)}
		}
		return s
	case 8:
		return obj{"anyOf": []any{randomSchema(r, depth-1), randomSchema(r, depth-1)}}
	case 9:
		return obj{"$ref": "#/$defs/x"}
	default:
		properties, required := obj{}, []string{}
		for range r.IntN(5) {
			n := name()
			if properties[n] == nil {
				properties[n] = randomSchema(r, depth-1)
				if r.IntN(2) == 0 {
					required = append(required, n)
				}
			}
		}
		s := obj{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
		if r.IntN(4) == 0 {
			s["additionalProperties"] = randomSchema(r, 0)
		}
		return s
	}
}

type person struct {
	Name    string            `json:"name"`
	Age     uint8             `json:"age"`
	Mood    string            `json:"mood" enum:"glad,sad"`
	Friends []*person         `json:"friends,omitempty"`
	Pet     *struct{ N int8 } `json:"pet"`
	Notes   map[string]bool   `json:"notes,omitzero"`
	Pair    [2]float32        `json:"pair"`
	Any     any               `json:"any,omitempty"`
	secret  int
	Hidden  int `json:"-"`
	embedded
}

type embedded struct{ Extra bool }

func TestOf(t *testing.T) {
	s, err := schema.Of[person]()
	if err != nil {
		t.Fatal(err)
	}
	valid := validator(t, []byte(s.String()))
	for text, want := range map[string]bool{
		`{"name":"A","age":255,"mood":"sad","pet":null,"pair":[1,2.5],"Extra":true}`:                                                     true,
		`{"name":"A","age":2,"mood":"glad","friends":[null],"pet":{"N":-128},"notes":{"x":true},"pair":[1,2],"any":[1,{}],"Extra":true}`: true,
		`{"name":"A","age":256,"mood":"sad","pet":null,"pair":[1,2],"Extra":true}`:                                                       false,
		`{"name":"A","age":2,"mood":"other","pet":null,"pair":[1,2],"Extra":true}`:                                                       false,
		`{"name":"A","age":2,"mood":"sad","pair":[1,2],"Extra":true}`:                                                                    false,
		`{"name":"A","age":2,"mood":"sad","pet":null,"pair":[1],"Extra":true}`:                                                           false,
	} {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := valid.Validate(v) == nil; got != want {
			t.Errorf("%s: valid %v, want %v, in %s", text, got, want, s)
		}
	}
	for name, err := range map[string]error{
		"time": second(schema.Of[time.Time]()), "channel": second(schema.Of[chan int]()), "int keys": second(schema.Of[map[int]int]()),
		"bytes": second(schema.Of[[]byte]()), "interface": second(schema.Of[error]()), "inside": second(schema.Of[struct{ A []chan int }]()),
		"string option": second(schema.Of[struct {
			A int `json:",string"`
		}]()),
		"enum of numbers": second(schema.Of[struct {
			A int `enum:"1"`
		}]()),
	} {
		if !errors.Is(err, schema.ErrType) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type (
	Base  struct{ ID, Name string }
	Other struct{ ID, More string }
	inner struct{ Low string }
	deep  struct{ Base }
	deep2 struct{ Base }
	loop  struct {
		*Loop
		X string
	}
	Loop struct {
		Y string
		loop
	}
	word   string
	Word   string
	Tagged struct {
		A string `json:"ID"`
	}
)

// TestEmbedded: the properties of structs are those that encoding/json writes, in its
// order, and it decodes them.
func TestEmbedded(t *testing.T) {
	embeds[struct {
		Base `json:"base"`
		More string
	}](t, "base", "More")
	embeds[struct {
		Base `json:"-"`
		More string
	}](t, "More")
	embeds[struct {
		Base `json:",omitempty"`
		More string
	}](t, "ID", "Name", "More")
	embeds[struct {
		*Base
		inner
	}](t, "ID", "Name", "Low")
	embeds[struct {
		inner `json:"in"`
		//lint:ignore SA5008 a name of this kind is what is tested
		X string `json:"-,"`
		//lint:ignore SA5008 encoding/json does not take this one
		Y string `json:"a\"b"`
	}](t, "in", "-", "Y")
	embeds[struct {
		Base
		Other
	}](t, "Name", "More") // two of ID
	embeds[struct {
		Base
		Tagged
		Other
	}](t, "Name", "ID", "More") // the tag wins
	embeds[struct {
		Base
		Name string
	}](t, "ID", "Name") // the outer one wins
	embeds[struct {
		deep
		deep2
		Z string
	}](t, "Z") // Base twice
	embeds[struct {
		word
		Word
	}](t, "Word")
	embeds[Loop](t, "Y", "X")
	if _, err := schema.Of[struct{ *inner }](); !errors.Is(err, schema.ErrType) {
		t.Errorf("an embedded pointer that encoding/json cannot set: %v", err)
	}
}

// embeds holds a struct to the names that it should have.
func embeds[T any](t *testing.T, want ...string) {
	t.Helper()
	s, err := schema.Of[T]()
	if err != nil {
		t.Fatal(err)
	}
	var text struct {
		Ref  string `json:"$ref"`
		Defs map[string]struct {
			Properties json.RawMessage
			Required   []string
		} `json:"$defs"`
	}
	if err := json.Unmarshal([]byte(s.String()), &text); err != nil {
		t.Fatal(err)
	}
	root := text.Defs[strings.TrimPrefix(text.Ref, "#/$defs/")]
	if got := keys(t, root.Properties); !slices.Equal(got, want) || !slices.Equal(root.Required, want) {
		t.Errorf("properties %q, required %q, want %q", got, root.Required, want)
	}

	var members []string
	for _, name := range want {
		value := `"x"`
		if name == "base" || name == "in" {
			value = "{}"
		}
		members = append(members, fmt.Sprintf("%q:%s", name, value))
	}
	var v T
	d := json.NewDecoder(strings.NewReader("{" + strings.Join(members, ",") + "}"))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Errorf("encoding/json: %v", err)
	}
	if got := keys(t, mustJSON(v)); !slices.Equal(got, want) {
		t.Errorf("encoding/json writes %q, want %q", got, want)
	}
}

// keys are those of a JSON object, in order.
func keys(t *testing.T, object []byte) (names []string) {
	t.Helper()
	err := strictjson.Object(object, func(key string, _ json.RawMessage) error {
		names = append(names, key)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func second(_ *schema.Schema, err error) error { return err }

func TestGenerate(t *testing.T) {
	m := storyModel(t)
	o := &openelm.GenerateOptions{MaxTokens: 300}
	p, err := schema.Generate[person](t.Context(), m, "The boy was called", o)
	if err != nil && !errors.Is(err, schema.ErrIncomplete) {
		t.Fatal(err)
	}
	if p.secret != 0 {
		t.Error("a field that JSON does not see was written")
	}
	t.Logf("%+v, %v", p, err)
	if n, err := schema.Generate[[3]int8](t.Context(), m, "The numbers are", nil); err != nil {
		t.Errorf("%v, %v", n, err)
	}
	o.MaxTokens = 1
	if _, err := schema.Generate[person](t.Context(), m, "Once", o); !errors.Is(err, schema.ErrIncomplete) {
		t.Error(err)
	}
	o.IgnoreEOS = true
	if _, err := schema.Generate[person](t.Context(), m, "Once", o); !errors.Is(err, openelm.ErrArgument) {
		t.Error(err)
	}
}
