package tray_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
	"github.com/go-openelm/go-openelm/examples/menubar/internal/login"
	"github.com/go-openelm/go-openelm/examples/menubar/internal/tray"
)

// TestMain is also the process whose tray a test looks at: package systray has one in
// a process, once.
func TestMain(m *testing.M) {
	if os.Getenv("OPENELM_TEST_TRAY") != "" {
		child()
		return
	}
	goleak.VerifyTestMain(m)
}

// child runs a tray. It says on standard output what the tray wants of the assistant,
// and is told on standard input: show, hide, login, quit, or a state as JSON.
func child() {
	a := &assistant{watchers: map[int]func(desktop.State){}, settings: desktop.Settings{HideIcon: os.Getenv("OPENELM_TEST_HIDE") != ""}}
	a.state = desktop.State{Status: desktop.Resting, Model: "story", Story: true}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	t := tray.New(tray.Options{
		Open: func(address string) error {
			say("open %s", address)
			if os.Getenv("OPENELM_TEST_BROWSER") == "none" {
				return errors.New("there is none")
			}
			return nil
		},
		Clipboard: func(context.Context) (string, error) { return "from the clipboard", nil },
		Login:     login.Item{ID: "org.example.test", Name: "Test", Command: []string{"/bin/true"}},
		Log:       log,
	})
	ctx, quit := context.WithCancel(context.Background())
	if os.Getenv("OPENELM_TEST_SHOW") != "" {
		t.Show()
	}
	go func() {
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			switch line := lines.Text(); line {
			case "show":
				t.Show()
			case "quit":
				quit()
			case "hide":
				a.Change(func(s *desktop.Settings) { s.HideIcon = true })
			case "login":
				a.Change(func(s *desktop.Settings) { s.StartAtLogin = !s.StartAtLogin })
			default:
				var s desktop.State
				if err := json.Unmarshal([]byte(line), &s); err != nil {
					panic(err)
				}
				a.set(s)
			}
		}
	}()
	here := goleak.IgnoreCurrent() // the reader of standard input
	err := t.Run(ctx, a)
	t.Show() // is for the next Run
	quit()
	a.tell.Wait()
	say("ended %v %v, watched by %d", err, goleak.Find(here), len(a.watchers))
}

var saying sync.Mutex

func say(format string, args ...any) {
	saying.Lock()
	defer saying.Unlock()
	fmt.Println(strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " "))
}

// assistant says what it is asked.
type assistant struct {
	mu       sync.Mutex
	state    desktop.State
	settings desktop.Settings
	watchers map[int]func(desktop.State)
	watched  int
	telling  sync.Mutex // no watcher twice at a time
	tell     sync.WaitGroup
	pages    int
}

func (a *assistant) set(s desktop.State) {
	a.mu.Lock()
	a.state = s
	a.mu.Unlock()
	a.tell.Go(func() { // a watcher may change something itself
		a.telling.Lock()
		defer a.telling.Unlock()
		a.mu.Lock()
		s, watchers := a.state, slices.Collect(maps.Values(a.watchers))
		a.mu.Unlock()
		for _, w := range watchers {
			w(s)
		}
	})
}

func (a *assistant) Page() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pages++
	return fmt.Sprintf("http://127.0.0.1:1/?ticket=%d", a.pages)
}
func (a *assistant) Offer(text string) { say("offer %s", text) }
func (a *assistant) Do(context.Context, desktop.Action, string) (string, error) {
	return "", errors.ErrUnsupported
}

func (a *assistant) State() desktop.State {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state
}

func (a *assistant) Watch(changed func(desktop.State)) (stop func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.watched++
	id := a.watched
	a.watchers[id] = changed
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.watchers, id)
	}
}
func (a *assistant) Settings() desktop.Settings {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.settings
}
func (a *assistant) Change(edit func(*desktop.Settings)) error {
	a.mu.Lock()
	edit(&a.settings)
	a.mu.Unlock()
	say("start at login %t", a.Settings().StartAtLogin)
	a.set(a.State())
	return nil
}
func (a *assistant) Report(problem string) {
	s := a.State()
	s.Problem = problem
	a.set(s)
}
func (a *assistant) Unload()                     { say("unload") }
func (a *assistant) Pressure(bool)               {}
func (a *assistant) Close(context.Context) error { return nil }
