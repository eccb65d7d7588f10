package openelm

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/go-openelm/go-openelm/kernels"
)

// Tokenizer turns text into tokens and back.
type Tokenizer interface {
	// Encode returns the tokens of text, without begin- or end-of-text tokens.
	Encode(text string) []int32
	// EncodeAfter returns the tokens of text where it goes on after token prev of
	// a longer text: as Encode after none (-1) and after the token that begins a
	// text, as a part of its own after another control token, and otherwise as
	// the rest of what came before. Only the tokenizer knows how they differ.
	EncodeAfter(prev int32, text string) []int32
	// Decode returns the text of tokens.
	Decode(tokens []int32) string
	// NewDecoder decodes tokens as they come.
	NewDecoder() Decoder
}

// A Framer is a [Tokenizer] that knows what its files put around a text. With
// any other, a text begins with [Config].BOS and ends with nothing.
type Framer interface {
	// Frame is the tokens before and after a text, −1 for none.
	Frame() (bos, eos int32)
}

// Decoder turns a stream of tokens into text. It returns whole characters only:
// bytes of a character that is not complete yet stay inside.
type Decoder interface {
	// Next adds a token and returns the text that is complete now.
	Next(token int32) string
	// Flush returns what is left.
	Flush() string
}

// Parts are what a model is made of. Package loader fills them from a
// checkpoint.
type Parts struct {
	Config    Config
	Weights   Weights
	Backend   kernels.Backend
	Tokenizer Tokenizer // nil: the model takes and gives tokens only

	// Adapter is used by sessions that name none; nil for the bare model.
	Adapter *Adapter

	// Closer is closed with the model, once; it releases the weights' buffers
	// and whatever else belongs to the model. May be nil.
	Closer io.Closer
}

// Model is an OpenELM model, ready to run. It is immutable: any number of
// sessions on any number of goroutines may share it.
type Model struct {
	parts  Parts
	layers []layer

	norm kernels.Norm // the last

	rope       ropeCache
	workspaces workspaces
	pace       pace

	digestOnce sync.Once
	digestOf   string

	closeOnce sync.Once
	closeErr  error
}

// layer is one layer's weights in the form the operations take.
type layer struct {
	attnNorm, ffnNorm        kernels.Norm
	qkv, out, gate, up, down *kernels.Matrix
	attention                kernels.Attention // Rope is filled in by each session
	qkvDim, attnDim, ffnDim  int
}

// ErrNoTokenizer is returned by what needs text when the model has no tokenizer.
var ErrNoTokenizer = errors.New("openelm: the model has no tokenizer")

// New checks that the parts fit together and returns the model. On an error
// the caller still owns the parts.
func New(p Parts) (*Model, error) {
	if p.Backend == nil {
		return nil, errors.New("openelm: no backend")
	}
	if err := p.Weights.Validate(&p.Config); err != nil {
		return nil, err
	}
	m := &Model{parts: p}
	c, w := &m.parts.Config, &m.parts.Weights
	if c.TiedHead {
		w.Head = w.Embedding
	}
	norm := func(v kernels.View) kernels.Norm { return kernels.Norm{Weight: v, Eps: c.NormEps} }
	m.norm = norm(w.Norm)
	m.layers = make([]layer, len(c.Layers))
	for i := range m.layers {
		lw, lc := &w.Layers[i], c.Layers[i]
		l := layer{
			attnNorm: norm(lw.AttnNorm), ffnNorm: norm(lw.FFNNorm),
			qkv: &lw.QKV, out: &lw.Out, gate: &lw.Gate, down: &lw.Down,
			attention: kernels.Attention{QueryHeads: lc.QueryHeads, KVHeads: lc.KVHeads, HeadDim: c.HeadDim},
			qkvDim:    c.QKVDim(i), attnDim: lc.QueryHeads * c.HeadDim, ffnDim: lc.FFNDim,
		}
		if c.GLU {
			l.up = &lw.Up
		}
		if c.QKNorm {
			l.attention.QueryNorm, l.attention.KeyNorm = norm(lw.QNorm), norm(lw.KNorm)
		}
		m.layers[i] = l
	}
	if p.Adapter != nil {
		if err := p.Adapter.Validate(m); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Config is the model's configuration. The caller must not change it.
func (m *Model) Config() *Config { return &m.parts.Config }

// Weights are the model's tensors. The caller must not change them.
func (m *Model) Weights() *Weights { return &m.parts.Weights }

// Adapter is the one that sessions use which name none, nil if there is none.
func (m *Model) Adapter() *Adapter { return m.parts.Adapter }

// Backend is the device that runs the model.
func (m *Model) Backend() kernels.Backend { return m.parts.Backend }

// Tokenizer is the model's tokenizer, nil if it has none.
func (m *Model) Tokenizer() Tokenizer { return m.parts.Tokenizer }

// Close releases the weights. Sessions must be closed before.
func (m *Model) Close() error {
	m.closeOnce.Do(func() {
		m.rope.release()
		m.workspaces.release()
		if m.parts.Closer != nil {
			m.closeErr = m.parts.Closer.Close()
		}
	})
	return m.closeErr
}

// ropeCache holds the RoPE table that all sessions of a model share. It grows
// to the longest session; sessions made before keep the table they have.
type ropeCache struct {
	mu     sync.Mutex
	tables []kernels.Buffer // the last is the longest
}

// table returns angles for at least positions positions.
func (r *ropeCache) table(b kernels.Backend, c *Config, positions int) (kernels.View, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := positions * c.HeadDim * 4
	if k := len(r.tables); k > 0 {
		if v := kernels.Whole(r.tables[k-1]); v.Len >= n {
			return v, nil
		}
	}
	buf, err := b.NewBuffer(n)
	if err != nil {
		return kernels.View{}, fmt.Errorf("%w: the RoPE table of %d positions needs %d bytes: %w", ErrMemory, positions, n, err)
	}
	v := kernels.Whole(buf)
	kernels.RopeTable(v.Floats(), c.HeadDim, 0, c.RopeBase)
	r.tables = append(r.tables, buf)
	return v, nil
}

func (r *ropeCache) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.tables {
		b.Release()
	}
	r.tables = nil
}
