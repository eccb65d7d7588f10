package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-openelm/go-openelm/chat"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/server"
	"github.com/go-openelm/go-openelm/story"
)

// opener counts what is opened and closed.
type opener struct {
	opened, open atomic.Int32
	fail         atomic.Bool
	wait         chan struct{} // Open waits for it, if it is not nil
	waitClose    chan struct{} // so does close
}

const storyBytes = 8_536_064

func (o *opener) source(names ...string) server.Source {
	return server.Source{Names: names, Bytes: storyBytes, Open: func(ctx context.Context) (list []server.Model, done func() error, err error) {
		o.opened.Add(1)
		if o.wait != nil {
			select {
			case <-o.wait:
			case <-ctx.Done():
				return nil, nil, context.Cause(ctx)
			}
		}
		if o.fail.Load() {
			return nil, nil, errors.New("a failure; secret details")
		}
		m, err := story.Open(ctx, nil)
		if err != nil {
			return nil, nil, err
		}
		b, err := openelm.NewBatch(m, nil)
		for _, name := range names {
			list = append(list, server.Model{Name: name, Model: m, Batch: b, Template: chat.Plain})
		}
		o.open.Add(1)
		return list, func() error {
			if o.waitClose != nil {
				<-o.waitClose
			}
			o.open.Add(-1)
			return m.Close()
		}, err
	}}
}

// loaded are the names that /api/ps tells.
func loaded(t testing.TB, s http.Handler) (names []string) {
	t.Helper()
	var list struct{ Models []struct{ Name string } }
	if err := json.Unmarshal(serve(s, newRequest("GET", "/api/ps", "")).Body.Bytes(), &list); err != nil {
		t.Fatal(err)
	}
	for _, m := range list.Models {
		names = append(names, strings.TrimSuffix(m.Name, ":latest"))
	}
	return names
}

// TestSources: models are opened at need, once for all who wait, and say what they
// would if they were always there; they make way for each other, and go when idle.
func TestSources(t *testing.T) {
	f := newFixture(t, server.Options{}, openelm.BatchOptions{})
	request := object{"model": "story", "prompt": longPrompt, "max_tokens": 5, "seed": 1}
	want := complete(t, f, request).Choices[0].Text

	s := server.New(server.Options{MemoryBytes: 2*storyBytes + storyBytes/2, IdleTime: -1})
	var openers [3]opener
	for i, names := range [][]string{{"a", "a2"}, {"b"}, {"c"}} {
		if err := s.AddSource(openers[i].source(names...)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.AddSource((&opener{}).source("b")); !errors.Is(err, openelm.ErrArgument) {
		t.Errorf("a name twice: %v", err)
	}
	large := openers[0].source("large")
	large.Bytes *= 3
	if err := s.AddSource(large); !errors.Is(err, openelm.ErrMemory) {
		t.Errorf("a model that never fits: %v", err)
	}
	s.Ready()
	var list struct{ Data []struct{ ID string } }
	if err := json.Unmarshal(serve(s, newRequest("GET", "/v1/models", "")).Body.Bytes(), &list); err != nil || len(list.Data) != 4 || loaded(t, s) != nil {
		t.Errorf("%+v %v", list, loaded(t, s))
	}
	ask := func(name string) {
		t.Helper()
		request := object{"model": name, "prompt": longPrompt, "max_tokens": 5, "seed": 1}
		if a := complete(t, s, request); a.Choices[0].Text != want {
			t.Errorf("%s says %q, want %q", name, a.Choices[0].Text, want)
		}
	}
	var wg sync.WaitGroup
	for _, name := range []string{"a", "a", "a2", "a2", "a"} {
		wg.Go(func() { ask(name) })
	}
	wg.Wait()
	ask("b")
	if got := loaded(t, s); !slices.Equal(got, []string{"a", "a2", "b"}) || openers[0].opened.Load() != 1 {
		t.Errorf("loaded %v, opened %d times", got, openers[0].opened.Load())
	}
	ask("a")
	ask("c") // b was not used for longest
	if got := loaded(t, s); !slices.Equal(got, []string{"a", "a2", "c"}) || openers[1].open.Load() != 0 {
		t.Errorf("loaded %v", got)
	}
	ask("b")
	call[ollamaAnswer](t, s, "/api/generate", object{"model": "b", "keep_alive": "1ms"})
	for slices.Contains(loaded(t, s), "b") {
		time.Sleep(time.Millisecond)
	}
	if a := call[ollamaAnswer](t, s, "/api/generate", object{"model": "c", "keep_alive": 0}); a.DoneReason != "unload" || slices.Contains(loaded(t, s), "c") {
		t.Errorf("%+v, loaded %v", a, loaded(t, s))
	}
	openers[1].fail.Store(true)
	wantError(t, serve(s, newRequest("POST", "/v1/completions", `{"model":"b","prompt":"x"}`)), http.StatusInternalServerError, "")
	openers[1].fail.Store(false)
	ask("b")
	s.Close()
	for i := range openers {
		if n := openers[i].open.Load(); n != 0 {
			t.Errorf("source %d: %d are open", i, n)
		}
	}
	wantError(t, serve(s, newRequest("POST", "/v1/completions", `{"model":"b","prompt":"x"}`)), http.StatusServiceUnavailable, "")
}

// TestMemory: models that are always there count, whatever is added first.
func TestMemory(t *testing.T) {
	f := newFixture(t, server.Options{}, openelm.BatchOptions{})
	b, err := openelm.NewBatch(f.model, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := server.Model{Name: "m", Model: f.model, Batch: b, Template: chat.Plain}
	again := m
	again.Name = "again" // with the same weights
	for _, c := range []struct {
		limit  int64
		source bool
		fits   bool
	}{{storyBytes - 1, false, false}, {storyBytes, false, true}, {2*storyBytes - 1, true, false}, {2 * storyBytes, true, true}} {
		s := server.New(server.Options{MemoryBytes: c.limit})
		if c.source {
			if err := s.AddSource((&opener{}).source("a")); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Add(m); (err == nil) != c.fits || err != nil && !errors.Is(err, openelm.ErrMemory) {
			t.Errorf("%+v: %v", c, err)
		}
		if err := s.Add(again); (err == nil) != c.fits {
			t.Errorf("%+v, again: %v", c, err)
		}
		s.Close()
	}
}

// TestSourcesBusy: a model that is being opened, or used, keeps its memory; who
// waits for it may leave, and Close ends the wait.
func TestSourcesBusy(t *testing.T) {
	s := server.New(server.Options{MemoryBytes: storyBytes + 1})
	slow, other := opener{wait: make(chan struct{})}, opener{}
	for _, src := range []server.Source{slow.source("slow"), other.source("other")} {
		if err := s.AddSource(src); err != nil {
			t.Fatal(err)
		}
	}
	s.Ready()
	ctx, leave := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		serve(s, newRequest("POST", "/v1/completions", `{"model":"slow","prompt":"x"}`).WithContext(ctx))
	})
	for slow.opened.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	w := serve(s, newRequest("POST", "/v1/completions", `{"model":"other","prompt":"x"}`))
	wantError(t, w, http.StatusServiceUnavailable, "")
	if w.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	leave()
	wg.Wait()
	wg.Go(func() {
		wantError(t, serve(s, newRequest("POST", "/v1/completions", `{"model":"slow","prompt":"x"}`)), http.StatusServiceUnavailable, "")
	})
	time.Sleep(5 * time.Millisecond) // so that it waits, most likely; both ways are right
	s.Close()
	wg.Wait()
	if slow.open.Load() != 0 {
		t.Error("it is open")
	}
}

// TestKeepAlive: how long a model is to stay holds as soon as nobody uses it; one
// that is not open is not opened to be unloaded, and one that stays is not said to go.
func TestKeepAlive(t *testing.T) {
	f := newFixture(t, server.Options{}, openelm.BatchOptions{})
	for _, path := range []string{"/api/generate", "/api/chat"} {
		unload := object{"model": "a", "keep_alive": 0}
		for name, other := range map[string]func(s http.Handler){
			"an unload": func(s http.Handler) {
				if a := call[ollamaAnswer](t, s, path, unload); a.DoneReason != "unload" || a.Model != "a:latest" {
					t.Errorf("%+v", a)
				}
			},
			"a request that leaves": func(s http.Handler) {
				ctx, leave := context.WithCancel(t.Context())
				leave()
				r := newRequest("POST", "/api/generate", `{"model":"a","prompt":"x","keep_alive":0}`)
				serve(s, r.WithContext(ctx))
			},
		} {
			o := opener{wait: make(chan struct{})}
			s := server.New(server.Options{IdleTime: -1})
			if err := s.AddSource(o.source("a")); err != nil {
				t.Fatal(err)
			}
			s.Ready()
			if a := call[ollamaAnswer](t, s, path, unload); a.DoneReason != "unload" || o.opened.Load() != 0 {
				t.Errorf("not open: %+v, opened %d times", a, o.opened.Load())
			}
			var wg sync.WaitGroup
			wg.Go(func() { complete(t, s, object{"model": "a", "prompt": "x", "max_tokens": 1}) })
			for o.opened.Load() == 0 {
				time.Sleep(time.Millisecond)
			}
			other(s)
			close(o.wait)
			wg.Wait()
			if got := loaded(t, s); got != nil || o.opened.Load() != 1 {
				t.Errorf("%s: loaded %v, opened %d times", name, got, o.opened.Load())
			}
			complete(t, s, object{"model": "a", "prompt": "x", "max_tokens": 1})
			if got := loaded(t, s); got == nil {
				t.Errorf("%s: what it said holds for the next time, too", name)
			}
			s.Close()
			if o.open.Load() != 0 {
				t.Errorf("%s: it is open", name)
			}
		}
		if a := call[ollamaAnswer](t, f, path, object{"model": "story", "keep_alive": 0}); a.DoneReason != "load" {
			t.Errorf("one that stays: %+v", a)
		}
	}
}

// TestKeep: how long models stay is changed while nobody asks them anything, and opens
// none.
func TestKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o opener
		s := server.New(server.Options{IdleTime: time.Minute})
		defer s.Close()
		if err := s.AddSource(o.source("a")); err != nil {
			t.Fatal(err)
		}
		s.Ready()
		if s.Keep("b", 0) || !s.Keep("a", time.Hour) || o.opened.Load() != 0 {
			t.Errorf("before a request: opened %d times", o.opened.Load())
		}
		is := func(when string, want bool) {
			t.Helper()
			synctest.Wait()
			if got := o.open.Load() == 1; got != want {
				t.Errorf("%s: open %t", when, got)
			}
		}
		for _, stay := range []time.Duration{0, time.Hour, -1} {
			complete(t, s, object{"model": "a", "prompt": "x", "max_tokens": 1})
			s.Keep("a", stay)
			switch {
			case stay > 0:
				time.Sleep(stay - time.Second)
				is("within an hour", true)
				time.Sleep(time.Second)
			case stay < 0:
				time.Sleep(1000 * time.Hour)
				is("for ever", true)
				s.Keep("a", 0)
			}
			is("after "+stay.String(), false)
		}
		complete(t, s, object{"model": "a", "prompt": "x", "max_tokens": 1})
		time.Sleep(time.Minute - time.Second)
		is("the next time", true)
		time.Sleep(time.Second)
		is("the next time, later", false)
	})
}

// TestSourcesWaiters: who waited for a model gets it, whoever wants its memory.
func TestSourcesWaiters(t *testing.T) {
	for range 5 {
		s := server.New(server.Options{MemoryBytes: storyBytes + 1})
		o, other := opener{wait: make(chan struct{})}, opener{}
		for _, src := range []server.Source{o.source("a"), other.source("other")} {
			if err := s.AddSource(src); err != nil {
				t.Fatal(err)
			}
		}
		s.Ready()
		var asking, wanting sync.WaitGroup
		asking.Go(func() { complete(t, s, object{"model": "a", "prompt": "x", "max_tokens": 1}) })
		for o.opened.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		var stop atomic.Bool
		for range 4 {
			wanting.Go(func() {
				for !stop.Load() {
					serve(s, newRequest("POST", "/v1/completions", `{"model":"other","prompt":"x","max_tokens":1}`))
				}
			})
		}
		close(o.wait)
		asking.Wait()
		stop.Store(true)
		wanting.Wait()
		s.Close()
	}
}

// TestSourcesClosing: while a model is being closed its memory is taken, and other
// requests are answered.
func TestSourcesClosing(t *testing.T) {
	s := server.New(server.Options{MemoryBytes: storyBytes + 1, IdleTime: -1})
	o, other := opener{waitClose: make(chan struct{})}, opener{}
	for _, src := range []server.Source{o.source("a"), other.source("other")} {
		if err := s.AddSource(src); err != nil {
			t.Fatal(err)
		}
	}
	s.Ready()
	complete(t, s, object{"model": "a", "prompt": "x", "max_tokens": 1})
	var wg sync.WaitGroup
	wg.Go(func() { complete(t, s, object{"model": "other", "prompt": "x", "max_tokens": 1}) })
	for loaded(t, s) != nil { // which answers
		time.Sleep(time.Millisecond)
	}
	ctx, leave := context.WithCancel(t.Context())
	leave()
	serve(s, newRequest("POST", "/api/generate", `{"model":"a","prompt":"x","keep_alive":0}`).WithContext(ctx))
	if o.opened.Load() != 1 || other.opened.Load() != 0 {
		t.Errorf("opened %d and %d times before there was memory", o.opened.Load(), other.opened.Load())
	}
	close(o.waitClose)
	wg.Wait()
	if got := loaded(t, s); !slices.Equal(got, []string{"other"}) || o.open.Load() != 0 {
		t.Errorf("loaded %v", got)
	}
	complete(t, s, object{"model": "a", "prompt": "x", "max_tokens": 1})
	if got := loaded(t, s); !slices.Equal(got, []string{"a"}) {
		t.Errorf("loaded %v: what a request said that left holds", got)
	}
	s.Close()
}

// TestShowSource: a model whose checkpoint was inspected is described as when it is
// open, without being opened; another one is opened for that.
func TestShowSource(t *testing.T) {
	info, err := loader.InspectFS(t.Context(), story.FS())
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range []*loader.Info{info, nil} {
		var o opener
		src := o.source("story")
		src.Info = info
		s := server.New(server.Options{})
		if err := s.AddSource(src); err != nil {
			t.Fatal(err)
		}
		s.Ready()
		show := func(s http.Handler) object {
			a := call[object](t, s, "/api/show", object{"model": "story"})
			delete(a, "modified_at") // when the server was started
			return a
		}
		got := show(s)
		if want := show(newFixture(t, server.Options{}, openelm.BatchOptions{})); !reflect.DeepEqual(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		if n := o.opened.Load(); (n == 0) != (info != nil) {
			t.Errorf("opened %d times", n)
		}
		s.Close()
	}
}
