//go:build linux && amd64

package appkit

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-openelm/go-openelm/internal/testing/gnustep"
)

// patience bounds each wait of these tests; nothing is expected to take long.
const patience = 30 * time.Second

// screen is an X server with a window manager, for nobody to look at.
type screen struct {
	t       *testing.T
	display string
	memory  string // the file that is the screen
}

// start starts a program that is killed at the end of the test.
func start(t *testing.T, c *exec.Cmd) {
	t.Helper()
	c.WaitDelay = time.Second // daemons that it started may keep its pipes
	if err := c.Start(); err != nil {
		t.Fatalf("%v (scripts/install-tools.sh installs what is missing)", err)
	}
	t.Cleanup(func() {
		c.Process.Kill() // AppKit catches what asks politely
		_ = c.Wait()     // or whoever waits already
	})
}

func newScreen(t *testing.T) *screen {
	t.Helper()
	s := &screen{t: t}
	folder := t.TempDir()
	s.memory = filepath.Join(folder, "Xvfb_screen0")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	x := exec.Command("Xvfb", "-displayfd", "3", "-screen", "0", fmt.Sprintf("%dx%dx24", screenWidth, screenHeight), "-fbdir", folder, "-nolisten", "tcp", "-noreset")
	x.ExtraFiles = []*os.File{w}
	start(t, x)
	w.Close()
	number, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("Xvfb: %v", err)
	}
	s.display = ":" + strings.TrimSpace(number)

	// A window that is there before its manager would be moved later.
	managed := filepath.Join(folder, "managed")
	wm := exec.Command("openbox", "--startup", "touch "+managed)
	wm.Env = append(os.Environ(), "DISPLAY="+s.display, "HOME="+folder)
	start(t, wm)
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(managed); err == nil {
			return s
		}
		if time.Now().After(end) {
			t.Fatal("openbox does not start")
		}
	}
}

// do has xdotool move, click and type.
func (s *screen) do(args ...string) {
	s.t.Helper()
	c := exec.Command("xdotool", args...)
	c.Env = append(os.Environ(), "DISPLAY="+s.display)
	if out, err := c.CombinedOutput(); err != nil {
		s.t.Fatalf("xdotool %q: %v\n%s", args, err, out)
	}
}

// nudge moves the mouse a little.
func (s *screen) nudge(i int) {
	s.t.Helper()
	s.do("mousemove_relative", "--", strconv.Itoa(i%2*2-1), "0")
}

// picture is what is on the screen: an X window dump, in which a pixel is four bytes.
func (s *screen) picture() *image.RGBA {
	s.t.Helper()
	dump, err := os.ReadFile(s.memory)
	if err != nil {
		s.t.Fatal(err)
	}
	word := func(i int) int { return int(binary.BigEndian.Uint32(dump[4*i:])) }
	header, line, colors := word(0), word(12), word(19)
	img := image.NewRGBA(image.Rect(0, 0, screenWidth, screenHeight))
	for y := range screenHeight {
		row := dump[header+12*colors+y*line:]
		for x := range screenWidth {
			img.SetRGBA(x, y, color.RGBA{row[4*x+2], row[4*x+1], row[4*x], 255})
		}
	}
	return img
}

// picturesVariable names a folder to write pictures of the screen to, such as those of docs/img.
const picturesVariable = "APPKIT_TEST_PICTURES"

// save writes a part of the screen as a PNG, if somebody wants to see it.
func (s *screen) save(name string, part image.Rectangle) {
	s.t.Helper()
	folder := os.Getenv(picturesVariable)
	if folder == "" {
		return
	}
	f, err := os.Create(filepath.Join(folder, name))
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, s.picture().SubImage(part)); err != nil {
		s.t.Fatal(err)
	}
}

// running is the program in the menubar.
type running struct {
	t      *testing.T
	screen *screen
	cmd    *exec.Cmd
	in     *os.File

	mu     sync.Mutex
	lines  []string // of its output that no test has waited for yet
	all    strings.Builder
	ended  chan struct{}
	status error
}

// output takes a line of the program's output.
func (p *running) output(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, line)
	fmt.Fprintln(&p.all, time.Now().Format("05.000"), line)
}

// run starts the program in a bundle, as services want it.
func run(t *testing.T, s *screen, a *account) *running {
	t.Helper()
	p := &running{t: t, screen: s, ended: make(chan struct{})}
	p.cmd = exec.Command(a.program)
	p.cmd.Args = []string{"OpenELM", "-GSSuppressAppIcon", "YES"}
	p.cmd.Env = append(a.env, "DISPLAY="+s.display, variableProgram+"=menubar")
	in, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr, p.in = in, out, out, w
	start(t, p.cmd)
	in.Close()
	out.Close()
	go func() {
		for lines := bufio.NewScanner(r); lines.Scan(); {
			p.output(lines.Text())
		}
	}()
	go func() {
		p.status = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if text := p.all.String(); t.Failed() {
			t.Log("output of the program:\n" + text)
		} else if strings.Contains(text, "without pool") {
			t.Error("an object was autoreleased without a pool:\n" + text)
		}
	})
	return p
}

// expect waits for a line of output that begins with prefix, and returns the rest of it.
//
// GNUstep's loops that follow the mouse can sleep though the event they wait for has come; another event wakes them.
func (p *running) expect(prefix string) string {
	p.t.Helper()
	ended := false
	for i, end := 1, time.Now().Add(patience); time.Now().Before(end); i++ {
		if rest, ok := p.take(prefix); ok {
			return rest
		}
		if ended {
			p.t.Fatalf("the program ended without a line %q: %v", prefix, p.status)
		}
		select {
		case <-p.ended:
			ended = true
			time.Sleep(time.Second) // its last lines are read
		case <-time.After(10 * time.Millisecond):
		}
		if i%20 == 0 {
			p.screen.nudge(i / 20)
		}
	}
	p.t.Fatalf("no line %q", prefix)
	return ""
}

// take finds a line that begins with prefix among those not yet expected.
func (p *running) take(prefix string) (rest string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, line := range p.lines {
		if rest, ok = strings.CutPrefix(line, prefix); ok {
			p.lines = slices.Delete(p.lines, i, i+1)
			return rest, true
		}
	}
	return "", false
}

// tell tells the program something.
func (p *running) tell(command string) {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.in, command); err != nil {
		p.t.Fatal(err)
	}
}

// ask tells the program something and waits for its answer.
func (p *running) ask(command, prefix string) string {
	p.t.Helper()
	p.tell(command)
	return p.expect(prefix)
}

// eventually asks until the answer is the one.
func (p *running) eventually(command, prefix, want string) {
	p.t.Helper()
	got := ""
	for i, end := 1, time.Now().Add(patience); time.Now().Before(end); i++ {
		if got = p.ask(command, prefix); got == want {
			return
		}
		time.Sleep(20 * time.Millisecond)
		if i%5 == 0 {
			p.screen.nudge(i / 5)
		}
	}
	p.t.Fatalf("%s: %s%s, want %s", command, prefix, got, want)
}

// choose opens the menu with the mouse, moves over items, one below the other, and lets go at the last one.
func (p *running) choose(titles ...string) {
	p.t.Helper()
	p.drag(titles...)
	p.release()
}

// drag presses the mouse on the icon and moves over items.
func (p *running) drag(titles ...string) {
	p.t.Helper()
	p.press()
	for _, title := range titles {
		p.eventually("open "+title, "open ", "true")
		// A menu is on the screen before it is in its place.
		at, before := p.ask("item "+title, "at "), ""
		for at != before {
			time.Sleep(50 * time.Millisecond)
			at, before = p.ask("item "+title, "at "), at
		}
		p.screen.do(append([]string{"mousemove"}, strings.Fields(at)...)...)
	}
	time.Sleep(200 * time.Millisecond) // the program sees where the mouse is
}

// press presses the mouse on the icon, once more if it went unseen, as one may that comes when a window just closed.
func (p *running) press() {
	p.t.Helper()
	for range 10 {
		p.screen.do("mousemove", strconv.Itoa(iconX+iconWidth/2), strconv.Itoa(iconHeight/2), "mousedown", "1")
		for range 20 {
			if p.ask("open Open OpenELM", "open ") == "true" {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		p.screen.do("mouseup", "1")
	}
	p.t.Fatal("the menu does not open")
}

// drop lets go of the menu where none of its items is.
func (p *running) drop() {
	p.t.Helper()
	p.screen.do("mousemove", "20", strconv.Itoa(screenHeight-20))
	p.release()
}

// release lets go of the mouse's button and waits for the menu to close.
func (p *running) release() {
	p.t.Helper()
	p.screen.do("mouseup", "1")
	p.eventually("open Open OpenELM", "open ", "false")
}

// account is a person's home, with the program in a bundle.
type account struct {
	program string
	env     []string
}

func newAccount(t *testing.T) *account {
	t.Helper()
	library, err := gnustep.Build("testdata/system.c")
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	env, err := gnustep.Environ(home)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { gnustep.EndDaemons(home) })
	bundle := filepath.Join(home, "Applications", "OpenELM.app")
	if err := os.MkdirAll(bundle, 0o777); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	a := &account{program: filepath.Join(bundle, "OpenELM"), env: append(env, variableLibrary+"="+library, "XDG_CONFIG_HOME="+home)}
	if err := os.Symlink(self, a.program); err != nil {
		t.Fatal(err)
	}
	return a
}

// whole is the screen.
var whole = image.Rect(0, 0, screenWidth, screenHeight)

// The icon and its menu, the page and its keys, with the mouse and the keyboard.
func TestMenuAndPage(t *testing.T) {
	s := newScreen(t)
	p := run(t, s, newAccount(t))
	p.expect("status item of length -1")
	p.ask("copy some text", "copied")
	p.choose("Open OpenELM")
	p.expect("page kept nowhere true")
	p.expect("page loaded")
	p.eventually("page", "page ", "visible true key true")
	s.save("menubar-gnustep-page.png", image.Rect(iconX+iconWidth-pageWidth-10, 0, iconX+iconWidth+30, 200))

	// The keys of the menu Edit work on it.
	p.insist(func() {
		p.click()
		s.do("key", "alt+a")
		s.do("type", "--delay", "20", "typed on the page")
	}, "text", "text ", `"typed on the page"`)
	p.insist(func() { s.do("key", "alt+a", "key", "alt+c") }, "clipboard", "clipboard ", `"typed on the page"`)

	// Escape closes it, and it is the same page that opens again.
	p.closePage()
	p.choose("Open OpenELM")
	p.eventually("page", "page ", "visible true key true")
	if text := p.ask("text", "text "); text != `"typed on the page"` {
		t.Errorf("the page was loaded again: %s", text)
	}
	p.closePage()

	// It stays where it is: a link elsewhere is the browser's, and one that is no web page nobody's.
	p.tell("go https://example.org/a?b=c")
	p.expect("browser https://example.org/a?b=c")
	p.expect("page refused https://example.org/a?b=c")
	p.tell("window http://example.org/")
	p.expect("browser http://example.org/")
	p.tell("go file:///etc/passwd")
	p.expect("page refused file:///etc/passwd")
	if address, ok := p.take("browser "); ok {
		t.Errorf("the browser shows %s", address)
	}
	// A page that was lost is loaded again.
	p.tell("crash")
	p.expect("page loaded")
	p.tell("fail")
	p.tell("show")
	p.expect("page loaded")
	p.closePage()

	// What an assistant's goroutines tell arrives on the main thread, and on the menu.
	p.ask("progress", "progress told, main thread true")
	p.menuHas(`"OpenELM-270M-Instruct · 543 MB · downloading OpenELM-3B 50%", enabled false, state 0`)
	p.drag("Clipboard")
	s.save("menubar-gnustep-menu.png", image.Rect(iconX-210, 0, screenWidth-60, 280))
	p.drop()
	p.tell("ready")
	p.menuHas(`"OpenELM-270M-Instruct · 543 MB", enabled false, state 0`)

	// An action replaces the text on the clipboard, and that can be undone.
	p.ask("copy a text, größer 🙂", "copied")
	p.choose("Clipboard", "Rewrite")
	p.expect(`do rewrite "a text, größer 🙂"`)
	p.eventually("clipboard", "clipboard ", `"A TEXT, GRÖßER 🙂"`)
	p.menuHas(`"OpenELM-270M-Instruct · 543 MB · 61 tokens/s", enabled false, state 0`)
	p.choose("Clipboard", "Put the Old Text Back")
	p.eventually("clipboard", "clipboard ", `"a text, größer 🙂"`)
	p.menuHas(`"Put the Old Text Back", enabled false, state 0`)
	// Without text there is nothing to do.
	p.ask("copy   ", "copied")
	p.choose("Clipboard", "Summarise")
	p.alert("nothing.png")
	p.ask("picture", "copied")
	p.menuHas(`"Summarise", enabled false, state 0`)
	// Something copied meanwhile is not replaced: the answer comes on the page.
	p.ask("copy slow", "copied")
	p.choose("Clipboard", "Explain")
	p.expect(`do explain "slow"`)
	p.ask("copy another text", "copied")
	p.tell("answer")
	p.expect(`offer "SLOW"`)
	p.eventually("page", "page ", "visible true key true")
	if text := p.ask("clipboard", "clipboard "); text != `"another text"` {
		t.Errorf("the clipboard has %s", text)
	}
	// A refusal is told, and the text stays.
	p.ask("copy refuse", "copied")
	p.choose("Clipboard", "Shorten")
	p.expect("do shorten")
	p.alert("refused.png")
	if text := p.ask("clipboard", "clipboard "); text != `"refuse"` {
		t.Errorf("the clipboard has %s", text)
	}

	p.choose("Unload Now")
	p.expect("unload")
	p.menuHas(`"Unload Now", enabled false, state 0`)

	// To quit during an answer ends the answer, and the program.
	p.ask("copy wait", "copied")
	p.choose("Clipboard", "Summarise")
	p.expect(`do summarise "wait"`)
	p.drag("Quit OpenELM")
	s.do("mouseup", "1")
	p.expect("closing, bounded true")
	p.expect("do ended")
	p.expect("closed")
	p.returned()
}

// What stays off unless it is asked for, and what the system tells.
func TestSettingsAndSystem(t *testing.T) {
	s := newScreen(t)
	p := run(t, s, newAccount(t))
	p.expect("icon visible true") // whatever AppKit remembers
	p.expect("status item of length -1")
	p.menuHas(`"Start at Login", enabled true, state 0`)
	p.menuHas(`"Global Key ⌃⌥Space", enabled true, state 0`)
	if r := p.ask("press", "pressed "); r != "-1" {
		t.Errorf("the key is there though it was not asked for: %s", r)
	}

	p.choose("Start at Login")
	p.expect("settings login true")
	p.menuHas(`"Start at Login", enabled true, state 1`)
	if p.ask("login", "login ") != "true <nil>" {
		t.Error("the system does not start it")
	}

	// The key opens the page with the clipboard; that another program has it is told.
	p.ask("take 1", "taken")
	p.choose("Global Key ⌃⌥Space")
	p.alert("taken.png")
	p.choose("Global Key ⌃⌥Space")
	p.ask("take 0", "taken")
	p.choose("Global Key ⌃⌥Space")
	p.menuHas(`"Global Key ⌃⌥Space", enabled true, state 1`)
	p.ask("copy from another program", "copied")
	p.tell("press")
	p.expect(`offer "from another program"`)
	p.expect("pressed 0")
	p.eventually("page", "page ", "visible true key true")
	p.closePage()
	p.choose("Global Key ⌃⌥Space")
	if r := p.ask("press", "pressed "); r != "-1" {
		t.Errorf("the key is there though it was given back: %s", r)
	}

	// A hidden icon comes back when the program is started again, which the system or the other process tells.
	for _, again := range []string{"reopen", "show"} {
		p.choose("Hide Icon")
		p.alert("hide.png")
		p.expect("icon visible false")
		p.tell(again)
		p.expect("icon visible true")
		p.eventually("page", "page ", "visible true key true")
		p.closePage()
		p.choose("Hide Icon") // no longer
		p.menuHas(`"Hide Icon", enabled true, state 0`)
	}

	p.tell("pressure 2")
	p.expect("pressure critical false")
	p.tell("pressure 4")
	p.expect("pressure critical true")

	// The system ends the program: it waits for the assistant.
	p.tell("terminate")
	p.expect("closing, bounded true")
	p.expect("closed")
	p.end()
}

// Show before Run opens the page when there is an application; the end of the context ends the program.
func TestShowFirstAndContext(t *testing.T) {
	s := newScreen(t)
	a := newAccount(t)
	a.env = append(a.env, "APPKIT_TEST_SHOW=1")
	p := run(t, s, a)
	p.expect("page loaded")
	p.eventually("page", "page ", "visible true key true")
	p.ask("copy refuse", "copied")
	p.choose("Clipboard", "Fix Spelling and Grammar")
	p.eventually("modal", "modal ", "true") // which waits for an answer that does not come
	p.tell("cancel")
	p.expect("closing, bounded true")
	p.expect("closed")
	p.returned()
}

// Another process has its selection rewritten.
func TestServices(t *testing.T) {
	s := newScreen(t)
	a := newAccount(t)
	services, err := os.ReadFile("testdata/Info-gnustep.plist")
	if err != nil {
		t.Fatal(err)
	}
	resources := filepath.Join(filepath.Dir(a.program), "Resources")
	if err := os.Mkdir(resources, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(resources, "Info-gnustep.plist"), services, 0o666); err != nil {
		t.Fatal(err)
	}
	found := exec.Command("make_services")
	found.Env = a.env
	if out, err := found.CombinedOutput(); err != nil {
		t.Fatalf("make_services: %v\n%s", err, out)
	}
	p := run(t, s, a)
	p.expect("status item of length -1")
	p.ask("menu", "menu ")

	for in, want := range map[string]string{
		"a selection": `service left "A SELECTION", problem ""`,
		"a\x00b":      `service left "A\x00B", problem ""`,
		"refuse":      `service left "refuse", problem "The text is too long for the model."`,
		" ":           `service left " ", problem "The selection has no text."`,
	} {
		p.tell("service " + strconv.Quote(in))
		if got := "service " + p.expect("service "); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}

	if got := p.ask("megabyte", "megabyte "); got != "true" {
		t.Error("a selection of a megabyte does not come back")
	}

	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	other := exec.Command(self, "Rewrite with OpenELM", "naïve café 🙂", "Summarise with OpenELM", "שלום")
	other.Args[0] = "Editor"
	other.Env = append(a.env, "DISPLAY="+s.display, variableProgram+"=client")
	answer, err := os.Create(filepath.Join(t.TempDir(), "answer"))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Close()
	other.Stdout, other.Stderr = answer, answer
	start(t, other)
	p.expect(`do rewrite "naïve café 🙂"`)
	p.expect("do summarise")
	_ = other.Wait()
	text, err := os.ReadFile(answer.Name())
	if err != nil {
		t.Fatal(err)
	}
	want := "Rewrite with OpenELM: true \"NAÏVE CAFÉ 🙂\"\nSummarise with OpenELM: true \"שלום\"\n"
	if string(text) != want {
		t.Errorf("the other program has\n%s\nwant\n%s", text, want)
	}
}

// menuHas waits for an item of the menu.
func (p *running) menuHas(item string) {
	p.t.Helper()
	got := ""
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if got = p.ask("menu", "menu "); strings.Contains(got, "["+item+"]") {
			return
		}
	}
	p.t.Errorf("no item %s in %s", item, got)
}

// click clicks the page, so that the keys are its own: an X server's window manager may see it otherwise.
func (p *running) click() {
	p.t.Helper()
	p.screen.do(append(append([]string{"mousemove"}, strings.Fields(p.ask("where", "at "))...), "click", "1")...)
}

// insist does something until the answer is the one: a window manager gives a window that just opened the keys when it
// likes, and what is pressed before goes unseen.
func (p *running) insist(do func(), command, prefix, want string) {
	p.t.Helper()
	for range 10 {
		do()
		for range 20 {
			if p.ask(command, prefix) == want {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	p.t.Fatalf("%s is never %s%s", command, prefix, want)
}

// closePage closes the page with Escape.
func (p *running) closePage() {
	p.t.Helper()
	p.insist(func() {
		p.click()
		p.screen.do("key", "Escape")
	}, "page", "page ", "visible false key false")
}

// alert waits for an alert, and answers it with the keyboard.
func (p *running) alert(picture string) {
	p.t.Helper()
	p.eventually("modal", "modal ", "true")
	p.screen.save(picture, whole)
	p.insist(func() { p.screen.do("key", "Return") }, "modal", "modal ", "false")
}

// returned waits for the program to end as it wants to.
//
// GNUstep's loop, too, can sleep though the last event has come; the mouse over a window of the program's wakes it.
func (p *running) returned() {
	p.t.Helper()
	p.screen.do("mousemove", strconv.Itoa(iconX+iconWidth/2), strconv.Itoa(iconHeight/2))
	p.expect("run returned <nil>")
	p.end()
}

// end waits for the program to end, which it does well.
func (p *running) end() {
	p.t.Helper()
	select {
	case <-p.ended:
		if p.status != nil {
			p.t.Error(p.status)
		}
	case <-time.After(patience):
		p.t.Error("the program does not end")
	}
}
