package main

import (
	"log/slog"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/appkit"
	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
)

// newDesktop is the desktop of this system.
func newDesktop(log *slog.Logger) desktop.Desktop {
	return appkit.New(appkit.Options{Login: atLogin(log), Log: log})
}
