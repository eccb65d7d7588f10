package assistant_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
)

var actions = []desktop.Action{
	desktop.Rewrite, desktop.Shorten, desktop.Fix, desktop.Friendlier, desktop.Summarise, desktop.Explain, desktop.Continue, desktop.Ask,
}

// TestBadInput: what is no text is told in a sentence, before anything is opened.
func TestBadInput(t *testing.T) {
	a := start(t, options(t, nil))
	c := connect(t, a, http.DefaultClient)
	for name, x := range map[string]struct{ text, want string }{
		"empty":           {"", "no text yet"},
		"white":           {" \n\t\u00a0\u2003 ", "no text yet"},
		"invisible":       {"\u200b\ufeff\u200d", "no text yet"},
		"a zero byte":     {"text\x00", "binary"},
		"control":         {"\x01\x02\x03 text", "binary"},
		"over a megabyte": {strings.Repeat("a", 1<<20+1), "too long"},
	} {
		for _, action := range actions {
			if s := c.ask(ask(action, x.text), nil); !strings.Contains(s.err, x.want) || s.done != nil {
				t.Errorf("%s, %s: %+v", name, action, s)
			}
		}
	}
	if _, err := a.Do(t.Context(), desktop.Continue, "caf\xe9"); err == nil || !strings.Contains(err.Error(), "binary") {
		t.Errorf("what is not UTF-8: %v", err)
	}
	for name, body := range map[string]any{
		"an action that there is not": ask("translate", "text"),
		"no action":                   object{"text": "text"},
		"no JSON":                     []byte("text"),
		"another field":               object{"action": "fix", "text": "text", "model": "x"},
		"two values":                  []byte(`{"action":"fix","text":"text"} {}`),
		"far too much":                []byte(`{"text":"` + strings.Repeat("a", 7<<20) + `"}`),
	} {
		var said struct{ Error string }
		if status := c.post("answer", body, &said); said.Error == "" || status >= 500 {
			t.Errorf("%s: %d %q", name, status, said.Error)
		}
	}
	for name, body := range map[string]any{
		"a hot temperature": object{"temperature": 3}, "a negative one": object{"temperature": -1}, "no number": object{"temperature": "warm"},
		"no time at all": object{"idle_time": 1}, "a negative time": object{"idle_time": -5}, "a name of two lines": object{"adapter": "a\nb"},
		"a model": object{"model": "apple/OpenELM-3B"}, "a setting that there is not": object{"telemetry": true},
	} {
		var said struct{ Error string }
		if status := c.post("settings", body, &said); said.Error == "" || status != http.StatusBadRequest {
			t.Errorf("%s: %d %q", name, status, said.Error)
		}
	}
	if s := a.State(); s.Status != desktop.Resting || s.MemoryBytes != 0 {
		t.Errorf("a model was opened: %+v", s)
	}
}

// TestTexts: texts of all scripts are answered, and what takes their place has them
// unharmed.
func TestTexts(t *testing.T) {
	a := start(t, options(t, nil))
	c := connect(t, a, http.DefaultClient)
	for name, text := range map[string]string{
		"right to left, Chinese":  "مرحبا بالعالم، هذا نص قصير.\nשלום עולם\n你好，世界。",
		"emoji and markup":        `👩‍👩‍👧‍👦🏳️‍🌈🇫🇷 <img src=x onerror=alert(1)> </s> <|user|> {"a": 1}`,
		"white around, line ends": "\r\n\n  Once upon a time \r\n",
	} {
		s := c.ask(ask(desktop.Continue, text), nil)
		if s.done == nil || !strings.HasPrefix(s.done.Result, text) || !utf8.ValidString(s.done.Result) {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// TestLongText: what the model cannot read at once is told before anything is left
// out, and nothing of it is lost where the answer takes its place.
func TestLongText(t *testing.T) {
	a := start(t, options(t, fakeHub(t)))
	c := connect(t, a, http.DefaultClient)
	choose(t, a, tiny)
	long := strings.Repeat("The little fox went home. Mia was happy! ", 1<<20/41)
	for _, action := range []desktop.Action{desktop.Rewrite, desktop.Summarise, desktop.Continue} {
		s := c.ask(ask(action, long), nil)
		if s.tooLong == nil || s.pieces > 0 {
			t.Fatalf("%s: %+v", action, s)
		}
		l := s.tooLong
		if l.Tokens < 100_000 || l.Room < 50 || l.LeftOut+len(l.Kept) != len(strings.TrimSpace(long)) || l.End != (action == desktop.Continue) {
			t.Errorf("%s: %d tokens, room for %d, %d bytes kept, %d left out", action, l.Tokens, l.Room, len(l.Kept), l.LeftOut)
		}
		if ends := strings.HasSuffix(l.Kept, ".") || strings.HasSuffix(l.Kept, "!"); !ends || !strings.Contains(long, l.Kept) {
			t.Errorf("%s: what is kept ends %q", action, l.Kept[max(0, len(l.Kept)-30):])
		}
		if _, err := a.Do(t.Context(), action, long); err == nil || !strings.Contains(err.Error(), "too long") {
			t.Errorf("%s from another program: %v", action, err)
		}
	}
	s := c.ask(object{"action": desktop.Fix, "text": long, "cut": true}, nil)
	if s.done == nil || !strings.Contains(s.done.Notice, "Only") || !s.done.Edits {
		t.Fatalf("%+v", s)
	}
	if rest := strings.TrimPrefix(s.done.Result, s.done.Answer); len(rest) < 1<<20-2000 || !strings.HasSuffix(long, rest) {
		t.Errorf("of %d bytes %d are there", len(long), len(s.done.Result))
	}
	// Signs that JSON has to write with many bytes are as good as others.
	if s := c.ask(ask(desktop.Fix, strings.Repeat("\x1b<&\r", 1<<18)), nil); s.tooLong == nil {
		t.Errorf("a megabyte of escapes: %+v", s)
	}
	// Right below what there is room for nothing is said.
	room := c.ask(ask(desktop.Summarise, long), nil).tooLong
	if s := c.ask(ask(desktop.Summarise, room.Kept), nil); s.tooLong != nil || s.err != "" {
		t.Errorf("what was kept is %+v", s)
	}
}

// TestDo: the services of other programs get what takes the text's place, or an error
// that leaves it as it is.
func TestDo(t *testing.T) {
	a := start(t, options(t, fakeHub(t)))
	if _, err := a.Do(t.Context(), desktop.Rewrite, "Some text."); err == nil || !strings.Contains(err.Error(), "No model is chosen") {
		t.Errorf("without a model: %v", err)
	}
	if s, err := a.Do(t.Context(), desktop.Continue, "Once upon a time"); err != nil || !strings.HasPrefix(s, "Once upon a time") || len(s) < 20 {
		t.Errorf("%q %v", s, err)
	}
	choose(t, a, tiny)
	if s, err := a.Do(t.Context(), desktop.Summarise, "\n  Mia went home. \n"); err != nil || !strings.HasPrefix(s, "\n  ") || !strings.HasSuffix(s, " \n") {
		t.Errorf("%q %v", s, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Do(ctx, desktop.Continue, "Once"); err == nil {
		t.Error("who has gone is answered")
	}
	if err := a.Change(func(s *desktop.Settings) { s.Adapter = t.TempDir() }); err != nil {
		t.Fatal(err)
	}
	_, err := a.Do(t.Context(), desktop.Fix, "Some text.")
	if err == nil || !strings.HasPrefix(err.Error(), "The model "+tiny+" cannot be used") || a.State().Problem != err.Error() {
		t.Errorf("with an adapter that is none: %v, %+v", err, a.State())
	}
}

// choose makes a model the one that answers, and waits until it is.
func choose(t testing.TB, a interface {
	desktop.Assistant
	Choose(string) error
}, name string) {
	t.Helper()
	changed := make(chan desktop.State, 100)
	stop := a.Watch(func(s desktop.State) { changed <- s })
	defer stop()
	if err := a.Choose(name); err != nil {
		t.Fatal(err)
	}
	for s := range changed {
		switch {
		case s.Problem != "":
			t.Fatal(s.Problem)
		case a.Settings().Model == name && s.Download == "":
			return
		}
	}
}
