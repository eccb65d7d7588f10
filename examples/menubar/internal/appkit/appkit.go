package appkit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"
	"unsafe"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
	"github.com/go-openelm/go-openelm/examples/menubar/internal/login"
	"github.com/go-openelm/go-openelm/internal/objc"
)

// name is what a person sees.
const name = "OpenELM"

// closeTime bounds how long the program takes to end: what is being answered is ended and saved.
const closeTime = 10 * time.Second

// Desktop is macOS's half of the program. There is one in a process, and it runs once.
type Desktop struct {
	Options
	ctx context.Context // Run's
	a   desktop.Assistant

	mu      sync.Mutex
	queue   []func() // for the main thread
	started bool     // the queue is looked at
	stale   bool     // an update of the menu is queued
	wanted  bool     // Show was called before there was an application

	// For the main thread.
	controller uintptr // delegate of everything, and target of the menu
	app        uintptr
	modes      uintptr // of the run loop, in which the queue is looked at
	menu       menu
	applied    desktop.Settings
	page       page
	clipboard  clipboard
	hotKey     hotKey
	problem    uintptr // the last text given to a service's error, kept for who asked
	closing    bool
	terminate  bool // the system waits for an answer to applicationShouldTerminate:
	closed     error
	ended      bool // all is closed, and the application is to end
	alerts     int  // open ones
}

var _ desktop.Desktop = (*Desktop)(nil)

// Options are what a desktop needs; all are set.
type Options struct {
	// Login is what "Start at Login" switches.
	Login login.Item
	// Log is told what goes wrong without a person having asked for it.
	Log *slog.Logger
}

// New returns a desktop that Run shows.
func New(o Options) *Desktop { return &Desktop{Options: o} }

// load opens the frameworks and looks up everything that table.go declares.
func load() error {
	libraries, err := objc.Open(frameworks...)
	if err == nil && len(libraries) == 0 {
		err = fmt.Errorf("no AppKit on %s: %w", runtime.GOOS, errors.ErrUnsupported)
	}
	if err == nil {
		err = objc.Start(libraries)
	}
	if err != nil {
		return fmt.Errorf("appkit: %w", err)
	}
	for _, c := range classes {
		if c.id = objc.Class(c.name); c.id == 0 {
			return fmt.Errorf("appkit: the system has no class %s", c.name)
		}
	}
	for _, m := range methods {
		m.sel = objc.Selector(m.Name)
	}
	for _, f := range functions {
		if f.addr = libraries.Symbol(f.Name); f.addr == 0 {
			return fmt.Errorf("appkit: the system has no function %s", f.Name)
		}
	}
	for _, b := range bound {
		objc.Bind(b.function)
	}
	for _, v := range variables {
		if v.addr = libraries.Symbol(v.name); v.addr == 0 {
			return fmt.Errorf("appkit: the system has no %s", v.name)
		}
	}
	return nil
}

// Run shows the icon and serves the person until ctx ends or the person quits, and closes the assistant. If it is the
// system that ends the program (log out, shut down), the assistant is closed, too, and then the process ends within Run.
func (d *Desktop) Run(ctx context.Context, a desktop.Assistant) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := load(); err != nil {
		return err
	}
	d.ctx, d.a = ctx, a
	s := openScope()
	defer s.Close()
	if err := d.makeController(s); err != nil {
		return fmt.Errorf("appkit: %w", err)
	}
	// An open menu and an alert wait for events in modes of their own.
	modes := []uintptr{defaultMode.object(), modalMode.object(), trackingMode.object()}
	d.modes = s.send(nsArray.id, arrayWithObjects, uintptr(unsafe.Pointer(&modes[0])), uintptr(len(modes)))
	s.send(d.modes, objectRetain)
	d.app = s.send(nsApplication.id, applicationShared)
	s.send(d.app, applicationSetPolicy, activationPolicyAccessory)
	s.send(d.app, applicationSetDelegate, d.controller)

	defer a.Watch(func(desktop.State) { d.changed() })()
	defer d.Login.Follow(a, func(err error) {
		d.onMain(func() { d.tell("The login item was not changed.", err.Error()) })
	})()
	defer d.watchMemory()()
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-ctx.Done():
			d.onMain(d.quit)
		case <-ended:
		}
	}()
	s.send(d.app, applicationRun)
	return d.closed
}

// makeController makes the object that AppKit tells everything.
func (d *Desktop) makeController(s scope) error {
	action := func(m *method, run func()) objc.Implementation {
		return m.implementation("v@:@", func(_, _, _ uintptr) { run() })
	}
	methods := []objc.Implementation{
		action(implDidFinishLaunching, d.launched),
		implShouldTerminate.implementation("Q@:@", func(_, _, _ uintptr) uintptr {
			d.terminate = true
			d.quit()
			return terminateLater
		}),
		implShouldReopen.implementation("B@:@B", func(_, _, _ uintptr, _ bool) bool {
			d.reveal()
			return false
		}),
		{Selector: drain.name, Types: "v@:@", Function: func(_, _, _ uintptr) { d.drain() }},
	}
	methods = slices.Concat(methods, d.menuMethods(), d.pageMethods(), d.serviceMethods())
	class, err := objc.NewClass("OpenELMController", controllerSuper, methods)
	if err != nil {
		return err
	}
	for _, o := range own {
		o.sel = objc.Selector(o.name)
	}
	d.controller = s.send(s.New(class), objectRetain) // for good: goroutines may have something to tell when Run has returned
	return nil
}

// selector is a method of our own controller that AppKit is told to send.
type selector struct {
	name string
	sel  uintptr
}

var own []*selector

func ours(name string) *selector {
	o := &selector{name: name}
	own = append(own, o)
	return o
}

var drain = ours("openelmDrain:")

// onMain has the main thread call f, from any goroutine; in the order of the calls.
func (d *Desktop) onMain(f func()) {
	d.mu.Lock()
	d.queue = append(d.queue, f)
	started := d.started
	d.mu.Unlock()
	if started {
		send(d.controller, objectPerformOnMain, drain.sel, 0, flag(false), d.modes)
	}
}

// drain calls what is queued.
func (d *Desktop) drain() {
	for {
		d.mu.Lock()
		if len(d.queue) == 0 {
			d.mu.Unlock()
			return
		}
		f := d.queue[0]
		d.queue = d.queue[1:]
		d.mu.Unlock()
		f()
	}
}

// changed has the menu show the assistant's state, from any goroutine; what comes in between is left out.
func (d *Desktop) changed() {
	d.mu.Lock()
	stale := d.stale
	d.stale = true
	d.mu.Unlock()
	if !stale {
		d.onMain(d.update)
	}
}

// launched is the first that is done by the application.
func (d *Desktop) launched() {
	s := openScope()
	defer s.Close()
	d.makeMenus(s)
	s.send(d.app, applicationSetServices, d.controller)
	d.applied.HideIcon = d.a.Settings().HideIcon
	d.menu.setVisible(!d.applied.HideIcon) // AppKit remembers that it was hidden, when the settings are gone, too
	d.update()
	d.mu.Lock()
	d.started = true
	if d.wanted {
		d.queue = append(d.queue, d.reveal)
	}
	d.mu.Unlock()
	d.onMain(func() {}) // what was queued before is done when the application has finished launching
}

// Show brings the page up, also before Run; any goroutine may call it.
func (d *Desktop) Show() {
	d.mu.Lock()
	started := d.started
	d.wanted = true
	d.mu.Unlock()
	if started {
		d.onMain(d.reveal)
	}
}

// reveal shows the page, and the icon though it be hidden: there is no other way to it.
func (d *Desktop) reveal() {
	d.show()
	d.menu.setVisible(true)
}

// change changes the settings and what follows from them.
func (d *Desktop) change(edit func(*desktop.Settings)) {
	if err := d.a.Change(edit); err != nil {
		d.tell("The setting was not saved.", err.Error())
	}
	d.update()
}

// apply does what the settings say, wherever they were changed.
func (d *Desktop) apply(now desktop.Settings) {
	before := d.applied
	d.applied = now
	if now.HideIcon != before.HideIcon {
		d.menu.setVisible(!now.HideIcon)
	}
	if now.GlobalKey == before.GlobalKey {
		return
	}
	if err := d.hotKey.set(d, now.GlobalKey); err != nil {
		d.Log.Error("global key", "error", err)
		d.tell("The global key cannot be used.", err.Error())
	}
}

// quit closes the assistant, which saves what there is to save, and ends the application.
func (d *Desktop) quit() {
	if d.closing {
		return
	}
	d.closing = true
	d.page.hide()
	d.update()
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTime)
		defer cancel()
		err := d.a.Close(ctx)
		d.onMain(func() { d.end(err) })
	}()
}

// end ends the application, now that the assistant is closed.
func (d *Desktop) end(err error) {
	if err != nil {
		d.Log.Error("closing", "error", err)
	}
	d.closed, d.ended = err, true
	d.stop()
}

// stop ends an open alert, or the application.
func (d *Desktop) stop() {
	s := openScope()
	defer s.Close()
	if d.terminate {
		s.send(d.app, applicationReplyTerminate, flag(true)) // ends the process
		return
	}
	s.send(d.app, applicationStop, 0)
	// stop: takes effect after the next event.
	event := sendEvent(nsEvent.id, eventOther.sel, eventApplicationDefined, point{}, 0, 0, 0, 0, 0, 0, 0)
	s.send(d.app, applicationPostEvent, event, flag(true))
}

// tell tells the person what went wrong with what they asked for.
func (d *Desktop) tell(what, why string) {
	if d.closing {
		return
	}
	s := openScope()
	defer s.Close()
	alert := s.New(nsAlert.id)
	s.send(alert, alertSetMessage, s.string(what))
	s.send(alert, alertSetInformation, s.string(why))
	s.send(d.app, applicationActivate, flag(true))
	d.alerts++
	s.send(alert, alertRun)
	if d.alerts--; d.alerts == 0 && d.ended {
		d.onMain(d.stop)
	}
}
