package login

import (
	"os"
	"path/filepath"
)

func (i Item) file() (string, error) {
	home, err := os.UserHomeDir()
	return filepath.Join(home, "Library", "LaunchAgents", i.ID+".plist"), err
}

func (i Item) text() ([]byte, error) { return i.agent() }
