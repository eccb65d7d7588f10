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

	mu     sync.Mutex
	kept   []*kept // the one used last at the end
	bytes  int64
	closed bool
}

// kept is a session that nobody uses.
type kept struct {
	model   *Model // sessions never change it, nor its adapter
	session *openelm.Session
	tokens  []int32
	bytes   int64
}

// take returns a session for prompt with room for at least capacity tokens, and
// how much of the prompt it has evaluated already. The caller gives it back.
func (c *cache) take(m *Model, prompt []int32, capacity int) (*openelm.Session, int, error) {
	if s := c.find(m, prompt, capacity); s != nil {
		n, err := s.Rebase(prompt)
		if err != nil {
			s.Close()
			return nil, 0, err
		}
		return s, n, nil
	}
	size := minCapacity
	for size < capacity {
		size *= 2
	}
	s, err := m.Model.NewSession(&openelm.SessionOptions{
		Capacity: max(capacity, min(size, m.Model.Config().MaxContext)), Adapter: m.Adapter, Batch: m.Batch,
	})
	if err != nil {
		return nil, 0, err
	}
	if _, err := s.Rebase(prompt); err != nil {
		s.Close()
		return nil, 0, err
	}
	return s, 0, nil
}

// find takes the session out that shares most with prompt.
func (c *cache) find(m *Model, prompt []int32, capacity int) *openelm.Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	best, most := -1, kernels.ExactRows // of no more, Rebase would keep nothing
	for i, k := range slices.Backward(c.kept) {
		if k.model != m || k.session.Capacity() < capacity {
			continue
		}
		if n := common(k.tokens, prompt); n > most {
			best, most = i, n
		}
	}
	if best < 0 {
		return nil
	}
	k := c.kept[best]
	c.kept = slices.Delete(c.kept, best, best+1)
	c.bytes -= k.bytes
	return k.session
}

// common is the length of the longest common beginning.
func common(a, b []int32) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// give keeps a session, in place of those that were not used for longest.
func (c *cache) give(m *Model, s *openelm.Session) {
	k := &kept{m, s, s.Tokens(), int64(s.Capacity()) * m.Model.Config().CacheBytes()}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || k.bytes > c.budget {
		s.Close()
		return
	}
	for c.bytes+k.bytes > c.budget {
		c.drop()
	}
	c.kept = append(c.kept, k)
	c.bytes += k.bytes
}

// drop closes the session that was not used for longest.
func (c *cache) drop() {
	k := c.kept[0]
	c.kept = slices.Delete(c.kept, 0, 1)
	c.bytes -= k.bytes
	k.session.Close()
}

// size is how many sessions are kept, and their bytes.
func (c *cache) size() (sessions int, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.kept), c.bytes
}

// close closes the sessions, those that are given back later, too.
func (c *cache) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for len(c.kept) > 0 {
		c.drop()
	}
}
