package server_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/server"
)

// TestParameters: every parameter is obeyed or refused by its name.
func TestParameters(t *testing.T) {
	f := newFixture(t, server.Options{MaxBody: 1 << 16}, openelm.BatchOptions{})
	bad := map[string][]any{
		"n": {0, -1, 1.5, "1", 65, 1 << 30}, "stop": {1, []any{""}, "", []any{1}, make([]string, 65)}, "stream": {1, "true"},
		"stream_options": {object{"x": 1}, 1, object{"include_usage": true}}, "seed": {1.5, "1", json.RawMessage("1e400")},
		"max_tokens": {-1, 1.5, "5"}, "temperature": {-0.1, 2.1, "1", json.RawMessage("1e999")}, "top_p": {-1, 1.1}, "min_p": {2},
		"top_k": {-1, "4"}, "presence_penalty": {3}, "frequency_penalty": {-3}, "repetition_penalty": {0}, "ignore_eos": {1},
		"logit_bias": {1, object{"x": 1}, object{"5": 101}, object{"2048": 1}, object{"-1": 1}}, "service_tier": {"flex"}, "store": {true},
		"model": {1, ""}, "foo": {nil, 1}, "Model": {"story"},
	}
	only := map[string]map[string][]any{
		"/v1/completions": {
			"prompt": {nil, 1, []any{}, []any{[]any{}}, []any{2048}, []any{-1}, []any{1.5}, []any{"a", 1}, []any{1, "a"}, []any{nil}, object{}, true, []any{1, nil}},
			"echo":   {1}, "logprobs": {-1, 21, true}, "best_of": {2, 0}, "suffix": {"x"},
		},
		"/v1/chat/completions": {
			"messages": {nil, []any{}, "Hi", []any{"Hi"}, []any{object{"role": "user"}}, []any{object{"role": "tool", "content": "x"}}, []any{object{"content": "x"}}, []any{object{"role": "user", "content": 1}}, []any{object{"role": "user", "content": "x", "name": "me"}},
				[]any{object{"role": "user", "content": []any{object{"type": "image_url"}}}}, []any{object{"role": "user", "content": []any{1}}}},
			"response_format": {
				object{"type": "xml"}, object{}, "json_object", object{"type": "json_schema"}, object{"type": "json_object", "json_schema": object{"schema": object{}}},
				object{"type": "json_schema", "json_schema": object{"name": "x"}}, object{"type": "json_schema", "json_schema": object{"name": "x", "schema": object{"pattern": "a"}}},
				object{"type": "json_schema", "json_schema": object{"name": "x", "schema": 1}},
			}, "tools": {[]any{object{}}}, "tool_choice": {"required"}, "logprobs": {1}, "top_logprobs": {21, 2},
			"max_completion_tokens": {0}, "reasoning_effort": {"low"}, "audio": {object{}}, "prediction": {object{}}, "modalities": {[]any{"audio"}},
			"functions": {[]any{1}}, "function_call": {"f"}, "parallel_tool_calls": {1}, "verbosity": {"low"}, "web_search_options": {object{}},
		},
	}
	good := map[string]object{
		"/v1/completions": {
			"model": "story", "prompt": longPrompt, "best_of": 1, "suffix": "", "echo": false,
		},
		"/v1/chat/completions": {
			"model": "story", "messages": []object{{"role": "user", "content": "Hi"}}, "tools": []any{}, "tool_choice": "auto", "parallel_tool_calls": true,
			"response_format": object{"type": "text"}, "modalities": []string{"text"}, "functions": []any{}, "function_call": "none", "reasoning_effort": nil,
		},
	}
	for path, base := range good {
		maps.Copy(base, object{
			"max_tokens": 2, "user": "me", "metadata": object{"a": "b"}, "safety_identifier": "x", "prompt_cache_key": "y", "service_tier": "auto",
			"store": false, "stop": []any{}, "logit_bias": object{}, "stream_options": nil, "seed": nil,
		})
		if w := f.do("POST", path, string(mustJSON(base))); w.Code != 200 {
			t.Errorf("%s: %s", path, w.Body)
		}
		all := maps.Clone(bad)
		maps.Copy(all, only[path])
		for name, list := range all {
			for _, v := range list {
				request := maps.Clone(base)
				request[name] = v
				t.Run(fmt.Sprintf("%s/%s=%.40v", path, name, v), func(t *testing.T) {
					wantError(t, f.do("POST", path, string(mustJSON(request))), http.StatusBadRequest, name)
				})
			}
		}
	}
	for path, r := range map[string]object{
		"/v1/completions":      {"model": "story", "prompt": longPrompt, "n": 64, "logprobs": 20, "max_tokens": 480},
		"/v1/chat/completions": {"model": "story", "messages": good["/v1/chat/completions"]["messages"], "n": 64, "logprobs": true, "top_logprobs": 20},
	} {
		name := "logprobs"
		if r["messages"] != nil {
			name = "top_logprobs"
		}
		wantError(t, f.do("POST", path, string(mustJSON(r))), http.StatusBadRequest, name)
	}
	base := object{"model": "story", "prompt": longPrompt, "max_tokens": 40, "seed": 1}
	plain := complete(t, f, base).Choices[0].Text
	for name, v := range map[string]any{
		"temperature": 0, "top_p": 0.1, "top_k": 1, "min_p": 0.9, "seed": 2, "max_tokens": 3, "stop": " ", "presence_penalty": 2, "frequency_penalty": 2,
		"repetition_penalty": 1.5, "logit_bias": object{"300": 100}, "echo": true,
	} {
		request := maps.Clone(base)
		request[name] = v
		if complete(t, f, request).Choices[0].Text == plain {
			t.Errorf("%s has no effect", name)
		}
	}
}

func TestBodies(t *testing.T) {
	f := newFixture(t, server.Options{MaxBody: 1 << 16}, openelm.BatchOptions{})
	for _, path := range []string{"/v1/completions", "/v1/chat/completions", "/tokenize", "/detokenize"} {
		for body, status := range map[string]int{
			"": 400, "null": 400, "[]": 400, "{": 400, `{"model":"story"`: 400, `{"model":"story"}`: 400, "{\"model\":\"\xff\"}": 400,
			`{"model":"story","model":"other"}`: 400, `{"model":NaN}`: 400, `{"model":"story"} x`: 400,
			`{"prompt":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`:      400,
			`{"model":"story","prompt":"` + strings.Repeat("x", 1<<16) + `"}`:               413,
			`{"model":"nobody","prompt":"x","tokens":[],"messages":[],"content":null}`:      400,
			`{"` + strings.Repeat("k", 10000) + `":1}`:                                      400,
			`{"model":"story","prompt":["` + strings.Repeat(`a","`, 64) + `"],"tokens":[}}`: 400,
		} {
			w := f.do("POST", path, body)
			var e apiFault
			if w.Code != status || json.Unmarshal(w.Body.Bytes(), &e) != nil || e.Error == nil || w.Body.Len() > 1000 {
				t.Errorf("%s %.60q: %d %s", path, body, w.Code, w.Body)
			}
		}
	}
	w := f.do("POST", "/v1/completions", `{"model":"nobody","prompt":"x"}`)
	wantError(t, w, http.StatusNotFound, "model")
	wantError(t, f.do("GET", "/v1/completions", ""), http.StatusMethodNotAllowed, "")
	wantError(t, f.do("GET", "/v1/models/nobody", ""), http.StatusNotFound, "model")
	wantError(t, f.do("POST", "/v1/nothing", "{}"), http.StatusNotFound, "")
	r := newRequest("POST", "/v1/completions", "x")
	r.Header.Set("Content-Encoding", "gzip")
	if w := serve(f, r); w.Code != http.StatusUnsupportedMediaType {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// FuzzRequests: no body makes a server fail, panic or answer other than with an
// answer or an error of OpenAI's shape.
func FuzzRequests(f *testing.F) {
	paths := []string{
		"/v1/completions", "/v1/chat/completions", "/tokenize", "/detokenize", "/v1/embeddings", "/v1/responses",
		"/api/generate", "/api/chat", "/api/embed", "/api/embeddings", "/api/show",
	}
	for _, seed := range []string{
		`{"model":"story","prompt":"Once","max_tokens":1,"echo":true,"logprobs":1}`,
		`{"model":"story","prompt":[[1,2],[3]],"max_tokens":1,"stream":true,"stream_options":{"include_usage":true}}`,
		`{"model":"story","messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]}],"max_tokens":1,"logit_bias":{"5":-100}}`,
		`{"content":"a</s>b","add_special":true,"with_pieces":true}`, `{"tokens":[1,2,3]}`, `{"stop":["a"],"n":3,"seed":-5}`,
		`{"model":"story","input":["a",[1,2]],"encoding_format":"base64"}`, `{"model":"story:latest","prompt":"a","options":{"num_predict":1,"seed":-1,"num_ctx":9}}`,
		`{"model":"story","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"a"}]}],"max_output_tokens":1,"stream":true}`,
	} {
		for i := range paths {
			f.Add(i, []byte(seed))
		}
	}
	s := newFixture(f, server.Options{MaxBody: 4096, MaxTexts: 4}, openelm.BatchOptions{})
	f.Fuzz(func(t *testing.T, i int, body []byte) {
		path := paths[uint(i)%uint(len(paths))]
		w := s.do("POST", path, string(body))
		var e apiFault
		if strings.HasPrefix(path, "/api/") {
			var ollama struct{ Error string }
			if w.Code != 200 && (json.Unmarshal(w.Body.Bytes(), &ollama) != nil || ollama.Error == "") || w.Code >= 500 {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			}
			return
		}
		switch {
		case w.Code == 200:
		case w.Code < 400 || w.Code > 499:
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		case json.Unmarshal(w.Body.Bytes(), &e) != nil || e.Error == nil || e.Error.Message == "":
			t.Errorf("%s: %s", path, w.Body)
		}
	})
}

// TestDocumented: docs/server.md names every parameter.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/server.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range server.ParameterNames() {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/server.md says nothing of %s", name)
		}
	}
}
