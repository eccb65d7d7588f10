package assistant

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/loader/hub"
)

// download is a model that was chosen and is not there yet. The assistant's mutex
// guards it.
type download struct {
	name       string
	cancel     context.CancelFunc // nil while it is paused
	done, size int64
	pending    bool // a change is about to be told
}

// everySoOften is how often the progress of a download is told.
const everySoOften = 200 * time.Millisecond

// Choose makes a model the one that answers, as soon as it is there: name is a
// folder, a file or a repository of Hugging Face, which is downloaded if it has to
// be, and "" the embedded model. It returns at once; State tells what becomes of it.
func (a *Assistant) Choose(name string) error {
	name = strings.TrimSpace(name)
	s := a.Settings()
	s.Model = name
	if err := check(s); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return errClosed
	}
	if d := a.download; d != nil && d.cancel != nil {
		if d.name == name {
			return nil // it is on its way
		}
		d.cancel() // it may be resumed by choosing it again
	}
	ctx, cancel := context.WithCancel(a.closing)
	d := &download{name: name, cancel: cancel}
	if old := a.download; old != nil && old.name == name {
		d.done, d.size = old.done, old.size
	}
	a.download, a.problem = d, ""
	a.tasks.Add(1)
	a.notify()
	go func() {
		defer a.tasks.Done()
		defer cancel()
		a.finishDownload(d, a.fetch(ctx, d))
	}()
	return nil
}

// PauseDownload ends what comes now, and keeps what has come.
func (a *Assistant) PauseDownload() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.download != nil && a.download.cancel != nil {
		a.download.cancel()
	}
}

// ForgetDownload is for a download that is not wanted any more. What has come stays
// in the cache of Hugging Face.
func (a *Assistant) ForgetDownload() error {
	a.mu.Lock()
	if a.download != nil && a.download.cancel != nil {
		a.download.cancel()
	}
	a.download = nil
	a.mu.Unlock()
	return a.change(func(s *saved) {
		if a.download == nil { // and no other one was chosen meanwhile
			s.Download = ""
		}
	})
}

// fetch makes a model be there, whole and usable.
func (a *Assistant) fetch(ctx context.Context, d *download) error {
	if d.name == "" {
		return nil
	}
	o := a.loaderOptions()
	err := inspect(ctx, d.name, o)
	if !errors.Is(err, hub.ErrNotCached) {
		return err
	}
	// What is not there after a crash or a power cut is known to be wanted.
	err = a.change(func(s *saved) {
		if a.download == d { // which may have been forgotten meanwhile
			s.Download = d.name
		}
	})
	if err != nil {
		return err
	}
	files := map[string]int64{}
	client := a.hub
	client.Progress = func(p hub.Progress) { a.progress(d, files, p) }
	o.Hub = &client
	a.measure(ctx, d, files)
	return inspect(ctx, d.name, o)
}

// inspect downloads a model, if o allows that, and checks its headers and its
// tokenizer.
func inspect(ctx context.Context, name string, o *loader.Options) error {
	info, err := loader.Inspect(ctx, name, o)
	if err == nil {
		err = info.Problem
	}
	if err == nil {
		_, err = loader.OpenTokenizer(ctx, name, o)
	}
	return err
}

// measure finds out how much there is to download, and is there: the weights, beside
// which everything else is small. Where it cannot, the size grows as files begin.
func (a *Assistant) measure(ctx context.Context, d *download, files map[string]int64) {
	repo, err := hub.ParseRepo(d.name)
	if err != nil {
		return // a file of a repository, or an address
	}
	list, err := a.hub.Files(ctx, repo)
	if err != nil {
		return // the download will tell
	}
	offline := a.hub
	offline.Offline = true
	var done, size int64
	for _, f := range list {
		if !strings.HasSuffix(f.Name, ".safetensors") {
			continue
		}
		size += f.Size
		if _, err := offline.File(ctx, repo, f.Name); err == nil {
			done += f.Size
			files[f.Name] = f.Size
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	d.done, d.size = done, size
	a.notify()
}

// progress notes how far a file is. It is called by one goroutine.
func (a *Assistant) progress(d *download, files map[string]int64, p hub.Progress) {
	a.mu.Lock()
	defer a.mu.Unlock()
	files[p.Repo.ID+"/"+p.File] = p.Done
	d.done = 0
	for _, n := range files {
		d.done += n
	}
	if d.done+p.Total-p.Done > d.size {
		d.size = d.done + p.Total - p.Done
	}
	if d.pending {
		return
	}
	d.pending = true
	time.AfterFunc(everySoOften, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		d.pending = false
		a.notify()
	})
}

// finishDownload is what becomes of a model that was chosen.
func (a *Assistant) finishDownload(d *download, err error) {
	a.mu.Lock()
	d.cancel = nil
	current := a.download == d
	if current {
		switch {
		case err == nil:
			a.download = nil
		case errors.Is(err, context.Canceled): // paused
		default:
			a.problem = explain(d.name, err).Error()
			a.log.Error("a model was not obtained", "model", d.name, "error", err)
			if !errors.Is(err, hub.ErrUnavailable) && !errors.Is(err, hub.ErrCache) {
				a.download = nil // going on would not help
			}
		}
		a.notify()
	}
	forget := current && a.download == nil
	a.mu.Unlock()
	if !forget {
		return
	}
	changed := a.change(func(s *saved) {
		if a.download == nil {
			s.Download = ""
		}
		if err == nil && s.Model != d.name {
			s.Model, s.Adapter = d.name, "" // which was made for the other model
		}
	})
	if changed != nil && !errors.Is(changed, errClosed) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.problem = "The settings could not be saved: " + changed.Error()
		a.notify()
	}
}
