package server

import (
	"slices"
	"sync"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/openelm"
)

// minCapacity is the least capacity of a session. Sessions come in powers of two
// of it, so that the next request can use what the last one left.
const minCapacity = 256

// cache keeps the sessions of finished requests, within a budget, for requests
// that begin with the same tokens. What a request gets is the same without it:
// [openelm.Session.Rebase] keeps only what cannot be told from evaluating it anew.
type cache struct {
	budget int64
	disk   *disk // nil: none

	mu     sync.Mutex
	kept   []*kept // the one used last at the end
	bytes  int64
	closed bool
}

// kept is a session that nobody uses, other than to copy it.
type kept struct {
	model   *Model // sessions never change it, nor its adapter
	session *openelm.Session
	tokens  []int32
	prompt  int // how many of tokens came at once: what others may reuse
	bytes   int64

	copying sync.Mutex
	gone    bool // from the cache
}

// leave waits for those who copy k, and turns others away.
func (k *kept) leave() *openelm.Session {
	k.copying.Lock()
	defer k.copying.Unlock()
	k.gone = true
	return k.session
}

// copy is a session like k's, nil if that has left.
func (k *kept) copy() (*openelm.Session, error) {
	k.copying.Lock()
	defer k.copying.Unlock()
	if k.gone {
		return nil, nil
	}
	return k.session.Fork(nil)
}

// take returns a session for prompt with room for at least capacity tokens, and
// how much of the prompt it has evaluated already. The caller gives it back.
func (c *cache) take(m *Model, prompt []int32, capacity int) (*openelm.Session, int, error) {
	size := minCapacity
	for size < capacity {
		size *= 2
	}
	size = max(capacity, min(size, m.Model.Config().MaxContext))
	var s *openelm.Session
	var err error
	if c.disk != nil {
		s = c.disk.open(m, prompt, size, c.shared(m, prompt, capacity))
	}
	if s == nil {
		s, err = c.find(m, prompt, capacity)
	}
	if s == nil && err == nil {
		s, err = m.Model.NewSession(&openelm.SessionOptions{Capacity: size, Adapter: m.Adapter, Batch: m.Batch})
	}
	if err != nil {
		return nil, 0, err
	}
	n, err := s.Rebase(prompt)
	if err != nil {
		s.Close()
		return nil, 0, err
	}
	return s, n, nil
}

// find returns the session that shares most with prompt: itself if prompt goes on
// from where it ends, and otherwise a copy, since others may share that much, too.
// It is nil if none shares enough.
func (c *cache) find(m *Model, prompt []int32, capacity int) (*openelm.Session, error) {
	c.mu.Lock()
	best, most := c.best(m, prompt, capacity)
	if best < 0 {
		c.mu.Unlock()
		return nil, nil
	}
	k := c.kept[best]
	c.kept = slices.Delete(c.kept, best, best+1)
	if most == len(k.tokens) {
		c.bytes -= k.bytes
		c.mu.Unlock()
		return k.leave(), nil
	}
	c.kept = append(c.kept, k)
	c.mu.Unlock()
	return k.copy()
}

// best is the session that shares most with prompt, −1 if none shares enough, and
// how much that is.
func (c *cache) best(m *Model, prompt []int32, capacity int) (best, most int) {
	best, most = -1, kernels.ExactRows // of no more, Rebase would keep nothing
	for i, k := range slices.Backward(c.kept) {
		if k.model != m || k.session.Capacity() < capacity {
			continue
		}
		if n := common(k.tokens, prompt); n > most {
			best, most = i, n
		}
	}
	return best, most
}

// shared is how much of prompt the memory has.
func (c *cache) shared(m *Model, prompt []int32, capacity int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, most := c.best(m, prompt, capacity)
	return most
}

// common is the length of the longest common beginning.
func common(a, b []int32) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// give keeps a session whose text began as a prompt of so many tokens: in place
// of those that have no more to offer than it, and of those that were not used for
// longest.
func (c *cache) give(m *Model, s *openelm.Session, prompt int) {
	k := &kept{model: m, session: s, tokens: s.Tokens(), prompt: prompt, bytes: int64(s.Capacity()) * m.Model.Config().CacheBytes()}
	for _, old := range c.keep(k) {
		// Another model may be unloaded meanwhile, this one is in use.
		if c.disk != nil && old.model == m {
			c.disk.save(old)
		} else {
			old.session.Close()
		}
	}
}

// keep adds k, and returns what there is no room for, k itself perhaps.
func (c *cache) keep(k *kept) (out []*kept) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || k.bytes > c.budget {
		return []*kept{k}
	}
	for i := len(c.kept) - 1; i >= 0; i-- {
		old := c.kept[i]
		if old.model == k.model && old.session.Capacity() <= k.session.Capacity() && old.prompt <= common(old.tokens, k.tokens[:k.prompt]) {
			c.drop(i).session.Close()
		}
	}
	for c.bytes+k.bytes > c.budget {
		out = append(out, c.drop(0))
	}
	c.kept = append(c.kept, k)
	c.bytes += k.bytes
	return out
}

// drop takes the i-th session out, to be closed.
func (c *cache) drop(i int) *kept {
	k := c.kept[i]
	c.kept = slices.Delete(c.kept, i, i+1)
	c.bytes -= k.bytes
	k.leave()
	return k
}

// forget closes the sessions of models.
func (c *cache) forget(models []*Model) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := len(c.kept) - 1; i >= 0; i-- {
		if slices.Contains(models, c.kept[i].model) {
			c.drop(i).session.Close()
		}
	}
}

// size is how many sessions are kept, and their bytes.
func (c *cache) size() (sessions int, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.kept), c.bytes
}

// close closes the sessions, those that are given back later, too. With a disk they
// are saved.
func (c *cache) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for len(c.kept) > 0 {
		if k := c.drop(0); c.disk != nil {
			c.disk.save(k)
		} else {
			k.session.Close()
		}
	}
}
