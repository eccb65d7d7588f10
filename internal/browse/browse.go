// Package browse shows a page in the person's browser.
package browse

import (
	"fmt"
	"os/exec"
	"runtime"
	"time"
)

// patience is how long what finds a browser may take to fail. On some desktops it
// becomes the browser, and ends with it.
const patience = 2 * time.Second

// Open shows the page at address, or fails where there is no browser to show it. It
// does not wait for the browser.
func Open(address string) error {
	name, args := "xdg-open", []string{address}
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", address}
	}
	cmd := exec.Command(name, args...)
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	case <-time.After(patience):
	}
	return nil
}
