// Package hubtest is a Hugging Face hub for tests: it serves folders as model
// repositories on loopback or in memory, as the real one does as far as
// huggingface_hub can tell, and misbehaves on demand.
package hubtest

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"slices"
	"sync"
	"testing"
)

// Signature is the secret in the query of a storage URL that the hub redirects to.
const Signature = "c2lnbmF0dXJl"

// Repo is a repository to serve.
type Repo struct {
	ID    string // "org/name"
	Files fs.FS  // os.DirFS of a folder, or an fstest.MapFS
	Gated bool   // served only with Knobs.Token
}

// Knobs change how the server behaves. The zero value is a good server.
type Knobs struct {
	Token            string // the only one that is valid; Gated repositories need it
	CDN              bool   // contents of LFS files are redirected to StorageURL
	RelativeRedirect bool   // other files are redirected to another path of the hub

	Head map[string]string // headers that answers to HEAD have instead of the right ones; "" removes one
	Body map[string]string // the same for answers with contents

	Statuses []int // of the next answers, in turn, instead of the right ones

	Drops     int   // so many answers with contents are cut off,
	DropAfter int64 // after so many bytes
	Stall     int64 // if not 0, contents stop coming after so many bytes, until the client leaves

	Corrupt     bool // a bit of the contents is wrong
	IgnoreRange bool // contents are always sent from the start
}

// Request is one that the server got.
type Request struct {
	Method, Host, Path, Query, Authorization, Range string
}

// Server is a hub and, at another address, its storage server.
type Server struct {
	URL        string // the endpoint
	StorageURL string

	client *http.Client
	stop   func()

	mu       sync.Mutex
	knobs    Knobs
	repos    map[string]*repo
	requests []Request
}

// New serves repositories on loopback until the test ends.
func New(tb testing.TB, repos ...Repo) *Server {
	tb.Helper()
	s, err := Start(repos...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

// Start serves repositories on loopback until Close.
func Start(repos ...Repo) (*Server, error) {
	s, err := newServer(repos)
	if err != nil {
		return nil, err
	}
	hub, storage := httptest.NewServer(http.HandlerFunc(s.serveHub)), httptest.NewServer(http.HandlerFunc(s.serveStorage))
	s.URL, s.StorageURL = hub.URL, storage.URL
	s.client = hub.Client()
	s.stop = func() {
		hub.Close()
		storage.Close()
	}
	return s, nil
}

// NewInMemory serves repositories until the test ends to s.Transport only, over [net.Pipe], which
// a testing/synctest bubble needs.
func NewInMemory(tb testing.TB, repos ...Repo) *Server {
	tb.Helper()
	s, err := newServer(repos)
	if err != nil {
		tb.Fatal(err)
	}
	s.URL, s.StorageURL = "http://hub.test", "http://storage.test"
	listener := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host == "storage.test" {
			s.serveStorage(w, r)
		} else {
			s.serveHub(w, r)
		}
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	s.client = &http.Client{Transport: &http.Transport{DialContext: listener.dial}}
	s.stop = func() {
		server.Close()
		<-done
	}
	tb.Cleanup(s.Close)
	return s
}

func newServer(repos []Repo) (*Server, error) {
	s := &Server{repos: map[string]*repo{}}
	for _, r := range repos {
		if _, err := s.push(r); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Close ends the server and its connections.
func (s *Server) Close() {
	s.client.CloseIdleConnections()
	s.stop()
}

// Transport reaches the server, and leaves no connection open after Close.
func (s *Server) Transport() http.RoundTripper { return s.client.Transport }

// Set changes how the server behaves from now on.
func (s *Server) Set(k Knobs) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.knobs = k
}

// Requests returns what the server was asked since the last call.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests := s.requests
	s.requests = nil
	return requests
}

// enter records a request and returns the knobs that hold for it, and the status it is to fail with or 0.
func (s *Server) enter(r *http.Request) (k Knobs, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, Request{r.Method, r.Host, r.URL.EscapedPath(), r.URL.RawQuery, r.Header.Get("Authorization"), r.Header.Get("Range")})
	if len(s.knobs.Statuses) > 0 {
		status, s.knobs.Statuses = s.knobs.Statuses[0], s.knobs.Statuses[1:]
	}
	return s.knobs, status
}

// takeDrop reports whether this answer is one of those to be cut off.
func (s *Server) takeDrop() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.knobs.Drops == 0 {
		return false
	}
	s.knobs.Drops--
	return true
}

// repo has every commit pushed to a repository.
type repo struct {
	gated   bool
	main    string // the commit of branch main
	commits map[string]map[string]*file
}

type file struct {
	data   []byte
	blobID string // git blob id: of an LFS file, its pointer's
	sha256 string // of an LFS file, else ""
}

// hash is the file's ETag.
func (f *file) hash() string {
	if f.sha256 != "" {
		return f.sha256
	}
	return f.blobID
}

// lfsExtensions are kept as LFS files, a few of those in a new hub repository's .gitattributes.
var lfsExtensions = []string{".safetensors", ".gguf", ".model", ".bin"}

// Push makes r.Files the contents of branch main and returns the commit. Earlier commits stay.
func (s *Server) Push(tb testing.TB, r Repo) (commit string) {
	tb.Helper()
	commit, err := s.push(r)
	if err != nil {
		tb.Fatal(err)
	}
	return commit
}

func (s *Server) push(r Repo) (commit string, err error) {
	files := map[string]*file{}
	err = fs.WalkDir(r.Files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(r.Files, name)
		files[name] = newFile(name, data)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("hubtest: repository %s: %w", r.ID, err)
	}
	h := sha1.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(h, "%s\x00%s\n", name, files[name].hash())
	}
	commit = hex.EncodeToString(h.Sum(nil))

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.repos[r.ID] == nil {
		s.repos[r.ID] = &repo{commits: map[string]map[string]*file{}}
	}
	s.repos[r.ID].gated, s.repos[r.ID].main = r.Gated, commit
	s.repos[r.ID].commits[commit] = files
	return commit, nil
}

// AddFile puts a file into the commit that main is, under a name no folder could have.
func (s *Server) AddFile(id, name string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	repo := s.repos[id]
	repo.commits[repo.main][name] = newFile(name, data)
}

func newFile(name string, data []byte) *file {
	f := &file{data: data}
	if !slices.Contains(lfsExtensions, path.Ext(name)) {
		f.blobID = gitBlobID(data)
		return f
	}
	sum := sha256.Sum256(data)
	f.sha256 = hex.EncodeToString(sum[:])
	f.blobID = gitBlobID(fmt.Appendf(nil, "version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n", f.sha256, len(data)))
	return f
}

func gitBlobID(data []byte) string {
	sum := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(data), data))
	return hex.EncodeToString(sum[:])
}

// find looks a repository and revision up. Branch main is the only one.
func (s *Server) find(id, revision string) (r *repo, commit string, files map[string]*file) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r = s.repos[id]
	if r == nil {
		return nil, "", nil
	}
	revision, err := url.PathUnescape(revision)
	if revision == "main" {
		revision = r.main
	}
	if err != nil {
		return r, "", nil
	}
	return r, revision, maps.Clone(r.commits[revision])
}

// byHash finds contents for the storage server.
func (s *Server) byHash(hash string) *file {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.repos {
		for _, files := range r.commits {
			for _, f := range files {
				if f.hash() == hash {
					return f
				}
			}
		}
	}
	return nil
}

// pipeListener accepts the other ends of what dial returns.
type pipeListener struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case l.conns <- there:
		return here, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "hubtest", Net: "pipe"} }
