package clients

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// withKey starts a server that wants a key.
func withKey(t *testing.T) (p *process, key string) {
	key = "a key of this test"
	name := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(name, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return serve(t, "--key-file", name), key
}

func TestPython(t *testing.T) {
	e := programs(t)
	s := serve(t)
	locked, key := withKey(t)
	t.Log(output(t, command(t.Context(), e.python, "testdata/openai_client.py", s.url, locked.url, key)))
	idle(t, s)
}

func TestOllama(t *testing.T) {
	e := programs(t)
	s := serve(t)
	locked, key := withKey(t)
	output(t, command(t.Context(), e.python, "testdata/ollama_client.py", s.url, locked.url, key))
}

func TestJavaScript(t *testing.T) {
	e := programs(t)
	s := serve(t)
	cmd := command(t.Context(), e.node, "testdata/openai_client.cjs", s.url)
	cmd.Env = append(cmd.Env, "NODE_PATH="+filepath.Join(e.modules, "node_modules"))
	output(t, cmd)
}

// idle waits until a server generates nothing, which ends with the test's time.
func idle(t *testing.T, s *process) {
	t.Helper()
	for !strings.Contains(get(t, s.url+"/metrics"), "\nopenelm_requests_processing 0\n") {
		if t.Context().Err() != nil {
			t.Fatal("requests go on without clients")
		}
	}
}

func TestGo(t *testing.T) {
	s := serve(t)
	locked, key := withKey(t)
	c := openai.NewClient(option.WithBaseURL(s.url+"/v1"), option.WithAPIKey("none"), option.WithMaxRetries(0))
	chat := openai.ChatCompletionNewParams{
		Model:               "story",
		Messages:            []openai.ChatCompletionMessageParamUnion{openai.DeveloperMessage("You tell stories."), openai.UserMessage("Who are you?")},
		MaxCompletionTokens: openai.Int(30), Seed: openai.Int(4), Logprobs: openai.Bool(true), TopLogprobs: openai.Int(2),
		StreamOptions: openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)},
	}
	whole := chat
	whole.StreamOptions = openai.ChatCompletionStreamOptionsParam{}
	want, err := c.Chat.Completions.New(t.Context(), whole)
	if err != nil {
		t.Fatal(err)
	}
	var all openai.ChatCompletionAccumulator
	stream := c.Chat.Completions.NewStreaming(t.Context(), chat)
	for stream.Next() {
		if !all.AddChunk(stream.Current()) {
			t.Fatalf("a part that does not fit: %+v", stream.Current())
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	if a, b := all.Choices[0], want.Choices[0]; a.Message.Content != b.Message.Content || a.FinishReason != b.FinishReason || len(a.Logprobs.Content) != len(b.Logprobs.Content) || all.Usage.TotalTokens != want.Usage.TotalTokens {
		t.Errorf("the stream is\n%+v\nand the whole\n%+v", a, b)
	}
	for _, f := range want.JSON.ExtraFields {
		t.Errorf("a field that the protocol does not have: %s", f.Raw())
	}

	text := openai.CompletionNewParams{
		Model: "story", Prompt: openai.CompletionNewParamsPromptUnion{OfArrayOfTokenArrays: [][]int64{{1, 494, 548, 261, 447}, {1, 494}}},
		MaxTokens: openai.Int(12), Seed: openai.Int(1), Logprobs: openai.Int(1), Echo: openai.Bool(true),
	}
	story, err := c.Completions.New(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	if len(story.Choices) != 2 || !strings.HasPrefix(story.Choices[0].Text, "Once upon a time") || len(story.Choices[0].Logprobs.TokenLogprobs) != len(story.Choices[0].Logprobs.TextOffset) {
		t.Errorf("%+v", story.Choices)
	}
	parts := c.Completions.NewStreaming(t.Context(), text)
	got := make([]string, 2)
	for parts.Next() {
		for _, choice := range parts.Current().Choices {
			got[choice.Index] += choice.Text
		}
	}
	if parts.Err() != nil || got[0] != story.Choices[0].Text || got[1] != story.Choices[1].Text {
		t.Errorf("%v, %q", parts.Err(), got)
	}

	chat.Temperature = openai.Float(3)
	_, err = c.Chat.Completions.New(t.Context(), chat)
	var refused *openai.Error
	if !errors.As(err, &refused) || refused.StatusCode != 400 || refused.Param != "temperature" {
		t.Errorf("temperature 3: %v", err)
	}
	chat.Temperature = openai.Float(1)
	other := openai.NewClient(option.WithBaseURL(locked.url+"/v1"), option.WithAPIKey("wrong"), option.WithMaxRetries(0))
	if _, err := other.Models.List(t.Context()); !errors.As(err, &refused) || refused.StatusCode != 401 {
		t.Errorf("a wrong key: %v", err)
	}
	if list, err := other.Models.List(t.Context(), option.WithAPIKey(key)); err != nil || list.Data[0].ID != "story" {
		t.Errorf("the right key: %v", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	chat.MaxCompletionTokens, chat.N = openai.Int(400), openai.Int(60)
	stream = c.Chat.Completions.NewStreaming(ctx, chat)
	stream.Next()
	cancel()
	for stream.Next() {
	}
	if !errors.Is(stream.Err(), context.Canceled) {
		t.Errorf("cancelled: %v", stream.Err())
	}
	idle(t, s)
}
