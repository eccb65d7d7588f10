package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-openelm/go-openelm/openelm"
)

// Source is models that are opened when a request needs one of them, and closed
// when none was used for a while, or when another one needs the memory.
type Source struct {
	// Names are those of the models that Open returns: a model and its adapters.
	Names []string
	// Bytes is the memory that they take.
	Bytes int64
	// Open opens them. close is called when no request uses them.
	Open func(ctx context.Context) (models []Model, close func() error, err error)
}

// source is a Source and what there is of it now. The server's mutex guards it.
type source struct {
	Source
	loading *loading // under way
	models  []*Model // nil while they are not loaded
	close   func() error
	users   int
	used    time.Time
	expires time.Time // when they are unloaded, zero for never
	timer   *time.Timer
}

type loading struct {
	done chan struct{}
	err  error
}

// AddSource offers models that are opened at need.
func (s *Server) AddSource(src Source) error {
	if len(src.Names) == 0 || src.Open == nil || src.Bytes < 0 {
		return fmt.Errorf("server: %w: a source needs names and what opens it", openelm.ErrArgument)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, name := range src.Names {
		if name == "" || s.offers(name) || slices.Contains(src.Names[:i], name) {
			return fmt.Errorf("server: %w: two models with the name %q, or one without", openelm.ErrArgument, name)
		}
	}
	if most := s.options.MemoryBytes; most > 0 && weightBytes(s.models)+src.Bytes > most {
		return fmt.Errorf("server: %w: model %s takes %d bytes, besides %d that are always taken; the limit is %d",
			openelm.ErrMemory, src.Names[0], src.Bytes, weightBytes(s.models), most)
	}
	s.sources = append(s.sources, &source{Source: src})
	return nil
}

// offers reports whether there is a model of that name. The mutex is held.
func (s *Server) offers(name string) bool {
	return slices.ContainsFunc(s.models, func(m *Model) bool { return m.Name == name }) || s.sourceOf(name) != nil
}

func (s *Server) sourceOf(name string) *source {
	for _, src := range s.sources {
		if slices.Contains(src.Names, name) {
			return src
		}
	}
	return nil
}

// weightBytes is the memory of models, some of which may have the same weights.
func weightBytes(models []*Model) (sum int64) {
	seen := map[*openelm.Model]bool{}
	for _, m := range models {
		if !seen[m.Model] {
			seen[m.Model] = true
			bytes, _ := m.weights()
			sum += bytes
		}
	}
	return sum
}

// use is the model of that name, opened if it has to be, until the request that w
// answers is over.
func (s *Server) use(w *response, r *http.Request, name string) (*Model, error) {
	for {
		s.mu.Lock()
		src := s.sourceOf(name)
		if src == nil {
			s.mu.Unlock()
			return s.lookUp(name)
		}
		if src.models != nil {
			defer s.mu.Unlock()
			src.users++
			src.forgetTimer()
			w.after = append(w.after, func() { s.release(src, w.keep) })
			return src.models[slices.Index(src.Names, name)], nil
		}
		if src.loading == nil {
			if err := s.makeRoom(src); err != nil {
				s.mu.Unlock()
				return nil, err
			}
			src.loading = &loading{done: make(chan struct{})}
			s.active.Add(1) // this request is, too, so that Close has not waited yet
			go s.load(src, src.loading)
		}
		l := src.loading
		s.mu.Unlock()
		select {
		case <-l.done:
			if l.err != nil {
				return nil, l.err
			}
		case <-r.Context().Done():
			return nil, context.Cause(r.Context())
		}
	}
}

// load opens the models of a source. Who began it may leave.
func (s *Server) load(src *source, l *loading) {
	defer s.active.Done()
	var models []Model
	var done func() error
	err := guard(func() (err error) {
		models, done, err = src.Open(s.stop)
		return err
	})
	var ready []*Model
	for i, m := range models {
		if err == nil && (i >= len(src.Names) || m.Name != src.Names[i]) {
			err = fmt.Errorf("server: a source of %v opened %s", src.Names, m.Name)
		}
		if err == nil {
			err = m.prepare(ready)
		}
		ready = append(ready, &m)
	}
	if err == nil && len(ready) != len(src.Names) {
		err = fmt.Errorf("server: a source of %v opened %d models", src.Names, len(ready))
	}
	if err != nil && done != nil {
		_ = done() // the error that counts is the first
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	src.loading = nil
	if err != nil {
		l.err = fmt.Errorf("opening %s: %w", src.Names[0], err)
	} else {
		src.models, src.close, src.used = ready, done, time.Now()
		s.expire(src, s.options.IdleTime)
	}
	close(l.done)
}

// makeRoom unloads models that nobody uses until a source fits.
func (s *Server) makeRoom(src *source) error {
	if s.options.MemoryBytes <= 0 {
		return nil
	}
	for {
		sum := weightBytes(s.models) + src.Bytes
		var oldest *source
		for _, other := range s.sources {
			if other.models == nil && other.loading == nil {
				continue
			}
			sum += other.Bytes
			if other.models != nil && other.users == 0 && (oldest == nil || other.used.Before(oldest.used)) {
				oldest = other
			}
		}
		switch {
		case sum <= s.options.MemoryBytes:
			return nil
		case oldest == nil:
			return busy(http.StatusServiceUnavailable, "not_enough_memory", "the models in use leave no memory for %.100s", src.Names[0])
		}
		s.unload(oldest)
	}
}

// release ends a request's use of a source. keep is how long the request wants it
// to stay, nil for the server's default.
func (s *Server) release(src *source, keep *time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	src.used = time.Now()
	if src.users--; src.users > 0 {
		return
	}
	idle := s.options.IdleTime
	if keep != nil {
		idle = *keep
	}
	if idle == 0 {
		s.unload(src)
		return
	}
	s.expire(src, idle)
}

// expire unloads a source that nobody uses after a while; never if that is
// negative.
func (s *Server) expire(src *source, idle time.Duration) {
	src.forgetTimer()
	if idle < 0 {
		return
	}
	src.expires = time.Now().Add(idle)
	var timer *time.Timer
	timer = time.AfterFunc(idle, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if src.timer == timer {
			s.unload(src)
		}
	})
	src.timer = timer
}

func (src *source) forgetTimer() {
	if src.timer != nil {
		src.timer.Stop()
	}
	src.timer, src.expires = nil, time.Time{}
}

// unload closes the models of a source that nobody uses. The mutex is held.
func (s *Server) unload(src *source) {
	src.forgetTimer()
	s.cache.forget(src.models)
	done := src.close
	src.models, src.close = nil, nil
	if done == nil {
		return
	}
	if err := done(); err != nil {
		s.options.Logger.Error("a model was not closed", "model", src.Names[0], "error", err)
	}
}

// offer is a name that clients may ask for, and its model, nil where it is not
// loaded.
type offer struct {
	name  string
	model *Model
	bytes int64
	until time.Time // it is loaded, zero for ever
}

// all are what is offered, those that are always there first.
func (s *Server) all() (list []offer) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, m := range s.models {
		bytes, _ := m.weights()
		list = append(list, offer{name: m.Name, model: m, bytes: bytes})
	}
	for _, src := range s.sources {
		for i, name := range src.Names {
			o := offer{name: name, bytes: src.Bytes, until: src.expires}
			if src.models != nil {
				o.model = src.models[i]
			}
			list = append(list, o)
		}
	}
	return list
}
