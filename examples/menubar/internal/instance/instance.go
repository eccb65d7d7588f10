// Package instance lets one process of a user be the program: a second one asks the
// first to show itself, and ends. The lock is the kernel's, which a process that
// died does not hold.
package instance

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// ErrRunning is the error of a second process, after the first has shown itself.
var ErrRunning = errors.New("OpenELM is running already")

const (
	// patience is how long a process has to answer, or to end.
	patience = 15 * time.Second
	// saying is how long another one has to say what it wants.
	saying = 2 * time.Second
)

// maxSocket is how long a socket's path may be on any system, macOS being the
// strictest.
const maxSocket = 103

const (
	question = "show\n"
	answer   = "shown\n"
)

// Instance is the one process of its user, until Close.
type Instance struct {
	lock     *os.File
	listener net.Listener
	serving  sync.WaitGroup
}

// Claim makes this process the one that the folder dir, which belongs to the user
// alone and is made where it is not there, tells of. If there is one, Claim asks it
// to show itself and returns ErrRunning. Later processes make this one call show,
// once at a time, on a goroutine of its own; it returns false when this one is about
// to end, and the other then waits for that.
func Claim(ctx context.Context, dir string, show func() bool) (*Instance, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := private(dir); err != nil {
		return nil, err
	}
	socket := filepath.Join(dir, "socket")
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := take(ctx, lock, socket); err != nil {
		lock.Close()
		return nil, err
	}
	i := &Instance{lock: lock}
	// Whoever held the lock before may have left its socket.
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, errors.Join(err, i.Close())
	}
	if i.listener, err = net.Listen("unix", socket); err != nil {
		if len(socket) > maxSocket {
			err = fmt.Errorf("%w (the system wants at most %d bytes; choose a folder with a shorter name)", err, maxSocket)
		}
		return nil, errors.Join(err, i.Close())
	}
	i.serving.Go(func() { i.serve(show) })
	return i, nil
}

// Close lets another process be the one.
func (i *Instance) Close() error {
	var err error
	if i.listener != nil {
		err = i.listener.Close() // removes the socket
		i.serving.Wait()
	}
	return errors.Join(err, i.lock.Close())
}

// serve answers one process at a time: what they want is the same.
func (i *Instance) serve(show func() bool) {
	for {
		c, err := i.listener.Accept()
		if err != nil {
			return
		}
		if hears(c) && show() {
			c.Write([]byte(answer)) // whoever asked may have gone
		}
		c.Close()
	}
}

// hears reports whether a process of this user asks to be shown the program.
func hears(c net.Conn) bool {
	if sameUser(c) != nil || c.SetDeadline(time.Now().Add(saying)) != nil {
		return false
	}
	text := make([]byte, len(question))
	n, err := c.Read(text)
	return err == nil && string(text[:n]) == question
}

// take locks, or has the process that holds the lock show itself. That one may be
// about to open its socket, or to end.
func take(ctx context.Context, lock *os.File, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		mine, err := tryLock(lock)
		if err != nil {
			return fmt.Errorf("%s: %w", lock.Name(), err)
		}
		if mine {
			return nil
		}
		if err = ask(ctx, socket); err == nil {
			return ErrRunning
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w, and does not answer: %w", ErrRunning, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// ask asks the process behind socket to show itself.
func ask(ctx context.Context, socket string) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Now()) })()
	if err := sameUser(c); err != nil {
		return err
	}
	if _, err := c.Write([]byte(question)); err != nil {
		return err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && line != answer {
		err = fmt.Errorf("it says %q", line)
	}
	return err
}
