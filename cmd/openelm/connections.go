package main

import (
	"net"
	"sync"
)

// maxConnections is how many clients are connected at a time. More wait, in the
// system's queue, for one that ends; those that are idle end by themselves.
const maxConnections = 1024

// limitedListener accepts a connection when there is a place for it.
type limitedListener struct {
	net.Listener
	places chan struct{}
	closed chan struct{}
	close  func() error
}

func limit(l net.Listener, places int) net.Listener {
	closed := make(chan struct{})
	return &limitedListener{l, make(chan struct{}, places), closed, sync.OnceValue(func() error {
		close(closed)
		return l.Close()
	})}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	leave := func() { <-l.places }
	c, err := l.Listener.Accept()
	if err != nil {
		leave()
		return nil, err
	}
	return &limitedConn{c, sync.OnceFunc(leave)}, nil
}

func (l *limitedListener) Close() error { return l.close() }

// limitedConn gives its place back when it is closed.
type limitedConn struct {
	net.Conn
	leave func()
}

func (c *limitedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
