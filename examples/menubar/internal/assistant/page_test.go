package assistant_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
	"github.com/go-openelm/go-openelm/internal/testing/hubtest"
)

const (
	ready    = `!document.getElementById("rewrite").disabled`
	answered = `!document.getElementById("answerCard").hidden && document.getElementById("stop").hidden`
	closed   = `document.getElementById("answerCard").hidden`
)

// text is what is in the text field.
func (p *page) text() string { p.Helper(); return p.eval(`document.getElementById("text").value`) }

func (p *page) setText(text string) {
	p.Helper()
	p.eval(fmt.Sprintf(`(() => { const t = document.getElementById("text"); t.value = %q; t.focus(); t.setSelectionRange(0, 0); })()`, text))
}

func (p *page) content(id string) string {
	p.Helper()
	return p.eval(fmt.Sprintf(`document.getElementById(%q).textContent`, id))
}

// stopSoon stops the next answer as soon as something of it came, as one who reads
// along does.
func (p *page) stopSoon() {
	p.Helper()
	p.eval(`new MutationObserver((_, o) => {
		if (document.getElementById("answer").textContent.length < 10 || document.getElementById("stop").hidden) return;
		o.disconnect();
		window.disabled = document.getElementById("rewrite").disabled;
		document.getElementById("stop").focus();
		document.getElementById("stop").click();
	}).observe(document.getElementById("answer"), { childList: true })`)
}

// TestActions: each action by its key, and what is done with an answer, by keyboard
// alone.
func TestActions(t *testing.T) {
	a := start(t, options(t, fakeHub(t)))
	choose(t, a, tiny)
	p := open(t, a.Page())
	p.wait(ready)
	if focus := p.eval(`document.activeElement.id`); focus != "text" {
		t.Fatalf("the focus is at %q", focus)
	}
	if hash := p.eval(`location.hash`); hash != "" {
		t.Errorf("the ticket stays in the address: %s", hash)
	}
	p.press("The fox went home")
	const text = "The fox went home"
	for _, c := range []struct{ key, title string }{
		{"r", "Rewritten"}, {"s", "Shorter"}, {"f", "Corrected"}, {"l", "Friendlier"},
		{"u", "Summary"}, {"e", "Explained"}, {"c", "Continued"},
	} {
		if strings.Contains("uec", c.key) { // long ones
			p.stopSoon()
		}
		p.shortcut(input.ModifierAlt, c.key)
		p.wait(`document.getElementById("answerTitle").textContent === "` + c.title + `"`)
		p.wait(answered)
		if said := p.content("announce"); !strings.Contains(said, "words") && !strings.Contains(said, "nothing") {
			t.Errorf("%s is announced as %q", c.title, said)
		}
		if p.text() != text {
			t.Errorf("%s changed the text to %q", c.title, p.text())
		}
	}
	answer := p.content("answer")
	p.shortcut(input.ModifierAlt, "Enter")
	p.wait(closed)
	p.wait(`document.activeElement.id === "text"`)
	if got := p.text(); !strings.HasPrefix(got, text) || !strings.HasSuffix(got, answer) {
		t.Errorf("replaced by %q, of %q", got, answer)
	}
	if focus := p.eval(`document.activeElement.id`); focus != "text" {
		t.Errorf("then the focus is at %q", focus)
	}
	replaced := p.text()
	p.do(chromedp.SendKeys("#text", " and more", chromedp.ByID)) // is not lost
	edited := p.text()
	if edited == replaced {
		t.Error("nothing was typed")
	}
	for _, c := range []struct{ key, want string }{{"z", text}, {"z", text}, {"y", edited}, {"y", edited}, {"z", text}} {
		p.shortcut(input.ModifierAlt, c.key)
		if p.text() != c.want {
			t.Errorf("%s makes it %q, want %q", c.key, p.text(), c.want)
		}
	}
	p.stopSoon()
	p.shortcut(input.ModifierCtrl, "Enter")
	p.wait(`document.getElementById("answerTitle").textContent === "Answer"`)
	p.wait(answered)
	p.press(kb.Escape)
	p.wait(closed)

	// A part that is selected is all that is worked on.
	p.eval(`document.getElementById("text").setSelectionRange(4, 7)`)
	p.shortcut(input.ModifierAlt, "f")
	p.wait(answered)
	answer = p.eval(`(document.getElementById("changes").click(), document.getElementById("answer").textContent)`)
	p.shortcut(input.ModifierAlt, "Enter")
	p.wait(closed)
	if want := "The " + answer + " went home"; p.text() != want {
		t.Errorf("a part was replaced: %q, want %q", p.text(), want)
	}

	// From the text Escape goes to the actions, which arrows and letters are for.
	p.press(kb.Escape)
	p.press(kb.ArrowRight)
	p.press(kb.ArrowDown)
	if focus := p.eval(`document.activeElement.id`); focus != "continue" && focus != "explain" {
		t.Errorf("the arrows lead to %q", focus)
	}
	p.press("f")
	p.wait(answered)
	if title := p.content("answerTitle"); title != "Corrected" {
		t.Errorf("a letter alone: %q", title)
	}
	// Whoever tabs on comes to everything that is there, and the toolbar is one stop.
	var stops []string
	p.do(chromedp.Focus("#text"))
	for range 12 {
		p.press(kb.Tab)
		id := p.eval(`document.activeElement.id`)
		stops = append(stops, id)
		if hidden := p.eval(`getComputedStyle(document.activeElement).outlineStyle`); hidden == "none" && id != "" && id != "text" {
			t.Errorf("who is at %s does not see it", id)
		}
	}
	if got := strings.Join(stops, " "); !strings.Contains(got, "changes dismiss answer replace copy again undo") {
		t.Errorf("the Tab key leads to %s", got)
	}
}

// TestAtOnce: a key works as soon as an answer is shown to be complete.
func TestAtOnce(t *testing.T) {
	p := open(t, start(t, options(t, nil)).Page())
	p.wait(ready)
	p.press("The fox")
	p.eval(`new MutationObserver((_, o) => {
		if (!document.getElementById("stop").hidden) return;
		o.disconnect();
		document.dispatchEvent(new KeyboardEvent("keydown", { key: "s", code: "KeyS", altKey: true }));
	}).observe(document.getElementById("stop"), { attributes: true })`)
	p.shortcut(input.ModifierAlt, "f")
	p.wait(`document.getElementById("answerTitle").textContent === "Shorter"`)
	p.wait(answered)
	p.wait(ready)
	if p.text() != "The fox" {
		t.Errorf("the text is %q", p.text())
	}
}

// TestStop: an answer is shown as it comes, and what came before it was stopped may
// be used.
func TestStop(t *testing.T) {
	a := start(t, options(t, nil))
	p := open(t, a.Page())
	p.wait(ready)
	p.press("Once upon a time")
	p.stopSoon()
	changed := make(chan desktop.State, 100)
	defer a.Watch(func(s desktop.State) { changed <- s })()
	p.do(chromedp.Click("#continue"))
	p.wait(answered)
	if n := p.content("answerNotice"); !strings.Contains(n, "stopped") {
		t.Errorf("the notice is %q", n)
	}
	if focus := p.eval(`document.activeElement.id`); focus != "replace" {
		t.Errorf("the focus was at the button that went, and is at %q", focus)
	}
	if p.eval(`disabled`) != "true" {
		t.Error("a second question may be asked meanwhile")
	}
	p.wait(`document.getElementById("note").textContent.startsWith("Ready")`)
	for s := range changed {
		if s.Status == desktop.Answering {
			break
		}
	}
	p.eval(`Object.defineProperty(navigator, "clipboard", { value: { writeText: (t) => { window.copied = t; return Promise.resolve(); } } })`)
	p.shortcut(input.ModifierAlt, "k")
	p.wait(`window.copied === document.getElementById("answer").textContent && document.getElementById("announce").textContent === "Copied."`)
	// Where a page may not write to the clipboard, it copies as people do.
	p.eval(`(() => {
		navigator.clipboard.writeText = () => Promise.reject(new Error("no"));
		document.addEventListener("copy", () => { window.selected = getSelection().toString(); });
	})()`)
	p.do(chromedp.Click("#copy"))
	p.wait(`window.selected.trim() === window.copied`)
	p.do(chromedp.Click("#replace"))
	if got := p.text(); len(got) < 25 || !strings.HasPrefix(got, "Once upon a time") {
		t.Errorf("replaced by %q", got)
	}
	// A script in a text, or in an answer, stays text.
	p.setText(`<img src=x onerror="document.title='bad'">`)
	p.shortcut(input.ModifierAlt, "c")
	p.wait(answered)
	if title := p.eval(`document.title`); title != "OpenELM" {
		t.Errorf("a text became part of the page: %q", title)
	}
}

// TestErrors: what goes wrong is said in the page, and nothing is lost by it.
func TestErrors(t *testing.T) {
	o := options(t, fakeHub(t))
	a := start(t, o)
	choose(t, a, tiny)
	address := a.Page()
	p := open(t, address)
	p.forgiven = "Failed to load resource"
	p.wait(ready)
	p.shortcut(input.ModifierAlt, "r")
	p.wait(answered)
	if s := p.content("answer"); !strings.Contains(s, "no text yet") {
		t.Errorf("without a text: %q", s)
	}
	if err := a.Change(func(s *desktop.Settings) { s.Adapter = t.TempDir() }); err != nil {
		t.Fatal(err)
	}
	p.setText("Some text.")
	p.shortcut(input.ModifierAlt, "r")
	p.wait(`document.getElementById("answer").textContent.includes("cannot be used")`)
	p.wait(answered)
	p.accessible("an error")

	// A program that is quit is told, and the text stays.
	quit(t, a)
	p.wait(`!document.getElementById("lost").hidden`)
	if p.text() != "Some text." || p.eval(`document.getElementById("rewrite").disabled`) != "true" {
		t.Errorf("after a quit: %q", p.text())
	}
	p.accessible("after a quit")
}

// TestUsedTicket: an address that was used before opens nothing.
func TestUsedTicket(t *testing.T) {
	a := start(t, options(t, nil))
	address := a.Page()
	base, ticket, _ := strings.Cut(address, "#ticket=")
	c := &client{TB: t, http: http.DefaultClient, base: base}
	if status := c.post("session", object{"ticket": ticket}, nil); status != http.StatusOK {
		t.Fatal(status)
	}
	p := open(t, address)
	p.forgiven = "401"
	p.wait(`document.getElementById("lostText").textContent.includes("used before")`)
	if p.eval(`document.getElementById("rewrite").disabled`) != "true" {
		t.Error("a page with a used ticket works")
	}
}

// TestChooseModel: from no model to one that answers, with a pause in between.
func TestChooseModel(t *testing.T) {
	h := fakeHub(t)
	a := start(t, options(t, h))
	p := open(t, a.Page())
	p.wait(ready)
	if s := p.content("noModel"); !strings.Contains(s, "No model yet") || p.eval(`document.getElementById("noModel").hidden`) != "false" {
		t.Errorf("without a model: %q", s)
	}
	p.press("Once" + kb.Escape)
	p.press("f")
	p.wait(answered)
	if s := p.content("answerNotice"); !strings.Contains(s, "story model") {
		t.Errorf("the story model says of itself %q", s)
	}
	p.press(kb.Escape)
	h.Set(hubtest.Knobs{Stall: 4 << 20})
	p.do(chromedp.Click("#choose"))
	p.wait(`document.querySelectorAll("#modelList button").length === 5`)
	p.accessible("the models")
	p.do(chromedp.Click(`#modelList button[data-name="` + tiny + `"]`))
	p.wait(`!document.getElementById("download").hidden && document.getElementById("downloadBar").value > 0.3`)
	p.wait(`/\d of \d/.test(document.getElementById("downloadText").textContent) || document.getElementById("downloadText").textContent.includes("MB of 9 MB")`)
	p.accessible("a download")
	p.picture("menubar-download")
	p.do(chromedp.Focus("#pause"))
	p.press(kb.Enter)
	p.wait(`document.activeElement.id === "resume" && document.getElementById("downloadText").textContent.startsWith("Paused")`)
	h.Set(hubtest.Knobs{})
	p.press(kb.Enter)
	p.wait(`document.getElementById("download").hidden && document.getElementById("modelName").textContent === "270M Instruct"`)
	p.setText("She dont know.")
	p.shortcut(input.ModifierAlt, "f")
	p.wait(answered)
	if s := p.content("answerNotice"); strings.Contains(s, "story") {
		t.Errorf("the model that was chosen says %q", s)
	}
	// Other names are taken, too, and errors told.
	p.do(chromedp.Click("#showModels"))
	p.wait(`document.querySelector("#modelList [aria-current=true]")?.textContent.includes("270M")`)
	p.do(chromedp.SetValue("#otherName", "/no/such/folder"), chromedp.Focus("#otherName"))
	p.press(kb.Enter)
	p.wait(`!document.getElementById("problem").hidden && document.getElementById("problemText").textContent.includes("/no/such/folder")`)
	// Temperature.
	p.do(chromedp.Click("#showModels"), chromedp.Focus("#temperature"))
	p.press(kb.ArrowRight)
	p.wait(`document.getElementById("temperatureValue").textContent === "0.8"`)
	if s := a.Settings(); s.Temperature == nil || *s.Temperature != 0.8 {
		t.Errorf("%+v", s)
	}
	p.do(chromedp.Click("#ownTemperature"))
	p.wait(`document.getElementById("temperatureValue").textContent === "–"`)
}

// TestLongTextOnPage: the page says what would be left out, and does so when told to.
func TestLongTextOnPage(t *testing.T) {
	a := start(t, options(t, nil))
	p := open(t, a.Page())
	p.wait(ready)
	p.eval(`document.getElementById("text").value = "The little fox went home. Mia was happy! ".repeat(1500)`)
	p.shortcut(input.ModifierAlt, "u")
	p.wait(answered)
	if s := p.content("answer"); !strings.Contains(s, "tokens") || !strings.Contains(s, "beginning") || !strings.Contains(s, "leave out") {
		t.Errorf("a long text: %q", s)
	}
	p.accessible("a long text")
	p.do(chromedp.Click("#useBeginning"))
	p.wait(`document.getElementById("answerNotice").textContent.includes("Only")`)
}

// TestHistory: what was done today is kept if the person wants that, comes back, and
// is forgotten.
func TestHistory(t *testing.T) {
	o := options(t, nil)
	o.Abilities = desktop.Abilities{HideIcon: true, GlobalKey: "⌃⌥Space"}
	a := start(t, o)
	p := open(t, a.Page())
	p.wait(ready)
	p.do(chromedp.Click("#showSettings"))
	if got := p.eval(`["start_at_login", "hide_icon", "global_key"].map((id) => document.getElementById(id).getBoundingClientRect().width > 0)`); got != "false,true,true" {
		t.Errorf("of what the desktop obeys, and what not, there are %s", got)
	}
	p.accessible("the settings")
	p.do(chromedp.Click("#keep_history"))
	p.wait(`!document.getElementById("showHistory").hidden`)
	p.do(chromedp.Click("#keep_loaded"))
	p.wait(`document.getElementById("idleField").hidden`)
	if s := a.Settings(); !s.KeepHistory || !s.KeepLoaded {
		t.Errorf("%+v", s)
	}
	p.press(kb.Escape)
	p.setText("Once upon a time")
	p.shortcut(input.ModifierAlt, "f")
	p.wait(answered)
	answer := p.content("answer")
	p.do(chromedp.Click("#dismiss"))
	p.setText("Something else")
	p.do(chromedp.Click("#showHistory"))
	p.wait(`document.querySelectorAll("#historyList button").length === 1`)
	p.accessible("the history")
	p.do(chromedp.Click("#historyList button"))
	p.wait(answered)
	if p.text() != "Once upon a time" || p.content("answer") != answer {
		t.Errorf("what comes back is %q with %q", p.text(), p.content("answer"))
	}
	p.shortcut(input.ModifierAlt, "z")
	if p.text() != "Something else" {
		t.Errorf("what was there is %q", p.text())
	}
	p.do(chromedp.Click("#showHistory"), chromedp.Click("#forget"))
	p.wait(`!document.getElementById("history").open`)
	p.do(chromedp.Click("#showHistory"))
	p.wait(`document.getElementById("historyList").textContent === "Nothing yet."`)
}

// TestKeysOfAMac: there Option alone writes characters, such as a German keyboard's @,
// and the keys of the page have Command, too.
func TestKeysOfAMac(t *testing.T) {
	p := open(t, start(t, options(t, nil)).Page())
	p.wait(ready)
	agent := p.eval(`navigator.userAgent`)
	t.Cleanup(func() { p.do(emulation.SetUserAgentOverride(agent)) })
	p.do(emulation.SetUserAgentOverride(agent).WithPlatform("MacIntel"), chromedp.Reload())
	p.wait(ready + ` && document.getElementById("rewrite").title === "Rewrite (⌥⌘R)"`)
	if keys := p.eval(`document.getElementById("copy").getAttribute("aria-keyshortcuts")`); keys != "Alt+Meta+K" {
		t.Errorf("a screen reader says %s", keys)
	}
	p.press("The fox")
	p.eval(`(addEventListener("keydown", (e) => { window.prevented = e.defaultPrevented; }), 0)`)
	p.do(input.DispatchKeyEvent(input.KeyRawDown).WithModifiers(input.ModifierAlt).WithKey("@").WithCode("KeyL"))
	if p.eval(`window.prevented`) != "false" || p.eval(`document.getElementById("answerCard").hidden`) != "true" {
		t.Error("Option alone is a key of the page")
	}
	const both = input.ModifierAlt | input.ModifierMeta
	p.do(input.DispatchKeyEvent(input.KeyRawDown).WithModifiers(both).WithKey("@").WithCode("KeyL"))
	p.wait(`document.getElementById("answerTitle").textContent === "Friendlier"`)
	p.wait(answered)
	p.shortcut(both, "Enter") // replaces, and asks nothing
	p.wait(closed)
}

// TestReplaceInAChangedText: what was written since the question stays.
func TestReplaceInAChangedText(t *testing.T) {
	p := open(t, start(t, options(t, nil)).Page())
	p.wait(ready)
	for _, c := range []struct {
		from, to      int
		edited        string
		before, after string // the answer
	}{
		{4, 7, "So the red fox ran", "So the red ", " ran"}, // moved
		{4, 7, "The dog ran", "", "The dog ran"},            // gone: at the cursor
		{0, 7, "The fox and a dog", "", " and a dog"},       // all of it, and more since
		{0, 7, "A dog", "", ""},                             // all of it, written anew
	} {
		p.eval(fmt.Sprintf(`(document.getElementById("text").value = "The fox", document.getElementById("text").setSelectionRange(%d, %d), 0)`, c.from, c.to))
		p.do(chromedp.Click("#fix"))
		p.wait(answered)
		result := p.content("answer")
		p.eval(fmt.Sprintf(`(document.getElementById("text").value = %q, document.getElementById("text").setSelectionRange(0, 0), 0)`, c.edited))
		p.do(chromedp.Click("#replace"))
		p.wait(closed)
		if want := c.before + result + c.after; p.text() != want {
			t.Errorf("%+v: %q, want %q", c, p.text(), want)
		}
	}
}

// TestOffer: a text of another program is the text at hand, on a page that is open
// and on one that is opened, and the one before is not lost.
func TestOffer(t *testing.T) {
	a := start(t, options(t, nil))
	a.Offer("before there was a page")
	p := open(t, a.Page())
	p.wait(ready + ` && document.getElementById("text").value === "before there was a page"`)
	a.Offer("مرحبا بالعالم")
	p.wait(`document.getElementById("text").value === "مرحبا بالعالم"`)
	if dir := p.eval(`getComputedStyle(document.getElementById("text")).direction`); dir != "rtl" {
		t.Errorf("the text runs %s", dir)
	}
	p.shortcut(input.ModifierAlt, "z")
	if p.text() != "before there was a page" {
		t.Errorf("undone to %q", p.text())
	}
	// A page that is out of sight is told nothing, and of everything when it is back.
	p.eval(`(() => {
		Object.defineProperty(document, "hidden", { get: () => window.away, configurable: true });
		window.away = true;
		document.dispatchEvent(new Event("visibilitychange"));
	})()`)
	a.Offer("while it was away")
	if err := a.Change(func(s *desktop.Settings) { s.KeepHistory = true }); err != nil {
		t.Fatal(err)
	}
	if p.eval(`document.getElementById("showHistory").hidden`) != "true" || p.text() != "before there was a page" {
		t.Error("a page out of sight is told of changes")
	}
	p.eval(`(window.away = false, document.dispatchEvent(new Event("visibilitychange")))`)
	p.wait(`!document.getElementById("showHistory").hidden && document.getElementById("text").value === "while it was away"`)
	p.do(chromedp.Reload())
	p.wait(ready)
	if p.text() != "" {
		t.Errorf("a page that is loaded again is offered %q", p.text())
	}
}

// TestChanges: what was changed spells both texts, whatever they are.
func TestChanges(t *testing.T) {
	a := start(t, options(t, nil))
	p := open(t, a.Page())
	p.wait(ready)
	p.do(chromedp.Evaluate(`import("./words.js").then((m) => { window.differences = m.differences; })`, nil))
	p.wait(`window.differences`)
	if got := p.eval(`differences("She dont know were it is.", "She doesn't know where it is.").map((d) => d.kind[0] + ":" + d.text).join("|")`); got !=
		"s:She |r:dont|a:doesn't|s: know |r:were|a:where|s: it is." {
		t.Errorf("the changes are %s", got)
	}
	if got := p.eval(`(() => {
		let seed = 1;
		const next = (n) => (seed = (seed * 48271) % 2147483647) % n;
		const words = ["a", "b", "  ", "\n", "fox", "Fox", ".", ", ", "é", "👩‍👩‍👧", "שלום", "你好"];
		const text = () => Array.from({ length: next(30) }, () => words[next(words.length)]).join(next(2) ? " " : "");
		for (let i = 0; i < 500; i++) {
			const before = text(), after = next(3) ? text() : before + text();
			const d = differences(before, after);
			const spell = (kind) => d.filter((x) => x.kind === "same" || x.kind === kind).map((x) => x.text).join("");
			if (spell("removed") !== before || spell("added") !== after || d.some((x, i) => !x.text || d[i + 1]?.kind === x.kind)) return JSON.stringify([before, after, d]);
		}
		const long = differences("word ".repeat(5000), "other ".repeat(5000) + "end");
		return long.length > 0 ? "ok" : "nothing";
	})()`); got != "ok" {
		t.Errorf("not what was changed: %s", got)
	}
}

// canned answers what the page asks next as a model might: the models at hand in
// tests write nonsense, which nobody wants to see in a picture.
func (p *page) canned(answer string, edits bool) {
	p.Helper()
	p.eval(fmt.Sprintf(`(() => {
		const fetched = window.fetch;
		window.fetch = (path, o) => {
			if (path !== "answer") return fetched(path, o);
			window.fetch = fetched;
			const answer = %q;
			const lines = answer.match(/\S+\s*/g).map((piece) => ({ piece })).concat({ done: { answer, result: answer, edits: %v, tokens: 40 } });
			return Promise.resolve(new Response(lines.map((l) => JSON.stringify(l) + "\n").join("")));
		};
	})()`, answer, edits))
}

// TestLook: nothing is cut off in a popover, a narrow window and a wide one, light and
// dark, and axe-core finds nothing serious. The pictures in docs/img are from here
// (OPENELM_SCREENSHOTS=folder).
func TestLook(t *testing.T) {
	a := start(t, options(t, fakeHub(t)))
	choose(t, a, tiny)
	p := open(t, a.Page())
	p.wait(ready)
	p.setText("Hi Tom, I has looked at the report and their is two numbers what look wrong to me. Can you checks them until friday? Thanks you, Mia")
	p.canned("Hi Tom, I have looked at the report and there are two numbers that look wrong to me. Can you check them by Friday? Thank you, Mia", true)
	p.shortcut(input.ModifierAlt, "f")
	p.wait(answered + ` && document.querySelectorAll("#answer ins").length > 3 && document.querySelectorAll("#answer del").length > 3`)
	if s := p.content("answer"); !strings.Contains(s, "removed: has") || !strings.Contains(s, "added: have") {
		t.Errorf("a screen reader is told %q", s)
	}
	colours := map[string]bool{}
	sizes := map[string][2]int64{"popover": {400, 560}, "narrow": {320, 480}, "wide": {1000, 640}}
	for _, scheme := range []string{"light", "dark"} {
		for name, size := range sizes {
			p.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
			}), chromedp.EmulateViewport(size[0], size[1]))
			p.inWindow(scheme + ", " + name)
			p.accessible(scheme + ", " + name)
			if name == "popover" || name+scheme == "widelight" {
				p.picture("menubar-" + name + "-" + scheme)
			}
			colours[p.eval(`getComputedStyle(document.body).backgroundColor`)] = true
		}
	}
	if len(colours) != 2 {
		t.Errorf("light and dark have the backgrounds %v", colours)
	}
	p.do(chromedp.EmulateViewport(400, 560))
	if motion := p.eval(`(document.getElementById("answer").classList.add("writing"), getComputedStyle(document.getElementById("answer"), "::after").animationName)`); motion != "none" {
		t.Errorf("who wants less motion sees %s", motion)
	}
}

// inWindow checks that what a person needs is there to see.
func (p *page) inWindow(when string) {
	p.Helper()
	if over := p.eval(`document.documentElement.scrollWidth > innerWidth || document.documentElement.scrollHeight > innerHeight`); over != "false" {
		p.Errorf("%s: the page is larger than the window", when)
	}
	if cut := p.eval(`[...document.querySelectorAll("button:not([hidden]), #text")].filter((e) => {
		const r = e.getBoundingClientRect();
		return r.width > 0 && (r.left < 0 || r.right > innerWidth || e.tagName === "BUTTON" && e.scrollWidth > e.clientWidth + 1);
	}).map((e) => e.id)`); cut != "" {
		p.Errorf("%s: cut off: %s", when, cut)
	}
}

func (p *page) picture(name string) {
	p.Helper()
	dir := os.Getenv("OPENELM_SCREENSHOTS")
	if dir == "" {
		return
	}
	var picture []byte
	p.do(chromedp.CaptureScreenshot(&picture))
	if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644); err != nil {
		p.Fatal(err)
	}
}
