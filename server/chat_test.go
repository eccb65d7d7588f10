package server_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/chat"
	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/server"
)

type chatAnswer struct {
	ID, Object string
	Choices    []struct {
		Index          int
		Message, Delta struct{ Role, Content *string }
		FinishReason   *string `json:"finish_reason"`
		Logprobs       *struct {
			Content []struct {
				Token   string
				Logprob float32
				Bytes   []byteValue
				Top     []struct {
					Token   string
					Logprob float32
				} `json:"top_logprobs"`
			}
		}
	}
	Usage *usage
}

// byteValue keeps a list of bytes from being read as base64.
type byteValue int

// TestChat: a conversation is laid out as package chat does, and generated as the
// library does.
func TestChat(t *testing.T) {
	f := newFixture(t, server.Options{}, openelm.BatchOptions{})
	said := []object{
		{"role": "developer", "content": "You tell tales."},
		{"role": "user", "content": []object{{"type": "text", "text": "Tell me "}, {"type": "text", "text": "of the naïve fox."}}},
		{"role": "assistant", "content": "There was a fox.", "refusal": nil, "tool_calls": []any{}},
		{"role": "user", "content": "And then?"},
	}
	messages := []chat.Message{
		{Role: chat.System, Text: "You tell tales."}, {Role: chat.User, Text: "Tell me of the naïve fox."},
		{Role: chat.Assistant, Text: "There was a fox."}, {Role: chat.User, Text: "And then?"},
	}
	for name, template := range map[string]chat.Template{"story": chat.Plain, "chatty": chat.Instruct} {
		prompt, err := template.Encode(f.model, messages)
		if err != nil {
			t.Fatal(err)
		}
		o := openelm.GenerateOptions{MaxTokens: 40, Stop: template.Stop, LogProbs: true, Sampling: openelm.Sampling{Temperature: 1, Seed: 5}}
		request := object{
			"model": name, "messages": said, "seed": 5, "max_completion_tokens": 40, "n": 2, "logprobs": true, "top_logprobs": 2,
		}
		whole := call[chatAnswer](t, f, "/v1/chat/completions", request)
		request["stream"] = true
		parts := events[chatAnswer](t, f, "/v1/chat/completions", request)
		if whole.Usage.PromptTokens != len(prompt) || len(whole.Choices) != 2 || whole.Object != "chat.completion" {
			t.Errorf("%s: %+v, want a prompt of %d tokens", name, whole, len(prompt))
		}
		for i, c := range whole.Choices {
			o.Seed = 5 + uint64(i)
			want, tokens := alone(t, f, nil, prompt, o)
			if *c.Message.Content != want || *c.Message.Role != "assistant" || c.Index != i {
				t.Errorf("%s: %q, want %q", name, *c.Message.Content, want)
			}
			if last := len(tokens) - 1; tokens[last].Stop == openelm.StopEOS {
				tokens = tokens[:last]
			}
			spelled := ""
			for j, l := range c.Logprobs.Content {
				for _, b := range l.Bytes {
					spelled += string([]byte{byte(b)})
				}
				if l.Logprob != tokens[j].LogProb || len(l.Top) != 2 || l.Top[0].Logprob < l.Logprob {
					t.Errorf("%s: token %d: %+v, want %v", name, j, l, tokens[j].LogProb)
				}
			}
			if len(c.Logprobs.Content) != len(tokens) || strings.TrimPrefix(spelled, " ") != strings.TrimPrefix(want, " ") {
				t.Errorf("%s: %d tokens spell %q; want %d and %q", name, len(c.Logprobs.Content), spelled, len(tokens), want)
			}
			text, states := "", []string(nil)
			for _, e := range parts {
				d := e.Choices[0]
				if d.Index != i {
					continue
				}
				if e.ID != parts[0].ID || e.Object != "chat.completion.chunk" || e.Usage != nil {
					t.Fatalf("%+v", e)
				}
				state := "part"
				switch {
				case d.Delta.Role != nil:
					state = "role"
				case d.FinishReason != nil:
					state = *d.FinishReason
				}
				if len(states) == 0 || states[len(states)-1] != state {
					states = append(states, state)
				}
				if d.Delta.Content != nil {
					text += *d.Delta.Content
				}
			}
			if text != want || !slices.Equal(states, []string{"role", "part", *c.FinishReason}) {
				t.Errorf("%s: streamed %q (%v), want %q", name, text, states, want)
			}
		}
	}
}

// TestUnlimited: without a limit a reply goes on to its end or the context's,
// whatever session it gets.
func TestUnlimited(t *testing.T) {
	f := newFixture(t, server.Options{}, openelm.BatchOptions{})
	a := call[chatAnswer](t, f, "/v1/chat/completions", object{
		"model": "story", "messages": []object{{"role": "user", "content": longPrompt}}, "ignore_eos": true, "seed": 1,
	})
	if a.Usage.TotalTokens != 512 || *a.Choices[0].FinishReason != "length" {
		t.Errorf("%+v", a.Usage)
	}
}
