//go:build linux || windows

package tray

import (
	"context"
	"sync"

	"fyne.io/systray"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
)

// decorate sets what a panel shows.
func decorate() {
	systray.SetTitle("OpenELM")
	systray.SetIcon(panelIcon())
}

// show fills the menu, and keeps it as the assistant is until ctx ends.
func (t *Tray) show(ctx context.Context, tasks *sync.WaitGroup, a desktop.Assistant, hide func()) {
	state := systray.AddMenuItem("", "What the assistant is doing")
	state.Disable()
	systray.AddSeparator()
	// A click that comes while none is awaited is lost, so that what a click does must
	// not take long.
	add := func(item *systray.MenuItem, clicked func()) *systray.MenuItem {
		tasks.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-item.ClickedCh:
					clicked()
				}
			}
		})
		return item
	}
	add(systray.AddMenuItem("Open OpenELM", "Show the page in the browser"), func() { t.open(a) })
	if t.Clipboard != nil {
		add(systray.AddMenuItem("Open with the Clipboard", "Show the page with the clipboard's text"), func() {
			text, err := t.Clipboard(ctx)
			if err != nil {
				t.Log.Error("the clipboard", "error", err)
			} else {
				a.Offer(text)
			}
			t.open(a)
		})
	}
	systray.AddSeparator()
	unload := add(systray.AddMenuItem("Unload Now", "Give the model's memory back"), a.Unload)
	start := systray.AddMenuItemCheckbox("Start at Login", "", a.Settings().StartAtLogin)
	add(start, func() {
		if err := a.Change(func(s *desktop.Settings) { s.StartAtLogin = !s.StartAtLogin }); err != nil {
			t.Log.Error("start at login", "error", err)
		}
	})
	systray.AddSeparator()
	add(systray.AddMenuItem("Quit OpenELM", ""), systray.Quit)

	var line string
	var updating sync.Mutex
	update := func(desktop.State) { // to what there is
		updating.Lock()
		defer updating.Unlock()
		s := a.State()
		if now := s.Line(); now != line {
			line = now
			state.SetTitle(line)
			systray.SetTooltip("OpenELM: " + line)
		}
		if s.Status == desktop.Resting != unload.Disabled() {
			able(unload, s.Status != desktop.Resting)
		}
		if on := a.Settings().StartAtLogin; on != start.Checked() {
			tick(start, on)
		}
		if a.Settings().HideIcon {
			hide()
		}
	}
	stop := a.Watch(update)
	update(desktop.State{}) // what there was before, too
	tasks.Go(func() {
		<-ctx.Done()
		stop()
	})
}

func able(item *systray.MenuItem, on bool) {
	if on {
		item.Enable()
	} else {
		item.Disable()
	}
}

func tick(item *systray.MenuItem, on bool) {
	if on {
		item.Check()
	} else {
		item.Uncheck()
	}
}
