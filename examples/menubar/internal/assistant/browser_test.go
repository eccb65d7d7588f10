package assistant_test

import (
	"context"
	"fmt"
	"os/exec"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdp "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// chromium is the tab of all tests, one after the other: a second one would be out of
// sight. It is opened by the first test that needs it.
var chromium = sync.OnceValues(func() (context.Context, error) {
	o := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.WSURLReadTimeout(2*time.Minute))
	if goruntime.GOOS == "linux" { // elsewhere it is found where it is installed
		program, err := exec.LookPath("chromium")
		if err != nil {
			return nil, fmt.Errorf("this test needs Chromium (scripts/install-tools.sh installs Debian's): %w", err)
		}
		o = append(o, chromedp.ExecPath(program))
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), o...)
	ctx, cancel := chromedp.NewContext(allocator)
	stopChromium = func() {
		cancel()
		stop()
	}
	return ctx, chromedp.Run(ctx, network.Enable(), log.Enable(), runtime.Enable(), withoutStreamIteration)
})

var stopChromium = func() {}

// page is what is in the tab. What goes wrong in it, and requests that leave the program's
// address, fail the test.
type page struct {
	*testing.T
	ctx context.Context
	// forgiven is part of what the console may say.
	forgiven string
}

// open shows the page of an address. The popover of a Mac has this size.
func open(t *testing.T, address string) *page {
	t.Helper()
	tab, err := chromium()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(tab)
	p := &page{T: t, ctx: ctx, forgiven: "\x00"}
	origin, _, _ := strings.Cut(address, "#")
	chromedp.ListenTarget(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			t.Errorf("an exception: %v", e.ExceptionDetails)
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError && !strings.Contains(e.Entry.Text, p.forgiven) {
				t.Errorf("the console says: %s %s", e.Entry.Text, e.Entry.URL)
			}
		case *network.EventRequestWillBeSent:
			if u := e.Request.URL; !strings.HasPrefix(u, origin) && !strings.HasPrefix(u, "data:") {
				t.Errorf("a request to %s", u)
			}
		}
	})
	t.Cleanup(func() {
		cancel() // and listen no more
		if err := chromedp.Run(tab, emulation.SetEmulatedMedia(), chromedp.Navigate("about:blank")); err != nil {
			t.Error(err)
		}
	})
	p.do(chromedp.EmulateViewport(400, 560), chromedp.Navigate(address))
	return p
}

// withoutStreamIteration takes from pages what Safari does not have.
var withoutStreamIteration = chromedp.ActionFunc(func(ctx context.Context) error {
	_, err := cdp.AddScriptToEvaluateOnNewDocument(`delete ReadableStream.prototype[Symbol.asyncIterator]`).Do(ctx)
	return err
})

func (p *page) do(actions ...chromedp.Action) {
	p.Helper()
	if err := chromedp.Run(p.ctx, actions...); err != nil {
		p.Fatal(err)
	}
}

// wait waits until an expression is true.
func (p *page) wait(expression string) {
	p.Helper()
	if err := chromedp.Run(p.ctx, chromedp.Poll(expression, nil, chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(time.Minute))); err != nil {
		p.Fatalf("waiting for %s: %v; the page says: %s", expression, err, p.eval(`document.body.innerText`))
	}
}

func (p *page) eval(expression string) (s string) {
	p.Helper()
	p.do(chromedp.Evaluate("String("+expression+")", &s))
	return s
}

// press types keys at whatever has the focus.
func (p *page) press(keys string) { p.Helper(); p.do(chromedp.KeyEvent(keys)) }

// shortcut presses a key with others. A letter is not typed then, as chromedp's are.
func (p *page) shortcut(modifiers input.Modifier, key string) {
	p.Helper()
	code := key
	if len(key) == 1 {
		code = "Key" + strings.ToUpper(key)
	}
	for _, kind := range []input.KeyType{input.KeyRawDown, input.KeyUp} {
		p.do(input.DispatchKeyEvent(kind).WithModifiers(modifiers).WithKey(key).WithCode(code))
	}
}
