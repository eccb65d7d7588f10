package main

import (
	"runtime"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
)

// abilities are what of the settings this system's desktop obeys.
func abilities() desktop.Abilities {
	a := desktop.Abilities{StartAtLogin: true, HideIcon: true}
	if runtime.GOOS == "darwin" {
		a.GlobalKey = "⌃⌥Space"
	}
	return a
}
