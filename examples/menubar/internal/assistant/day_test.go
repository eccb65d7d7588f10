package assistant_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/assistant"
	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
	"github.com/go-openelm/go-openelm/internal/testing/hubtest"
	"github.com/go-openelm/go-openelm/loader/hub"
	"github.com/go-openelm/go-openelm/story"
)

// pipes is a listener without a network, on which a bubble's clock would not move.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (p *pipes) client() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		here, there := net.Pipe()
		select {
		case p.conns <- there:
			return here, nil
		case <-p.closed:
			return nil, net.ErrClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}}
}

// life is an assistant in a bubble, from a start to a quit.
type life struct {
	*assistant.Assistant
	*client
	t   *testing.T
	log *bytes.Buffer // what a person should not find in the log; to be read after the end
}

// begin starts the program with folders that outlive it.
func begin(t *testing.T, dir, cache string, h *hubtest.Server) *life {
	t.Helper()
	p, log := newPipes(), new(bytes.Buffer)
	a, err := assistant.New(assistant.Options{Dir: dir, Listener: p, Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn})), Hub: &hub.Client{
		Endpoint: h.URL, Transport: h.Transport(), CacheDir: cache, Getenv: func(string) string { return "" },
		Backoff: func(int) (time.Duration, bool) { return 0, false },
	}})
	if err != nil {
		t.Fatal(err)
	}
	return &life{a, connect(t, a, p.client()), t, log}
}

func (l *life) end() {
	l.t.Helper()
	quit(l.t, l.Assistant)
	l.http.CloseIdleConnections()
}

// is checks what there is once everything that began has come to rest.
func (l *life) is(when string, want desktop.Status, model string) {
	l.t.Helper()
	synctest.Wait()
	s := l.State()
	if s.Status != want || s.Model != model || (s.MemoryBytes > 0) != (want == desktop.Ready) || s.Problem != "" {
		l.t.Errorf("%s: %+v, want %s with %s", when, s, want, model)
	}
	mapped := len(mapping(l.t)) > 0
	if should := want == desktop.Ready && model == tiny; mapped != should && runtime.GOOS == "linux" {
		l.t.Errorf("%s: weights are mapped: %v", when, mapped)
	}
}

// mapping is what of the downloaded model is mapped, or open. The one inside the
// program is always there.
func mapping(t *testing.T) (list []string) {
	if runtime.GOOS != "linux" {
		return nil
	}
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "models--") {
			list = append(list, line)
		}
	}
	files, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name, err := os.Readlink(f); err == nil && strings.Contains(name, "models--") {
			list = append(list, name)
		}
	}
	return list
}

// readHistory reads the file.
func readHistory(t *testing.T, dir string) (list []struct {
	Text, Answer, Model string
	Whole               bool
}) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "history.json"))
	if os.IsNotExist(err) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestDay is a day in the assistant's life: nothing is lost, and nothing is left
// running. The bubble fails if a goroutine is.
func TestDay(t *testing.T) {
	dir, cache := t.TempDir(), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		h := hubtest.NewInMemory(t, hubtest.Repo{ID: tiny, Files: story.FS()})
		now := time.Now().Local()
		time.Sleep(time.Date(now.Year(), now.Month(), now.Day()+1, 8, 0, 0, 0, time.Local).Sub(now))
		l := begin(t, dir, cache, h)
		l.is("at the start", desktop.Resting, "story")
		time.Sleep(time.Hour)
		l.is("an hour later", desktop.Resting, "story")
		if n := len(h.Requests()); n > 0 {
			t.Errorf("%d requests to the hub, and nobody chose a model", n)
		}

		// The first question opens the model, which goes when nobody asks anything.
		if status := l.post("settings", object{"keep_history": true}, nil); status != http.StatusNoContent {
			t.Fatalf("status %d", status)
		}
		if s := l.ask(ask(desktop.Ask, "Tell me a story."), nil); s.done == nil || s.pieces < 10 || s.done.Answer != strings.TrimSpace(s.text) {
			t.Fatalf("the first question: %+v", s)
		}
		l.is("after the first question", desktop.Ready, "story")
		time.Sleep(5*time.Minute - time.Second)
		l.is("just before it is idle", desktop.Ready, "story")
		time.Sleep(2 * time.Second)
		l.is("when it is idle", desktop.Resting, "story")
		if s := l.ask(ask(desktop.Fix, "Once upon a time"), nil); s.done == nil {
			t.Fatalf("after a rest: %+v", s)
		}
		l.is("awake again", desktop.Ready, "story")

		// A model is chosen, comes, and takes over when it is asked.
		choose(t, l, tiny)
		l.is("with a model that nobody asked yet", desktop.Resting, tiny)
		h.Requests()
		if s := l.ask(ask(desktop.Fix, "She dont know."), nil); s.done == nil {
			t.Fatalf("the model that was chosen: %+v", s)
		}
		l.is("with the model that was chosen", desktop.Ready, tiny)
		if n := len(h.Requests()); n > 0 {
			t.Errorf("a question asked the hub %d times", n)
		}

		// Another one is chosen in the middle of an answer, which is finished.
		first := sync.OnceFunc(func() { choose(t, l, "") })
		if s := l.ask(ask(desktop.Fix, "The moon."), func(string) { first() }); s.done == nil {
			t.Fatalf("during a switch: %+v", s)
		}
		l.is("after a switch", desktop.Resting, "story")
		choose(t, l, tiny)

		// The system is short of memory: an answer is finished before, unless that is
		// critical.
		first = sync.OnceFunc(func() { l.Pressure(false) })
		if s := l.ask(ask(desktop.Fix, "The sun."), func(string) { first() }); s.done == nil {
			t.Fatalf("under pressure: %+v", s)
		}
		l.is("after pressure", desktop.Resting, tiny)
		first = sync.OnceFunc(func() { l.Pressure(true) })
		if s := l.ask(ask(desktop.Continue, "Once there was a fox"), func(string) { first() }); s.done != nil || !strings.Contains(s.err, "short of memory") {
			t.Fatalf("under critical pressure: %+v", s)
		}
		l.is("after critical pressure", desktop.Resting, tiny)

		// Who wants the model to stay has it stay, until they do not.
		for _, keep := range []bool{true, false} {
			if err := l.Change(func(s *desktop.Settings) { s.KeepLoaded = keep }); err != nil {
				t.Fatal(err)
			}
			if keep {
				l.ask(ask(desktop.Fix, "A text."), nil)
				time.Sleep(3 * time.Hour)
				l.is("kept", desktop.Ready, tiny)
			}
		}
		time.Sleep(6 * time.Minute)
		l.is("not kept any more", desktop.Resting, tiny)

		// It is quit in the middle of an answer: what came is kept.
		quitting := make(chan struct{})
		first = sync.OnceFunc(func() {
			go func() {
				defer close(quitting)
				l.end()
			}()
		})
		last := l.ask(ask(desktop.Continue, "The last question is about a dragon who"), func(string) { first() })
		<-quitting
		if last.done != nil || !strings.Contains(last.err, "quit") || last.text == "" {
			t.Errorf("when it is quit: %+v", last)
		}
		if l.log.Len() > 0 {
			t.Errorf("a day without a failure has in its log\n%s", l.log)
		}
		if len(mapping(t)) > 0 {
			t.Errorf("weights are mapped after the end: %s", mapping(t))
		}
		list := readHistory(t, dir)
		if n := len(list); n != 8 {
			t.Fatalf("%d entries", n)
		}
		if e := list[7]; e.Whole || !strings.HasPrefix(e.Text, "The last") || !strings.Contains(e.Answer, strings.TrimSpace(last.text)) {
			t.Errorf("what was quit is kept as %+v, of %q", e, last.text)
		}
		if e := list[0]; !e.Whole || e.Answer == "" || e.Model != "story" {
			t.Errorf("the first question is kept as %+v", e)
		}
		if err := l.Change(func(s *desktop.Settings) { s.KeepLoaded = true }); err == nil {
			t.Error("settings change after the end")
		}
		l.Pressure(true) // does nothing
		l.Unload()

		// It finds everything when it starts again, and forgets it on the next day.
		l = begin(t, dir, cache, h)
		var kept []struct{ Answer string }
		r, err := l.send("GET", "history", nil)
		if err == nil {
			err = json.NewDecoder(r.Body).Decode(&kept)
			r.Body.Close()
		}
		if err != nil || len(kept) != 8 || l.Settings().Model != tiny || !l.Settings().KeepHistory {
			t.Errorf("after another start: %d entries, %+v, %v", len(kept), l.Settings(), err)
		}
		l.end()
		time.Sleep(24 * time.Hour)
		l = begin(t, dir, cache, h)
		if list := readHistory(t, dir); len(list) > 0 {
			t.Errorf("the start on the next day leaves %d entries", len(list))
		}
		l.ask(ask(desktop.Fix, "A new day."), nil)
		if list := readHistory(t, dir); len(list) != 1 {
			t.Errorf("on the next day %d entries are kept", len(list))
		}
		if err := l.Change(func(s *desktop.Settings) { s.KeepHistory = false }); err != nil {
			t.Fatal(err)
		}
		l.ask(ask(desktop.Fix, "A secret."), nil)
		l.end()
		files, err := os.ReadDir(dir)
		if err != nil || len(files) != 1 || files[0].Name() != "settings.json" {
			t.Errorf("what is left: %v %v", files, err)
		}
		if info, err := os.Stat(filepath.Join(dir, "settings.json")); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v %v", info.Mode(), err)
		}
	})
	if list, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(list) > 0 {
		t.Errorf("temporary files: %v %v", list, err)
	}
}

// TestMidnight: the day's texts are gone when it is over, though nobody asks for them.
func TestMidnight(t *testing.T) {
	dir, cache := t.TempDir(), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, dir, cache, hubtest.NewInMemory(t))
		if err := l.Change(func(s *desktop.Settings) { s.KeepHistory = true }); err != nil {
			t.Fatal(err)
		}
		for day := range 3 {
			l.ask(ask(desktop.Ask, "Tell me a story."), nil)
			y, m, d := time.Now().Local().Date()
			time.Sleep(time.Until(time.Date(y, m, d+1, 0, 0, 0, 0, time.Local)) - time.Second)
			synctest.Wait()
			if list := readHistory(t, dir); len(list) != 1 {
				t.Errorf("day %d ends with %d entries", day, len(list))
			}
			if day == 1 { // who starts late in the day goes on into the night, too
				l.end()
				l = begin(t, dir, cache, hubtest.NewInMemory(t))
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if list := readHistory(t, dir); list != nil {
				t.Errorf("after day %d, %d entries are left", day, len(list))
			}
			time.Sleep(8 * time.Hour)
		}
		l.end()
	})
}

// TestDownload: a download is paused, survives a quit, and goes on where it was.
func TestDownload(t *testing.T) {
	dir, cache := t.TempDir(), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		h := hubtest.NewInMemory(t, hubtest.Repo{ID: tiny, Files: story.FS()})
		l := begin(t, dir, cache, h)
		// settled is the state when nothing moves any more, as it should be.
		settled := func(what string, ok func(desktop.State) bool) desktop.State {
			t.Helper()
			synctest.Wait()
			s := l.State()
			if !ok(s) {
				t.Errorf("%s: %+v", what, s)
			}
			return s
		}
		const stall = 3 << 20
		h.Set(hubtest.Knobs{Stall: stall})
		if status := l.post("model", object{"name": tiny}, nil); status != http.StatusNoContent {
			t.Fatal(status)
		}
		s := settled("it comes", func(s desktop.State) bool { return s.Downloaded >= stall })
		if s.Status != desktop.Downloading || s.Download != tiny || s.DownloadSize < 8<<20 || s.DownloadSize > 9<<20 || s.Model != "story" {
			t.Errorf("while it comes: %+v", s)
		}
		if said := l.ask(ask(desktop.Fix, "Once"), nil); said.done == nil {
			t.Errorf("meanwhile: %+v", said)
		}
		l.post("download/pause", object{}, nil)
		s = settled("it is paused", func(s desktop.State) bool { return s.DownloadPaused })
		if s.Downloaded < stall || s.Problem != "" {
			t.Errorf("paused: %+v", s)
		}
		l.end()

		l = begin(t, dir, cache, h)
		if s := l.State(); s.Download != tiny || !s.DownloadPaused {
			t.Errorf("after a quit: %+v", s)
		}
		h.Requests()
		h.Set(hubtest.Knobs{Drops: 1, DropAfter: 1 << 20})
		l.post("model", object{"name": tiny}, nil)
		s = settled("the connection is lost", func(s desktop.State) bool { return s.Problem != "" })
		if !strings.Contains(s.Problem, "not reached") || !s.DownloadPaused || s.Downloaded < stall+1<<20 {
			t.Errorf("without a connection: %+v", s)
		}
		l.post("model", object{"name": tiny}, nil)
		s = settled("it is there", func(s desktop.State) bool { return s.Model == tiny })
		resumed := false
		for _, r := range h.Requests() {
			resumed = resumed || strings.HasPrefix(r.Range, "bytes=4")
		}
		if !resumed || s.Problem != "" || s.Download != "" {
			t.Errorf("it began anew: %+v", s)
		}
		if said := l.ask(ask(desktop.Fix, "A text."), nil); said.done == nil {
			t.Errorf("%+v", said)
		}

		// What cannot be had is told, and leaves the model that there is.
		for name, want := range map[string]string{
			"apple/OpenELM-9B": "has no model", "/no/such/folder": "cannot be used", "OpenELM-270M": "cannot be used",
		} {
			l.post("model", object{"name": name}, nil)
			settled(name, func(s desktop.State) bool {
				return strings.Contains(s.Problem, want) && s.Model == tiny && s.Download == ""
			})
		}
		// One that is not wanted any more is not asked about again.
		h.Push(t, hubtest.Repo{ID: "apple/OpenELM-450M", Files: story.FS()})
		h.Set(hubtest.Knobs{Stall: 10})
		l.post("model", object{"name": "apple/OpenELM-450M"}, nil)
		settled("the second one", func(s desktop.State) bool { return s.Download == "apple/OpenELM-450M" })
		l.post("download/forget", object{}, nil)
		l.end()
		l = begin(t, dir, cache, h)
		if s := l.State(); s.Download != "" || s.Model != tiny {
			t.Errorf("what was forgotten: %+v", s)
		}
		l.end()
	})
}
