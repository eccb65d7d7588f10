//go:build linux && amd64

package appkit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
	"github.com/go-openelm/go-openelm/examples/menubar/internal/login"
	"github.com/go-openelm/go-openelm/internal/objc"
)

// The tests start this test binary again as the program, with an assistant that is not one, and as the program whose
// text is selected.
const (
	variableProgram = "APPKIT_TEST_PROGRAM" // "menubar" or "client"
	variableLibrary = "APPKIT_TEST_LIBRARY" // what gnustep.Build made

	gui = "libgnustep-gui.so.0.29"

	screenWidth, screenHeight    = 1024, 768
	iconX, iconWidth, iconHeight = 520, 44, 24 // where the stand-in for the status bar has the icon
)

func init() {
	if os.Getenv(variableProgram) != "" {
		runtime.LockOSThread() // TestMain runs on the main thread
	}
}

func TestMain(m *testing.M) {
	switch os.Getenv(variableProgram) {
	case "":
		os.Exit(m.Run())
	case "menubar":
		os.Exit(program())
	case "client":
		os.Exit(client())
	}
}

// said writes a line for the test.
func said(format string, args ...any) {
	fmt.Fprintf(os.Stdout, format+"\n", args...)
}

// assistant pretends.
type assistant struct {
	page           string
	answer         chan bool
	closing, ended chan struct{} // while there is an answer to end

	mu       sync.Mutex
	state    desktop.State
	settings desktop.Settings
	watchers []func(desktop.State)
}

func (a *assistant) Page() string { return a.page }

func (a *assistant) Offer(text string) { said("offer %q", text) }

func (a *assistant) Do(ctx context.Context, action desktop.Action, text string) (string, error) {
	said("do %s %.100q", action, text)
	was := a.set(func(s *desktop.State) { s.Status = desktop.Answering })
	defer a.set(func(s *desktop.State) { s.Status, s.TokensPerSecond = was.Status, 61 })
	switch text {
	case "refuse":
		return "", errors.New("The text is too long for the model.")
	case "slow":
		<-a.answer
	case "wait":
		<-a.closing // which ends what is being answered
		defer close(a.ended)
		said("do ended")
		return "", errors.New("OpenELM was quit.")
	}
	return strings.ToUpper(text), nil
}

func (a *assistant) State() desktop.State {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state
}

// set changes the state and tells who watches, from this goroutine.
func (a *assistant) set(edit func(*desktop.State)) (was desktop.State) {
	a.mu.Lock()
	was = a.state
	edit(&a.state)
	now, watchers := a.state, a.watchers
	a.mu.Unlock()
	for _, changed := range watchers {
		changed(now)
	}
	return was
}

func (a *assistant) Watch(changed func(desktop.State)) (stop func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.watchers = append(a.watchers, changed)
	return func() {}
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
	defer a.set(func(*desktop.State) {})
	said("settings login %v icon hidden %v key %v", a.settings.StartAtLogin, a.settings.HideIcon, a.settings.GlobalKey)
	return nil
}

func (a *assistant) Unload() {
	said("unload")
	a.set(func(s *desktop.State) { s.Status, s.MemoryBytes = desktop.Resting, 0 })
}

func (a *assistant) Report(problem string) { said("problem %q", problem) }

func (a *assistant) Pressure(critical bool) { said("pressure critical %v", critical) }

func (a *assistant) Close(ctx context.Context) error {
	_, bounded := ctx.Deadline()
	said("closing, bounded %v", bounded)
	close(a.closing)
	if a.State().Status == desktop.Answering {
		<-a.ended
	}
	said("closed")
	return nil
}

// begin opens GNUstep, with stand-ins for what it lacks.
func begin() (objc.Libraries, error) {
	frameworks = []string{os.Getenv(variableLibrary), gui}
	libraries, err := objc.Open(frameworks...)
	if err == nil {
		err = objc.Start(libraries)
	}
	if err == nil {
		err = makeStandIns(libraries, said)
	}
	return libraries, err
}

// program is the program in the menubar. Lines of standard input tell it what the system would, or ask.
func program() int {
	libraries, err := begin()
	if err != nil {
		said("%v", err)
		return 1
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "On a Mac a web view shows the page. Here a text view stands in for it, in a window that was made, placed and filled by the same code.\n\n")
	}))
	defer server.Close()
	a := &assistant{page: server.URL + "/?ticket=1", answer: make(chan bool), closing: make(chan struct{}), ended: make(chan struct{}), state: desktop.State{
		Status: desktop.Ready, Model: "apple/OpenELM-270M-Instruct", MemoryBytes: 543_054_246,
	}}
	d := New(Options{
		Login: login.Item{ID: "org.example.test", Name: "OpenELM", Command: []string{"/bin/true"}},
		Log:   slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go commands(d, a, libraries, cancel)
	if os.Getenv("APPKIT_TEST_SHOW") != "" {
		d.Show()
	}
	err = d.Run(ctx, a)
	said("run returned %v", err)
	return 0
}

// commands does what lines of standard input say, on the main thread.
func commands(d *Desktop, a *assistant, libraries objc.Libraries, cancel func()) {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		verb, rest, _ := strings.Cut(in.Text(), " ")
		switch verb {
		case "show":
			d.Show()
		case "cancel":
			cancel()
		case "progress": // from this goroutine
			for i := range 50 {
				a.set(func(s *desktop.State) {
					s.Status, s.Download, s.Downloaded, s.DownloadSize = desktop.Downloading, "apple/OpenELM-3B", int64(i+1)*10_000_000, 1_000_000_000
				})
			}
			d.onMain(func() { said("progress told, main thread %v", onMainThread()) })
		case "ready":
			a.set(func(s *desktop.State) { s.Status = desktop.Ready })
		case "answer":
			a.answer <- true
		case "pressure":
			objc.Call(libraries.Symbol("standin_pressure"), uintptr(rest[0]-'0'))
		default:
			d.onMain(func() { command(d, libraries, verb, rest) })
		}
	}
}

func onMainThread() bool { return objc.Bool(objc.Send(objc.Class("NSThread"), sel("isMainThread"))) }

func command(d *Desktop, libraries objc.Libraries, verb, rest string) {
	s := openScope()
	defer s.Close()
	general := s.send(nsPasteboard.id, pasteboardGeneral)
	switch verb {
	case "menu": // as it is when it opens
		s.send(d.controller, implMenuNeedsUpdate, standIns.itemMenu)
		line := ""
		for _, i := range items(s, standIns.itemMenu) {
			line += fmt.Sprintf("[%q, enabled %v, state %d]", i.title, i.enabled, i.state)
		}
		said("menu %s", line)
	case "open": // whether an item is on the screen
		said("open %v", slices.ContainsFunc(items(s, standIns.itemMenu), func(i item) bool { return i.title == rest && i.x != 0 }))
	case "item": // where it is
		for _, i := range items(s, standIns.itemMenu) {
			if i.title == rest {
				said("at %d %d", i.x, i.y)
			}
		}
	case "copy":
		s.write(general, rest)
		said("copied")
	case "picture": // is copied, which is no text
		types := s.Send(objc.Class("NSArray"), sel("arrayWithObject:"), s.string("image/png"))
		s.Send(general, sel("declareTypes:owner:"), types, 0)
		said("copied")
	case "clipboard":
		text, _ := s.read(general)
		said("clipboard %q", text)
	case "press":
		said("pressed %d", int32(objc.Call(libraries.Symbol("standin_press"))))
	case "take":
		objc.Call(libraries.Symbol("standin_take"), uintptr(rest[0]-'0'))
		said("taken")
	case "go": // where a link leads
		address := s.send(nsURL.id, urlWithString, s.string(rest))
		s.send(d.page.web, webViewLoad, s.send(nsURLRequest.id, requestWithURL, address))
	case "window": // a link that wants one of its own
		address := s.send(nsURL.id, urlWithString, s.string(rest))
		standIns.request = s.send(nsURLRequest.id, requestWithURL, address)
		s.send(d.controller, implNewWindow, d.page.web, 0, s.New(objc.Class("WKNavigationAction")), 0)
	case "crash":
		s.send(d.controller, implWebEnded, d.page.web)
	case "fail":
		s.send(d.controller, implNavigationFailed, d.page.web, 0, 0)
	case "megabyte": // is summarised
		in := strings.Repeat("größer 🙂 ", 1<<20/len("größer 🙂 "))
		pb := s.Send(nsPasteboard.id, sel("pasteboardWithUniqueName"))
		s.write(pb, in)
		s.Send(d.controller, sel("summarise:userData:error:"), pb, s.string(""), s.ErrorOut())
		text, _ := s.read(pb)
		said("megabyte %v", text == strings.ToUpper(in))
	case "login":
		on, err := d.Login.Enabled()
		said("login %v %v", on, err)
	case "modal":
		said("modal %v", s.Send(d.app, sel("modalWindow")) != 0)
	case "reopen":
		s.send(d.controller, implShouldReopen, d.app, 0)
	case "terminate":
		s.Send(d.app, sel("terminate:"), 0)
	case "page":
		visible := d.page.panel != 0 && objc.Bool(s.Send(d.page.panel, sel("isVisible")))
		key := d.page.panel != 0 && objc.Bool(s.Send(d.page.panel, sel("isKeyWindow")))
		said("page visible %v key %v", visible, key)
	case "where":
		f := sendFrame(d.page.panel, windowFrame.sel)
		said("at %d %d", int(f.X+f.Width/2), int(screenHeight-f.Y-f.Height/2))
	case "text":
		said("text %q", s.text(s.Send(standIns.web, sel("string"))))
	case "service": // what an error is like; NSPerformService would show an alert
		pb := s.Send(nsPasteboard.id, sel("pasteboardWithUniqueName"))
		in, err := strconv.Unquote(rest)
		if err != nil {
			said("%v", err)
		}
		s.write(pb, in)
		s.Send(d.controller, sel("summarise:userData:error:"), pb, s.string(""), s.ErrorOut())
		text, _ := s.read(pb)
		said("service left %q, problem %q", text, s.text(s.Error()))
	default:
		said("no command %s", verb)
	}
}

// item is one of the menu's, or of a menu's below it, and where it is on the screen if its menu is open.
type item struct {
	title   string
	enabled bool
	state   int
	x, y    int
}

func items(s scope, menu uintptr) []item {
	var out []item
	var rectOfItem func(obj, sel uintptr, i int64) rect
	objc.Bind(&rectOfItem)
	view := s.Send(menu, sel("menuRepresentation"))
	window := s.send(view, viewWindow)
	for i := range s.Send(menu, sel("numberOfItems")) {
		m := s.Send(menu, sel("itemAtIndex:"), i)
		it := item{title: s.text(s.Send(m, sel("title"))), enabled: objc.Bool(s.Send(m, sel("isEnabled"))), state: int(s.Send(m, sel("state")))}
		if window != 0 && objc.Bool(s.Send(window, sel("isVisible"))) {
			f, r := sendFrame(window, windowFrame.sel), rectOfItem(view, sel("rectOfItemAtIndex:"), int64(i))
			it.x, it.y = int(f.X+r.X+r.Width/2), int(screenHeight-f.Y-r.Y-r.Height/2)
		}
		out = append(out, it)
		if sub := s.Send(m, sel("submenu")); sub != 0 {
			out = append(out, items(s, sub)...)
		}
	}
	return out
}

// client is another program, which sends its selection to a service.
func client() int {
	libraries, err := begin()
	if err == nil {
		err = load()
	}
	if err != nil {
		said("%v", err)
		return 1
	}
	s := openScope()
	defer s.Close()
	app := s.send(nsApplication.id, applicationShared)
	types := s.Send(objc.Class("NSArray"), sel("arrayWithObject:"), pasteboardType.object())
	s.Send(app, sel("registerServicesMenuSendTypes:returnTypes:"), types, types)
	pb := s.Send(nsPasteboard.id, sel("pasteboardWithUniqueName"))
	for i := 1; i+1 < len(os.Args); i += 2 {
		s.write(pb, os.Args[i+1])
		done := objc.Bool(objc.Call(libraries.Symbol("NSPerformService"), s.string(os.Args[i]), pb))
		text, _ := s.read(pb)
		said("%s: %v %q", os.Args[i], done, text)
	}
	return 0
}
