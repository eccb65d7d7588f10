package chat

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/story"
)

// newChat begins a conversation with the story model, which was not taught
// Instruct's layout; that does not matter to where the tokens must lie.
func newChat(t *testing.T, o Options) *Chat {
	t.Helper()
	m, err := story.Open(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(m, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		m.Close()
	})
	return c
}

// say takes at most n tokens of a reply.
func say(t *testing.T, c *Chat, message string, n int) string {
	t.Helper()
	var b strings.Builder
	for tok, err := range c.Say(t.Context(), message, &openelm.GenerateOptions{MaxTokens: n}) {
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(tok.Text)
	}
	return b.String()
}

func TestTurns(t *testing.T) {
	c := newChat(t, Options{Template: Instruct, System: "Be brief."})
	decode := func() string { return c.session.Model().Tokenizer().Decode(c.session.Tokens()) }
	say(t, c, "Who are you?", 8)
	first := c.session.Tokens()
	second := say(t, c, "And now?", 8)
	if !slices.Equal(c.session.Tokens()[:len(first)], first) {
		t.Error("the second turn changed the tokens of the first, whose keys and values were cached")
	}
	for _, part := range []string{"<|system|>\nBe brief.", "<|user|>\nWho are you?", "<|assistant|>\n", "<|user|>\nAnd now?", second} {
		if !strings.Contains(decode(), part) {
			t.Errorf("the session %q lacks %q", decode(), part)
		}
	}
	eos := c.session.Model().Config().EOS[0]
	var ends int
	for _, id := range c.session.Tokens() {
		if id == eos {
			ends++
		}
	}
	if ends < 4 { // system, user, assistant, user; perhaps the last reply
		t.Errorf("%d turns are closed, want at least 4", ends)
	}
	if c.Turns() != 2 {
		t.Errorf("%d turns, want 2", c.Turns())
	}

	if err := c.Undo(); err != nil {
		t.Fatal(err)
	}
	if c.Turns() != 1 || strings.Contains(decode(), "And now?") || !strings.Contains(decode(), "Who are you?") {
		t.Errorf("after Undo the session holds %q", decode())
	}
	if err := c.Reset(); err != nil {
		t.Fatal(err)
	}
	if c.Turns() != 0 || strings.Contains(decode(), "Who are you?") || !strings.Contains(decode(), "Be brief.") {
		t.Errorf("after Reset the session holds %q", decode())
	}
}

func TestRepliesAgreeWithAFreshConversation(t *testing.T) {
	c := newChat(t, Options{Template: Plain})
	say(t, c, "Tell me a story about a dragon.", 12)
	if err := c.Undo(); err != nil {
		t.Fatal(err)
	}
	again := say(t, c, "What is the capital of France?", 12)
	if fresh := say(t, newChat(t, Options{Template: Plain}), "What is the capital of France?", 12); again != fresh {
		t.Errorf("after Undo the model replies %q, a fresh conversation %q", again, fresh)
	}
}

func TestOldTurnsAreForgotten(t *testing.T) {
	c := newChat(t, Options{Template: Instruct, System: "Be brief.", Session: openelm.SessionOptions{Capacity: 160}, Reserve: 20})
	for i := range 12 {
		say(t, c, "Tell me a story about a dragon and a little girl.", 12)
		if c.Len() > c.Capacity() {
			t.Fatalf("turn %d: %d tokens in a context of %d", i, c.Len(), c.Capacity())
		}
	}
	if c.Turns() >= 12 || c.Turns() < 1 {
		t.Errorf("%d turns are remembered", c.Turns())
	}
	if head := c.layout.history(nil); !slices.Equal(c.session.Tokens()[:len(head)], head) {
		t.Error("the system turn was forgotten")
	}
	long := strings.Repeat("a very long message ", 100)
	for _, err := range c.Say(t.Context(), long, nil) {
		if !errors.Is(err, ErrTooLong) {
			t.Errorf("got error %v, want ErrTooLong", err)
		}
	}
	say(t, c, "Hello", 3) // the conversation goes on
}

func TestInterruptedReply(t *testing.T) {
	c := newChat(t, Options{Template: Instruct})
	n := 0
	for range c.Say(t.Context(), "Tell me a story.", nil) {
		if n++; n == 3 {
			break
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	n = 0
	for _, err := range c.Say(ctx, "Tell me another.", nil) {
		last = err
		if n++; n == 3 {
			cancel()
		}
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("got error %v, want context.Canceled", last)
	}
	if c.Turns() != 2 {
		t.Errorf("%d turns, want 2", c.Turns())
	}
	say(t, c, "And then?", 3)
}

// held is what the session holds of the last reply, after the conversation went
// on, and shown what its loop was given.
func held(t *testing.T, c *Chat, message string, o *openelm.GenerateOptions) (shown, held string) {
	t.Helper()
	for tok, err := range c.Say(t.Context(), message, o) {
		if err != nil {
			t.Fatal(err)
		}
		shown += tok.Text
	}
	for range c.Say(t.Context(), "\x00", &openelm.GenerateOptions{MaxTokens: 1}) {
	}
	decode := func(ids []int32) string { return c.session.Model().Tokenizer().Decode(ids) }
	all := decode(c.session.Tokens())
	before, _, ok := strings.Cut(all, "\x00")
	if !ok {
		t.Fatalf("the next message is not in %q", all)
	}
	before, ok = strings.CutPrefix(before, decode(c.layout.prompt(nil, message)))
	if !ok {
		t.Fatalf("the first message is not in %q", all)
	}
	return shown, before
}

// TestStopStringIsForgotten: what the model remembers of a reply is what was
// shown of it, wherever the stop string begins in the tokens.
func TestStopStringIsForgotten(t *testing.T) {
	const message = "Once upon a time there was a fox and"
	reply := say(t, newChat(t, Options{}), message, 40)
	stops := []string{".", ",", " Tim", "im"}
	for i := 1; i+3 < len(reply); i += 13 {
		stops = append(stops, reply[i:i+2], reply[i:i+3])
	}
	c := newChat(t, Options{})
	for _, stop := range stops {
		if err := c.Reset(); err != nil {
			t.Fatal(err)
		}
		shown, got := held(t, c, message, &openelm.GenerateOptions{MaxTokens: 40, Stop: []string{stop}})
		if want, _, _ := strings.Cut(reply, stop); shown != want || got != want {
			t.Errorf("stop %q: shown %q, held %q, want %q", stop, shown, got, want)
		}
	}
	// Undo and Len know it too.
	if err := c.Reset(); err != nil {
		t.Fatal(err)
	}
	for range c.Say(t.Context(), message, &openelm.GenerateOptions{Stop: []string{"."}}) {
	}
	if got := c.session.Model().Tokenizer().Decode(c.session.Tokens()); strings.Contains(got, ".") {
		t.Errorf("after the reply the session holds %q", got)
	}
}

func TestOptions(t *testing.T) {
	m, err := story.Open(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for name, o := range map[string]struct {
		Options
		want error
	}{
		"negative reserve":    {Options{Reserve: -1}, openelm.ErrArgument},
		"reserve of all":      {Options{Reserve: 64, Session: openelm.SessionOptions{Capacity: 64}}, openelm.ErrArgument},
		"long system message": {Options{System: strings.Repeat("a b ", 100), Session: openelm.SessionOptions{Capacity: 64}}, ErrTooLong},
	} {
		if c, err := New(m, o.Options); !errors.Is(err, o.want) {
			t.Errorf("%s: error %v, want %v", name, err, o.want)
			if err == nil {
				c.Close()
			}
		}
	}
}

func TestNeedsTokenizer(t *testing.T) {
	m, err := story.Open(t.Context(), &loader.Options{NoTokenizer: true})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := New(m, Options{}); !errors.Is(err, openelm.ErrNoTokenizer) {
		t.Errorf("got error %v, want ErrNoTokenizer", err)
	}
}
