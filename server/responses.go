package server

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"

	"github.com/go-openelm/go-openelm/chat"
	"github.com/go-openelm/go-openelm/internal/strictjson"
	"github.com/go-openelm/go-openelm/openelm"
)

// responseParams are the parameters of /v1/responses.
type responseParams struct {
	*params
	instructions string
	input        []chat.Message
	truncation   string
	include      []string
	top          int
	echo         map[string]json.RawMessage // parameters that the answer repeats
}

func newResponseParams() (*responseParams, fields) {
	common, all := newParams()
	p := &responseParams{params: common, truncation: "disabled", echo: map[string]json.RawMessage{}}
	f := fields{
		"instructions":      text(&p.instructions),
		"input":             func(v json.RawMessage) (err error) { p.input, err = inputItems(v); return err },
		"max_output_tokens": integer(&p.maxTokens, 1, math.MaxInt32),
		"truncation": func(v json.RawMessage) error {
			p.truncation, _ = strictjson.String(v)
			return only(`"auto"`, `"disabled"`)(v)
		},
		"top_logprobs": integer(&p.top, 0, maxTop),
		"include": func(v json.RawMessage) error {
			if json.Unmarshal(v, &p.include) != nil || slices.ContainsFunc(p.include, func(s string) bool { return s != includeLogprobs }) {
				return fmt.Errorf("must be a list of %q, or empty", includeLogprobs)
			}
			return nil
		},
		"text": fields{
			"format": func(v json.RawMessage) error {
				p.echo["text.format"] = v
				return p.textFormat(v)
			},
			"verbosity": only(),
		}.inside,
		"reasoning":           fields{"effort": only(), "summary": only(), "generate_summary": only()}.inside,
		"tools":               only("[]"),
		"tool_choice":         only(`"none"`, `"auto"`),
		"parallel_tool_calls": only("true", "false"),
		"background":          only("false"),
		"stream_options":      fields{"include_obfuscation": only("false")}.inside,
	}
	for _, name := range []string{"model", "stream", "temperature", "top_p", "user", "metadata", "safety_identifier", "prompt_cache_key", "service_tier", "store"} {
		f[name] = all[name]
	}
	for _, name := range []string{"previous_response_id", "conversation", "prompt", "max_tool_calls"} {
		f[name] = only()
	}
	for _, name := range []string{"instructions", "max_output_tokens", "metadata", "parallel_tool_calls", "temperature", "tool_choice", "top_p", "truncation", "user"} {
		read := f[name]
		f[name] = func(v json.RawMessage) error {
			p.echo[name] = v
			return read(v)
		}
	}
	return p, f
}

const includeLogprobs = "message.output_text.logprobs"

func decodeResponse(body []byte) (*responseParams, error) {
	p, f := newResponseParams()
	if err := f.decode(body); err != nil {
		return nil, err
	}
	logprobs := len(p.include) > 0
	switch {
	case p.input == nil:
		return nil, invalid("input", "input: is missing")
	case p.top > 0 && !logprobs:
		return nil, invalid("top_logprobs", "top_logprobs: only with %q in include", includeLogprobs)
	}
	p.options.LogProbs, p.options.TopLogProbs = logprobs, p.top
	if p.instructions != "" {
		p.input = slices.Insert(p.input, 0, chat.Message{Role: chat.System, Text: p.instructions})
	}
	return p, nil
}

// inputItems are the messages of an input: a text, or messages.
func inputItems(v json.RawMessage) (all []chat.Message, err error) {
	if s, ok := strictjson.String(v); ok {
		return []chat.Message{{Role: chat.User, Text: s}}, nil
	}
	list, ok := array(v)
	if !ok || len(list) == 0 || len(list) > maxMessages {
		return nil, fmt.Errorf("must be a text, or a list of 1 to %d messages", maxMessages)
	}
	for i, e := range list {
		// Clients send back what they were given, which has an id and a status.
		m, err := readMessage(e, fields{
			"type": only(`"message"`), "id": without, "status": only(`"completed"`, `"incomplete"`),
		}, "input_text", "output_text", "text")
		if err != nil {
			return nil, fmt.Errorf("number %d: %w", i, err)
		}
		all = append(all, m)
	}
	return all, nil
}

// responseObject is OpenAI's Response. It is stateless: nothing is stored.
type responseObject struct {
	ID                 string             `json:"id"`
	Object             string             `json:"object"`
	CreatedAt          int64              `json:"created_at"`
	Status             string             `json:"status"`
	Background         bool               `json:"background"`
	Error              *responseError     `json:"error"`
	Incomplete         *incompleteDetails `json:"incomplete_details"`
	Instructions       json.RawMessage    `json:"instructions"`
	MaxOutputTokens    json.RawMessage    `json:"max_output_tokens"`
	Model              string             `json:"model"`
	Output             []outputMessage    `json:"output"`
	ParallelToolCalls  json.RawMessage    `json:"parallel_tool_calls"`
	PreviousResponseID *string            `json:"previous_response_id"`
	Store              bool               `json:"store"`
	Temperature        json.RawMessage    `json:"temperature"`
	Text               map[string]any     `json:"text"`
	ToolChoice         json.RawMessage    `json:"tool_choice"`
	Tools              []struct{}         `json:"tools"`
	TopLogprobs        int                `json:"top_logprobs"`
	TopP               json.RawMessage    `json:"top_p"`
	Truncation         json.RawMessage    `json:"truncation"`
	Usage              *responseUsage     `json:"usage"`
	User               json.RawMessage    `json:"user,omitempty"`
	Metadata           json.RawMessage    `json:"metadata"`
}

type responseError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

type incompleteDetails struct {
	Reason string `json:"reason"`
}

type outputMessage struct {
	ID      string       `json:"id"`
	Type    string       `json:"type"`
	Status  string       `json:"status"`
	Role    string       `json:"role"`
	Content []outputText `json:"content"`
}

type outputText struct {
	Type        string         `json:"type"`
	Text        string         `json:"text"`
	Annotations []struct{}     `json:"annotations"`
	Logprobs    []tokenLogprob `json:"logprobs"`
}

type responseUsage struct {
	InputTokens  int          `json:"input_tokens"`
	InputDetails inputDetails `json:"input_tokens_details"`
	OutputTokens int          `json:"output_tokens"`
	Output       struct {
		ReasoningTokens int `json:"reasoning_tokens"`
	} `json:"output_tokens_details"`
	TotalTokens int `json:"total_tokens"`
}

type inputDetails struct {
	CachedTokens     int `json:"cached_tokens"`
	CacheWriteTokens int `json:"cache_write_tokens"`
}

func (s *Server) responses(w *response, r *http.Request) error {
	p, m, err := ask(s, w, r, decodeResponse)
	if err != nil {
		return err
	}
	var prompt []int32
	if p.truncation == "auto" {
		prompt, err = m.recent(p.input, p.longest(m)-max(p.maxTokens, 1)+1)
	} else {
		prompt, err = m.conversation(p.input)
	}
	if err != nil {
		return err
	}
	if _, err := p.capacity(m, len(prompt)); err != nil {
		return err
	}
	p.stopTurns(m)
	q, end, err := s.begin(r.Context(), m, p.params, "resp_", "response")
	if err != nil {
		return err
	}
	defer end()
	a := newResponseWriter(q, p, w)
	if p.stream {
		defer w.keepAlive()()
		w.dialect = &dialect{openAI.body, a.fail}
		if err := a.open(); err != nil {
			return err
		}
	}
	if err := q.text(r.Context(), prompt, a.add); err != nil {
		return err
	}
	end()
	return a.close()
}

// responseWriter makes a response, which has one message of one text.
type responseWriter struct {
	q        *request
	p        *responseParams
	out      *response
	answer   responseObject
	message  outputMessage
	text     reply
	logprobs []tokenLogprob
	sequence int
}

func newResponseWriter(q *request, p *responseParams, w *response) *responseWriter {
	repeated := func(name, otherwise string) json.RawMessage {
		if v, ok := p.echo[name]; ok {
			return v
		}
		return json.RawMessage(otherwise)
	}
	return &responseWriter{
		q: q, p: p, out: w,
		logprobs: []tokenLogprob{},
		message:  outputMessage{ID: "msg_" + rand.Text(), Type: "message", Status: "in_progress", Role: "assistant", Content: []outputText{}},
		answer: responseObject{
			ID: q.head.ID, Object: q.head.Object, CreatedAt: q.head.Created, Status: "in_progress", Model: q.head.Model,
			Output: []outputMessage{}, Tools: []struct{}{}, TopLogprobs: p.top,
			Text: map[string]any{"format": repeated("text.format", `{"type":"text"}`)},

			Instructions: repeated("instructions", "null"), MaxOutputTokens: repeated("max_output_tokens", "null"),
			ParallelToolCalls: repeated("parallel_tool_calls", "true"), Temperature: repeated("temperature", "1"),
			ToolChoice: repeated("tool_choice", `"auto"`), TopP: repeated("top_p", "1"), Truncation: repeated("truncation", `"disabled"`),
			User: repeated("user", ""), Metadata: repeated("metadata", "{}"),
		},
	}
}

// send sends an event of that type.
func (a *responseWriter) send(kind string, event map[string]any) error {
	event["type"] = kind
	event["sequence_number"] = a.sequence
	a.sequence++
	return a.out.named(kind, event)
}

// ofPart is what events about the text have in common.
func (a *responseWriter) ofPart(event map[string]any) map[string]any {
	event["item_id"], event["output_index"], event["content_index"] = a.message.ID, 0, 0
	return event
}

// open sends the events that come before the text.
func (a *responseWriter) open() error {
	for _, kind := range []string{"response.created", "response.in_progress"} {
		if err := a.send(kind, map[string]any{"response": a.answer}); err != nil {
			return err
		}
	}
	if err := a.send("response.output_item.added", map[string]any{"output_index": 0, "item": a.message}); err != nil {
		return err
	}
	return a.send("response.content_part.added", a.ofPart(map[string]any{"part": a.part()}))
}

// part is the text so far.
func (a *responseWriter) part() outputText {
	return outputText{Type: "output_text", Text: a.text.text.String(), Annotations: []struct{}{}, Logprobs: a.logprobs}
}

// add adds a token.
func (a *responseWriter) add(t openelm.Token) error {
	a.text.add(t)
	l := chatLogprobs{Content: []tokenLogprob{}}
	if a.p.options.LogProbs {
		l.add(a.q.model, t)
		a.logprobs = append(a.logprobs, l.Content...)
	}
	if !a.p.stream || t.Text == "" && len(l.Content) == 0 {
		return nil
	}
	return a.send("response.output_text.delta", a.ofPart(map[string]any{"delta": t.Text, "logprobs": l.Content}))
}

// close sends the response, or the events that come after its text.
func (a *responseWriter) close() error {
	u := &responseUsage{
		InputTokens: a.q.usage.PromptTokens, OutputTokens: a.q.usage.CompletionTokens, TotalTokens: a.q.total().TotalTokens,
		InputDetails: inputDetails{CachedTokens: a.q.usage.PromptTokensDetails.CachedTokens},
	}
	status := "completed"
	if a.text.stop == openelm.StopLength {
		status = "incomplete"
		a.answer.Incomplete = &incompleteDetails{"max_output_tokens"}
	}
	a.message.Status, a.message.Content = status, []outputText{a.part()}
	a.answer.Status, a.answer.Output, a.answer.Usage = status, []outputMessage{a.message}, u
	if !a.p.stream {
		return a.out.json(http.StatusOK, a.answer)
	}
	for _, e := range []struct {
		kind  string
		event map[string]any
	}{
		{"response.output_text.done", a.ofPart(map[string]any{"text": a.text.text.String(), "logprobs": a.logprobs})},
		{"response.content_part.done", a.ofPart(map[string]any{"part": a.part()})},
		{"response.output_item.done", map[string]any{"output_index": 0, "item": a.message}},
		{"response." + status, map[string]any{"response": a.answer}},
	} {
		if err := a.send(e.kind, e.event); err != nil {
			return err
		}
	}
	return nil
}

// fail ends a stream with an error.
func (a *responseWriter) fail(_ *response, e *apiError) error {
	a.answer.Status = "failed"
	a.answer.Error = &responseError{"server_error", e.Message}
	return a.send("response.failed", map[string]any{"response": a.answer})
}
