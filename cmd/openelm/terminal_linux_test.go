package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal with the command on it.
type terminal struct {
	*exec.Cmd
	keys *os.File // what a person types goes in, what the screen shows comes out
	tty  *os.File
	seen bytes.Buffer
}

func startOnTerminal(t *testing.T, args ...string) *terminal {
	t.Helper()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keys.Close() })
	if err := unix.IoctlSetPointerInt(int(keys.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(keys.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	x := &terminal{Cmd: exec.Command(program, args...), keys: keys, tty: tty}
	x.Env = append(os.Environ(), asCommand+"=1")
	x.Stdin, x.Stdout, x.Stderr = tty, tty, tty
	x.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := x.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Process.Kill() })
	return x
}

// expect reads the screen until it shows want.
func (x *terminal) expect(t *testing.T, want string) {
	t.Helper()
	b := make([]byte, 1)
	for !strings.Contains(x.seen.String(), want) {
		if _, err := x.keys.Read(b); err != nil {
			t.Fatalf("%v; the screen shows %q, want %q", err, x.seen.String(), want)
		}
		x.seen.Write(b)
	}
	x.seen.Reset()
}

func (x *terminal) enter(t *testing.T, keys string) {
	t.Helper()
	if _, err := io.WriteString(x.keys, keys); err != nil {
		t.Fatal(err)
	}
}

// TestTerminal: ^C stops a reply and, at the prompt, the program; the terminal is
// as it was.
func TestTerminal(t *testing.T) {
	x := startOnTerminal(t, "chat", "-q", "-t", "0")
	before, err := unix.IoctlGetTermios(int(x.tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	x.expect(t, "\n> ")
	x.enter(t, "Who are you?\n")
	x.expect(t, "I am a very small language model.")
	x.expect(t, "\n> ")
	x.enter(t, "Once upon a time\n")
	x.expect(t, "time\r\n")
	x.expect(t, " ") // of the reply
	x.enter(t, "\x03")
	x.expect(t, " …\r\n\r\n> ")
	x.enter(t, "/reset\n") // how much was said by then is chance, and so what follows it
	x.expect(t, "\n> ")
	x.enter(t, "Who are you?\n")
	x.expect(t, "I am a very small language model.")
	x.expect(t, "\n> ")
	x.enter(t, "half a line\x03")
	err = x.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 130 {
		t.Errorf("^C at the prompt: %v, want status 130", err)
	}
	after, err := unix.IoctlGetTermios(int(x.tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	if *before != *after {
		t.Errorf("the terminal is %+v, was %+v", after, before)
	}
}

// TestNoTextOnTerminal: a command that needs a text does not wait for one.
func TestNoTextOnTerminal(t *testing.T) {
	x := startOnTerminal(t, "tokenize")
	x.expect(t, "openelm: no text")
	if err := x.Wait(); err == nil {
		t.Error("no error")
	}
	x = startOnTerminal(t, "generate", "-q", "-t", "0", "-n", "5")
	x.expect(t, "Once upon a time, there was a little\r\n")
	if err := x.Wait(); err != nil {
		t.Error(err)
	}
}
