package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/server"
)

type usage struct {
	PromptTokens        int `json:"prompt_tokens"`
	CompletionTokens    int `json:"completion_tokens"`
	TotalTokens         int `json:"total_tokens"`
	PromptTokensDetails struct {
		CachedTokens int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

type completion struct {
	ID, Object, Model string
	Created           int64
	Choices           []struct {
		Text         string
		Index        int
		FinishReason *string `json:"finish_reason"`
		Logprobs     *struct {
			Tokens        []string
			TokenLogprobs []*float32           `json:"token_logprobs"`
			TopLogprobs   []map[string]float32 `json:"top_logprobs"`
			TextOffset    []int                `json:"text_offset"`
		}
	}
	Usage *usage
}

func complete(t testing.TB, f http.Handler, request object) completion {
	t.Helper()
	return call[completion](t, f, "/v1/completions", request)
}

// alone generates with the library, in a session without a batch.
func alone(t testing.TB, f *fixture, a *openelm.Adapter, prompt []int32, o openelm.GenerateOptions) (text string, tokens []openelm.Token) {
	t.Helper()
	s, err := f.model.NewSession(&openelm.SessionOptions{Adapter: a})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for tok, err := range s.Generate(t.Context(), prompt, &o) {
		if err != nil {
			t.Fatal(err)
		}
		text += tok.Text
		tokens = append(tokens, tok)
	}
	return text, tokens
}

func encode(t testing.TB, f *fixture, text string) []int32 {
	t.Helper()
	ids, err := f.model.EncodePrompt(text)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

const longPrompt = "Once upon a time, there was a little fox who lived in a forest with her mother and two brothers. One day"

// TestLikeTheLibrary: what a request gets is what the library gives.
func TestLikeTheLibrary(t *testing.T) {
	f := newFixture(t, server.Options{}, openelm.BatchOptions{})
	prompts := []string{"Once", longPrompt}
	texts := [][]int32{encode(t, f, prompts[0]), encode(t, f, prompts[1])}
	o := openelm.GenerateOptions{MaxTokens: 20, Sampling: openelm.Sampling{Temperature: 0.8, TopP: 0.9, Seed: 7, FrequencyPenalty: 0.5}}
	got := complete(t, f, object{
		"model": "story", "prompt": []any{prompts[0], texts[1]}, "n": 2, "seed": 7,
		"temperature": 0.8, "top_p": 0.9, "frequency_penalty": 0.5, "max_tokens": 20,
	})
	tokens := 0
	for i, c := range got.Choices {
		o.Seed = 7 + uint64(i%2)
		want, all := alone(t, f, nil, texts[i/2], o)
		tokens += len(all)
		if c.Index != i || c.Text != want || c.Logprobs != nil {
			t.Errorf("choice %d is %+v, want %q", i, c, want)
		}
	}
	if u := got.Usage; len(got.Choices) != 4 || u.PromptTokens != len(texts[0])+len(texts[1]) || u.CompletionTokens != tokens || u.TotalTokens != u.PromptTokens+tokens {
		t.Errorf("%d choices, usage %+v; want %d tokens generated", len(got.Choices), u, tokens)
	}
	o.Seed = 7
	want, _ := alone(t, f, f.adapter, texts[1], o)
	plain, _ := alone(t, f, nil, texts[1], o)
	got = complete(t, f, object{
		"model": "other", "prompt": texts[1], "seed": 7,
		"temperature": 0.8, "top_p": 0.9, "frequency_penalty": 0.5, "max_tokens": 20,
	})
	if got.Choices[0].Text != want || want == plain {
		t.Errorf("with the adapter: %q, want %q, and not %q", got.Choices[0].Text, want, plain)
	}
}

// TestEcho is what lm-eval asks for and reads: as many entries as tokens of the
// prompt and exactly one more, even where that one ends the text.
func TestEcho(t *testing.T) {
	f := newFixture(t, server.Options{}, openelm.BatchOptions{})
	tok := f.pieces()
	story := encode(t, f, "The moon is")
	_, all := alone(t, f, nil, story, openelm.GenerateOptions{})
	for _, x := range all {
		story = append(story, x.ID)
	}
	if last := len(story) - 1; story[last] != tok.EOS() {
		t.Fatal("the story does not end; this test needs one that does")
	} else {
		story = story[:last]
	}
	prompts := [][]int32{story, encode(t, f, longPrompt), {tok.BOS(), 300}, tok.Encode("naïve 😀 …")}
	for _, batch := range [][][]int32{prompts, prompts[1:2]} {
		got := complete(t, f, object{
			"model": "story", "prompt": batch, "temperature": 0, "max_tokens": 1, "logprobs": 1, "seed": 1234, "echo": true,
		})
		for i, c := range got.Choices {
			l, prompt := c.Logprobs, batch[i]
			s, err := f.model.NewSession(nil)
			if err != nil {
				t.Fatal(err)
			}
			_, next := alone(t, f, nil, prompt, openelm.GenerateOptions{MaxTokens: 1, LogProbs: true, TopLogProbs: 1})
			n := len(prompt) + 1
			if c.Index != i || len(l.Tokens) != n || len(l.TokenLogprobs) != n || len(l.TopLogprobs) != n || len(l.TextOffset) != n {
				t.Fatalf("prompt %d of %d tokens: %+v", i, len(prompt), l)
			}
			if l.TokenLogprobs[0] != nil || l.TopLogprobs[0] != nil {
				t.Errorf("the first token has %v, %v", l.TokenLogprobs[0], l.TopLogprobs[0])
			}
			j := 0
			want := next[0]
			check := func(want openelm.Token) {
				j++
				best := want.Top[0].LogProb
				top := l.TopLogprobs[j]
				if *l.TokenLogprobs[j] != want.LogProb || top[l.Tokens[j]] < want.LogProb || !slices.Contains(values(top), best) {
					t.Errorf("prompt %d, token %d: %v, %v; want %v, best %v", i, j, *l.TokenLogprobs[j], top, want.LogProb, best)
				}
			}
			for tok, err := range s.Score(t.Context(), prompt, 1) {
				if err != nil {
					t.Fatal(err)
				}
				check(tok)
			}
			s.Close()
			check(want)
			if want := tok.Decode(prompt) + want.Text; c.Text != want {
				t.Errorf("the text is %q, want %q", c.Text, want)
			}
			for j, at := range l.TextOffset {
				if rest := []rune(c.Text)[at:]; tok.Type(append(prompt, want.ID)[j]) == 1 && !strings.HasPrefix(string(rest), strings.TrimPrefix(l.Tokens[j], " ")) && !strings.HasPrefix(string(rest), l.Tokens[j]) {
					t.Errorf("token %q begins at %d of %q", l.Tokens[j], at, c.Text)
				}
			}
		}
	}
	none := complete(t, f, object{"model": "story", "prompt": longPrompt, "max_tokens": 0, "echo": true, "logprobs": 0})
	if c := none.Choices[0]; c.Text != longPrompt || len(c.Logprobs.Tokens) != len(encode(t, f, longPrompt)) || len(c.Logprobs.TopLogprobs[3]) != 1 {
		t.Errorf("nothing generated: %+v", c)
	}
	if ended := complete(t, f, object{"model": "story", "prompt": story, "max_tokens": 5, "logprobs": 0, "temperature": 0}).Choices[0]; ended.Text != "" || *ended.FinishReason != "stop" || len(ended.Logprobs.Tokens) != 1 {
		t.Errorf("the end of a text alone: %+v", ended)
	}
}

func values(m map[string]float32) (all []float32) {
	for _, v := range m {
		all = append(all, v)
	}
	return all
}

// TestStreams: the parts of a stream are the whole answer.
func TestStreams(t *testing.T) {
	f := newFixture(t, server.Options{}, openelm.BatchOptions{})
	for _, echo := range []bool{false, true} {
		request := object{
			"model": "story", "prompt": []string{longPrompt, "A naïve"}, "n": 2, "seed": 3, "max_tokens": 30, "stop": []string{"."},
			"logprobs": 2, "echo": echo,
		}
		whole := complete(t, f, request)
		request["stream"] = true
		request["stream_options"] = object{"include_usage": true}
		all := events[completion](t, f, "/v1/completions", request)
		last := all[len(all)-1]
		if len(last.Choices) != 0 || last.Usage == nil || last.Usage.TotalTokens != whole.Usage.TotalTokens {
			t.Errorf("the last event is %+v", last)
		}
		for i, want := range whole.Choices {
			text, tokens, reason := "", []string(nil), ""
			for _, e := range all[:len(all)-1] {
				if e.ID != all[0].ID || e.Created != all[0].Created || e.Object != "text_completion" || e.Usage != nil {
					t.Fatalf("an event: %+v", e)
				}
				if c := e.Choices[0]; c.Index == i {
					if reason != "" {
						t.Errorf("choice %d goes on after its end", i)
					}
					text += c.Text
					if c.Logprobs != nil {
						tokens = append(tokens, c.Logprobs.Tokens...)
					}
					if c.FinishReason != nil {
						reason = *c.FinishReason
					}
				}
			}
			if text != want.Text || !slices.Equal(tokens, want.Logprobs.Tokens) || reason != *want.FinishReason {
				t.Errorf("choice %d: %q, %q, %s; want %+v", i, text, tokens, reason, want)
			}
		}
	}
}

// TestPrefixCache: a text is the same with and without what the cache keeps, and
// the cache is not shared with an adapter.
func TestPrefixCache(t *testing.T) {
	with := newFixture(t, server.Options{}, openelm.BatchOptions{})
	without := newFixture(t, server.Options{CacheBytes: -1}, openelm.BatchOptions{})
	hits := 0
	for i, end := range []string{" she met a", " she met a bear and a wolf, and they", "", " the sun was so hot that all the", " she met a bear and a wolf, and they sang until"} {
		for _, model := range []string{"story", "other"} {
			for _, scored := range []bool{false, true} {
				request := object{"model": model, "prompt": longPrompt + end, "seed": i, "max_tokens": 12, "n": 2}
				if scored {
					request["echo"], request["logprobs"] = true, 3
				}
				a, b := complete(t, with, request), complete(t, without, request)
				if a.Choices[0].Text != b.Choices[0].Text || a.Choices[1].Text != b.Choices[1].Text {
					t.Errorf("%s, %q: %+v with the cache, %+v without", model, end, a.Choices, b.Choices)
				}
				n := a.Usage.PromptTokensDetails.CachedTokens
				if i == 0 && !scored && n > 0 {
					t.Errorf("%s: %d tokens of the first prompt come from a cache", model, n)
				}
				if b.Usage.PromptTokensDetails.CachedTokens > 0 || n > a.Usage.PromptTokens-17 {
					t.Errorf("%d and %d cached tokens of %d", n, b.Usage.PromptTokensDetails.CachedTokens, a.Usage.PromptTokens)
				}
				if n > 0 {
					hits++
				}
			}
		}
	}
	if hits < 6 {
		t.Errorf("%d hits", hits)
	}
}

// TestCacheShares: what many requests begin with stays for all of them.
func TestCacheShares(t *testing.T) {
	f := newFixture(t, server.Options{}, openelm.BatchOptions{})
	const head, tail = longPrompt + " she met a bear and a wolf,", " and they sang until the sun went down and all the stars were there"
	ask := func(prompt string) usage {
		return *complete(t, f, object{"model": "story", "prompt": prompt, "max_tokens": 2, "seed": 1, "ignore_eos": true}).Usage
	}
	shared := len(encode(t, f, head)) - 2 // a word at its end may be spelt otherwise
	whole := ask(head + tail).PromptTokens
	for i, other := range []string{" who was very old and had lost her way in the dark forest", " who could not sleep, so that she had gone out to look at the moon"} {
		if u := ask(head + other); u.PromptTokensDetails.CachedTokens < min(shared, u.PromptTokens-17) {
			t.Errorf("text %d shares %d tokens, and %+v", i, shared, u)
		}
	}
	if u := ask(head + tail); u.PromptTokensDetails.CachedTokens != whole-17 {
		t.Errorf("the first text again: %+v", u)
	}
	// It takes the place of what it repeats.
	if text := f.do("GET", "/metrics", "").Body.String(); !strings.Contains(text, "\nopenelm_prefix_cache_sessions 3\n") {
		t.Errorf("not three sessions:\n%s", text)
	}
}

// TestTextsShare: the texts of a request share its prompt and their passes.
func TestTextsShare(t *testing.T) {
	const n, tokens = 8, 20
	f := newFixture(t, server.Options{CacheBytes: -1}, openelm.BatchOptions{})
	f.backend.passes.Store(0)
	got := complete(t, f, object{"model": "story", "prompt": longPrompt, "n": n, "max_tokens": tokens, "ignore_eos": true})
	if passes := f.backend.passes.Load(); len(got.Choices) != n || passes > 3*tokens {
		t.Errorf("%d texts of %d tokens took %d passes", len(got.Choices), tokens, passes)
	}
}

// TestCacheBudget: what is kept never exceeds the budget, and nothing is kept
// after Close.
func TestCacheBudget(t *testing.T) {
	const one = 256 // tokens of the smallest session
	f := newFixture(t, server.Options{CacheBytes: 2 * one * 5632}, openelm.BatchOptions{})
	if per := f.model.Config().CacheBytes(); per != 5632 {
		t.Fatalf("a token takes %d bytes", per)
	}
	for i := range 5 {
		complete(t, f, object{"model": "story", "prompt": fmt.Sprintf("%d: %s", i, longPrompt), "max_tokens": 2})
	}
	if text := f.do("GET", "/metrics", "").Body.String(); !strings.Contains(text, "\nopenelm_prefix_cache_sessions 2\n") {
		t.Errorf("two sessions fit:\n%s", text)
	}
}

func TestContextOverflow(t *testing.T) {
	f := newFixture(t, server.Options{}, openelm.BatchOptions{})
	ids := slices.Repeat([]int32{300}, 511)
	for _, r := range []struct {
		prompt []int32
		tokens int
		status int
	}{{ids, 1, 200}, {ids, 2, 400}, {append(ids, 300), 1, 400}, {append(ids, 300), 0, 200}, {append(ids, 300, 300), 0, 400}} {
		w := f.do("POST", "/v1/completions", string(mustJSON(object{"model": "story", "prompt": r.prompt, "max_tokens": r.tokens, "echo": true})))
		if w.Code != r.status {
			t.Errorf("%d tokens and %d more: %d %s", len(r.prompt), r.tokens, w.Code, w.Body)
		}
	}
	w := f.do("POST", "/v1/completions", string(mustJSON(object{"model": "story", "prompt": strings.Repeat("fox ", 100_000)})))
	wantError(t, w, http.StatusBadRequest, "")
	w = f.do("POST", "/v1/chat/completions", string(mustJSON(object{"model": "story", "messages": []object{{"role": "user", "content": strings.Repeat("fox ", 600)}}})))
	wantError(t, w, http.StatusBadRequest, "")
	if !strings.Contains(w.Body.String(), "context_length_exceeded") {
		t.Error(w.Body)
	}
}
