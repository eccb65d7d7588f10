package browser

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdp "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// program is openelm, built once.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "openelm")
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "openelm")
	cmd := exec.Command("go", "build", "-o", name, "./cmd/openelm")
	cmd.Dir, cmd.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, output)
	}
	return name, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if name, err := program(); err == nil {
		os.RemoveAll(filepath.Dir(name))
	}
	os.Exit(code)
}

// start runs openelm serve, and returns its address.
func start(t *testing.T, key string) string {
	t.Helper()
	name, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, "serve", "--addr", "127.0.0.1:0", "--quiet")
	cmd.Env = append(os.Environ(), "OPENELM_API_KEY="+key)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			t.Errorf("openelm serve: %v", err)
		}
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(address)
}

// page is a tab. What goes wrong in it, and requests that leave the server's
// address, fail the test.
type page struct {
	*testing.T
	ctx context.Context
}

func open(t *testing.T, address string) *page {
	t.Helper()
	o := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.WSURLReadTimeout(2*time.Minute))
	if goruntime.GOOS == "linux" { // elsewhere it is found where it is installed
		chromium, err := exec.LookPath("chromium")
		if err != nil {
			t.Fatal("this test needs Chromium (scripts/install-tools.sh installs Debian's): ", err)
		}
		o = append(o, chromedp.ExecPath(chromium))
	}
	allocator, cancel := chromedp.NewExecAllocator(t.Context(), o...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	chromedp.ListenTarget(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			t.Errorf("an exception: %v", e.ExceptionDetails)
		case *log.EventEntryAdded:
			// A key that is missing is told by a status, which browsers log.
			if e.Entry.Level == log.LevelError && !strings.Contains(e.Entry.Text, "401") {
				t.Errorf("the console says: %s %s", e.Entry.Text, e.Entry.URL)
			}
		case *network.EventRequestWillBeSent:
			if u := e.Request.URL; !strings.HasPrefix(u, address+"/") && !strings.HasPrefix(u, "data:") {
				t.Errorf("a request to %s", u)
			}
		}
	})
	p := &page{t, ctx}
	p.do(network.Enable(), log.Enable(), runtime.Enable(), withoutStreamIteration, chromedp.Navigate(address+"/"))
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
	p.do(chromedp.Poll(expression, nil, chromedp.WithPollingTimeout(time.Minute)))
}

func (p *page) eval(expression string) (s string) {
	p.Helper()
	p.do(chromedp.Evaluate("String("+expression+")", &s))
	return s
}

// press types keys at whatever has the focus.
func (p *page) press(keys string) { p.Helper(); p.do(chromedp.KeyEvent(keys)) }

const (
	ready = `document.getElementById("model").value === "story"`
	done  = `document.querySelectorAll(".assistant:not(.writing)").length === %d && !document.querySelector(".writing")`
)

// TestPage: a conversation by keyboard alone.
func TestPage(t *testing.T) {
	p := open(t, start(t, ""))
	p.wait(ready)
	if focus := p.eval(`document.activeElement.id`); focus != "text" {
		t.Errorf("the focus is at %q", focus)
	}
	p.press("Once upon a time")
	p.do(chromedp.KeyEvent(kb.Enter, chromedp.KeyModifiers(8))) // Shift
	p.press("there was")
	if v := p.eval(`document.getElementById("text").value`); v != "Once upon a time\nthere was" {
		t.Errorf("the message is %q", v)
	}
	p.press(kb.Enter)
	p.wait(fmt.Sprintf(done, 1))
	if said := p.eval(`document.querySelector(".assistant").textContent`); len(said) < 10 {
		t.Errorf("the reply is %q", said)
	}
	if note := p.eval(`document.getElementById("note").textContent`); !strings.Contains(note, "tokens") {
		t.Errorf("the note is %q", note)
	}
	// A script in a message stays text.
	p.press(`<img src=x onerror="document.title='bad'">`)
	p.press(kb.Enter)
	p.wait(`document.querySelector(".writing")?.textContent.length > 3 || ` + fmt.Sprintf("(%s)", fmt.Sprintf(done, 2)))
	p.press(kb.Escape)
	p.wait(`!document.querySelector(".writing") && !document.getElementById("send").hidden`)
	if title := p.eval(`document.title`); title != "OpenELM" {
		t.Errorf("a message became part of the page: %q", title)
	}
	p.do(chromedp.Click("#clear"))
	p.wait(`document.querySelectorAll(".turn").length === 0`)
}

// TestFailure: a question that got no answer is no part of the conversation, and
// comes back unless the next one is being typed.
func TestFailure(t *testing.T) {
	p := open(t, start(t, ""))
	p.wait(ready)
	p.eval(`(() => {
		window.serverFetch = fetch;
		window.fetch = (path, o) => new Promise((_, fail) => { window.asked = JSON.parse(o.body).messages; window.failNow = () => fail(new Error("no connection")); });
	})()`)
	const answered = `document.querySelectorAll(".wrong").length === %d && !document.querySelector(".writing")`
	p.press("First" + kb.Enter)
	p.wait(`window.failNow`)
	p.do(chromedp.SetValue("#text", "Second"))
	p.eval(`window.failNow()`)
	p.wait(fmt.Sprintf(answered, 1))
	if v := p.eval(`document.getElementById("text").value`); v != "Second" {
		t.Errorf("what was being typed is %q", v)
	}
	p.eval(`window.asked = null`)
	p.press(kb.Enter)
	p.wait(`window.asked`)
	if said := p.eval(`JSON.stringify(window.asked)`); said != `[{"role":"user","content":"Second"}]` {
		t.Errorf("the conversation is %s", said)
	}
	p.eval(`document.getElementById("text").value = ""`) // chromedp's Enter leaves a line feed
	p.eval(`window.failNow()`)
	p.wait(fmt.Sprintf(answered, 2))
	if v := p.eval(`document.getElementById("text").value`); v != "Second" {
		t.Errorf("the question that comes back is %q", v)
	}
	p.eval(`window.fetch = window.serverFetch`)
	p.press(kb.Enter)
	p.wait(fmt.Sprintf(done, 1))
}

// TestSizes: nothing is cut off in narrow and wide windows, in light and dark ones.
// The pictures in docs/img are from here (OPENELM_SCREENSHOTS=folder).
func TestSizes(t *testing.T) {
	p := open(t, start(t, ""))
	p.wait(ready)
	p.press("Tell me a story about a fox." + kb.Enter)
	p.wait(fmt.Sprintf(done, 1))
	p.eval(`document.getElementById("text").value = ""`) // chromedp's Enter leaves a line feed
	colours := map[string]string{}
	for _, scheme := range []string{"light", "dark"} {
		for name, size := range map[string][2]int64{"narrow": {360, 640}, "wide": {1100, 700}} {
			p.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
				chromedp.EmulateViewport(size[0], size[1]))
			if over := p.eval(`document.documentElement.scrollWidth > innerWidth || document.documentElement.scrollHeight > innerHeight`); over != "false" {
				t.Errorf("%s, %s: the page is larger than the window", scheme, name)
			}
			for _, id := range []string{"model", "text", "send", "clear", "temperature"} {
				if in := p.eval(`(r => r.left >= 0 && r.right <= innerWidth && r.top >= 0 && r.bottom <= innerHeight && r.width > 20)(document.getElementById("` + id + `").getBoundingClientRect())`); in != "true" {
					t.Errorf("%s, %s: %s is not in the window", scheme, name, id)
				}
			}
			colours[scheme] = p.eval(`getComputedStyle(document.body).backgroundColor`)
			if dir := os.Getenv("OPENELM_SCREENSHOTS"); dir != "" {
				var picture []byte
				p.do(chromedp.CaptureScreenshot(&picture))
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("page-%s-%s.png", scheme, name)), picture, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if colours["light"] == colours["dark"] {
		t.Errorf("both schemes have the background %s", colours["light"])
	}
}

// TestKey: a server with a key shows the page, which asks for it.
func TestKey(t *testing.T) {
	p := open(t, start(t, "secret"))
	p.wait(`!document.getElementById("keyForm").hidden && document.activeElement.id === "key"`)
	p.press("wrong" + kb.Enter)
	p.wait(`!document.getElementById("keyForm").hidden`)
	p.do(chromedp.SetValue("#key", "secret"), chromedp.Focus("#key"))
	p.press(kb.Enter)
	p.wait(ready)
	p.press("Once" + kb.Enter)
	p.wait(fmt.Sprintf(done, 1))
}
