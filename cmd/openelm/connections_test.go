package main

import (
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// everybody is a listener that somebody always connects to.
type everybody struct{ accepted atomic.Int32 }

func (e *everybody) Accept() (net.Conn, error) {
	e.accepted.Add(1)
	a, _ := net.Pipe()
	return a, nil
}
func (e *everybody) Close() error   { return nil }
func (e *everybody) Addr() net.Addr { return &net.UnixAddr{} }

func TestConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := &everybody{}
		l := limit(inner, 2)
		accepted := make(chan net.Conn, 10)
		ended := make(chan error)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					ended <- err
					return
				}
				accepted <- c
			}
		}()
		for i := range int32(3) {
			synctest.Wait()
			if n := inner.accepted.Load(); n != 2+i {
				t.Errorf("%d connections with two places, after %d have ended", n, i)
			}
			c := <-accepted
			c.Close()
			c.Close() // harmless
		}
		l.Close()
		l.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}
