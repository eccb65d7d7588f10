package browse

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOpen: whoever asks for a browser is told that there is none, by xdg-open, too.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	seen := filepath.Join(dir, "seen")
	for status, want := range map[string]string{"0": "", "3": "xdg-open: exit status 3"} {
		script := "#!/bin/sh\necho $1 > " + seen + "\nexit " + status + "\n"
		if err := os.WriteFile(filepath.Join(dir, "xdg-open"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		said := ""
		if err := Open("http://127.0.0.1:1/#ticket=x"); err != nil {
			said = err.Error()
		}
		if said != want {
			t.Errorf("status %s: %q, want %q", status, said, want)
		}
		if address, err := os.ReadFile(seen); err != nil || strings.TrimSpace(string(address)) != "http://127.0.0.1:1/#ticket=x" {
			t.Errorf("it is asked for %q, %v", address, err)
		}
	}
	t.Setenv("PATH", t.TempDir())
	if Open("http://127.0.0.1:1/") == nil {
		t.Error("no program, and no error")
	}
}
