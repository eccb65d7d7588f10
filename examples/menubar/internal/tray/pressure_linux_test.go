package tray

import (
	"errors"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPollPriority has sockets with urgent data, which poll tells of as it does of
// pressure.
func TestPollPriority(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var files []*os.File
	var peers []net.Conn
	for range 2 {
		c, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		f, err := c.(*net.TCPConn).File()
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		peer, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer peer.Close()
		files, peers = append(files, f), append(peers, peer)
	}
	events := make(chan int)
	stop, err := pollPriority(files, func(i int) {
		if _, _, err := unix.Recvfrom(int(files[i].Fd()), make([]byte, 1), unix.MSG_OOB); err != nil {
			t.Error(err)
		}
		events <- i
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{1, 0, 1} {
		raw, err := peers[i].(*net.TCPConn).SyscallConn()
		if err == nil {
			err = errors.Join(raw.Control(func(fd uintptr) { err = unix.Sendto(int(fd), []byte{1}, unix.MSG_OOB, nil) }), err)
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := <-events; got != i {
			t.Errorf("news of %d, want %d", got, i)
		}
	}
	stop()
	for _, f := range files {
		if err := f.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("a file is left open: %v", err)
		}
	}
}

// TestWatchPressure asks this kernel, if it tells of pressure.
func TestWatchPressure(t *testing.T) {
	stop, err := watchPressure(func(bool) {})
	for _, old := range []error{unix.ENOENT, unix.EPERM, unix.EACCES, unix.EROFS, unix.EOPNOTSUPP, unix.EINVAL} {
		if errors.Is(err, old) {
			t.Skip(err)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	stop()
}
