//go:build unix && !darwin

package login

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// file is where the Desktop Application Autostart Specification has it.
func (i Item) file() (string, error) {
	config, err := os.UserConfigDir()
	return filepath.Join(config, "autostart", i.ID+".desktop"), err
}

// text is a desktop entry, as the Desktop Entry Specification 1.5 says.
func (i Item) text() ([]byte, error) {
	exec := make([]string, len(i.Command))
	for n, arg := range i.Command {
		exec[n] = quote(arg)
	}
	return fmt.Appendf(nil, "[Desktop Entry]\nType=Application\nName=%s\nExec=%s\nTerminal=false\nX-GNOME-Autostart-enabled=true\n",
		escape(i.Name), escape(strings.Join(exec, " "))), nil
}

// quote makes one argument of an Exec line.
func quote(arg string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`", `$`, `\$`, `%`, `%%`).Replace(arg) + `"`
}

// escape makes a value of what it means.
func escape(s string) string { return strings.NewReplacer(`\`, `\\`, "\t", `\t`).Replace(s) }
