package login

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestAutostart has GLib start the entry, and freedesktop.org's own program read it.
// GLib finds no program with a % in its name, whatever the entry says.
func TestAutostart(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	program := filepath.Join(t.TempDir(), `a "strange" $name`)
	if err := os.Symlink(os.Args[0], program); err != nil {
		t.Fatal(err)
	}
	item := Item{ID: "org.example.test", Name: `Back\slash`, Command: append([]string{program}, arguments...)}
	if err := item.Set(true); err != nil {
		t.Fatal(err)
	}
	name, err := item.file()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "desktop-file-validate", name).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("desktop-file-validate: %v\n%s", err, out)
	}
	told := filepath.Join(t.TempDir(), "told")
	cmd := exec.CommandContext(t.Context(), "gio", "launch", name)
	cmd.Env = append(os.Environ(), "OPENELM_TEST_LOGIN="+told, "DBUS_SESSION_BUS_ADDRESS=disabled:")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("gio: %v\n%s", err, out)
	}
	for { // gio does not wait for it
		text, err := os.ReadFile(told)
		if os.IsNotExist(err) && t.Context().Err() == nil {
			time.Sleep(5 * time.Millisecond)
			continue
		}
		var got []string
		if err == nil {
			err = json.Unmarshal(text, &got)
		}
		if diff := cmp.Diff(arguments, got); err != nil || diff != "" {
			t.Errorf("error %v, arguments (-want +got)\n%s", err, diff)
		}
		return
	}
}
