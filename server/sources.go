package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
)

// Source is models that are opened when a request needs one of them, and closed
// when none was used for a while, or when another one needs the memory.
type Source struct {
	// Names are those of the models that Open returns: a model and its adapters.
	Names []string
	// Bytes is the memory that they take.
	Bytes int64
	// Info is what clients are told of them while they are not open; it may be nil.
	Info *loader.Info
	// Open opens them. close is called when no request uses them.
	Open func(ctx context.Context) (models []Model, close func() error, err error)
}

// source is a Source and what there is of it now. The server's mutex guards it.
type source struct {
	Source
	loading *loading // under way
	models  []*Model // nil while they are not loaded
	close   func() error
	users   int            // those that wait for them included
	keep    *time.Duration // how long requests want them to stay, nil for the server's default
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
			sum += m.weightBytes()
		}
	}
	return sum
}

// use is the model of that name, opened if it has to be, until the request that w
// answers is over.
func (s *Server) use(w *response, r *http.Request, name string) (*Model, error) {
	s.mu.Lock()
	src := s.sourceOf(name)
	if src == nil {
		s.mu.Unlock()
		return s.lookUp(name)
	}
	defer s.mu.Unlock()
	// Who waits is a user, so that nobody unloads the models before they are used.
	src.users++
	w.after = append(w.after, func() { s.release(src) })
	src.forgetTimer()
	if w.keep != nil {
		src.keep = w.keep
	}
	for src.models == nil {
		if src.loading == nil {
			closing, err := s.makeRoom(src)
			if err != nil {
				return nil, err
			}
			if closing != nil {
				if err := s.wait(r.Context(), closing); err != nil {
					return nil, err
				}
				continue
			}
			src.loading = &loading{done: make(chan struct{})}
			s.active.Add(1) // this request is, too, so that Close has not waited yet
			go s.load(src, src.loading)
		}
		l := src.loading
		if err := s.wait(r.Context(), l.done); err != nil {
			return nil, err
		}
		if l.err != nil {
			return nil, l.err
		}
	}
	return src.models[slices.Index(src.Names, name)], nil
}

// wait waits until done is closed, without the mutex.
func (s *Server) wait(ctx context.Context, done <-chan struct{}) error {
	s.mu.Unlock()
	defer s.mu.Lock()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
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
		src.keep = nil // nobody may be left to release them
	} else {
		src.models, src.close, src.used = ready, done, time.Now()
		if src.users == 0 {
			s.idle(src)
		}
	}
	close(l.done)
}

// makeRoom unloads models that nobody uses until a source fits. Where it has to
// wait for one to be closed, and be called again, it returns when that is done.
func (s *Server) makeRoom(src *source) (closing <-chan struct{}, err error) {
	if s.options.MemoryBytes <= 0 {
		return nil, nil
	}
	sum := weightBytes(s.models) + src.Bytes
	for done, bytes := range s.closing {
		sum += bytes
		closing = done
	}
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
		return nil, nil
	case closing != nil:
		return closing, nil
	case oldest == nil:
		return nil, busy(http.StatusServiceUnavailable, "not_enough_memory", "the models in use leave no memory for %.100s", src.Names[0])
	}
	return s.unload(oldest), nil
}

// release ends a request's use of a source.
func (s *Server) release(src *source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	src.used = time.Now()
	src.users--
	switch {
	case src.users > 0 || src.loading != nil:
	case src.models != nil:
		s.idle(src)
	default:
		src.keep = nil // of requests that did not get the models
	}
}

// idle unloads a source that nobody uses, now or later: as the last request that
// said so wants it, or as the server does. The mutex is held.
func (s *Server) idle(src *source) {
	stay := s.options.IdleTime
	if src.keep != nil {
		stay = *src.keep
	}
	if stay == 0 {
		s.unload(src)
		return
	}
	s.expire(src, stay)
}

// Keep changes how long the models of the source that offers name stay open when
// nobody uses them, until a request says otherwise: 0 is not at all, less than 0 for
// ever. It opens none, and does not wait. It reports whether there is such a source.
func (s *Server) Keep(name string, idle time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	src := s.sourceOf(name)
	switch {
	case src == nil:
		return false
	case src.models == nil && src.loading == nil:
		return true
	}
	src.keep = &idle
	if src.users == 0 && src.models != nil {
		s.idle(src)
	}
	return true
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

// unload takes out the models of a source that nobody uses, and closes them
// without the mutex, which is held. It returns what is closed when they are; until
// then their memory is taken.
func (s *Server) unload(src *source) (closed <-chan struct{}) {
	src.forgetTimer()
	models, closeModels, done := src.models, src.close, make(chan struct{})
	src.models, src.close, src.keep = nil, nil, nil
	s.closing[done] = src.Bytes
	go func() {
		s.cache.forget(models)
		if closeModels != nil {
			if err := closeModels(); err != nil {
				s.options.Logger.Error("a model was not closed", "model", src.Names[0], "error", err)
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.closing, done)
		close(done)
	}()
	return done
}

// offer is a name that clients may ask for, and its model, nil where it is not
// loaded.
type offer struct {
	name  string
	model *Model
	info  *loader.Info // of a source, if it has one
	bytes int64
	until time.Time // it is loaded, zero for ever
}

// config is that of the model, nil where it is not known before it is loaded.
func (o offer) config() *openelm.Config {
	switch {
	case o.model != nil:
		return o.model.Model.Config()
	case o.info != nil:
		return &o.info.Config
	}
	return nil
}

// format is that of most weights, "" where it is not known.
func (o offer) format() string {
	switch {
	case o.info != nil && len(o.info.Formats) > 0:
		name, _, _ := strings.Cut(o.info.Formats[0].Format, ",") // without the groups
		return name
	case o.model != nil:
		return o.model.Model.Weights().Layers[0].QKV.Format.String()
	}
	return ""
}

// offered is what is offered under a name.
func (s *Server) offered(name string) (offer, bool) {
	all := s.all()
	i := slices.IndexFunc(all, func(o offer) bool { return o.name == name })
	if i < 0 {
		return offer{}, false
	}
	return all[i], true
}

// all are what is offered, those that are always there first.
func (s *Server) all() (list []offer) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, m := range s.models {
		list = append(list, offer{name: m.Name, model: m, bytes: m.weightBytes()})
	}
	for _, src := range s.sources {
		for i, name := range src.Names {
			o := offer{name: name, info: src.Info, bytes: src.Bytes, until: src.expires}
			if src.models != nil {
				o.model = src.models[i]
			}
			list = append(list, o)
		}
	}
	return list
}
