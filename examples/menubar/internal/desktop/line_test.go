package desktop_test

import (
	"testing"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
)

func TestLine(t *testing.T) {
	for want, s := range map[string]desktop.State{
		"Story model · not in memory":                            {Status: desktop.Resting, Model: "story", Story: true},
		"m · loading":                                            {Status: desktop.Loading, Model: "/models/m"},
		"m · answering · 13 MB":                                  {Status: desktop.Answering, Model: "a/m", MemoryBytes: 12_600_000, TokensPerSecond: 3},
		"m · 13 MB":                                              {Status: desktop.Ready, Model: "a/m", MemoryBytes: 12_600_000},
		"Story model · downloading OpenELM-270M":                 {Status: desktop.Downloading, Story: true, Download: "apple/OpenELM-270M", Downloaded: 5},
		"Story model · downloading OpenELM-270M 50%":             {Status: desktop.Downloading, Story: true, Download: "apple/OpenELM-270M", Downloaded: 5, DownloadSize: 10},
		"Story model · not in memory · The folder is not there.": {Status: desktop.Resting, Story: true, Problem: "The folder is not there."},
	} {
		if got := s.Line(); got != want {
			t.Errorf("%+v is %q, want %q", s, got, want)
		}
	}
}
