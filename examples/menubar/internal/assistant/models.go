package assistant

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/go-openelm/go-openelm/chat"
	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/loader/hub"
	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/server"
	"github.com/go-openelm/go-openelm/story"
)

// choice is a model with an adapter, as settings name them.
type choice struct{ model, adapter string }

func chosen(s desktop.Settings) choice { return choice{s.Model, s.Adapter} }

// name is what a person is told.
func (c choice) name() string {
	if c.kind() == storyteller {
		return "story"
	}
	return c.model
}

// kind is what a model was taught.
type kind int

const (
	storyteller kind = iota
	base             // goes on with a text
	instruct         // does as it is told
)

// kind tells by the name, as openelm chat does: the files of these models do not.
func (c choice) kind() kind {
	switch {
	case c.model == "":
		return storyteller
	case strings.Contains(strings.ToLower(c.model), "instruct"):
		return instruct
	}
	return base
}

// source is a choice that the server knows, for as long as it runs. The assistant's
// mutex guards it.
type source struct {
	name  string // in the server
	bytes int64  // that its weights take now; 0 while it is not loaded
	err   error  // why it was not opened the last time
}

// source returns the source of a choice.
func (a *Assistant) source(c choice) (*source, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if src := a.sources[c]; src != nil {
		return src, nil
	}
	src := &source{name: "model" + strconv.Itoa(len(a.sources)+1)}
	err := a.server.AddSource(server.Source{Names: []string{src.name}, Open: func(ctx context.Context) ([]server.Model, func() error, error) {
		a.mu.Lock()
		a.loading++
		a.notify()
		a.mu.Unlock()
		m, bytes, err := a.open(ctx, c)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.loading--
		a.notify()
		src.err = err
		if err != nil {
			return nil, nil, err
		}
		src.bytes = bytes
		return []server.Model{{Name: src.name, Model: m.Model, Batch: m.Batch, Template: m.Template}}, func() error {
			err := m.Model.Close()
			a.mu.Lock()
			defer a.mu.Unlock()
			src.bytes = 0
			a.notify()
			return err
		}, nil
	}})
	if err != nil {
		return nil, err
	}
	a.sources[c] = src
	return src, nil
}

// open opens a model. No network is asked: a model is chosen when it is there.
func (a *Assistant) open(ctx context.Context, c choice) (m server.Model, bytes int64, err error) {
	o := a.loaderOptions()
	o.Adapter = c.adapter
	m.Template = chat.Plain
	if c.kind() == storyteller {
		m.Model, err = story.Open(ctx, o)
	} else {
		m.Model, err = loader.Open(ctx, c.model, o)
	}
	if err != nil {
		return m, 0, err
	}
	if c.kind() == instruct {
		m.Template = chat.Instruct
	}
	if m.Batch, err = openelm.NewBatch(m.Model, &openelm.BatchOptions{Places: 2, Queue: 8}); err != nil {
		return m, 0, errors.Join(err, m.Model.Close())
	}
	for t := range m.Model.Weights().Tensors(m.Model.Config()) {
		bytes += int64(t.Bytes())
	}
	return m, bytes, nil
}

// loaderOptions are for a model that is there.
func (a *Assistant) loaderOptions() *loader.Options {
	client := a.hub
	client.Offline = true
	return &loader.Options{Hub: &client, DownloadTokenizer: true, Logger: a.log}
}

// stay is how long a model stays when nobody asks anything; less than 0 is for ever.
func stay(s desktop.Settings) time.Duration {
	switch {
	case s.KeepLoaded:
		return -1
	case s.IdleTime == 0:
		return defaultIdle
	}
	return s.IdleTime
}

// stays is how long a choice stays after an answer: not at all if another one was
// made meanwhile.
func (a *Assistant) stays(c choice) time.Duration {
	s := a.Settings()
	if chosen(s) != c {
		return 0
	}
	return stay(s)
}

// sizes are Apple's models, and what they take on disk and in memory (bf16).
var sizes = []struct {
	name  string
	bytes int64
	what  string
}{
	{"apple/OpenELM-270M-Instruct", 543_100_000, "quick, for short texts"},
	{"apple/OpenELM-450M-Instruct", 914_400_000, "a little better"},
	{"apple/OpenELM-1_1B-Instruct", 2_159_800_000, "a good choice with 8 GB of memory"},
	{"apple/OpenELM-3B-Instruct", 6_073_300_000, "the best one, for 16 GB and more"},
}

// explain makes a sentence of an error about a model.
func explain(name string, err error) error {
	if e, ok := errors.AsType[*hub.Error](err); ok {
		switch {
		case errors.Is(err, hub.ErrRepoNotFound):
			return say("Hugging Face has no model %s. Its name is that of its page there, such as apple/OpenELM-270M-Instruct.", name)
		case errors.Is(err, hub.ErrGated), errors.Is(err, hub.ErrUnauthorized):
			return say("Hugging Face does not give the model %s to everybody: accept its licence on its page there, and log in with its command line (hf auth login).", name)
		case errors.Is(err, hub.ErrUnavailable):
			return say("Hugging Face was not reached. What has come of %s is kept; try again when there is a connection.", name)
		case errors.Is(err, hub.ErrNotCached):
			return say("The model %s is not on this computer, or not all of it. Choose it again to download what is missing.", name)
		case errors.Is(err, hub.ErrCache):
			return say("The model %s cannot be stored: %s.", name, strings.TrimPrefix(e.Error(), "hub: "))
		}
	}
	return say("The model %s cannot be used: %s.", name, strings.TrimSuffix(strings.TrimPrefix(err.Error(), "loader: "), "."))
}
