package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"sort"
	"strconv"
	"strings"

	"github.com/go-openelm/go-openelm/chat"
	"github.com/go-openelm/go-openelm/internal/strictjson"
	"github.com/go-openelm/go-openelm/openelm"
)

// chatParams are the parameters of /v1/chat/completions.
type chatParams struct {
	*params
	messages      []chat.Message
	maxCompletion int // the other name of maxTokens
	logprobs      bool
	top           int
}

// maxMessages is more turns than any context holds.
const maxMessages = 4096

// fields adds the parameters of chats to the common ones.
func (p *chatParams) fields(f fields) fields {
	f["messages"] = messages(&p.messages, fields{
		// Clients send back what they were given.
		"tool_calls": only("[]"), "annotations": only("[]"),
		"refusal": only(), "audio": only(), "function_call": only(), "name": only(), "tool_call_id": only(),
	})
	f["max_completion_tokens"] = integer(&p.maxCompletion, 1, math.MaxInt32)
	f["logprobs"] = boolean(&p.logprobs)
	f["top_logprobs"] = integer(&p.top, 0, maxTop)
	f["response_format"] = p.responseFormat
	f["modalities"] = only(`["text"]`)
	f["tools"] = only("[]")
	f["functions"] = only("[]")
	f["tool_choice"] = only(`"none"`, `"auto"`)
	f["function_call"] = only(`"none"`, `"auto"`)
	f["parallel_tool_calls"] = only("true", "false")
	for _, name := range []string{"audio", "prediction", "reasoning_effort", "verbosity", "web_search_options"} {
		f[name] = only()
	}
	return f
}

func decodeChat(body []byte) (*chatParams, error) {
	common, f := newParams()
	p := &chatParams{params: common, maxCompletion: -1}
	if err := p.fields(f).decode(body); err != nil {
		return nil, err
	}
	switch {
	case p.messages == nil:
		return nil, invalid("messages", "messages: is missing")
	case p.top > 0 && !p.logprobs:
		return nil, invalid("top_logprobs", "top_logprobs: only with logprobs")
	case p.maxTokens == 0:
		return nil, invalid("max_tokens", "max_tokens: a reply has at least one token")
	case p.maxTokens >= 0 && p.maxCompletion >= 0 && p.maxTokens != p.maxCompletion:
		return nil, invalid("max_tokens", "max_tokens: is another name of max_completion_tokens, which has another value")
	}
	p.maxTokens = max(p.maxTokens, p.maxCompletion)
	p.options.LogProbs, p.options.TopLogProbs = p.logprobs, p.top
	return p, nil
}

// roles are the roles of messages. Developers speak where the system does.
var roles = map[string]chat.Role{"system": chat.System, "developer": chat.System, "user": chat.User, "assistant": chat.Assistant}

// messages reads a list of messages, which may have other fields besides role and
// content.
func messages(p *[]chat.Message, others fields) field {
	return func(v json.RawMessage) error {
		list, ok := array(v)
		if !ok || len(list) == 0 || len(list) > maxMessages {
			return fmt.Errorf("must be a list of 1 to %d messages", maxMessages)
		}
		for i, e := range list {
			m, err := readMessage(e, others, "text")
			if err != nil {
				return fmt.Errorf("number %d: %w", i, err)
			}
			*p = append(*p, m)
		}
		return nil
	}
}

// readMessage reads a message, whose content is a string or parts of these types.
func readMessage(v json.RawMessage, others fields, types ...string) (m chat.Message, err error) {
	var role string
	var content *string
	f := fields{
		"role":    text(&role),
		"content": func(v json.RawMessage) (err error) { content, err = contents(v, types); return err },
	}
	maps.Copy(f, others)
	if err := f.inside(v); err != nil {
		return m, err
	}
	r, ok := roles[role]
	switch {
	case !ok:
		return m, fmt.Errorf("it has the role %.40q; there are system, developer, user and assistant", role)
	case content == nil:
		return m, errors.New("it has no content")
	}
	return chat.Message{Role: r, Text: *content}, nil
}

// contents is a message's text: a string, or parts of these types.
func contents(v json.RawMessage, types []string) (*string, error) {
	quoted := make([]string, len(types))
	for i, t := range types {
		quoted[i] = strconv.Quote(t)
	}
	if s, ok := strictjson.String(v); ok {
		return &s, nil
	}
	parts, ok := array(v)
	if !ok {
		return nil, errors.New("must be a string or a list of parts")
	}
	var all strings.Builder
	for i, part := range parts {
		var s string
		f := fields{"type": only(quoted...), "text": text(&s), "annotations": only("[]"), "logprobs": only("[]")}
		if err := f.inside(part); err != nil {
			return nil, fmt.Errorf("part %d: %w", i, err)
		}
		all.WriteString(s)
	}
	s := all.String()
	return &s, nil
}

// conversation is the prompt of a conversation.
func (m *Model) conversation(messages []chat.Message) ([]int32, error) {
	size := 0
	for _, message := range messages {
		size += len(message.Text)
	}
	if err := m.checkSize(size); err != nil {
		return nil, err
	}
	return m.Template.Encode(m.Model, messages)
}

// stopTurns ends a reply before the next turn. JSON ends by itself, and may say
// anything in its strings.
func (p *params) stopTurns(m *Model) {
	if p.format == nil {
		p.options.Stop = append(p.options.Stop, m.Template.Stop...)
	}
}

// recent is conversation without the oldest messages, other than the system's and
// the last, as far as the context has no room for them and for a token of a reply.
func (m *Model) recent(messages []chat.Message, context int) (prompt []int32, err error) {
	droppable := 0
	for _, m := range messages[:len(messages)-1] {
		if m.Role != chat.System {
			droppable++
		}
	}
	without := func(n int) ([]int32, error) {
		var rest []chat.Message
		for i, m := range messages {
			if m.Role != chat.System && i < len(messages)-1 && n > 0 {
				n--
				continue
			}
			rest = append(rest, m)
		}
		return m.conversation(rest)
	}
	n := sort.Search(droppable, func(n int) bool {
		prompt, err := without(n)
		return err == nil && len(prompt) < context
	})
	return without(n)
}

// chatChoice is a reply, as Message, or a part of one, as Delta.
type chatChoice struct {
	Index        int           `json:"index"`
	Message      *chatMessage  `json:"message,omitempty"`
	Delta        *chatDelta    `json:"delta,omitempty"`
	Logprobs     *chatLogprobs `json:"logprobs"`
	FinishReason *string       `json:"finish_reason"`
}

type chatMessage struct {
	Role    string  `json:"role"`
	Content string  `json:"content"`
	Refusal *string `json:"refusal"`
}

type chatDelta struct {
	Role    string  `json:"role,omitempty"`
	Content *string `json:"content,omitempty"`
}

type chatLogprobs struct {
	Content []tokenLogprob `json:"content"`
	Refusal *string        `json:"refusal"`
}

type tokenLogprob struct {
	topLogprob
	Top []topLogprob `json:"top_logprobs"`
}

type topLogprob struct {
	Token   string  `json:"token"`
	Logprob float32 `json:"logprob"`
	Bytes   []int   `json:"bytes"`
}

func (s *Server) chat(w *response, r *http.Request) error {
	p, m, err := ask(s, w, r, decodeChat)
	if err != nil {
		return err
	}
	if p.n > s.options.MaxTexts {
		return invalid("n", "n: %d texts are more than %d", p.n, s.options.MaxTexts)
	}
	prompt, err := m.conversation(p.messages)
	if err != nil {
		return err
	}
	if _, err := p.capacity(m, len(prompt)); err != nil {
		return err
	}
	p.stopTurns(m)
	object := "chat.completion"
	if p.stream {
		object += ".chunk"
	}
	if p.logprobs && !p.stream {
		if err := checkLogprobs("top_logprobs", p.n*p.most(m, len(prompt)), p.top); err != nil {
			return err
		}
	}
	if p.stream {
		defer w.keepAlive()()
	}
	q, end, err := s.begin(r.Context(), m, p.params, "chatcmpl-", object)
	if err != nil {
		return err
	}
	defer end()
	choices := make([]chatChoice, p.n)
	err = q.texts(r.Context(), [][]int32{prompt}, -1, func(ctx context.Context, t *continuation) (err error) {
		c := &chatWriter{continuation: t, p: p, out: w}
		if p.stream {
			return c.stream(ctx)
		}
		choices[t.index], err = c.whole(ctx)
		return err
	})
	if err != nil {
		return err
	}
	end()
	return finish(w, q, choices)
}

// chatWriter makes one of the replies of a request.
type chatWriter struct {
	*continuation
	p   *chatParams
	out *response
}

func (c *chatWriter) whole(ctx context.Context) (chatChoice, error) {
	var text reply
	choice := chatChoice{Index: c.index, Logprobs: c.logprobs()}
	err := c.generate(ctx, nil, func(t openelm.Token) error {
		text.add(t)
		choice.Logprobs.add(c.model, t)
		return nil
	})
	choice.Message = &chatMessage{Role: "assistant", Content: text.text.String()}
	choice.FinishReason = finishReason(text.stop)
	return choice, err
}

// stream sends a reply: who speaks, then what, then why it ends.
func (c *chatWriter) stream(ctx context.Context) error {
	send := func(choice chatChoice) error {
		choice.Index = c.index
		return c.out.event(answer[chatChoice]{c.head, []chatChoice{choice}, c.streamUsage()})
	}
	first := true
	return c.generate(ctx, nil, func(t openelm.Token) error {
		if first {
			first = false
			if err := send(chatChoice{Delta: &chatDelta{Role: "assistant", Content: new(string)}}); err != nil {
				return err
			}
		}
		logprobs := c.logprobs()
		logprobs.add(c.model, t)
		if t.Text != "" || logprobs != nil && len(logprobs.Content) > 0 {
			if err := send(chatChoice{Delta: &chatDelta{Content: &t.Text}, Logprobs: logprobs}); err != nil {
				return err
			}
		}
		if t.Stop == "" {
			return nil
		}
		return send(chatChoice{Delta: &chatDelta{}, FinishReason: finishReason(t.Stop)})
	})
}

// logprobs is where log-probabilities go, nil if they are not wanted.
func (c *chatWriter) logprobs() *chatLogprobs {
	if !c.p.logprobs {
		return nil
	}
	return &chatLogprobs{Content: []tokenLogprob{}}
}

// add adds a token, but not the one that ends the text and is no part of it.
func (l *chatLogprobs) add(m *Model, t openelm.Token) {
	if l == nil || t.Stop == openelm.StopEOS {
		return
	}
	entry := tokenLogprob{newTopLogprob(m, t.ID, t.LogProb), []topLogprob{}}
	for _, p := range t.Top {
		entry.Top = append(entry.Top, newTopLogprob(m, p.ID, p.LogProb))
	}
	l.Content = append(l.Content, entry)
}

func newTopLogprob(m *Model, id int32, logprob float32) topLogprob {
	p := topLogprob{Token: m.tokenText(id), Logprob: logprob, Bytes: []int{}}
	for _, b := range m.tokenBytes(id) {
		p.Bytes = append(p.Bytes, int(b))
	}
	return p
}
