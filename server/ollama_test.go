package server_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/server"
)

type ollamaAnswer struct {
	Model      string
	Response   string
	Message    struct{ Role, Content string }
	Done       bool
	DoneReason string `json:"done_reason"`
	Tokens     int    `json:"eval_count"`
	Prompt     int    `json:"prompt_eval_count"`
	Logprobs   []struct {
		Token string
		Top   []struct{ Token string } `json:"top_logprobs"`
	}
}

// lines posts a request and reads the lines that answer.
func lines(t testing.TB, f http.Handler, path string, request any) (all []ollamaAnswer) {
	t.Helper()
	w := serve(f, newRequest("POST", path, string(mustJSON(request))))
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	for line := range strings.Lines(w.Body.String()) {
		var a ollamaAnswer
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		all = append(all, a)
	}
	return all
}

// TestOllama: what Ollama's endpoints say is what OpenAI's say with the same
// parameters, streamed and whole.
func TestOllama(t *testing.T) {
	f := newFixture(t, server.Options{}, openelm.BatchOptions{})
	// Ollama's defaults, in vLLM's words. Without penalties, whose windows differ.
	same := object{"temperature": 0.8, "top_k": 40, "top_p": 0.9, "seed": 3, "max_tokens": 12}
	options := object{"seed": 3, "num_predict": 12, "repeat_last_n": 0, "num_gpu": 1}
	with := func(base, more object) object {
		all := object{}
		for _, o := range []object{base, more} {
			for k, v := range o {
				all[k] = v
			}
		}
		return all
	}
	check := func(name, want string, whole ollamaAnswer, stream []ollamaAnswer, text func(ollamaAnswer) string) {
		t.Helper()
		all := ""
		for i, l := range stream {
			all += text(l)
			if last := i == len(stream)-1; l.Done != last || (l.DoneReason != "") != last {
				t.Errorf("%s: line %d of %d: %+v", name, i, len(stream), l)
			}
		}
		if want == "" || text(whole) != want || all != want || whole.Tokens != 12 || !whole.Done || whole.DoneReason != "length" {
			t.Errorf("%s: %+v, streamed %q, want %q", name, whole, all, want)
		}
	}
	want := complete(t, f, with(same, object{"model": "story", "prompt": longPrompt})).Choices[0].Text
	request := object{"model": "story:latest", "prompt": longPrompt, "options": options}
	check("generate", want, call[ollamaAnswer](t, f, "/api/generate", with(request, object{"stream": false})),
		lines(t, f, "/api/generate", request), func(a ollamaAnswer) string { return a.Response })

	for _, model := range []string{"story", "chatty"} {
		said := []object{{"role": "system", "content": "Be kind."}, {"role": "user", "content": "The fox"}}
		want = *call[chatAnswer](t, f, "/v1/chat/completions", with(same, object{"model": model, "messages": said})).Choices[0].Message.Content
		request = object{"model": model, "messages": said, "options": options, "keep_alive": "5m"}
		check(model, want, call[ollamaAnswer](t, f, "/api/chat", with(request, object{"stream": false})),
			lines(t, f, "/api/chat", request), func(a ollamaAnswer) string { return a.Message.Content })
		if model == "chatty" { // which generate lays out as well
			request = object{"model": model, "prompt": "The fox", "system": "Be kind.", "options": options, "stream": false}
			if got := call[ollamaAnswer](t, f, "/api/generate", request); got.Response != want {
				t.Errorf("generate says %q, chat %q", got.Response, want)
			}
		}
	}

	a := call[ollamaAnswer](t, f, "/api/generate", object{"model": "story", "prompt": "Once", "stream": false, "logprobs": true, "top_logprobs": 2, "options": object{"num_predict": 4, "num_ctx": 4}})
	if len(a.Logprobs) != a.Tokens || len(a.Logprobs[0].Top) != 2 || a.Prompt+a.Tokens != 4 {
		t.Errorf("%+v", a)
	}
	for _, path := range []string{"/api/generate", "/api/chat"} {
		if a := call[ollamaAnswer](t, f, path, object{"model": "story"}); !a.Done || a.DoneReason != "load" {
			t.Errorf("%s without a prompt: %+v", path, a)
		}
	}
}

// TestOllamaTruncates: the oldest messages are left out where the context is full.
func TestOllamaTruncates(t *testing.T) {
	f := newFixture(t, server.Options{}, openelm.BatchOptions{})
	said := []object{{"role": "system", "content": "Be kind."}}
	for range 300 {
		said = append(said, object{"role": "user", "content": "The fox ran."}, object{"role": "assistant", "content": "It did."})
	}
	request := object{"model": "story", "messages": append(said, object{"role": "user", "content": "The end"}), "stream": false, "options": object{"seed": 1}}
	if a := call[ollamaAnswer](t, f, "/api/chat", request); a.Prompt < 450 || a.Prompt >= 512 {
		t.Errorf("%+v", a)
	}
	request["truncate"] = false
	if w := f.do("POST", "/api/chat", string(mustJSON(request))); w.Code != 400 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestOllamaErrors(t *testing.T) {
	f := newFixture(t, server.Options{}, openelm.BatchOptions{})
	for _, c := range []struct {
		method, path, body string
		status             int
		names              string
	}{
		{"POST", "/api/generate", `{"model":"story","prompt":"x","options":{"foo":1}}`, 400, "foo"},
		{"POST", "/api/generate", `{"model":"story","prompt":"x","options":{"top_k":-1}}`, 400, "top_k"},
		{"POST", "/api/generate", `{"model":"story","prompt":"x","options":{"typical_p":0.5}}`, 400, "typical_p"},
		{"POST", "/api/generate", `{"model":"story","prompt":"x","suffix":"y"}`, 400, "suffix"},
		{"POST", "/api/generate", `{"model":"story","prompt":"x","raw":true,"system":"y"}`, 400, "system"},
		{"POST", "/api/generate", `{"model":"story","prompt":"x","keep_alive":"long"}`, 400, "keep_alive"},
		{"POST", "/api/generate", `{"model":"story","prompt":"x","top_logprobs":1}`, 400, "top_logprobs"},
		{"POST", "/api/generate", `{"model":"story","prompt":"x","images":["a"]}`, 400, "images"},
		{"POST", "/api/chat", `{"model":"story","messages":[{"role":"user","content":"x"}],"tools":[{}]}`, 400, "tools"},
		{"POST", "/api/chat", `{"model":"story","messages":[{"role":"user","content":"x"}],"think":true}`, 400, "think"},
		{"POST", "/api/chat", `{"model":"nobody"}`, 404, "nobody"},
		{"POST", "/api/embed", `{"model":"story"}`, 400, "input"},
		{"POST", "/api/embed", `{"model":"story","input":"x","dimensions":3}`, 400, "dimensions"},
		{"POST", "/api/embeddings", `{"model":"story","prompt":["x"]}`, 400, "prompt"},
		{"POST", "/api/show", `{"model":"nobody"}`, 404, "nobody"},
		{"POST", "/api/pull", `{"model":"x"}`, 501, "openelm models"},
		{"DELETE", "/api/delete", `{"model":"x"}`, 501, "openelm models"},
		{"POST", "/api/nothing", `{}`, 404, "nothing"},
	} {
		w := f.do(c.method, c.path, c.body)
		var e struct{ Error string }
		if w.Code != c.status || json.Unmarshal(w.Body.Bytes(), &e) != nil || !strings.Contains(e.Error, c.names) {
			t.Errorf("%s %s: %d %s", c.path, c.body, w.Code, w.Body)
		}
	}
	f.backend.fault.Store(deviceLost)
	defer f.backend.fault.Store(0)
	if w := f.do("POST", "/api/generate", `{"model":"story","prompt":"x"}`); w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestOllamaModels(t *testing.T) {
	f := newFixture(t, server.Options{}, openelm.BatchOptions{})
	for _, path := range []string{"/api/tags", "/api/ps"} {
		var list struct {
			Models []struct{ Name, Digest string }
		}
		if err := json.Unmarshal(f.do("GET", path, "").Body.Bytes(), &list); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, m := range list.Models {
			names = append(names, m.Name)
		}
		if !slices.Equal(names, []string{"story:latest", "other:latest", "chatty:latest"}) || len(list.Models[0].Digest) != 64 {
			t.Errorf("%s: %+v", path, list)
		}
	}
	for path, want := range map[string]string{"/api/version": `"version":"`, "/api/show": `"openelm.context_length":512`} {
		method, body := "GET", ""
		if path == "/api/show" {
			method, body = "POST", `{"name":"story:latest","verbose":true}`
		}
		if w := f.do(method, path, body); w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}
