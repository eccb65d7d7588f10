package assistant

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"path"
	"time"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
	"github.com/go-openelm/go-openelm/loader"
)

//go:embed web
var web embed.FS

// pageFiles are what is at which path, and its type. They hold no secrets.
var pageFiles = map[string][2]string{
	"/{$}":      {"index.html", "text/html"},
	"/page.css": {"page.css", "text/css"},
	"/page.js":  {"page.js", "text/javascript"},
	"/words.js": {"words.js", "text/javascript"},
}

const (
	// maxBody holds the longest text in JSON.
	maxBody = 6*maxText + 4096
	// writeTimeout is how long a page may take to read what it is sent.
	writeTimeout = 30 * time.Second
)

// handler is the page and what it asks.
func (a *Assistant) handler() http.Handler {
	mux := http.NewServeMux()
	for path, file := range pageFiles {
		mux.HandleFunc("GET "+path, a.file(file[0], file[1]))
	}
	mux.HandleFunc("POST /session", a.openSession)
	for pattern, h := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /watch":            a.watch,
		"GET /models":           a.listModels,
		"GET /history":          a.showHistory,
		"POST /history/forget":  func(w http.ResponseWriter, _ *http.Request) error { return done(w, a.forget()) },
		"POST /answer":          a.answerPage,
		"POST /settings":        a.changeSettings,
		"POST /offered":         a.takeOffer,
		"POST /model":           a.chooseModel,
		"POST /unload":          func(w http.ResponseWriter, _ *http.Request) error { a.Unload(); return done(w, nil) },
		"POST /download/pause":  func(w http.ResponseWriter, _ *http.Request) error { a.PauseDownload(); return done(w, nil) },
		"POST /download/forget": func(w http.ResponseWriter, _ *http.Request) error { return done(w, a.ForgetDownload()) },
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if !a.trust.authorized(r) {
				fail(w, http.StatusUnauthorized, "This page is not open any more. Open it from OpenELM's icon.")
				return
			}
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			if err := h(w, r); err != nil {
				a.failed(w, err)
			}
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin") // with no-referrer a browser may not name the origin of its own requests
		h.Set("Cache-Control", "no-store")
		if !local(r, a.host) {
			http.Error(w, "not for other hosts and origins", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (a *Assistant) file(name, kind string) http.HandlerFunc {
	text, err := web.ReadFile(path.Join("web", name))
	if err != nil {
		panic(err) // it is embedded above
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind+"; charset=utf-8")
		_, _ = w.Write(text)
	}
}

// openSession takes a ticket.
func (a *Assistant) openSession(w http.ResponseWriter, r *http.Request) {
	var in struct{ Ticket string }
	r.Body = http.MaxBytesReader(w, r.Body, 4096)
	if err := read(r, &in); err != nil {
		a.failed(w, err)
		return
	}
	here, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if here == nil || !sameUser(here.String(), r.RemoteAddr) {
		fail(w, http.StatusForbidden, "not for other users")
		return
	}
	token, ok := a.trust.exchange(in.Ticket, time.Now())
	if !ok {
		fail(w, http.StatusUnauthorized, "This address was used before, or is too old. Open the page from OpenELM's icon.")
		return
	}
	answer(w, map[string]string{"token": token})
}

// read reads a request's JSON, all of whose fields must be known.
func read(r *http.Request, v any) error { return decode(r.Body, v) }

func decode(r io.Reader, v any) error {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return say("That is too much text: 1 MB is the most.")
		}
		return say("The page and the program do not understand each other: %v. Load the page again.", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return sentence("The page and the program do not understand each other. Load the page again.")
	}
	return nil
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // nobody may be left
}

func fail(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": text})
}

// failed answers with an error, whose details are for the log where they are not for
// the person.
func (a *Assistant) failed(w http.ResponseWriter, err error) {
	if _, ok := errors.AsType[sentence](err); ok {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	a.log.Error("the page was not served", "error", err)
	fail(w, http.StatusInternalServerError, "That did not work: "+err.Error())
}

// done answers to what has no answer.
func done(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// errGone is the error of an answer that nobody reads any more.
var errGone = errors.New("the page is gone")

// stream sends lines of JSON to a page.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func newStream(w http.ResponseWriter) *stream {
	w.Header().Set("Content-Type", "application/x-ndjson")
	return &stream{w, http.NewResponseController(w)}
}

func (s *stream) send(v any) error {
	var line bytes.Buffer
	if err := json.NewEncoder(&line).Encode(v); err != nil {
		return err
	}
	if err := s.control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if _, err := s.w.Write(line.Bytes()); err != nil {
		return err
	}
	return errors.Join(s.control.Flush(), s.control.SetWriteDeadline(time.Time{}))
}

// answerPage streams the pieces of an answer, and at its end all of it, why there is
// none, or what would have to be left out.
func (a *Assistant) answerPage(w http.ResponseWriter, r *http.Request) error {
	var q question
	if err := read(r, &q); err != nil {
		return err
	}
	s := newStream(w)
	said, err := a.answer(r.Context(), q, func(piece string) error {
		if s.send(map[string]string{"piece": piece}) != nil {
			return errGone
		}
		return nil
	})
	long, isLong := errors.AsType[*tooLong](err)
	switch {
	case isLong:
		_ = s.send(map[string]any{"too_long": long})
	case err != nil:
		_ = s.send(map[string]string{"error": err.Error()})
	default:
		_ = s.send(map[string]any{"done": said})
	}
	return nil
}

// pageOffer is a text that is offered to a page.
type pageOffer struct {
	Number int    `json:"number"`
	Text   string `json:"text"`
}

// takeOffer is told by a page that has a text.
func (a *Assistant) takeOffer(w http.ResponseWriter, r *http.Request) error {
	var in struct{ Number int }
	if err := read(r, &in); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if in.Number == a.offered.number {
		a.offered.taken, a.offered.text = true, ""
	}
	return done(w, nil)
}

// watch tells a page of each change, for as long as it is open and in sight.
func (a *Assistant) watch(w http.ResponseWriter, r *http.Request) error {
	s := newStream(w)
	changed := make(chan struct{}, 1)
	changed <- struct{}{}
	stop := a.Watch(func(desktop.State) {
		select {
		case changed <- struct{}{}:
		default: // it is told of what there is then
		}
	})
	defer stop()
	offered := 0 // the last number
	for {
		select {
		case <-r.Context().Done():
			return nil
		case <-a.closing.Done():
			_ = s.send(map[string]bool{"closed": true})
			return nil
		case <-changed:
		}
		a.mu.Lock()
		event := struct {
			State     desktop.State     `json:"state"`
			Settings  desktop.Settings  `json:"settings"`
			Abilities desktop.Abilities `json:"abilities"`
			Offered   *pageOffer        `json:"offered,omitempty"`
		}{State: a.state(), Settings: a.settings.clone().Settings, Abilities: a.able}
		// A page may be gone without anybody knowing yet: a text is offered until one
		// says that it has it.
		if o := a.offered; o.number > offered && !o.taken {
			offered = o.number
			event.Offered = &pageOffer{o.number, o.text}
		}
		a.mu.Unlock()
		if err := s.send(event); err != nil {
			return nil // the page is gone
		}
	}
}

// modelOffer is a model that a person may choose.
type modelOffer struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
	What  string `json:"what,omitempty"`
	Here  bool   `json:"here"` // on this computer
}

func (a *Assistant) listModels(w http.ResponseWriter, r *http.Request) error {
	list := []modelOffer{}
	here := map[string]bool{}
	cached, err := a.hub.Cached()
	if err != nil {
		a.log.Error("the cache of models was not read", "error", err)
	}
	for _, c := range cached {
		// Other programs keep other models there, and tokenizers.
		info, err := loader.Inspect(r.Context(), c.Repo.ID, a.loaderOptions())
		if err == nil && info.Problem == nil {
			here[c.Repo.ID] = true
			list = append(list, modelOffer{Name: c.Repo.ID, Bytes: info.WeightBytes, Here: true})
		}
	}
	for _, m := range sizes {
		if !here[m.name] {
			list = append(list, modelOffer{Name: m.name, Bytes: m.bytes, What: m.what})
		}
	}
	answer(w, list)
	return nil
}

func (a *Assistant) showHistory(w http.ResponseWriter, _ *http.Request) error {
	list := a.entries()
	if list == nil {
		list = []entry{}
	}
	answer(w, list)
	return nil
}

// changeSettings changes the settings that are named, whatever becomes of others at the
// same time. Models are chosen otherwise.
func (a *Assistant) changeSettings(w http.ResponseWriter, r *http.Request) error {
	var named json.RawMessage
	if err := read(r, &named); err != nil {
		return err
	}
	var wrong error
	err := a.Change(func(s *desktop.Settings) {
		next := saved{Settings: *s}.clone().Settings
		if wrong = decode(bytes.NewReader(named), &next); wrong != nil {
			return
		}
		if next.Model != s.Model {
			wrong = sentence("A model is chosen, and downloaded if it has to be.")
			return
		}
		*s = next
	})
	return done(w, cmp.Or(wrong, err))
}

func (a *Assistant) chooseModel(w http.ResponseWriter, r *http.Request) error {
	var in struct{ Name string }
	if err := read(r, &in); err != nil {
		return err
	}
	return done(w, a.Choose(in.Name))
}
