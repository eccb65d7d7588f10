package main

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	if os.Getenv("OPENELM_TEST_MAIN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// program is this program, with arguments.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), "OPENELM_TEST_MAIN=1")
	return cmd
}

// TestProgram: it prints the page's address, serves the page, shows it again to who
// starts it again, and ends when it is told to, with nothing left.
func TestProgram(t *testing.T) {
	dir := t.TempDir()
	cmd := program(t, "-no-icon", "-dir", dir)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	var addresses []string
	for range 2 {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, strings.TrimSpace(line))
		if len(addresses) == 1 {
			said, err := program(t, "-no-icon", "-dir", dir).CombinedOutput()
			if err != nil || !strings.Contains(string(said), "running already") {
				t.Errorf("a second start: %v %s", err, said)
			}
		}
	}
	base, _, _ := strings.Cut(addresses[0], "#ticket=")
	if !strings.HasPrefix(base, "http://127.0.0.1:") || !strings.HasPrefix(addresses[1], base) || addresses[0] == addresses[1] {
		t.Fatalf("the addresses are %q", addresses)
	}
	r, err := http.Get(base)
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil || !strings.Contains(string(page), "<title>OpenELM</title>") {
		t.Errorf("the page is %v %.200s", err, page)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if files, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(files) > 1 { // that of the one instance
		t.Errorf("what is left: %v %v", files, err)
	}
}

// TestFlags: what makes no sense is told.
func TestFlags(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
		ok   bool
	}{
		{[]string{"-version"}, "openelm-menubar", true},
		{[]string{"-help"}, "-no-icon", true},
		{[]string{"install", "-h"}, "install [folder]", true},
		{[]string{"uninstall", "--help"}, "uninstall [folder]", true},
		{[]string{"install", "-dance"}, "not defined", false},
		{[]string{"dance"}, "no command", false},
		{[]string{"-dance"}, "not defined", false},
		{[]string{"-dir", filepath.Join(os.DevNull, "x"), "-no-icon"}, "not a directory", false},
	} {
		said, err := program(t, c.args...).CombinedOutput()
		if (err == nil) != c.ok || !strings.Contains(string(said), c.want) {
			t.Errorf("%q: %v %s", c.args, err, said)
		}
	}
}
