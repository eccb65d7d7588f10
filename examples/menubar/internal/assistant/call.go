package assistant

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// call asks the server of this process, and hands each line of its answer to line,
// which may be nil. What the server refuses is a *refusal.
func (a *Assistant) call(ctx context.Context, path string, body any, line func([]byte) error) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost"+path, &text)
	if err != nil {
		return err
	}
	w := &lines{header: http.Header{}, line: line}
	a.server.ServeHTTP(w, r)
	switch {
	case w.err != nil:
		return w.err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return nil
}

// refusal is an answer of the server that is none.
type refusal struct {
	status int // 0 in the middle of a stream
	body   string
}

func (e *refusal) Error() string { return fmt.Sprintf("status %d: %.500s", e.status, e.body) }

// lines is an [http.ResponseWriter] that hands over each line.
type lines struct {
	header http.Header
	status int
	rest   []byte // of a line
	line   func([]byte) error
	err    error
}

func (w *lines) Header() http.Header { return w.header }

func (w *lines) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

// FlushError is for [http.ResponseController]: everything is handed over already.
func (w *lines) FlushError() error { return nil }

func (w *lines) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.rest = append(w.rest, p...)
	for w.err == nil {
		text, rest, ok := bytes.Cut(w.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		w.rest = rest
		w.err = w.take(text)
	}
	return 0, w.err
}

func (w *lines) take(text []byte) error {
	if w.status != http.StatusOK {
		return &refusal{w.status, string(text)}
	}
	var failed struct{ Error json.RawMessage }
	if err := json.Unmarshal(text, &failed); err != nil {
		return err
	}
	if failed.Error != nil {
		return &refusal{body: string(failed.Error)}
	}
	if w.line == nil {
		return nil
	}
	return w.line(text)
}

// refused reports whether err is the server's refusal with that status.
func refused(err error, status int) bool {
	e, ok := errors.AsType[*refusal](err)
	return ok && e.status == status
}
