//go:build !darwin && !linux && !windows

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
	"github.com/go-openelm/go-openelm/internal/browse"
)

// newDesktop is the desktop of this system.
func newDesktop(*slog.Logger) desktop.Desktop { return browser{} }

// browser is a desktop that has no icon: the page is shown in the browser at once.
type browser struct{}

func (browser) Run(ctx context.Context, a desktop.Assistant) error {
	if err := browse.Open(a.Page()); err != nil {
		fmt.Fprintln(os.Stderr, "no browser was opened:", err)
		return (&page{}).Run(ctx, a)
	}
	<-ctx.Done()
	return nil
}

func (browser) Show() {}
