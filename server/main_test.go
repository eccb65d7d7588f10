package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/go-openelm/go-openelm/chat"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/cpu"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/loader/tokenizer"
	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/server"
	"github.com/go-openelm/go-openelm/story"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// faultyBackend fails, or panics, while it is told to, and counts passes.
type faultyBackend struct {
	kernels.Backend
	fault  atomic.Int32
	passes atomic.Int32
}

const (
	deviceLost = iota + 1
	devicePanic
)

func (b *faultyBackend) Begin(ctx context.Context) (kernels.Ops, error) {
	b.passes.Add(1)
	switch b.fault.Load() {
	case deviceLost:
		return nil, errors.New("the device is lost; secret details")
	case devicePanic:
		panic("a panic; secret details")
	}
	return b.Backend.Begin(ctx)
}

// fixture is a server of the story model, as "story" and with an adapter as
// "other", and as "chatty" with the layout of Instruct models.
type fixture struct {
	*server.Server
	model   *openelm.Model
	adapter *openelm.Adapter
	backend *faultyBackend
}

func newFixture(t testing.TB, o server.Options, b openelm.BatchOptions) *fixture {
	t.Helper()
	f := &fixture{backend: &faultyBackend{Backend: cpu.New(cpu.Options{})}}
	var err error
	if f.model, err = story.Open(t.Context(), &loader.Options{Backend: f.backend}); err != nil {
		t.Fatal(err)
	}
	f.adapter = randomAdapter(t, f.model)
	f.Server = server.New(o)
	t.Cleanup(func() {
		f.Close()
		f.model.Close()
		f.backend.Close()
	})
	batch, err := openelm.NewBatch(f.model, &b)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []server.Model{
		{Name: "story", Model: f.model, Batch: batch, Template: chat.Plain},
		{Name: "other", Model: f.model, Batch: batch, Template: chat.Plain, Adapter: f.adapter},
		{Name: "chatty", Model: f.model, Batch: batch, Template: chat.Instruct},
	} {
		if err := f.Add(m); err != nil {
			t.Fatal(err)
		}
	}
	f.Ready()
	return f
}

// randomAdapter changes what a model says.
func randomAdapter(t testing.TB, m *openelm.Model) *openelm.Adapter {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	matrix := func(rows, cols int) kernels.Matrix {
		b, err := m.Backend().NewBuffer(4 * rows * cols)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Release)
		v := kernels.Whole(b)
		for i := range v.Floats() {
			v.Floats()[i] = float32(r.NormFloat64())
		}
		return kernels.Matrix{Rows: rows, Cols: cols, Format: kernels.F32, Data: v}
	}
	a := &openelm.Adapter{Layers: make([]openelm.LayerAdapter, len(m.Config().Layers))}
	w := &m.Weights().Layers[2].Down
	a.Layers[2].Down = &kernels.LowRank{A: matrix(2, w.Cols), B: matrix(w.Rows, 2)}
	if err := a.Validate(m); err != nil {
		t.Fatal(err)
	}
	return a
}

// newRequest is a request as a client on this machine makes it.
func newRequest(method, path, body string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "127.0.0.1:8642"
	return r
}

func (f *fixture) do(method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	f.ServeHTTP(w, newRequest(method, path, body))
	return w
}

// call posts a request, given as an object, and reads the answer.
func call[T any](t testing.TB, f http.Handler, path string, request any) (answer T) {
	t.Helper()
	body := mustJSON(request)
	w := httptest.NewRecorder()
	f.ServeHTTP(w, newRequest("POST", path, string(body)))
	if w.Code != http.StatusOK {
		t.Fatalf("%s %s: %d: %s", path, body, w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%s: %v", w.Body, err)
	}
	return answer
}

// events posts a request and reads the events of the stream that answers.
func events[T any](t testing.TB, f http.Handler, path string, request any) (all []T) {
	t.Helper()
	body := mustJSON(request)
	w := httptest.NewRecorder()
	f.ServeHTTP(w, newRequest("POST", path, string(body)))
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s: %d: %s", body, w.Code, w.Body)
	}
	all, err := readEvents[T](w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func readEvents[T any](r io.Reader) (all []T, err error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	parts := bytes.Split(text, []byte("\n\n"))
	n := len(parts)
	if n < 2 || string(parts[n-2]) != "data: [DONE]" || len(parts[n-1]) > 0 {
		return nil, fmt.Errorf("the stream does not end with [DONE]: %s", text)
	}
	for _, p := range parts[:n-2] {
		data, ok := bytes.CutPrefix(p, []byte("data: "))
		if !ok || bytes.ContainsAny(data, "\n") || bytes.Contains(data, []byte(`"error"`)) {
			return nil, fmt.Errorf("an event: %s", p)
		}
		var v T
		if err := json.Unmarshal(data, &v); err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

type object = map[string]any

func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// apiFault is an error's JSON.
type apiFault struct {
	Error *struct {
		Message, Type string
		Param, Code   *string
	}
}

// wantError holds an answer to a status, the parameter it names ("" for none),
// and the shape of OpenAI's errors.
func wantError(t testing.TB, w *httptest.ResponseRecorder, status int, param string) {
	t.Helper()
	var keys struct{ Error map[string]any }
	var e apiFault
	if json.Unmarshal(w.Body.Bytes(), &keys) != nil || json.Unmarshal(w.Body.Bytes(), &e) != nil || e.Error == nil || len(keys.Error) != 4 || e.Error.Message == "" || e.Error.Type == "" {
		t.Fatalf("%d: %s is no error of OpenAI's shape", w.Code, w.Body)
	}
	got := ""
	if e.Error.Param != nil {
		got = *e.Error.Param
	}
	if w.Code != status || got != param {
		t.Errorf("%d, parameter %q: %s; want %d, %q", w.Code, got, e.Error.Message, status, param)
	}
	if strings.Contains(w.Body.String(), "secret") {
		t.Errorf("it tells too much: %s", w.Body)
	}
}

// pieces is the story model's tokenizer.
func (f *fixture) pieces() *tokenizer.Tokenizer {
	t, err := tokenizer.Load(story.FS(), ".")
	if err != nil {
		panic(err) // the files are embedded
	}
	return t
}
