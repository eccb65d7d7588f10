package main

import (
	"fmt"
	"io"
	"os"
	"path"
	"time"

	"github.com/go-openelm/go-openelm/bench"
	"github.com/go-openelm/go-openelm/loader/hub"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

func isTerminal(f any) bool {
	file, ok := f.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// downloadProgress shows how far downloads are, which come one after the other:
// a bar for each on a terminal, otherwise a line now and then.
func downloadProgress(w io.Writer) func(hub.Progress) {
	if !isTerminal(w) {
		return downloadLines(w, time.Now)
	}
	var bar *progressbar.ProgressBar
	var file string
	return func(p hub.Progress) {
		if file != p.File {
			file = p.File
			bar = progressbar.NewOptions64(p.Total,
				progressbar.OptionSetWriter(w),
				progressbar.OptionSetDescription(path.Base(p.File)),
				progressbar.OptionShowBytes(true),
				progressbar.OptionThrottle(100*time.Millisecond),
				progressbar.OptionUseANSICodes(true),
				progressbar.OptionOnCompletion(func() { io.WriteString(w, "\n") }),
			)
		}
		bar.Set64(p.Done)
	}
}

// lineEvery is how often a download has a line of its own where there is no
// terminal.
const lineEvery = 10 * time.Second

func downloadLines(w io.Writer, now func() time.Time) func(hub.Progress) {
	var file string
	var last time.Time
	return func(p hub.Progress) {
		if file == p.File && p.Done < p.Total && now().Sub(last) < lineEvery {
			return
		}
		file, last = p.File, now()
		fmt.Fprintf(w, "%s: %s of %s\n", path.Base(p.File), size(p.Done), size(p.Total))
	}
}

// stepProgress shows how far a command is: a bar on a terminal, otherwise a line
// now and then.
type stepProgress struct {
	w    io.Writer // nil: silent
	bar  *progressbar.ProgressBar
	what string
	last time.Time
	now  func() time.Time
}

func newStepProgress(w io.Writer, quiet bool) *stepProgress {
	if quiet {
		return &stepProgress{}
	}
	return &stepProgress{w: w, last: time.Now(), now: time.Now}
}

func (p *stepProgress) update(what string, done, total int64) {
	switch {
	case p.w == nil:
	case isTerminal(p.w):
		if p.bar == nil || what != p.what {
			p.end()
			p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(p.w), progressbar.OptionSetDescription(what),
				progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionUseANSICodes(true), progressbar.OptionClearOnFinish())
			p.what = what
		}
		_ = p.bar.Set64(done) // a bar that cannot be drawn is no reason to stop
	case p.now().Sub(p.last) >= lineEvery:
		p.last = p.now()
		fmt.Fprintf(p.w, "%s: %d%%\n", what, 100*done/max(total, 1))
	}
}

func (p *stepProgress) end() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	p.bar = nil
}

// benchProgress shows how far a run is: a bar on a terminal, otherwise a line for
// each step.
type benchProgress struct {
	w     io.Writer
	bar   *progressbar.ProgressBar
	total int
	last  string
}

func newBenchProgress(w io.Writer) *benchProgress {
	p := &benchProgress{w: w}
	if isTerminal(w) {
		p.bar = progressbar.NewOptions(-1, progressbar.OptionSetWriter(w), progressbar.OptionSetElapsedTime(false),
			progressbar.OptionSetWidth(24), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(50*time.Millisecond))
	}
	return p
}

func (p *benchProgress) update(u bench.Progress) {
	if p.bar == nil {
		if line := fmt.Sprintf("[%d/%d] %s", u.Done, u.Total, u.What); line != p.last {
			fmt.Fprintln(p.w, line)
			p.last = line
		}
		return
	}
	if u.Total != p.total && u.Total > 0 {
		p.bar.ChangeMax(u.Total)
		p.total = u.Total
	}
	p.bar.Describe(fmt.Sprintf("%-48.48s", u.What))
	_ = p.bar.Set(u.Done) // a bar that cannot be drawn is no reason to stop
}

func (p *benchProgress) end() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}
