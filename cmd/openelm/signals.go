package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// grace is how long a command has to end after a signal, unless it asks for more. A command that waits
// for something that takes no context, such as a full pipe, is ended then;
// nothing of it that matters is left half-written.
const grace = time.Second

// signals ends the command at the first interrupt (^C) or SIGTERM, and the
// process at the second or when the command takes too long to end.
type signals struct {
	exit func(status int)

	mu    sync.Mutex
	grace time.Duration
	inner context.CancelFunc // what an interrupt ends in place of the command
}

// watchSignals returns a context that a signal ends, with a signalError as its
// cause.
func watchSignals(ctx context.Context, exit func(status int)) (context.Context, *signals) {
	c := make(chan os.Signal, 2)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancelCause(ctx)
	s := &signals{exit: exit, grace: grace}
	go s.watch(c, cancel)
	return ctx, s
}

func (s *signals) watch(c <-chan os.Signal, cancel context.CancelCauseFunc) {
	ending := false
	for sig := range c {
		err := signalError{sig}
		switch {
		case ending:
			s.exit(err.status())
		case sig == os.Interrupt && s.endInner():
		default:
			ending = true
			cancel(err)
			time.AfterFunc(s.allowed(), func() { s.exit(err.status()) })
		}
	}
}

// allow gives the command more time to end.
func (s *signals) allow(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.grace = d
}

func (s *signals) allowed() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.grace
}

// interruptible returns a context that the next interrupt ends in place of the
// command. end must be called; it gives the interrupt back to the command.
func (s *signals) interruptible(ctx context.Context) (inner context.Context, end func()) {
	inner, cancel := context.WithCancel(ctx)
	s.setInner(cancel)
	return inner, func() {
		s.setInner(nil)
		cancel()
	}
}

func (s *signals) setInner(cancel context.CancelFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inner = cancel
}

func (s *signals) endInner() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inner == nil {
		return false
	}
	s.inner()
	s.inner = nil
	return true
}

// signalError says which signal ended a context.
type signalError struct{ os.Signal }

func (e signalError) Error() string { return e.String() }

// status is what a shell reports of a command that the signal ended.
func (e signalError) status() int {
	if n, ok := e.Signal.(syscall.Signal); ok {
		return 128 + int(n)
	}
	return 1
}

// statusOfSignal is the exit status where a signal ended ctx, otherwise 0.
func statusOfSignal(ctx context.Context) int {
	if e, ok := context.Cause(ctx).(signalError); ok {
		return e.status()
	}
	return 0
}
