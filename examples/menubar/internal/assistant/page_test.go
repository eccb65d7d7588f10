package assistant_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

const (
	ready = `document.getElementById("note").textContent.length > 0 && !document.getElementById("rewrite").disabled`
)

func (p *page) scheme(name string) {
	p.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}))
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

func TestLook(t *testing.T) {
	a := start(t, options(t, nil))
	p := open(t, a.Page())
	p.wait(ready)
	p.picture("1-first")
	p.do(chromedp.Click("#showModels"))
	p.wait(`document.querySelectorAll("#modelList li").length > 3`)
	p.picture("2-models")
	p.eval(`document.getElementById("models").close()`)
	p.do(chromedp.Click("#showSettings"))
	p.picture("3-settings")
	p.eval(`document.getElementById("settings").close()`)
	p.do(chromedp.SetValue("#text", "Once upon a time"))
	p.do(chromedp.Click("#continue"))
	p.wait(`!document.getElementById("answerCard").hidden && document.getElementById("stop").hidden`)
	p.picture("4-answer")
	p.scheme("dark")
	p.picture("5-dark")
	p.do(chromedp.EmulateViewport(1000, 700))
	p.picture("6-wide")
}
