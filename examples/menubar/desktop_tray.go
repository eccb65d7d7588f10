//go:build linux || windows

package main

import (
	"log/slog"
	"os"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/browse"
	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
	"github.com/go-openelm/go-openelm/examples/menubar/internal/login"
	"github.com/go-openelm/go-openelm/examples/menubar/internal/tray"
)

// newDesktop is the desktop of this system.
func newDesktop(log *slog.Logger) desktop.Desktop {
	atLogin := login.Item{ID: "io.github.go-openelm.menubar", Name: "OpenELM"}
	if program, err := os.Executable(); err != nil {
		log.Error("start at login", "error", err) // and so it says when it is switched on
	} else {
		atLogin.Command = []string{program}
	}
	return tray.New(tray.Options{Open: browse.Open, Clipboard: tray.Clipboard(), Login: atLogin, Log: log})
}
