package main

import (
	"log/slog"
	"os"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/bundle"
	"github.com/go-openelm/go-openelm/examples/menubar/internal/login"
)

// atLogin is what "Start at Login" switches: this program.
func atLogin(log *slog.Logger) login.Item {
	item := login.Item{ID: bundle.ID, Name: bundle.Name}
	if program, err := os.Executable(); err != nil {
		log.Error("start at login", "error", err) // and so it says when it is switched on
	} else {
		item.Command = []string{program}
	}
	return item
}
