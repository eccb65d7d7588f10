//go:build linux && amd64

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// guest is the first process: it runs the program and ends the emulator.
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
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		panic(err)
	}
	t.Oflag &^= unix.OPOST // no carriage returns
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, t); err != nil {
		panic(err)
	}
	// From here on the kernel says only what it dies of.
	if err := os.WriteFile("/proc/sys/kernel/printk", []byte("1"), 0); err != nil {
		panic(err)
	}
	fmt.Fprintf(serial, "%cstart\n", mark)
	code, err := runJob(serial)
	if err != nil {
		fmt.Fprintln(serial, "emulate:", err)
	}
	fmt.Fprintf(serial, "%cexit %d\n", mark, code)
	for { // until run has read that and ends the emulator
		_ = unix.Pause()
	}
}

func runJob(out *os.File) (int, error) {
	text, err := os.ReadFile(jobFile)
	if err != nil {
		return 125, err
	}
	var todo job
	if err := json.Unmarshal(text, &todo); err != nil {
		return 125, err
	}
	cmd := exec.Command(programFile, todo.Args...)
	cmd.Env = append(todo.Env, "HOME=/tmp", "PATH=/")
	cmd.Dir = todo.Dir
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); cmd.ProcessState == nil {
		return 125, err
	}
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int(status.Signal()), fmt.Errorf("the program died of signal %q", status.Signal())
	}
	return cmd.ProcessState.ExitCode(), nil
}
