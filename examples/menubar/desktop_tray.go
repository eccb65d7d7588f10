//go:build linux || windows

package main

import (
	"log/slog"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
	"github.com/go-openelm/go-openelm/examples/menubar/internal/tray"
	"github.com/go-openelm/go-openelm/internal/browse"
)

// newDesktop is the desktop of this system.
func newDesktop(log *slog.Logger) desktop.Desktop {
	return tray.New(tray.Options{Open: browse.Open, Clipboard: tray.Clipboard(), Login: atLogin(log), Log: log})
}
