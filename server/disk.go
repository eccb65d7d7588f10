package server

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
)

// disk keeps sessions in files, within a budget: those that the prefix cache in
// memory has no more room for, and all of them when the server is closed. Each file
// says which model, adapter and tokens it is of.
type disk struct {
	dir    string
	budget int64
	log    *slog.Logger

	mu    sync.Mutex
	files []*saved // the one used last at the end
	bytes int64
}

// saved is a session in a file.
type saved struct {
	path   string
	of     identity
	tokens []int32
	exact  int // how many of tokens may be reused
	bytes  int64
	used   time.Time
}

// identity tells sessions apart that cannot stand for each other.
type identity struct{ model, adapter, backend string }

const diskPattern = "prefix-*.safetensors"

// openDisk reads what a folder has. Files that cannot be read are left alone.
func openDisk(dir string, budget int64, log *slog.Logger) (*disk, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("server: the prefix cache: %w", err)
	}
	paths, err := filepath.Glob(filepath.Join(dir, diskPattern))
	if err != nil {
		return nil, fmt.Errorf("server: the prefix cache: %w", err)
	}
	d := &disk{dir: dir, budget: budget, log: log}
	for _, path := range paths {
		f, err := readSaved(path)
		if err != nil {
			log.Warn("a file of the prefix cache is of no use", "error", err)
			continue
		}
		d.files = append(d.files, f)
		d.bytes += f.bytes
	}
	slices.SortFunc(d.files, func(a, b *saved) int { return a.used.Compare(b.used) })
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trim()
	return d, nil
}

func readSaved(path string) (*saved, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	x, err := loader.InspectSession(path)
	if err != nil {
		return nil, err
	}
	return &saved{
		path: path, of: identity{x.Model, x.Adapter, x.Backend}, tokens: x.Tokens, exact: x.Exact, bytes: info.Size(), used: info.ModTime(),
	}, nil
}

// identify is what sessions of m are told apart by. It reads the model's weights.
func (m *Model) identify() (id identity, err error) {
	s, err := m.Model.NewSession(&openelm.SessionOptions{Capacity: 1, Adapter: m.Adapter})
	if err != nil {
		return id, err
	}
	defer s.Close()
	err = s.Snapshot(func(x *openelm.Snapshot) error {
		id = identity{x.Model, x.Adapter, x.Backend}
		return nil
	})
	return id, err
}

// open returns a session that shares more than least tokens with prompt, nil if no
// file has one.
func (d *disk) open(m *Model, prompt []int32, capacity, least int) *openelm.Session {
	id, err := m.identity()
	if err != nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var best *saved
	most := max(least, kernels.ExactRows)
	for _, f := range d.files {
		if n := min(common(f.tokens, prompt), f.exact); f.of == id && n > most && len(f.tokens) <= m.Model.Config().MaxContext {
			best, most = f, n
		}
	}
	if best == nil {
		return nil
	}
	s, err := loader.OpenSession(best.path, m.Model, &openelm.SessionOptions{
		Capacity: max(capacity, len(best.tokens)), Adapter: m.Adapter, Batch: m.Batch,
	})
	i := slices.Index(d.files, best)
	if err != nil {
		d.log.Warn("a file of the prefix cache is of no use", "error", err)
		d.files = slices.Delete(d.files, i, i+1)
		d.bytes -= best.bytes
		return nil
	}
	d.files = append(slices.Delete(d.files, i, i+1), best)
	now := time.Now()
	_ = os.Chtimes(best.path, now, now) // the order after the next start
	return s
}

// save writes a session that has left the memory's cache, unless a file has as much
// to offer, and closes it.
func (d *disk) save(k *kept) {
	defer k.session.Close()
	if k.prompt <= kernels.ExactRows {
		return // nobody could reuse it
	}
	if err := d.write(k); err != nil {
		d.log.Warn("a session was not saved", "error", err)
	}
}

func (d *disk) write(k *kept) error {
	id, err := k.model.identity()
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.files {
		if f.of == id && min(f.exact, common(f.tokens, k.tokens)) >= k.prompt {
			return nil
		}
	}
	path := filepath.Join(d.dir, "prefix-"+rand.Text()+".safetensors")
	if err := loader.SaveSession(context.Background(), path, k.session); err != nil {
		return err
	}
	f, err := readSaved(path)
	if err != nil {
		return err
	}
	d.files = append(d.files, f)
	d.bytes += f.bytes
	d.trim()
	return nil
}

// trim removes the files that were not used for longest.
func (d *disk) trim() {
	for d.bytes > d.budget {
		f := d.files[0]
		d.files = slices.Delete(d.files, 0, 1)
		d.bytes -= f.bytes
		if err := os.Remove(f.path); err != nil {
			d.log.Warn("a file of the prefix cache was not removed", "error", err)
		}
	}
}
