// Package login starts a program when its user logs in, for who asked for it: a
// LaunchAgent on macOS, an autostart entry of XDG on Linux, a value of the registry
// on Windows. Nothing of it is left once it is switched off.
package login

// Item is what is started at login.
type Item struct {
	// ID names it among others of the user, as a domain turned around.
	ID string
	// Name is what the system's settings show.
	Name string
	// Command is the program, an absolute path, and its arguments.
	Command []string
}

// Enabled reports whether an item of this ID is started at login, by this or another
// program.
func (i Item) Enabled() (bool, error) { return i.enabled() }

// Set switches it on, in place of what there may be of this ID, or off.
func (i Item) Set(on bool) error {
	if on {
		return i.enable()
	}
	return i.disable()
}
