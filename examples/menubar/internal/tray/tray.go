//go:build linux || windows

package tray

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"sync"
	"sync/atomic"

	"fyne.io/systray"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
	"github.com/go-openelm/go-openelm/examples/menubar/internal/login"
)

// ErrNoIcon is why there is no icon: the page is all that a person sees then.
var ErrNoIcon = errors.New("no icon")

// errNoBus is the ErrNoIcon that no panel that appears later changes.
var errNoBus = fmt.Errorf("%w: there is no session bus", ErrNoIcon)

// Options are what a tray needs. All but Clipboard must be set.
type Options struct {
	// Open shows the page at an address, in the browser.
	Open func(address string) error
	// Clipboard returns the clipboard's text. Without it, the menu has no entry for it.
	Clipboard func(ctx context.Context) (string, error)
	// Login is what "Start at login" switches.
	Login login.Item
	Log   *slog.Logger
}

// Tray is a desktop.Desktop. A process runs one, once.
type Tray struct {
	Options
	mu        sync.Mutex
	assistant desktop.Assistant // while Run runs
	wanted    bool              // the page, before Run
}

// New returns a tray that Run shows.
func New(o Options) *Tray { return &Tray{Options: o} }

// Show opens the page.
func (t *Tray) Show() {
	t.mu.Lock()
	a := t.assistant
	t.wanted = t.wanted || a == nil
	t.mu.Unlock()
	if a != nil {
		t.open(a)
	}
}

func (t *Tray) open(a desktop.Assistant) {
	address := a.Page()
	if err := t.Open(address); err != nil {
		t.Log.Error("no browser shows the page; open it yourself", "address", address, "error", err)
	}
}

// Run shows the icon until ctx ends or the person quits. Where no panel shows icons,
// or the person wants none, the page is opened instead and Run waits for ctx.
func (t *Tray) Run(ctx context.Context, a desktop.Assistant) error {
	t.mu.Lock()
	t.assistant = a
	wanted := t.wanted
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		t.assistant = nil
		t.mu.Unlock()
	}()
	defer t.Login.Follow(a, func(err error) {
		t.Log.Error("start at login", "error", err)
		a.Report("Start at login was not changed: " + err.Error())
	})()
	if stop, err := watchPressure(a.Pressure); err != nil {
		t.Log.Debug("no matter", "error", err) // of old kernels
	} else {
		defer stop()
	}
	hidden := a.Settings().HideIcon
	err := available(ctx)
	if wanted || err != nil && !hidden {
		t.open(a)
	}
	if err != nil && !hidden {
		t.Log.Warn("only the page is shown", "error", err)
	}
	if !hidden && !errors.Is(err, errNoBus) && t.run(ctx, a) {
		return nil
	}
	<-ctx.Done()
	return nil
}

// run runs package systray, which tells what goes wrong to package log alone, also
// after it has ended. It reports whether the program is to end, too: the icon may
// have been hidden, until the next start.
func (t *Tray) run(ctx context.Context, a desktop.Assistant) (quit bool) {
	log.SetOutput(slog.NewLogLogger(t.Log.Handler(), slog.LevelDebug).Writer())
	log.SetFlags(0)
	ctx, cancel := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer cancel()
	ready := make(chan struct{})
	var hidden atomic.Bool
	systray.SetOnTapped(func() { t.open(a) })
	if decorateFirst {
		decorate()
	}
	systray.Run(func() {
		defer close(ready)
		if !decorateFirst {
			decorate()
		}
		t.show(ctx, &tasks, a, func() {
			hidden.Store(true)
			systray.Quit()
		})
		tasks.Go(func() {
			<-ctx.Done()
			systray.Quit()
		})
	}, nil)
	<-ready
	return !hidden.Load()
}
