package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	// stallTimeout is how long a stream waits for a reader whose buffers, which
	// hold thousands of tokens, are full. Its session is free after that.
	stallTimeout = time.Second
	// answerTimeout is the same for an answer whose session is free already.
	answerTimeout = 30 * time.Second
	// keepAliveTime is less than what proxies wait for.
	keepAliveTime = 10 * time.Second
)

// response is an answer under way.
type response struct {
	http.ResponseWriter
	control *http.ResponseController

	mu      sync.Mutex // for events, which several texts send
	status  int        // 0: nothing was sent yet
	events  bool
	dialect *dialect
	buf     bytes.Buffer
	quiet   *time.Timer // until a comment is due

	after []func()       // when the answer is over
	keep  *time.Duration // how long its model is to stay loaded
}

// finish ends the answer.
func (w *response) finish() {
	for _, f := range w.after {
		f()
	}
}

func newResponse(w http.ResponseWriter) *response {
	w2 := &response{ResponseWriter: w, control: http.NewResponseController(w), dialect: openAI}
	w2.deadline(0)
	return w2
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader notes the status.
func (w *response) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// deadline is when what is written must be taken; 0 is any time. Writers without
// connections, as tests have, have no deadlines.
func (w *response) deadline(d time.Duration) {
	var at time.Time
	if d > 0 {
		at = time.Now().Add(d)
	}
	_ = w.control.SetWriteDeadline(at)
}

// encode makes v JSON with before and after around it, in w.buf.
func (w *response) encode(before string, v any, after string) error {
	w.buf.Reset()
	w.buf.WriteString(before)
	e := json.NewEncoder(&w.buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil { // with a line feed
		return err
	}
	w.buf.WriteString(after)
	return nil
}

// json answers with v.
func (w *response) json(status int, v any) error {
	if err := w.encode("", v, ""); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.deadline(answerTimeout)
	w.WriteHeader(status)
	return w.send()
}

// event sends v as an event of a stream, which the first one begins.
func (w *response) event(v any) error { return w.part(eventStream, "data: ", v, "\n") }

// named sends v as an event of a stream whose events have names.
func (w *response) named(name string, v any) error {
	return w.part(eventStream, "event: "+name+"\ndata: ", v, "\n")
}

// line sends v as a line of a stream of JSON, as Ollama's are.
func (w *response) line(v any) error { return w.part("application/x-ndjson", "", v, "") }

const eventStream = "text/event-stream"

// part sends v as a part of a stream of that type.
func (w *response) part(contentType, before string, v any, after string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.encode(before, v, after); err != nil {
		return err
	}
	return w.push(contentType)
}

// keepAlive sends a comment whenever nothing else was sent for a while, as before
// the first token of a long prompt, so that nobody on the way takes the stream for
// dead. stop ends that.
func (w *response) keepAlive() (stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.quiet = time.AfterFunc(keepAliveTime, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.quiet == nil {
			return
		}
		w.buf.Reset()
		w.buf.WriteString(": keepalive\n\n")
		_ = w.push(eventStream) // the next event tells
	})
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.quiet.Stop()
		w.quiet = nil
	}
}

// push sends what is in w.buf as a part of a stream.
func (w *response) push(contentType string) error {
	if w.quiet != nil {
		defer w.quiet.Reset(keepAliveTime)
	}
	if !w.events {
		w.events = true
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("X-Accel-Buffering", "no")
		w.WriteHeader(http.StatusOK)
	}
	w.deadline(stallTimeout)
	if err := w.send(); err != nil {
		return err
	}
	if err := w.control.Flush(); err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return nil
}

// done ends a stream of OpenAI's.
func (w *response) done() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf.Reset()
	w.buf.WriteString("data: [DONE]\n\n")
	w.deadline(answerTimeout)
	return w.send()
}

func (w *response) send() error {
	if _, err := w.Write(w.buf.Bytes()); err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return nil
}

// dialect is how the API of an endpoint tells errors: in an answer of its own, and
// in a stream.
type dialect struct {
	body  func(e *apiError) any
	event func(w *response, e *apiError) error
}

var openAI = &dialect{
	body:  func(e *apiError) any { return map[string]*apiError{"error": e} },
	event: func(w *response, e *apiError) error { return w.event(map[string]*apiError{"error": e}) },
}

// fail answers with an error, at the end of a stream if that has begun.
func (w *response) fail(e *apiError) {
	switch {
	case w.events:
		_ = w.dialect.event(w, e) // nobody is left to tell
	case w.status == 0:
		if e.retryAfter {
			w.Header().Set("Retry-After", "1")
		}
		_ = w.json(e.status, w.dialect.body(e))
	}
}
