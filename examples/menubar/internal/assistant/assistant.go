package assistant

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
	"github.com/go-openelm/go-openelm/loader/hub"
	"github.com/go-openelm/go-openelm/server"
)

// Options configure an assistant. The zero value is usable.
type Options struct {
	// Dir is the folder of settings and history; OpenELM in the user's
	// configuration if empty.
	Dir string
	// Hub downloads models; its Progress is not used. One that follows the
	// environment if nil.
	Hub *hub.Client
	// Listener is where the page is; a free port of loopback if nil.
	Listener net.Listener
	// Abilities are those of the desktop that it is on.
	Abilities desktop.Abilities
	// Logger gets what the person is not told; silent if nil. It is told no text of
	// theirs.
	Logger *slog.Logger
}

// Assistant implements [desktop.Assistant].
type Assistant struct {
	dir    string
	able   desktop.Abilities
	hub    hub.Client
	log    *slog.Logger
	server *server.Server
	host   string // of the page's address, with the port
	trust  trust
	http   *http.Server
	served chan struct{} // closed when http serves no more

	closing context.Context // its cause tells answers why they end
	end     context.CancelCauseFunc
	tasks   sync.WaitGroup // answers and downloads

	mu        sync.Mutex
	settings  saved
	history   history
	sources   map[choice]*source
	loading   int
	answers   map[int]context.CancelCauseFunc // under way
	asked     int
	speed     float64
	problem   string
	download  *download // under way or paused, nil if there is none
	offered   offered
	watchers  map[int]*watcher
	watched   int
	closed    bool
	closeOnce sync.Once
	closeErr  error
}

// offered is a text that comes from elsewhere.
type offered struct {
	number int
	text   string
	taken  bool // by a page, which said so
}

// sentence is an error that is meant for the person.
type sentence string

func (s sentence) Error() string { return string(s) }

func say(format string, args ...any) error { return sentence(fmt.Sprintf(format, args...)) }

const (
	errClosing  = sentence("OpenELM was quit before the answer was complete.")
	errPressure = sentence("The answer was stopped, since the computer is short of memory.")
	errClosed   = sentence("OpenELM is quitting.")
)

// New opens the assistant, without a model. The page can be reached from now on.
func New(o Options) (_ *Assistant, err error) {
	a := &Assistant{
		dir: o.Dir, able: o.Abilities, log: o.Logger, served: make(chan struct{}),
		sources: map[choice]*source{}, answers: map[int]context.CancelCauseFunc{}, watchers: map[int]*watcher{},
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if o.Hub != nil {
		a.hub = *o.Hub
	}
	if a.hub.Logger == nil {
		a.hub.Logger = a.log
	}
	if a.dir == "" {
		config, err := os.UserConfigDir()
		if err != nil {
			return nil, fmt.Errorf("no folder for settings: %w", err)
		}
		a.dir = filepath.Join(config, "OpenELM")
	}
	listener := o.Listener
	if listener == nil {
		if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nil, fmt.Errorf("no port for the page: %w", err)
		}
	}
	a.host = listener.Addr().String()
	a.restore()
	a.closing, a.end = context.WithCancelCause(context.Background())
	// Sessions that nobody uses would hold memory: prompts of different texts have
	// little in common.
	a.server = server.New(server.Options{CacheBytes: -1, MaxBody: maxBody, Logger: a.log})
	a.server.Ready()
	a.http = &http.Server{
		Handler: a.handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // of connections
	}
	go func() {
		defer close(a.served)
		_ = a.http.Serve(listener) // it ends with Close
	}()
	return a, nil
}

// restore reads what was saved. A file that cannot be read is set aside, and told.
func (a *Assistant) restore() {
	unreadable := func(what, path string, err error) {
		a.log.Error("not read: "+what, "error", errors.Join(err, setAside(path)))
		a.problem = "A file with " + what + " could not be read. It is now " + path + ".unreadable."
	}
	path := filepath.Join(a.dir, settingsFile)
	a.history.path = filepath.Join(a.dir, historyFile)
	err := readJSON(path, &a.settings)
	if err == nil {
		err = check(a.settings.Settings)
	}
	if err != nil {
		a.settings = saved{}
		unreadable("settings", path, err)
		return // whether there is to be a history is not known
	}
	if a.settings.KeepHistory {
		if err := a.history.load(time.Now()); err != nil {
			a.history.entries = nil
			unreadable("the history", a.history.path, err)
			return
		}
	}
	a.saveHistory() // without other days, or none
	if name := a.settings.Download; name != "" {
		a.download = &download{name: name}
	}
}

// Page implements [desktop.Assistant].
func (a *Assistant) Page() string {
	return "http://" + a.host + "/#ticket=" + a.trust.newTicket(time.Now())
}

// Offer implements [desktop.Assistant].
func (a *Assistant) Offer(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.offered = offered{number: a.offered.number + 1, text: text}
	a.notify()
}

// State implements [desktop.Assistant].
func (a *Assistant) State() desktop.State {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state()
}

// state is State with the mutex held.
func (a *Assistant) state() desktop.State {
	s := desktop.State{
		Status: desktop.Resting, Model: chosen(a.settings.Settings).name(), Story: a.settings.Model == "",
		TokensPerSecond: a.speed, Problem: a.problem,
	}
	for _, src := range a.sources {
		s.MemoryBytes += src.bytes
	}
	if d := a.download; d != nil {
		s.Download, s.DownloadPaused, s.Downloaded, s.DownloadSize = d.name, d.cancel == nil, d.done, d.size
	}
	switch {
	case a.loading > 0:
		s.Status = desktop.Loading
	case len(a.answers) > 0:
		s.Status = desktop.Answering
	case a.download != nil && a.download.cancel != nil:
		s.Status = desktop.Downloading
	case s.MemoryBytes > 0:
		s.Status = desktop.Ready
	}
	return s
}

// watcher is who is told of changes.
type watcher struct {
	changed           func(desktop.State)
	pending, underWay bool
}

// Watch implements [desktop.Assistant].
func (a *Assistant) Watch(changed func(desktop.State)) (stop func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.watched++
	id := a.watched
	a.watchers[id] = &watcher{changed: changed}
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.watchers, id)
	}
}

// notify tells of a change. The mutex is held, and not while they are told.
func (a *Assistant) notify() {
	for id, w := range a.watchers {
		w.pending = true
		if !w.underWay {
			w.underWay = true
			go a.tell(id, w)
		}
	}
}

func (a *Assistant) tell(id int, w *watcher) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for w.pending && a.watchers[id] == w {
		w.pending = false
		s := a.state()
		a.mu.Unlock()
		w.changed(s)
		a.mu.Lock()
	}
	w.underWay = false
}

// Report implements [desktop.Assistant].
func (a *Assistant) Report(problem string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.problem = problem
	a.notify()
}

// Settings implements [desktop.Assistant].
func (a *Assistant) Settings() desktop.Settings {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.settings.clone().Settings
}

// Change implements [desktop.Assistant]. Settings that make no sense, or cannot be
// saved, stay as they were. An answer under way is finished by the model that began
// it, which until then is in memory beside the next one, if that is asked meanwhile.
func (a *Assistant) Change(edit func(*desktop.Settings)) error {
	return a.change(func(s *saved) { edit(&s.Settings) })
}

// change is Change for all that is saved. The mutex is held while edit is called.
func (a *Assistant) change(edit func(*saved)) error {
	a.mu.Lock()
	old := a.settings
	s := old.clone()
	edit(&s)
	err := check(s.Settings)
	if err == nil && a.closed {
		err = errClosed
	}
	if err == nil {
		err = writeJSON(filepath.Join(a.dir, settingsFile), s)
	}
	if err != nil {
		a.mu.Unlock()
		return err
	}
	a.settings = s
	if !s.KeepHistory && old.KeepHistory {
		a.history.entries = nil
		err = a.history.save()
	}
	before, now := a.sources[chosen(old.Settings)], a.sources[chosen(s.Settings)]
	if before != now {
		a.problem = ""
	}
	switch {
	case before == nil:
	case before != now:
		a.server.Keep(before.name, 0)
	case stay(old.Settings) != stay(s.Settings):
		a.server.Keep(now.name, stay(s.Settings))
	}
	a.notify()
	a.mu.Unlock()
	return err
}

// Unload implements [desktop.Assistant]. An answer under way is finished first.
func (a *Assistant) Unload() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, src := range a.sources {
		a.server.Keep(src.name, 0)
	}
}

// Pressure implements [desktop.Assistant].
func (a *Assistant) Pressure(critical bool) {
	if critical {
		a.mu.Lock()
		for _, stop := range a.answers {
			stop(errPressure)
		}
		a.mu.Unlock()
	}
	a.Unload()
}

// begin counts an answer, which ends when ctx does, the assistant is closed, or the
// system is short of memory.
func (a *Assistant) begin(ctx context.Context) (_ context.Context, end func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, nil, errClosed
	}
	ctx, cancel := context.WithCancelCause(ctx)
	a.asked++
	id := a.asked
	a.answers[id] = cancel
	a.tasks.Add(1)
	forget := context.AfterFunc(a.closing, func() { cancel(context.Cause(a.closing)) })
	a.notify()
	return ctx, func() {
		forget()
		cancel(nil)
		a.mu.Lock()
		delete(a.answers, id)
		a.notify()
		a.mu.Unlock()
		a.tasks.Done()
	}, nil
}

// Close implements [desktop.Assistant]. A download goes on where it was after the
// next start, if the person says so.
func (a *Assistant) Close(ctx context.Context) error {
	a.closeOnce.Do(func() { a.closeErr = a.close(ctx) })
	return a.closeErr
}

func (a *Assistant) close(ctx context.Context) error {
	a.mu.Lock()
	a.closed = true
	if a.history.midnight != nil {
		a.history.midnight.Stop()
	}
	a.mu.Unlock()
	a.end(errClosing)
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.tasks.Wait() // they save what they have
		a.server.Close()
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	// Pages have been told by now, or will be cut off.
	err = errors.Join(err, a.http.Shutdown(ctx), a.http.Close())
	<-a.served
	return err
}

// entries is the history, oldest first, without other days.
func (a *Assistant) entries() []entry {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.history.trim(time.Now()) {
		a.saveHistory()
	}
	return slices.Clone(a.history.entries)
}

// saveHistory saves the history, or tells why not. The mutex is held.
func (a *Assistant) saveHistory() {
	err := a.history.save()
	if err != nil {
		a.problem = "The history could not be saved: " + err.Error()
		a.log.Error("the history was not saved", "error", err)
	}
	if err != nil || len(a.history.entries) > 0 {
		a.awaitMidnight()
	}
}

// awaitMidnight forgets the day when it is over. The mutex is held.
func (a *Assistant) awaitMidnight() {
	if a.closed {
		return
	}
	if a.history.midnight != nil {
		a.history.midnight.Stop()
	}
	now := time.Now()
	// A timer stands still while the computer sleeps: the clock is looked at now and
	// then.
	wait := min(day(now).AddDate(0, 0, 1).Sub(now), time.Hour)
	a.history.midnight = time.AfterFunc(wait, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.closed {
			return
		}
		if a.history.trim(time.Now()) || len(a.history.entries) == 0 { // of which a file may be left
			a.saveHistory()
			a.notify()
		} else {
			a.awaitMidnight()
		}
	})
}

// forget empties the history.
func (a *Assistant) forget() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.history.entries = nil
	a.notify()
	return a.history.save()
}
