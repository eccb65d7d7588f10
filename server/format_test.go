package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/server"
)

// TestFormats: all endpoints write JSON of the schema they are given, the same one,
// in company, streamed and whole, also to a layout whose turns end at strings.
func TestFormats(t *testing.T) {
	f := newFixture(t, server.Options{}, openelm.BatchOptions{})
	type animal struct {
		Name string
		Legs int
		Kind string
	}
	schema := json.RawMessage(`{"type":"object","properties":{"Name":{"type":"string","maxLength":12},"Legs":{"type":"integer","minimum":2,"maximum":8},"Kind":{"enum":["fox","owl","<|user|>"]}},
		"required":["Name","Legs","Kind"],"additionalProperties":false}`)
	said := []object{{"role": "user", "content": "Tell me of an animal."}}
	for _, model := range []string{"story", "other", "chatty"} {
		answers := map[string]string{}
		request := object{
			"model": model, "messages": said, "seed": 4, "temperature": 0.8, "top_k": 40, "top_p": 0.9, "n": 3,
			"response_format": object{"type": "json_schema", "json_schema": object{"name": "animal", "strict": true, "schema": schema}},
		}
		a := call[chatAnswer](t, f, "/v1/chat/completions", request)
		for i, c := range a.Choices {
			if *c.FinishReason != "stop" {
				t.Errorf("%s: %s", model, *c.FinishReason)
			}
			answers[string(rune('0'+i))] = *c.Message.Content
		}
		request["stream"] = true
		for _, e := range events[chatAnswer](t, f, "/v1/chat/completions", request) {
			if c := e.Choices[0]; c.Index == 0 && c.Delta.Content != nil {
				answers["stream"] += *c.Delta.Content
			}
		}
		answers["ollama"] = call[ollamaAnswer](t, f, "/api/chat", object{
			"model": model, "messages": said, "stream": false, "format": schema, "options": object{"seed": 4, "repeat_last_n": 0},
		}).Message.Content
		if answers["stream"] != answers["0"] || answers["ollama"] != answers["0"] {
			t.Errorf("%s: %v", model, answers)
		}
		answers["responses"] = call[responseAnswer](t, f, "/v1/responses", object{
			"model": model, "input": "An animal", "text": object{"format": object{"type": "json_schema", "name": "animal", "schema": schema}},
		}).Output[0].Content[0].Text
		answers["generate"] = call[ollamaAnswer](t, f, "/api/generate", object{"model": model, "prompt": "An animal", "stream": false, "format": schema}).Response
		for how, text := range answers {
			var v animal
			d := json.NewDecoder(strings.NewReader(text))
			d.DisallowUnknownFields()
			if err := d.Decode(&v); err != nil || len([]rune(v.Name)) > 12 || v.Legs < 2 || v.Legs > 8 || v.Kind == "" {
				t.Errorf("%s: %s: %s: %v", model, how, text, err)
			}
		}
	}
	for path, request := range map[string]object{
		"/v1/chat/completions": {"messages": said, "response_format": object{"type": "json_object"}, "max_tokens": 300},
		"/api/chat":            {"messages": said, "format": "json", "stream": false},
		"/v1/responses":        {"input": "x", "text": object{"format": object{"type": "json_object"}}},
	} {
		request["model"], request["temperature"] = "story", 0.0
		if path == "/api/chat" {
			delete(request, "temperature")
		}
		w := f.do("POST", path, string(mustJSON(request)))
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"{`) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	wantError(t, f.do("POST", "/v1/chat/completions", string(mustJSON(object{
		"model": "story", "messages": said, "ignore_eos": true, "response_format": object{"type": "json_object"},
	}))), http.StatusBadRequest, "ignore_eos")
	w := f.do("POST", "/api/chat", string(mustJSON(object{"model": "story", "messages": said, "format": object{"properties": object{"a": object{"pattern": "x"}}}})))
	if w.Code != 400 || !strings.Contains(w.Body.String(), "#/properties/a: pattern") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
