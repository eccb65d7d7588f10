//go:build unix

package login

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// arguments are what quoting has to get right.
var arguments = []string{"--login", "two words", `a "quoted" \ back\\slash`, "$HOME `id` %f %% %", "", "é 🙂", "tab\there", "~;&|<>()*?#'"}

func TestSet(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", "")
	item := Item{ID: "org.example.test", Name: "Test", Command: []string{"/bin/true"}}
	is := func(want bool) {
		t.Helper()
		if on, err := item.Enabled(); err != nil || on != want {
			t.Errorf("it is on: %t, error %v, want %t", on, err, want)
		}
	}
	is(false)
	for range 2 { // again is the same
		if err := item.Set(true); err != nil {
			t.Fatal(err)
		}
		is(true)
	}
	for range 2 {
		if err := item.Set(false); err != nil {
			t.Fatal(err)
		}
		is(false)
	}
	name, err := item.file()
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Dir(name)); err != nil || len(left) != 0 {
		t.Errorf("%v is left, error %v", left, err)
	}
	for _, command := range [][]string{nil, {"true"}, {"./true"}, {"/bin/true", "a\nb"}} {
		item.Command = command
		if err := item.Set(true); err == nil {
			t.Errorf("%q: no error", command)
		}
		is(false)
	}
}

// TestAgent has Python read the LaunchAgent.
func TestAgent(t *testing.T) {
	command := append([]string{"/Applications/Open ELM.app/Contents/MacOS/OpenELM"}, arguments...)
	text, err := Item{ID: "org.example.test", Name: "Test", Command: command}.agent()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "python3", "-c", "import json, plistlib, sys; json.dump(plistlib.loads(sys.stdin.buffer.read()), sys.stdout)")
	cmd.Stdin = bytes.NewReader(text)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v of\n%s", err, text)
	}
	var got struct {
		Label            string
		ProgramArguments []string
		RunAtLoad        bool
		KeepAlive        any
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if got.Label != "org.example.test" || !got.RunAtLoad || got.KeepAlive != nil || !cmp.Equal(got.ProgramArguments, command) {
		t.Errorf("launchd reads %+v", got)
	}
}

// TestMain is also the program that an entry starts: it says what it was given.
func TestMain(m *testing.M) {
	if name := os.Getenv("OPENELM_TEST_LOGIN"); name != "" {
		text, err := json.Marshal(os.Args[1:])
		if err == nil {
			err = os.WriteFile(name+".part", text, 0o600)
		}
		if err == nil {
			err = os.Rename(name+".part", name)
		}
		if err != nil {
			os.Stderr.WriteString(strings.TrimSpace(err.Error()) + "\n")
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}
