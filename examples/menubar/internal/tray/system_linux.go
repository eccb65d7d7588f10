package tray

import (
	"context"
	"errors"
	"fmt"
	"image/color"
	"os"
	"os/exec"

	"github.com/godbus/dbus/v5"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/icon"
)

// decorateFirst: a panel asks for an icon as soon as it is there, and for its name
// but once.
const decorateFirst = true

const watcher = "org.kde.StatusNotifierWatcher"

// available fails with ErrNoIcon where no panel shows icons.
func available(ctx context.Context) error {
	bus, err := dbus.SessionBusPrivateNoAutoStartup(dbus.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("%w: %w", errNoBus, err)
	}
	defer bus.Close()
	if err := bus.Auth(nil); err != nil {
		return fmt.Errorf("%w: %w", errNoBus, err)
	}
	if err := bus.Hello(); err != nil {
		return fmt.Errorf("%w: %w", errNoBus, err)
	}
	var there bool
	if err := bus.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, watcher).Store(&there); err != nil {
		return fmt.Errorf("%w: %w", ErrNoIcon, err)
	}
	if !there {
		return fmt.Errorf("%w: this desktop's panel shows none (nothing on the session bus is %s; GNOME has it as an extension, AppIndicator)", ErrNoIcon, watcher)
	}
	return nil
}

// panelIcon is grey, for panels are light or dark.
func panelIcon() []byte { return icon.PNG(icon.Glyph(64, color.Gray{150})) }

// clipboards are the programs that print the clipboard's text, and the variable
// without which they cannot.
var clipboards = []struct {
	display string
	command []string
}{
	{"WAYLAND_DISPLAY", []string{"wl-paste", "--no-newline", "--type", "text"}},
	{"DISPLAY", []string{"xclip", "-selection", "clipboard", "-out"}},
	{"DISPLAY", []string{"xsel", "--clipboard", "--output"}},
}

// Clipboard returns a function that reads the clipboard, nil where no program does.
func Clipboard() func(ctx context.Context) (string, error) {
	for _, c := range clipboards {
		program, err := exec.LookPath(c.command[0])
		if err != nil || os.Getenv(c.display) == "" {
			continue
		}
		return func(ctx context.Context) (string, error) {
			text, err := exec.CommandContext(ctx, program, c.command[1:]...).Output()
			if e := (*exec.ExitError)(nil); errors.As(err, &e) {
				err = fmt.Errorf("%s: %w: %s", c.command[0], err, e.Stderr)
			}
			return string(text), err
		}
	}
	return nil
}
