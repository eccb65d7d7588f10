package login

import "github.com/go-openelm/go-openelm/examples/menubar/internal/plist"

// agent is a LaunchAgent. launchd reads it at the next login; it does not start the
// program again when the person quits it.
func (i Item) agent() ([]byte, error) {
	return plist.Marshal(plist.Dict{
		{Key: "Label", Value: i.ID},
		{Key: "ProgramArguments", Value: i.Command},
		{Key: "RunAtLoad", Value: true},
		{Key: "ProcessType", Value: "Interactive"},
		{Key: "LimitLoadToSessionType", Value: "Aqua"},
		// System Settings shows the app's name and icon, not a program's path.
		{Key: "AssociatedBundleIdentifiers", Value: []string{i.ID}},
	})
}
