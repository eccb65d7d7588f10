package server_test

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/server"
)

// TestEmbeddings: all endpoints and forms give what the library does.
func TestEmbeddings(t *testing.T) {
	f := newFixture(t, server.Options{}, openelm.BatchOptions{})
	texts := []string{"The fox ran.", "Once upon a time"}
	var want [][]float32
	var ids [][]int32
	n := 0
	for _, text := range texts {
		tokens, err := f.model.Encode(text)
		if err != nil {
			t.Fatal(err)
		}
		v, err := f.model.Embed(t.Context(), tokens, nil)
		if err != nil {
			t.Fatal(err)
		}
		n += len(tokens)
		want, ids = append(want, v), append(ids, tokens)
	}
	type answer struct {
		Data []struct {
			Index     int
			Embedding any
		}
		Usage struct {
			Prompt int `json:"prompt_tokens"`
		}
	}
	for name, request := range map[string]object{
		"texts": {"input": texts}, "tokens": {"input": ids}, "base64": {"input": texts, "encoding_format": "base64", "dimensions": 256},
	} {
		request["model"] = "story"
		a := call[answer](t, f, "/v1/embeddings", request)
		if a.Usage.Prompt != n || len(a.Data) != 2 {
			t.Fatalf("%s: %+v", name, a.Usage)
		}
		for i, d := range a.Data {
			var got []float32
			switch v := d.Embedding.(type) {
			case string:
				b, err := base64.StdEncoding.DecodeString(v)
				if err != nil {
					t.Fatal(err)
				}
				for ; len(b) > 0; b = b[4:] {
					got = append(got, math.Float32frombits(binary.LittleEndian.Uint32(b)))
				}
			case []any:
				for _, x := range v {
					got = append(got, float32(x.(float64)))
				}
			}
			if d.Index != i || !slices.Equal(got, want[i]) {
				t.Errorf("%s: text %d", name, i)
			}
		}
	}
	other := call[answer](t, f, "/v1/embeddings", object{"model": "other", "input": texts[0]}).Data[0].Embedding.([]any)
	if float32(other[0].(float64)) == want[0][0] {
		t.Error("the adapter has no effect")
	}
	type many struct {
		Embeddings [][]float32
		Tokens     int `json:"prompt_eval_count"`
	}
	if a := call[many](t, f, "/api/embed", object{"model": "story", "input": texts}); a.Tokens != n || !slices.EqualFunc(a.Embeddings, want, slices.Equal) {
		t.Errorf("/api/embed: %d tokens", a.Tokens)
	}
	if a := call[struct{ Embedding []float32 }](t, f, "/api/embeddings", object{"model": "story", "prompt": texts[1]}); !slices.Equal(a.Embedding, want[1]) {
		t.Error("/api/embeddings")
	}
	// Ollama cuts what is too long, unless it is told not to.
	long := strings.Repeat("The fox ran. ", 20000)
	if a := call[many](t, f, "/api/embed", object{"model": "story", "input": long}); a.Tokens != 512 {
		t.Errorf("%d tokens of a long text", a.Tokens)
	}
	for path, request := range map[string]object{"/api/embed": {"truncate": false}, "/v1/embeddings": {}} {
		request["model"], request["input"] = "story", long[:20000]
		if w := f.do("POST", path, string(mustJSON(request))); w.Code != 400 || !strings.Contains(w.Body.String(), "512") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	for param, v := range map[string]any{"input": []string{}, "encoding_format": "int8", "dimensions": 100, "foo": 1} {
		request := object{"model": "story", "input": "x"}
		request[param] = v
		wantError(t, f.do("POST", "/v1/embeddings", string(mustJSON(request))), http.StatusBadRequest, param)
	}
}
