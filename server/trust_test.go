package server_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/server"
)

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHostsAndOrigins(t *testing.T) {
	s := server.New(server.Options{AllowHosts: []string{"models.example.org"}})
	s.Ready()
	for _, c := range []struct {
		host, origin string
		status       int
	}{
		{"127.0.0.1:8642", "", 200}, {"localhost", "", 200}, {"LOCALHOST:1", "", 200}, {"[::1]:80", "", 200}, {"[::1]", "", 200}, {"192.168.1.5:8642", "", 200},
		{"models.example.org", "", 200}, {"Models.Example.org:80", "https://models.example.org", 200},
		{"evil.example", "", 403}, {"localhost.evil.example", "", 403}, {"127.0.0.1.evil.example:8642", "", 403}, {"", "", 403}, {"a:b:c", "", 403},
		{"localhost", "http://localhost:3000", 200}, {"localhost", "http://127.0.0.1:3000", 200}, {"localhost", "https://[::1]", 200},
		{"localhost", "https://evil.example", 403}, {"localhost", "null", 403}, {"localhost", "http://192.168.1.5", 403}, {"localhost", "file://localhost", 403},
		{"localhost", "http://localhost.evil.example", 403},
		{"192.168.1.5:8642", "http://192.168.1.5:8642", 200}, {"192.168.1.5:8642", "http://192.168.1.6:8642", 403}, {"evil.example", "http://evil.example", 403},
	} {
		r := newRequest("GET", "/health", "")
		if r.Host = c.host; c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		w := serve(s, r)
		if w.Code != c.status {
			t.Errorf("host %q, origin %q: %d, want %d", c.host, c.origin, w.Code, c.status)
		}
		want := ""
		if w.Code == 200 {
			want = c.origin
		}
		if got := w.Header().Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("origin %q is allowed as %q", c.origin, got)
		}
	}
	r := newRequest("OPTIONS", "/v1/chat/completions", "")
	r.Header.Set("Origin", "http://localhost:3000")
	r.Header.Set("Access-Control-Request-Headers", "authorization, x-stainless-os")
	if w := serve(s, r); w.Code != 204 || w.Header().Get("Access-Control-Allow-Headers") != "authorization, x-stainless-os" {
		t.Errorf("preflight: %d %v", w.Code, w.Header())
	}
}

func TestKey(t *testing.T) {
	s := server.New(server.Options{Key: "secret"})
	s.Ready()
	for header, status := range map[string]int{"": 401, "Bearer ": 401, "Bearer secre": 401, "Bearer secret2": 401, "Basic secret": 401, "secret": 401, "Bearer secret": 200} {
		r := newRequest("GET", "/v1/models", "")
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		w := serve(s, r)
		if w.Code != status {
			t.Errorf("%q: %d", header, w.Code)
		}
		if status == 401 {
			wantError(t, w, 401, "")
		}
	}
	for path, kind := range map[string]string{"/health": "application/json", "/": "text/html", "/page.css": "text/css", "/page.js": "text/javascript"} {
		w := serve(s, newRequest("GET", path, ""))
		if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), kind) {
			t.Errorf("%s without a key: %d %v", path, w.Code, w.Header())
		}
	}
}

func TestLoading(t *testing.T) {
	s := server.New(server.Options{})
	for _, path := range []string{"/health", "/v1/models", "/tokenizer_info"} {
		w := serve(s, newRequest("GET", path, ""))
		wantError(t, w, http.StatusServiceUnavailable, "")
		if w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", path)
		}
	}
	s.Ready()
	if w := serve(s, newRequest("GET", "/health", "")); w.Code != 200 {
		t.Error(w.Code)
	}
}

// TestFaults: a failure of the device, or a panic, is that of its request.
func TestFaults(t *testing.T) {
	f := newFixture(t, server.Options{}, openelm.BatchOptions{})
	request := `{"model":"story","prompt":"Once upon","max_tokens":3,"seed":1}`
	want := f.do("POST", "/v1/completions", request)
	for _, fault := range []int32{deviceLost, devicePanic} {
		f.backend.fault.Store(fault)
		wantError(t, f.do("POST", "/v1/completions", request), http.StatusInternalServerError, "")
		wantError(t, f.do("POST", "/v1/completions", strings.Replace(request, "{", `{"stream":true,`, 1)), http.StatusInternalServerError, "")
		f.backend.fault.Store(0)
		if got := f.do("POST", "/v1/completions", request); got.Code != 200 || text(got) != text(want) {
			t.Errorf("after it: %d %s", got.Code, got.Body)
		}
	}
}

func text(w *httptest.ResponseRecorder) string {
	_, after, _ := strings.Cut(w.Body.String(), `"choices"`)
	return after
}

// pipes is a listener whose connections have no buffers: what is not read blocks
// its writer at once.
type pipes struct {
	accept chan net.Conn
	once   sync.Once
	done   chan struct{}
}

func newPipes() *pipes { return &pipes{accept: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accept:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (p *pipes) dial(t *testing.T) net.Conn {
	a, b := net.Pipe()
	p.accept <- b
	t.Cleanup(func() { a.Close() })
	return a
}

// TestReaders: with one place and no queue, a second request is told to come
// again; and a reader that vanishes or stalls gives its place up.
func TestReaders(t *testing.T) {
	f := newFixture(t, server.Options{}, openelm.BatchOptions{Places: 1, Queue: -1})
	listener := newPipes()
	h := &http.Server{Handler: f}
	served := make(chan error)
	go func() { served <- h.Serve(listener) }()
	defer func() {
		h.Close()
		<-served
	}()
	body := `{"model":"story","prompt":"Once upon","max_tokens":500,"ignore_eos":true,"stream":true}`
	open := func() (net.Conn, *bufio.Reader) {
		c := listener.dial(t)
		fmt.Fprintf(c, "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		r := bufio.NewReader(c)
		line, err := r.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "HTTP/1.1 200") {
			t.Fatalf("%q, %v", line, err)
		}
		return c, r
	}
	short := `{"model":"story","prompt":"Once upon","max_tokens":1}`
	free := func() {
		t.Helper()
		for { // a place that is never free ends with the tests' timeout
			w := f.do("POST", "/v1/completions", short)
			if w.Code == 200 {
				return
			}
			wantError(t, w, http.StatusTooManyRequests, "")
			if w.Header().Get("Retry-After") != "1" {
				t.Fatalf("%v", w.Header())
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	for range 3 {
		c, _ := open()
		wantError(t, f.do("POST", "/v1/completions", short), http.StatusTooManyRequests, "")
		c.Close()
		free()
	}
	c, r := open()
	wantError(t, f.do("POST", "/v1/completions", short), http.StatusTooManyRequests, "")
	free() // while c does not read
	rest, err := io.ReadAll(r)
	if strings.Contains(string(rest), "[DONE]") || err == nil && len(rest) > 100_000 {
		t.Errorf("a stalled stream went on: %v, %d bytes", err, len(rest))
	}
	c.Close()
	if m := f.do("GET", "/metrics", "").Body.String(); !strings.Contains(m, "\nopenelm_requests_processing 0\n") || !strings.Contains(m, "\nopenelm_requests_deferred 0\n") ||
		!strings.Contains(m, `openelm_requests_total{endpoint="/v1/completions",status="499"} 4`) {
		t.Errorf("metrics:\n%s", m)
	}
}

// TestCause: a caller in the same process that ends its request is no failure, whatever
// it names as the cause.
func TestCause(t *testing.T) {
	var log bytes.Buffer
	f := newFixture(t, server.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}, openelm.BatchOptions{})
	ctx, cancel := context.WithCancelCause(t.Context())
	r := newRequest("POST", "/v1/completions", `{"model":"story","prompt":"Once","n":60,"max_tokens":400,"ignore_eos":true}`)
	done := make(chan struct{})
	go func() {
		defer close(done)
		serve(f, r.WithContext(ctx))
	}()
	for !strings.Contains(f.do("GET", "/metrics", "").Body.String(), "\nopenelm_requests_processing 1\n") {
		time.Sleep(time.Millisecond)
	}
	cancel(errors.New("the caller has had enough"))
	<-done
	if strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("the log has\n%s", &log)
	}
	if m := f.do("GET", "/metrics", "").Body.String(); !strings.Contains(m, `openelm_requests_total{endpoint="/v1/completions",status="499"} 1`) {
		t.Errorf("metrics:\n%s", m)
	}
}

// TestQueue: who waits in the queue may leave it, and gets a place in turn.
func TestQueue(t *testing.T) {
	f := newFixture(t, server.Options{}, openelm.BatchOptions{Places: 1, Queue: 1})
	ctx, cancel := context.WithCancel(t.Context())
	long := newRequest("POST", "/v1/completions", `{"model":"story","prompt":"Once","n":60,"max_tokens":400,"ignore_eos":true}`)
	var all sync.WaitGroup
	all.Go(func() { serve(f, long.WithContext(ctx)) })
	metric := func(line string) {
		for !strings.Contains(f.do("GET", "/metrics", "").Body.String(), "\n"+line+"\n") {
			time.Sleep(time.Millisecond)
		}
	}
	metric("openelm_requests_processing 1")
	short := newRequest("POST", "/v1/completions", `{"model":"story","prompt":"Once","max_tokens":1}`)
	waiting, leave := context.WithCancel(t.Context())
	all.Go(func() { serve(f, short.WithContext(waiting)) })
	metric("openelm_requests_deferred 1")
	wantError(t, f.do("POST", "/v1/completions", `{"model":"story","prompt":"Once","max_tokens":1}`), http.StatusTooManyRequests, "")
	leave()
	metric("openelm_requests_deferred 0")
	next := newRequest("POST", "/v1/completions", `{"model":"story","prompt":"Once","max_tokens":1}`)
	all.Go(func() {
		if w := serve(f, next); w.Code != 200 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
	metric("openelm_requests_deferred 1")
	cancel()
	all.Wait()
}

// TestClose: requests under way are cut off with an error, later ones refused.
func TestClose(t *testing.T) {
	f := newFixture(t, server.Options{}, openelm.BatchOptions{})
	done := make(chan *httptest.ResponseRecorder)
	go func() {
		done <- f.do("POST", "/v1/completions", `{"model":"story","prompt":"Once","n":60,"max_tokens":400,"ignore_eos":true}`)
	}()
	for !strings.Contains(f.do("GET", "/metrics", "").Body.String(), "\nopenelm_requests_processing 1\n") {
		time.Sleep(time.Millisecond)
	}
	f.Close()
	wantError(t, <-done, http.StatusServiceUnavailable, "")
	wantError(t, f.do("POST", "/v1/completions", `{"model":"story","prompt":"Once"}`), http.StatusServiceUnavailable, "")
}

// TestSoonFree: the place of a reader who stalls is free after a second, and that
// of one who vanishes at once, by a clock that only waiting moves.
func TestSoonFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, server.Options{}, openelm.BatchOptions{Places: 1, Queue: -1})
		listener := newPipes()
		h := &http.Server{Handler: f}
		served := make(chan error)
		go func() { served <- h.Serve(listener) }()
		defer func() {
			h.Close()
			<-served
		}()
		const body = `{"model":"story","prompt":"Once upon","max_tokens":400,"ignore_eos":true,"stream":true}`
		const step = time.Millisecond // which may begin just before the place is free
		for _, vanish := range []bool{false, true} {
			c := listener.dial(t)
			fmt.Fprintf(c, "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			limit := time.Second
			if vanish {
				c.Close()
				limit = 0
			}
			start := time.Now()
			synctest.Wait()
			for f.do("POST", "/v1/completions", `{"model":"story","prompt":"Once","max_tokens":1}`).Code != http.StatusOK {
				time.Sleep(step)
			}
			if d := time.Since(start); d > limit+step || !vanish && d < limit/2 {
				t.Errorf("vanished: %v; the place was free after %v", vanish, d)
			}
			c.Close()
		}
	})
}
