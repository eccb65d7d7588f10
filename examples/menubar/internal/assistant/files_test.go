package assistant_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
)

// TestUnreadableFiles: files that cannot be read are told and set aside, never
// overwritten.
func TestUnreadableFiles(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"half of the settings": {"settings.json": `{"model": "a`},
		"senseless settings":   {"settings.json": `{"temperature": 9}`},
		"another history":      {"settings.json": `{"keep_history": true}`, "history.json": "{}"},
	} {
		o := options(t, nil)
		unreadable := ""
		for file, text := range files {
			if err := os.WriteFile(filepath.Join(o.Dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if len(files) == 1 || file == "history.json" {
				unreadable = filepath.Join(o.Dir, file)
			}
		}
		kept := filepath.Join(o.Dir, "history.json")
		if len(files) == 1 {
			if err := os.WriteFile(kept, []byte("[]"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		a := start(t, o)
		if _, err := os.Stat(kept); len(files) == 1 && err != nil {
			t.Errorf("%s: the history is gone, too: %v", name, err)
		}
		if a.State().Problem == "" {
			t.Errorf("%s: nothing is told", name)
		}
		if err := a.Change(func(s *desktop.Settings) { s.KeepHistory = true }); err != nil {
			t.Error(err)
		}
		if len(files) > 1 {
			if _, err := a.Do(t.Context(), desktop.Continue, "Once"); err != nil {
				t.Error(err)
			}
		}
		text, err := os.ReadFile(unreadable + ".unreadable")
		if err != nil || string(text) != files[filepath.Base(unreadable)] {
			t.Errorf("%s: set aside is %q %v", name, text, err)
		}
	}
}

// TestUnwritableFolder: settings that cannot be saved are not changed.
func TestUnwritableFolder(t *testing.T) {
	o := options(t, nil)
	o.Dir = filepath.Join(o.Dir, "file", "folder")
	if err := os.WriteFile(filepath.Dir(o.Dir), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a := start(t, o)
	if err := a.Change(func(s *desktop.Settings) { s.KeepLoaded = true }); err == nil || a.Settings().KeepLoaded {
		t.Errorf("%v, %+v", err, a.Settings())
	}
}
