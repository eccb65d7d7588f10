package main

import (
	"io"
	"path"
	"time"

	"github.com/go-openelm/go-openelm/loader/hub"
	"github.com/schollz/progressbar/v3"
)

// downloadBars shows one bar after the other: files are downloaded in turn.
func downloadBars(w io.Writer) func(hub.Progress) {
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
