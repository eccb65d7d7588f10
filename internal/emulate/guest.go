//go:build linux && amd64

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// guest is the first process inside: it runs the program and ends the emulator.
func guest() {
	for _, m := range [][2]string{{"devtmpfs", "/dev"}, {"proc", "/proc"}, {"sysfs", "/sys"}} {
		if err := unix.Mount(m[0], m[1], m[0], 0, ""); err != nil {
			panic(fmt.Sprintf("mounting %s: %v", m[1], err))
		}
	}
	serial, err := os.OpenFile("/dev/ttyS0", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		panic(err)
	}
	fd := int(serial.Fd())
	if t, err := unix.IoctlGetTermios(fd, unix.TCGETS); err == nil {
		t.Oflag &^= unix.OPOST // no carriage return before a newline
		_ = unix.IoctlSetTermios(fd, unix.TCSETS, t)
	}
	// The kernel keeps quiet from here on, but for what it dies of.
	_ = os.WriteFile("/proc/sys/kernel/printk", []byte("1"), 0)
	fmt.Fprintf(serial, "%cstart\n", mark)
	code, err := runJob(serial)
	if err != nil {
		fmt.Fprintln(serial, "emulate:", err)
	}
	fmt.Fprintf(serial, "%cexit %d\n", mark, code)
	_ = unix.IoctlSetInt(fd, unix.TCSBRK, 1) // wait until all is out
	// A port of Bochs' own that ends it.
	port, err := os.OpenFile("/dev/port", os.O_WRONLY, 0)
	if err != nil {
		panic(err)
	}
	for _, c := range []byte("Shutdown") {
		_, _ = port.WriteAt([]byte{c}, 0x8900)
	}
	panic("the emulator goes on")
}

func runJob(serial *os.File) (int, error) {
	text, err := os.ReadFile(jobFile)
	if err != nil {
		return 1, err
	}
	var todo job
	if err := json.Unmarshal(text, &todo); err != nil {
		return 1, err
	}
	cmd := exec.Command(programFile)
	for _, arg := range todo.Args {
		// A list of the files that a test opened, for go test's cache: its
		// folder is not here, and a result from here is not to be kept.
		if !strings.HasPrefix(arg, "-test.testlogfile=") {
			cmd.Args = append(cmd.Args, arg)
		}
	}
	cmd.Env = append(todo.Env, "HOME=/tmp", "PATH=/")
	cmd.Dir = todo.Dir
	cmd.Stdout, cmd.Stderr = serial, serial
	if err := cmd.Run(); cmd.ProcessState == nil {
		return 1, err
	}
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal()), fmt.Errorf("the program died of signal %v", status.Signal())
	}
	return cmd.ProcessState.ExitCode(), nil
}
