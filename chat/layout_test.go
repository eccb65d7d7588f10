package chat

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/loader/tokenizer"
)

// llamaTokenizers are Llama 2's tokenizer from both files, and as transformers
// saves it with legacy=False.
func llamaTokenizers(t *testing.T) (legacy, current map[string]*tokenizer.Tokenizer) {
	t.Helper()
	read := func(name string) []byte {
		data, err := os.ReadFile("../testdata/tokenizer/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	load := func(files fs.FS) *tokenizer.Tokenizer {
		tok, err := tokenizer.Load(files, ".")
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	model, vocabulary := read("tokenizer.model"), read("tokenizer.json")
	var file map[string]json.RawMessage
	if err := json.Unmarshal(vocabulary, &file); err != nil {
		t.Fatal(err)
	}
	file["normalizer"] = json.RawMessage("null")
	file["pre_tokenizer"] = json.RawMessage(`{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false}`)
	changed, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	legacy = map[string]*tokenizer.Tokenizer{
		"tokenizer.json":  load(fstest.MapFS{"tokenizer.json": {Data: vocabulary}}),
		"tokenizer.model": load(fstest.MapFS{"tokenizer.model": {Data: model}}),
	}
	current = map[string]*tokenizer.Tokenizer{
		"tokenizer.json":  load(fstest.MapFS{"tokenizer.json": {Data: changed}}),
		"tokenizer.model": load(fstest.MapFS{"tokenizer.model": {Data: model}, "tokenizer_config.json": {Data: []byte(`{"legacy": false}`)}}),
	}
	return legacy, current
}

// TestInstruct holds the layout to the ids that Hugging Face's tokenizers and
// SentencePiece give for whole conversations; testdata/generate.py made them.
func TestInstruct(t *testing.T) {
	data, err := os.ReadFile("testdata/instruct.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	legacy, current := llamaTokenizers(t)
	n := 0
	for sc := bufio.NewScanner(bytes.NewReader(data)); sc.Scan(); n++ {
		var v struct {
			System, User string
			Turns        [][2]string
			Legacy, New  []int32
		}
		if err := json.Unmarshal(sc.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		check := func(name string, tok *tokenizer.Tokenizer, want []int32) {
			l := layout{
				Template: Instruct, tokenizer: loader.NewTokenizer(tok), system: v.System,
				begin: []int32{tok.BOS()}, end: []int32{tok.EOS()},
			}
			var turns []turn
			for _, said := range v.Turns {
				prompt := l.prompt(turns, said[0])
				if !slices.Equal(prompt, want[:len(prompt)]) {
					t.Errorf("%s: %s: turn %d begins with %v", name, sc.Text(), len(turns), prompt)
				}
				turns = append(turns, turn{said[0], tok.EncodeAfter(prompt[len(prompt)-1], said[1])})
				if history := l.history(turns); !slices.Equal(history, want[:len(history)]) {
					t.Errorf("%s: %s: turn %d is %v", name, sc.Text(), len(turns), history)
				}
			}
			if got := l.prompt(turns, v.User); !slices.Equal(got, want) {
				t.Errorf("%s: %s:\ngot  %v\nwant %v", name, sc.Text(), got, want)
			}
			var said []Message
			if v.System != "" {
				said = append(said, Message{System, v.System})
			}
			for _, t := range v.Turns {
				said = append(said, Message{User, t[0]}, Message{Assistant, t[1]})
			}
			got, err := l.messages(append(said, Message{User, v.User}))
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: %s: as messages, error %v:\ngot  %v\nwant %v", name, sc.Text(), err, got, want)
			}
		}
		for name, tok := range legacy {
			check("legacy "+name, tok, v.Legacy)
		}
		for name, tok := range current {
			check("new "+name, tok, v.New)
		}
	}
	if n < 70 {
		t.Errorf("%d conversations, want those of testdata", n)
	}
}

// TestPlainIsOneText: without end-of-text tokens a conversation is one text from
// its first message to its last.
func TestPlainIsOneText(t *testing.T) {
	legacy, current := llamaTokenizers(t)
	for _, tok := range []*tokenizer.Tokenizer{legacy["tokenizer.json"], current["tokenizer.model"]} {
		l := layout{Template: Plain, tokenizer: loader.NewTokenizer(tok), begin: []int32{tok.BOS()}, system: "A story."}
		prompt := l.prompt(nil, "Once upon a time")
		reply := tok.EncodeAfter(prompt[len(prompt)-1], "there was a fox.")
		got := l.prompt([]turn{{"Once upon a time", reply}}, "And then?")
		want := append([]int32{tok.BOS()}, tok.Encode("A story.\nOnce upon a time\nthere was a fox.\nAnd then?\n")...)
		if !slices.Equal(got, want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	}
}
