package openelm

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"runtime"
	"slices"
	"sync"

	"github.com/go-openelm/go-openelm/kernels"
)

// ErrSnapshot is wrapped by the error about a snapshot that does not fit the
// model, the adapter or the options it is to be restored with, or itself.
var ErrSnapshot = errors.New("openelm: the snapshot does not fit")

// Snapshot is all that there is to a session, for who keeps it: package loader
// does, in a file.
type Snapshot struct {
	// Model and Adapter identify the weights that the session was evaluated
	// with: SHA-256 digests, in hexadecimal; Adapter is empty without one.
	Model, Adapter string
	// Backend is the name of the device it was evaluated on.
	Backend string

	Tokens    []int32
	Evaluated int       // how many of Tokens are in the cache
	Exact     int       // how many were evaluated as a prompt's are ([Session.Rebase])
	Logits    []float32 // [vocab], after the last token; nil if that is not evaluated

	Format kernels.Format // of keys and values, F32 or F16
	Layers []SnapshotLayer
}

// SnapshotLayer is the keys and values of one layer, for each key-value head
// [Evaluated, head_dim] elements. They are the session's own memory.
type SnapshotLayer struct{ Keys, Values [][]byte }

// Snapshot calls f with what the session holds. The session is busy meanwhile,
// and what f is given must not be used after it. The first call for a model, and
// for an adapter, reads all its weights.
func (s *Session) Snapshot(f func(*Snapshot) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	x := &Snapshot{
		Model: s.model.digest(), Adapter: s.adapter.digest(), Backend: s.model.parts.Backend.Name(),
		Tokens: s.tokens, Evaluated: s.cached, Exact: s.exact, Format: s.cache.format, Layers: s.cache.layersOf(s.cached),
	}
	if s.cached == len(s.tokens) && s.cached > 0 {
		x.Logits = s.logits
	}
	return f(x)
}

// Restore makes a session of a snapshot, whose Layers need not be set: read is
// given them as slices of the new session's memory, to fill. Options that are
// not set are the snapshot's, but for the adapter, which must be the one that it
// was made with. Errors about a snapshot that does not fit wrap [ErrSnapshot].
func (m *Model) Restore(x *Snapshot, o *SessionOptions, read func([]SnapshotLayer) error) (_ *Session, err error) {
	so := SessionOptions{}
	if o != nil {
		so = *o
	}
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrSnapshot}, args...)...)
	}
	if so.CacheFormat == 0 {
		so.CacheFormat = x.Format
	}
	switch c := &m.parts.Config; {
	case so.CacheFormat != x.Format:
		return nil, wrong("it is in %s, not %s", x.Format, so.CacheFormat)
	case x.Model != m.digest():
		return nil, wrong("it is of another model")
	case x.Evaluated < 0 || x.Evaluated > len(x.Tokens) || x.Exact < 0 || x.Exact > x.Evaluated:
		return nil, wrong("of %d tokens %d are evaluated, %d as a prompt's", len(x.Tokens), x.Evaluated, x.Exact)
	case x.Logits != nil && (len(x.Logits) != c.VocabSize || x.Evaluated != len(x.Tokens)):
		return nil, wrong("%d logits after %d of %d tokens, in a vocabulary of %d", len(x.Logits), x.Evaluated, len(x.Tokens), c.VocabSize)
	}
	s, err := m.NewSession(&so)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if x.Adapter != s.adapter.digest() {
		return nil, wrong("it is of another adapter, or of none")
	}
	if err := s.add(x.Tokens); err != nil {
		return nil, wrong("%w", err)
	}
	if err := read(s.cache.layersOf(x.Evaluated)); err != nil {
		return nil, err
	}
	s.cached = x.Evaluated
	if x.Backend == m.parts.Backend.Name() {
		s.exact = x.Exact
	}
	if x.Logits != nil {
		copy(s.logits, x.Logits)
	} else {
		s.rewind(len(s.tokens), max(len(s.tokens)-1, 0))
	}
	return s, nil
}

// layersOf is the first n positions of all layers.
func (c *cache) layersOf(n int) []SnapshotLayer {
	list := make([]SnapshotLayer, len(c.layers))
	for i, l := range c.layers {
		for h := range l.heads {
			list[i].Keys = append(list[i].Keys, c.head(l.keys, h, n))
			list[i].Values = append(list[i].Values, c.head(l.values, h, n))
		}
	}
	return list
}

// digest identifies the model: what of its configuration changes predictions, and
// its weights as they are stored.
func (m *Model) digest() string {
	m.digestOnce.Do(func() {
		c, w := &m.parts.Config, &m.parts.Weights
		d := &digester{}
		d.add(func(h hash.Hash) {
			fmt.Fprintln(h, c.VocabSize, c.ModelDim, c.HeadDim, c.Layers, c.QKNorm, c.GLU, c.TiedHead, c.RopeBase, c.NormEps)
		})
		for t := range w.Tensors(c) {
			if t.Vector != nil {
				d.view(*t.Vector)
			} else {
				d.matrix(t.Matrix)
			}
		}
		m.digestOf = d.sum()
	})
	return m.digestOf
}

// digest identifies the adapter; it is empty for none.
func (a *Adapter) digest() string {
	if a == nil {
		return ""
	}
	a.digestOnce.Do(func() {
		d := &digester{}
		for _, r := range a.all() {
			if r == nil {
				r = &kernels.LowRank{}
			}
			d.matrix(&r.A)
			d.matrix(&r.B)
			d.view(r.RowScale)
		}
		a.digestOf = d.sum()
	})
	return a.digestOf
}

// digester is a digest of parts, which are hashed in parallel.
type digester struct{ parts []func(hash.Hash) }

func (d *digester) add(write func(hash.Hash)) { d.parts = append(d.parts, write) }

func (d *digester) view(v kernels.View) {
	d.add(func(h hash.Hash) { h.Write(v.Bytes()) })
}

func (d *digester) matrix(m *kernels.Matrix) {
	d.add(func(h hash.Hash) {
		for _, n := range []int{m.Rows, m.Cols, int(m.Format), m.Group, int(m.ScaleFormat)} {
			binary.Write(h, binary.LittleEndian, int64(n))
		}
		for _, v := range []kernels.View{m.Data, m.Scales, m.Biases} {
			h.Write(v.Bytes())
		}
	})
}

func (d *digester) sum() string {
	sums := make([][]byte, len(d.parts))
	free := make(chan struct{}, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for i, write := range d.parts {
		free <- struct{}{}
		wg.Go(func() {
			h := sha256.New()
			write(h)
			sums[i] = h.Sum(nil)
			<-free
		})
	}
	wg.Wait()
	all := sha256.Sum256(slices.Concat(sums...))
	return hex.EncodeToString(all[:])
}
