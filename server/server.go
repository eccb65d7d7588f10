package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options configure a server. The zero value is usable.
type Options struct {
	// Key is what clients must present (Authorization: Bearer KEY); none if empty.
	Key string
	// AllowHosts are names, besides localhost and IP addresses, under which the
	// server may be addressed, and from whose web pages it may be used.
	AllowHosts []string
	// MaxBody is the largest request in bytes; 0 means 4 MiB.
	MaxBody int64
	// MaxTexts is how many texts a request may ask for: its prompts times n; 0
	// means 64.
	MaxTexts int
	// MaxRequests is how many requests there may be at a time, those included that
	// are still being read; 0 means 256. How many generate, and how many wait for
	// that, the models' batches say.
	MaxRequests int
	// CacheBytes is how much memory the sessions of finished requests may keep, for
	// requests that begin alike; 0 means 512 MiB, less than 0 none.
	CacheBytes int64
	// MemoryBytes is how much memory the weights of models may take, those that are
	// always there included; 0 means any. Models of a [Source] that nobody uses make
	// way for others.
	MemoryBytes int64
	// IdleTime is how long the models of a [Source] stay when nobody uses them; 0
	// means 5 minutes, less than 0 for ever.
	IdleTime time.Duration
	// TokenizeBOS makes /tokenize put the begin-of-text token in front whatever it
	// is asked, for evaluations whose tokenizer client does not ask.
	TokenizeBOS bool
	// Logger gets the errors that clients are not told; silent if nil.
	Logger *slog.Logger
}

// Server answers requests. It is an http.Handler.
type Server struct {
	options Options
	key     [sha256.Size]byte
	started time.Time
	metrics *metrics
	cache   cache
	routes  map[string]route
	page    map[string]route // of routes, those that anybody may see
	inHand  atomic.Int64
	active  sync.WaitGroup

	mu      sync.RWMutex
	models  []*Model // that are always there; the first is the default
	sources []*source
	closing map[chan struct{}]int64 // models that are being closed: until when, and their bytes
	ready   bool
	closed  bool
	stop    context.Context // done when the server is closed
	end     context.CancelCauseFunc
}

// handler answers a request, or returns why not.
type handler func(w *response, r *http.Request) error

// route is the handlers of a path, by method.
type route map[string]handler

// New makes a server without models. It says that it is loading until Ready.
func New(o Options) *Server {
	if o.MaxBody == 0 {
		o.MaxBody = 4 << 20
	}
	if o.MaxTexts == 0 {
		o.MaxTexts = 64
	}
	if o.MaxRequests == 0 {
		o.MaxRequests = 256
	}
	if o.IdleTime == 0 {
		o.IdleTime = 5 * time.Minute
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 512 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{options: o, started: time.Now(), key: sha256.Sum256([]byte(o.Key)), closing: map[chan struct{}]int64{}}
	s.cache.budget = o.CacheBytes
	s.metrics = newMetrics(s)
	s.stop, s.end = context.WithCancelCause(context.Background())
	s.routes = map[string]route{
		"/health":              {http.MethodGet: s.health},
		"/metrics":             {http.MethodGet: s.metrics.serve},
		"/v1/models":           {http.MethodGet: s.listModels},
		modelsPath:             {http.MethodGet: s.showModel},
		"/v1/completions":      {http.MethodPost: s.completions},
		"/v1/chat/completions": {http.MethodPost: s.chat},
		"/v1/embeddings":       {http.MethodPost: s.embeddings},
		"/v1/responses":        {http.MethodPost: s.responses},
		"/tokenize":            {http.MethodPost: s.tokenize},
		"/detokenize":          {http.MethodPost: s.detokenize},
		"/tokenizer_info":      {http.MethodGet: s.tokenizerInfo},
	}
	maps.Copy(s.routes, s.ollamaRoutes())
	s.page = pageRoutes()
	maps.Copy(s.routes, s.page)
	return s
}

// KeepOnDisk lets the prefix cache keep in a folder, within a budget in bytes, what
// memory has no room for and what it has when the server is closed. It is called
// before there are requests. The folder is made if it is not there; nobody else may
// use it meanwhile, and what is in it tells what was said.
func (s *Server) KeepOnDisk(dir string, bytes int64) (err error) {
	s.cache.disk, err = openDisk(dir, bytes, s.options.Logger)
	return err
}

// Ready says that all models are there.
func (s *Server) Ready() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = true
}

// Close ends the requests that are under way, with an error, waits for them and
// releases the sessions that were kept and the models of sources. Other models are
// their owner's to close, afterwards.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.end(errStopped)
	s.active.Wait()
	s.cache.close()
	s.mu.Lock()
	for _, src := range s.sources {
		if src.models != nil {
			s.unload(src)
		}
	}
	closing := slices.Collect(maps.Keys(s.closing))
	s.mu.Unlock()
	for _, done := range closing {
		<-done
	}
	return nil
}

// enter counts a request, unless the server is closed.
func (s *Server) enter() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return errStopped
	}
	s.active.Add(1)
	return nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w := newResponse(rw)
	start := time.Now()
	path, at := s.find(r.URL.Path)
	if strings.HasPrefix(r.URL.Path, ollamaPath) {
		w.dialect = ollama
	}
	err := s.enter()
	if err == nil {
		defer s.active.Done()
		defer w.finish()
		ctx, cancel := context.WithCancelCause(r.Context())
		defer context.AfterFunc(s.stop, func() { cancel(errStopped) })()
		defer cancel(nil)
		// A panic is an error of this request alone.
		err = guard(func() error { return s.serve(w, r.WithContext(ctx), at) })
		if cause := context.Cause(ctx); err != nil && errors.Is(cause, errStopped) {
			err = cause
		}
	}
	switch {
	case err == nil:
	case gone(err), errors.Is(r.Context().Err(), context.Canceled) && errors.Is(err, context.Cause(r.Context())):
		w.status = statusGone
	default:
		e := asAPIError(err)
		if e.status == http.StatusInternalServerError {
			s.options.Logger.Error("a request failed", "path", path, "error", err)
		}
		w.fail(e)
		if w.events {
			w.status = e.status
		}
	}
	s.metrics.finish(path, w.status, time.Since(start))
}

// statusGone is what the metrics call a request whose client left, as others do.
const statusGone = 499

// find is the route of a path, and what the metrics call it.
func (s *Server) find(path string) (string, route) {
	if r, ok := s.routes[path]; ok && path != modelsPath {
		return path, r
	}
	if strings.HasPrefix(path, modelsPath) && path != modelsPath {
		return modelsPath, s.routes[modelsPath]
	}
	return "other", nil
}

// serve answers a request, if it may be answered.
func (s *Server) serve(w *response, r *http.Request, at route) error {
	if err := s.admit(w, r); err != nil {
		return err
	}
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if at == nil {
		return refuse(http.StatusNotFound, "", "no such endpoint: %.100s", r.URL.Path)
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet // net/http drops the body
	}
	h, ok := at[method]
	if !ok {
		for m := range at {
			w.Header().Add("Allow", m)
		}
		return refuse(http.StatusMethodNotAllowed, "", "%.20s is not for this endpoint", r.Method)
	}
	open := r.URL.Path == "/health" || s.page[r.URL.Path] != nil
	if !open && !s.authorized(r) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		return newError(http.StatusUnauthorized, "authentication_error", "invalid_api_key", "this server needs its key: Authorization: Bearer KEY")
	}
	if n := s.inHand.Add(1); !open && n > int64(s.options.MaxRequests) {
		s.inHand.Add(-1)
		return busy(http.StatusTooManyRequests, "too_many_requests", "%d requests are under way already", s.options.MaxRequests)
	}
	defer s.inHand.Add(-1)
	s.mu.RLock()
	ready := s.ready
	s.mu.RUnlock()
	if !open && !ready && r.URL.Path != "/metrics" {
		return errLoading()
	}
	return h(w, r)
}

func errLoading() error {
	return busy(http.StatusServiceUnavailable, "loading", "the model is being loaded")
}

// authorized compares digests, in a time that says nothing about the key.
func (s *Server) authorized(r *http.Request) bool {
	if s.options.Key == "" {
		return true
	}
	key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	sum := sha256.Sum256([]byte(key))
	return ok && subtle.ConstantTimeCompare(sum[:], s.key[:]) == 1
}

// admit refuses requests that a web page may have made a browser send: those to a
// name that anybody could have given this machine's address (DNS rebinding), and
// those from pages that are not of this machine. Its own page may be reached by any
// name that the server may.
func (s *Server) admit(w http.ResponseWriter, r *http.Request) error {
	if !s.allowedHost(r.Host) {
		return newError(http.StatusForbidden, "permission_error", "", "the host %.100q is not allowed here (see --allow-host)", r.Host)
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	u, err := url.Parse(origin)
	local := err == nil && (u.Scheme == "http" || u.Scheme == "https") && (u.Host == r.Host || s.allowedOrigin(u.Hostname()))
	if !local {
		return newError(http.StatusForbidden, "permission_error", "", "web pages of the origin %.100q are not allowed here (see --allow-host)", origin)
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Add("Vary", "Origin")
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", "GET, POST")
		h.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
		h.Set("Access-Control-Max-Age", "600")
	}
	return nil
}

// allowedHost tells whether the Host of a request is all right: an address, which
// nobody can rebind, a name of this machine, or one that was allowed.
func (s *Server) allowedHost(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.Trim(host, "[]")
	}
	_, err = netip.ParseAddr(name)
	return err == nil || s.named(name)
}

// allowedOrigin is allowedHost for a web page, which may have any other machine's
// address.
func (s *Server) allowedOrigin(name string) bool {
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.IsLoopback() || s.named(name)
}

func (s *Server) named(name string) bool {
	return strings.EqualFold(name, "localhost") || slices.ContainsFunc(s.options.AllowHosts, func(h string) bool {
		return strings.EqualFold(h, name)
	})
}

func (s *Server) health(w *response, _ *http.Request) error {
	s.mu.RLock()
	ready := s.ready
	s.mu.RUnlock()
	if !ready {
		return errLoading()
	}
	return w.json(http.StatusOK, map[string]string{"status": "ok"})
}
