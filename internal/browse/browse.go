// Package browse shows a page in the person's browser.
package browse

import (
	"os/exec"
	"runtime"
)

// Open shows the page at address. It does not wait for the browser.
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
	go cmd.Wait() // it hands the page over, and ends
	return nil
}
