// Menubar is an assistant that lives behind an icon of the desktop: it rewrites,
// shortens, corrects, summarises and continues texts with an OpenELM model on this
// computer, and asks no other one.
//
//	go run ./examples/menubar
//	go run ./examples/menubar -model apple/OpenELM-1_1B-Instruct
//
// README.md says what a person does with it.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/assistant"
	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
	"github.com/go-openelm/go-openelm/examples/menubar/internal/instance"
	"github.com/go-openelm/go-openelm/internal/version"
)

func init() { runtime.LockOSThread() } // the desktop's window system wants the main thread

// quitTime is how long an answer under way may take to end.
const quitTime = 10 * time.Second

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "openelm-menubar:", err)
		os.Exit(1)
	}
}

// commands are what the first argument may be, instead of flags.
var commands = map[string]func(ctx context.Context, args []string) error{"install": install, "uninstall": uninstall}

// settingsFolder is the one in the user's configuration.
const settingsFolder = "OpenELM"

func run(ctx context.Context, args []string) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(args) > 0 {
		if command := commands[args[0]]; command != nil {
			if err := command(ctx, args[1:]); err != flag.ErrHelp {
				return err
			}
			return nil
		}
	}
	f := flag.NewFlagSet("openelm-menubar", flag.ContinueOnError)
	f.Usage = func() {
		fmt.Fprint(f.Output(), `An assistant behind an icon of the desktop, which rewrites and summarises texts.

  openelm-menubar [flags]
  openelm-menubar install [folder]    make OpenELM.app, in ~/Applications
  openelm-menubar uninstall [folder]  remove it

Flags:
`)
		f.PrintDefaults()
	}
	model := f.String("model", "", "choose this model, and download it if it is not there: a folder, a file or a Hugging Face repository")
	noIcon := f.Bool("no-icon", false, "only serve the page, and print its address")
	dir := f.String("dir", "", "folder of settings and history (default: OpenELM in the user's configuration)")
	showVersion := f.Bool("version", false, "print the version")
	switch err := f.Parse(args); {
	case err == flag.ErrHelp:
		return nil
	case err != nil:
		return err
	case f.NArg() > 0:
		return fmt.Errorf("there is no command %q", f.Arg(0))
	case *showVersion:
		fmt.Println("openelm-menubar " + version.Line())
		return nil
	}
	if *dir == "" {
		config, err := os.UserConfigDir()
		if err != nil {
			return fmt.Errorf("no folder for settings: %w", err)
		}
		*dir = filepath.Join(config, settingsFolder)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	var d desktop.Desktop = &page{}
	var able desktop.Abilities
	if !*noIcon {
		d, able = newDesktop(log), abilities()
	}
	var quitting atomic.Bool
	one, err := instance.Claim(ctx, filepath.Join(*dir, "instance"), func() bool {
		if quitting.Load() {
			return false
		}
		d.Show()
		return true
	})
	switch {
	case err == instance.ErrRunning && *model != "":
		return fmt.Errorf("%w: choose %s on its page", err, *model)
	case err == instance.ErrRunning:
		fmt.Println("OpenELM is running already, and shows its page.")
		return nil
	case err != nil:
		return err
	}
	defer one.Close()
	a, err := assistant.New(assistant.Options{Dir: *dir, Abilities: able, Logger: log})
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), quitTime)
		defer cancel()
		if err := a.Close(ctx); err != nil {
			log.Error("quitting", "error", err)
		}
	}()
	if *model != "" {
		if err := a.Choose(*model); err != nil {
			return err
		}
	}
	defer quitting.Store(true)
	return d.Run(ctx, a)
}

// page is a desktop without an icon: a person opens the page by its address.
type page struct {
	assistant atomic.Pointer[desktop.Assistant] // while it runs
}

func (p *page) Run(ctx context.Context, a desktop.Assistant) error {
	p.assistant.Store(&a)
	defer p.assistant.Store(nil)
	p.Show()
	<-ctx.Done()
	return nil
}

func (p *page) Show() {
	if a := p.assistant.Load(); a != nil {
		fmt.Println((*a).Page())
		fmt.Fprintln(os.Stderr, "Open this address in a browser within ten minutes; it works once. Control-C ends the program.")
	}
}
