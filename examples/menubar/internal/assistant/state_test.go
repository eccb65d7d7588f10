package assistant_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
	"github.com/go-openelm/go-openelm/story"
)

// TestWatch: who watches is told of the last state, never twice at a time, and no more
// once they stop.
func TestWatch(t *testing.T) {
	a := start(t, options(t, nil))
	var under atomic.Int32
	kept := make(chan bool, 1000)
	stop := a.Watch(func(desktop.State) {
		if under.Add(1) > 1 {
			t.Error("it is told twice at a time")
		}
		kept <- a.Settings().KeepLoaded // it may ask
		under.Add(-1)
	})
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if err := a.Change(func(s *desktop.Settings) { s.KeepLoaded = i%2 == 0 }); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := a.Change(func(s *desktop.Settings) { s.KeepLoaded = true }); err != nil {
		t.Fatal(err)
	}
	for last := false; !last; last = <-kept {
	}
	stop()
	stop()
	told := len(kept)
	if err := a.Change(func(s *desktop.Settings) { s.KeepLoaded = false }); err != nil {
		t.Fatal(err)
	}
	quit(t, a)
	if len(kept) > told+1 { // one may have been under way
		t.Error("who stopped is told")
	}
}

// TestManyQuestions: more questions than there is room for are answered or told to come
// again, and all the memory is given back.
func TestManyQuestions(t *testing.T) {
	a := start(t, options(t, nil))
	c := connect(t, a, http.DefaultClient)
	var answered, refused atomic.Int32
	var all sync.WaitGroup
	for range 14 {
		all.Go(func() {
			switch s := c.ask(ask(desktop.Fix, "Once upon a time"), nil); {
			case s.done != nil:
				answered.Add(1)
			case strings.Contains(s.err, "too many questions"):
				refused.Add(1)
			default:
				t.Errorf("%+v", s)
			}
		})
	}
	all.Wait()
	if answered.Load() < 2 {
		t.Errorf("%d were answered, %d told to come again", answered.Load(), refused.Load())
	}
	done := make(chan struct{})
	defer a.Watch(func(s desktop.State) {
		if s.MemoryBytes == 0 {
			close(done)
		}
	})()
	a.Unload()
	<-done
}

// TestKinds: a model without Instruct in its name is shown a pattern to go on with,
// and the temperature is the action's own unless the person chose one.
func TestKinds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "base")
	if err := os.CopyFS(dir, story.FS()); err != nil {
		t.Fatal(err)
	}
	a := start(t, options(t, nil))
	choose(t, a, dir)
	c := connect(t, a, http.DefaultClient)
	question := func(action desktop.Action) said {
		t.Helper()
		s := c.ask(ask(action, "Mia went home."), nil)
		if s.done == nil || strings.Contains(s.done.Notice, "story") {
			t.Fatalf("%+v", s)
		}
		return s
	}
	first := question(desktop.Fix)
	if !first.done.Edits || strings.Contains(first.done.Answer, "###") {
		t.Errorf("%+v", first.done)
	}
	if again := question(desktop.Fix); again.text != first.text {
		t.Errorf("corrections differ: %q, %q", first.text, again.text)
	}
	question(desktop.Ask)
	if status := c.post("settings", object{"temperature": 2}, nil); status != http.StatusNoContent {
		t.Fatal(status)
	}
	if hot := question(desktop.Fix); hot.text == first.text {
		t.Errorf("at a temperature of 2 the answer is still %q", hot.text)
	}
	if status := c.post("settings", object{"temperature": nil}, nil); status != http.StatusNoContent || a.Settings().Temperature != nil {
		t.Errorf("status %d, %+v", status, a.Settings())
	}
}

// TestLogs: what is logged has no ticket, no token and no text of the person.
func TestLogs(t *testing.T) {
	var log bytes.Buffer
	o := options(t, fakeHub(t))
	o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o.Hub.Token = "hf_secret"
	a := start(t, o)
	address := a.Page()
	c := connect(t, a, http.DefaultClient)
	choose(t, a, tiny)
	const text = "my diary"
	c.ask(ask(desktop.Fix, text), nil)
	for name, spoil := range map[string]func(){
		"an adapter that there is not": func() { c.post("settings", object{"adapter": "/no/such"}, nil) },
		"a model that there is not":    func() { c.post("model", object{"name": "apple/none"}, nil) },
	} {
		spoil()
		if s := c.ask(ask(desktop.Fix, text), nil); s.done != nil && name == "an adapter that there is not" {
			t.Errorf("%s: %+v", name, s)
		}
		c.post("answer", []byte(`{"text": "my diary", "nonsense": 1}`), nil)
	}
	quit(t, a)
	_, ticket, _ := strings.Cut(address, "=")
	for what, secret := range map[string]string{"the ticket": ticket, "the token": c.token, "the text": text, "the hub's token": o.Hub.Token} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%s is in the log: %s", what, log.String())
		}
	}
	if log.Len() == 0 {
		t.Error("errors are not logged")
	}
}

// TestChangeDuringAChange: a setting that was changed while a page sent another stays.
func TestChangeDuringAChange(t *testing.T) {
	a := start(t, options(t, nil))
	transport := &http.Transport{ExpectContinueTimeout: time.Minute}
	defer transport.CloseIdleConnections()
	c := connect(t, a, &http.Client{Transport: transport})
	body := readFunc(func(p []byte) (int, error) {
		// The program has begun with the request.
		if err := a.Change(func(s *desktop.Settings) { s.Model = "chosen/meanwhile" }); err != nil {
			t.Error(err)
		}
		return copy(p, `{"keep_loaded": true}`), io.EOF
	})
	r, err := http.NewRequestWithContext(t.Context(), "POST", c.base+"settings", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	r.Header.Set("Expect", "100-continue")
	said, err := c.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	said.Body.Close()
	if s := a.Settings(); said.StatusCode != http.StatusNoContent || s.Model != "chosen/meanwhile" || !s.KeepLoaded {
		t.Errorf("status %d, and then the settings are %+v", said.StatusCode, s)
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }
