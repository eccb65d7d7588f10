package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/bundle"
	"github.com/go-openelm/go-openelm/examples/menubar/internal/login"
	"github.com/go-openelm/go-openelm/internal/version"
)

// install writes OpenELM.app of this program to the user's Applications, or to the
// folder that args names.
func install(ctx context.Context, args []string) error {
	dir, err := applications("install", "It makes OpenELM.app of this program, in", args)
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	sign := bundle.Sign
	if runtime.GOOS != "darwin" {
		sign = nil
	}
	app, err := bundle.Write(ctx, dir, program, version.Version(), sign)
	if err != nil {
		return err
	}
	fmt.Println(app)
	if runtime.GOOS == "darwin" {
		fmt.Printf("Start it: open %q. If it is running, quit it first.\n", app)
	} else {
		fmt.Println("It is for looking at: its program is this system's, and nothing is signed.")
	}
	return nil
}

// uninstall removes what install has written, and on macOS what starts it at login.
func uninstall(_ context.Context, args []string) error {
	dir, err := applications("uninstall", "It removes OpenELM.app from", args)
	if err != nil {
		return err
	}
	app := filepath.Join(dir, bundle.Folder)
	switch there, err := bundle.Remove(dir); {
	case err != nil:
		return err
	case !there:
		return fmt.Errorf("there is no %s", app)
	}
	fmt.Println("removed", app)
	if runtime.GOOS == "darwin" && len(args) == 0 {
		if err := (login.Item{ID: bundle.ID}).Set(false); err != nil {
			return err
		}
	}
	if config, err := os.UserConfigDir(); err == nil {
		fmt.Println("settings stay in", filepath.Join(config, settingsFolder))
	}
	return nil
}

// applications is the folder that args names, on macOS the user's Applications if none.
// It prints help to who asks for it, and returns [flag.ErrHelp].
func applications(command, does string, args []string) (string, error) {
	f := flag.NewFlagSet(command, flag.ContinueOnError)
	f.Usage = func() {
		fmt.Fprintf(f.Output(), "openelm-menubar %s [folder]\n\n%s a folder, on a Mac ~/Applications if none is named.\n", command, does)
	}
	if err := f.Parse(args); err != nil {
		return "", err
	}
	switch dir := f.Arg(0); {
	case f.NArg() > 1 || f.NArg() == 1 && dir == "":
		return "", fmt.Errorf("%s takes a folder, and got %q", command, f.Args())
	case f.NArg() == 1:
		return dir, nil
	case runtime.GOOS != "darwin":
		return "", errors.New("OpenELM.app is an application of macOS; name a folder to have it there, to look at")
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, "Applications"), err
}
