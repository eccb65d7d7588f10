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

type responseAnswer struct {
	ID, Status string
	Output     []struct {
		Content []struct {
			Text     string
			Logprobs []struct{ Token string }
		}
	}
	Incomplete *struct{ Reason string } `json:"incomplete_details"`
	Usage      struct {
		Output int `json:"output_tokens"`
	}
	Metadata map[string]string
}

// TestResponses: a response says what a chat says, whole and as events.
func TestResponses(t *testing.T) {
	f := newFixture(t, server.Options{}, openelm.BatchOptions{})
	want := *call[chatAnswer](t, f, "/v1/chat/completions", object{
		"model": "chatty", "messages": []object{{"role": "system", "content": "Be kind."}, {"role": "user", "content": "The fox"}}, "temperature": 0, "max_tokens": 12,
	}).Choices[0].Message.Content
	request := object{
		"model": "chatty", "instructions": "Be kind.", "input": "The fox", "temperature": 0, "max_output_tokens": 12, "metadata": object{"a": "b"},
		"include": []string{"message.output_text.logprobs"}, "top_logprobs": 1,
	}
	check := func(how string, a responseAnswer) {
		t.Helper()
		if a.Status != "incomplete" || a.Incomplete.Reason != "max_output_tokens" || a.Output[0].Content[0].Text != want || a.Usage.Output != 12 ||
			len(a.Output[0].Content[0].Logprobs) != 12 || a.Metadata["a"] != "b" {
			t.Errorf("%s: %+v, want %q", how, a, want)
		}
	}
	check("whole", call[responseAnswer](t, f, "/v1/responses", request))
	request["input"] = []object{{"type": "message", "role": "user", "content": []object{{"type": "input_text", "text": "The fox"}}}}
	request["stream"] = true
	w := f.do("POST", "/v1/responses", string(mustJSON(request)))
	var kinds []string
	text := ""
	for i, e := range strings.Split(strings.TrimSuffix(w.Body.String(), "\n\n"), "\n\n") {
		name, data, _ := strings.Cut(e, "\ndata: ")
		var v struct {
			Type, Delta string
			Sequence    int `json:"sequence_number"`
			Response    responseAnswer
		}
		if err := json.Unmarshal([]byte(data), &v); err != nil || name != "event: "+v.Type || v.Sequence != i {
			t.Fatalf("event %d: %s", i, e)
		}
		text += v.Delta
		if len(kinds) == 0 || kinds[len(kinds)-1] != v.Type {
			kinds = append(kinds, v.Type)
		}
		if v.Type == "response.incomplete" {
			check("streamed", v.Response)
		}
	}
	if text != want || !slices.Equal(kinds, []string{
		"response.created", "response.in_progress", "response.output_item.added", "response.content_part.added", "response.output_text.delta",
		"response.output_text.done", "response.content_part.done", "response.output_item.done", "response.incomplete",
	}) {
		t.Errorf("%q %v", text, kinds)
	}
	f.backend.fault.Store(deviceLost)
	w = f.do("POST", "/v1/responses", string(mustJSON(request)))
	f.backend.fault.Store(0)
	if !strings.Contains(w.Body.String(), "event: response.failed\n") || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("a failure: %s", w.Body)
	}
	long := make([]object, 200)
	for i := range long {
		long[i] = object{"role": "user", "content": "The fox ran."}
	}
	auto := object{"model": "story", "input": long, "truncation": "auto", "max_output_tokens": 5}
	call[responseAnswer](t, f, "/v1/responses", auto)
	for param, list := range map[string][]any{
		"input": {nil, []any{}, 1, []object{{"type": "function_call_output"}}}, "truncation": {"x"}, "include": {[]string{"x"}, 1}, "top_logprobs": {1},
		"text": {object{"format": object{"type": "x"}}, object{"format": object{"strict": true, "type": "json_schema"}}, object{"format": object{"type": "json_schema", "schema": object{"not": object{}}}}, object{"verbosity": "low"}}, "reasoning": {object{"effort": "low"}}, "tools": {[]any{object{}}},
		"store": {true}, "previous_response_id": {"x"}, "conversation": {"x"}, "background": {true}, "max_output_tokens": {0}, "foo": {1}, "n": {1},
	} {
		for _, v := range list {
			request := object{"model": "story", "input": "x", "max_output_tokens": 1}
			request[param] = v
			wantError(t, f.do("POST", "/v1/responses", string(mustJSON(request))), http.StatusBadRequest, param)
		}
	}
}
