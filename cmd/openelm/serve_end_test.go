//go:build unix

package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// serving starts openelm serve, and returns it when it is ready, its address, and
// a client that reaches it.
func serving(t *testing.T, args ...string) (p *process, url string, c *http.Client) {
	t.Helper()
	p = start(t, nil, append([]string{"serve", "--quiet"}, args...)...)
	address, err := bufio.NewReader(p.out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	url, c = strings.TrimSpace(address), &http.Client{Transport: &http.Transport{}}
	t.Cleanup(c.CloseIdleConnections)
	if name, ok := strings.CutPrefix(url, "unix:"); ok {
		url, c.Transport = "http://localhost", &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", name)
		}}
	}
	for {
		r, err := c.Get(url + "/health")
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode == 200 {
			return p, url, c
		}
	}
}

// endless begins a stream that takes longer than any test.
func endless(t *testing.T, url string, c *http.Client) io.Reader {
	t.Helper()
	r, err := c.Post(url+"/v1/completions", "application/json", strings.NewReader(`{"model":"story","prompt":"Once","n":64,"max_tokens":500,"ignore_eos":true,"stream":true,"logprobs":20}`))
	if err != nil || r.StatusCode != 200 {
		t.Fatal(r, err)
	}
	t.Cleanup(func() { r.Body.Close() })
	return r.Body
}

// refuses waits until nobody can connect any more.
func refuses(url string) {
	for {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			return
		}
		c.Close()
	}
}

// TestServeSecondSignal: the first SIGTERM lets requests finish and lets nobody in,
// the second one ends at once.
func TestServeSecondSignal(t *testing.T) {
	p, url, c := serving(t, "--addr", "127.0.0.1:0", "--drain", "1h")
	body := endless(t, url, c)
	p.Process.Signal(syscall.SIGTERM)
	refuses(url)
	if _, err := io.ReadFull(body, make([]byte, 10_000)); err != nil {
		t.Errorf("the stream does not go on: %v", err)
	}
	p.Process.Signal(syscall.SIGTERM)
	if status := p.status(t); status != 128+int(syscall.SIGTERM) {
		t.Errorf("status %d", status)
	}
}

// TestServeDrain: requests that take longer than --drain get an error.
func TestServeDrain(t *testing.T) {
	p, url, c := serving(t, "--addr", "127.0.0.1:0", "--drain", "1ms")
	body := endless(t, url, c)
	p.Process.Signal(syscall.SIGTERM)
	text, err := io.ReadAll(body)
	if last := string(text[strings.LastIndex(string(text), "data: "):]); err != nil || !strings.Contains(last, `"shutting_down"`) {
		t.Errorf("the stream ends with %q, %v", last, err)
	}
	if status := p.status(t); status != 0 {
		t.Errorf("status %d: %s", status, &p.errs)
	}
}

// TestServeUnix: a socket is for its owner alone, and one that a program left
// behind is in nobody's way.
func TestServeUnix(t *testing.T) {
	name := filepath.Join(t.TempDir(), "socket")
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		p, url, c := serving(t, "--unix", name)
		info, err := os.Stat(name)
		if err != nil || info.Mode() != os.ModeSocket|0o600 {
			t.Errorf("the socket: %v, %v", info.Mode(), err)
		}
		r, err := c.Post(url+"/v1/completions", "application/json", strings.NewReader(`{"model":"story","prompt":"Once upon a time","max_tokens":1,"temperature":0}`))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || !strings.Contains(string(text), `"text":","`) {
			t.Errorf("%s, %v", text, err)
		}
		c.CloseIdleConnections()
		p.Process.Signal(sig)
		p.status(t)
		if _, err := os.Stat(name); (err == nil) != (sig == syscall.SIGKILL) {
			t.Errorf("after %v the socket is there: %v", sig, err == nil)
		}
	}
}
