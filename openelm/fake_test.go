package openelm_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/openelm"
)

// fake is a backend whose operations are cheap, exact, and take as long as a test
// says: a row's prediction is a hash of the tokens up to it, taken from the
// cache.
type fake struct {
	perPass, perRow time.Duration
	rows            int // PassRows
	largest         int // bytes that cannot be had
	async           bool
	eos             []int32

	mu     sync.Mutex
	passes []int // rows of each pass that was run
	open   int   // Ops that were not ended
	under  int   // passes that were started and not waited for
	most   int   // of those, at a time
	// fault, if not nil, is asked before a pass of these tokens.
	fault func(tokens []int32) error
	// wrong, if not nil, tells after which token the logit of token 5 is no number.
	wrong func(token int32) bool
}

const fakeVocab = 97

// fakeModel is a model of one layer on the backend.
func fakeModel(t testing.TB, f *fake) *openelm.Model {
	t.Helper()
	view := func(n int) kernels.View { return kernels.Whole(memory(make([]byte, n))) }
	matrix := func(rows, cols int) kernels.Matrix {
		return kernels.Matrix{Rows: rows, Cols: cols, Format: kernels.F32, Data: view(4 * rows * cols)}
	}
	m, err := openelm.New(openelm.Parts{
		Backend: f,
		Config: openelm.Config{
			VocabSize: fakeVocab, ModelDim: 2, HeadDim: 2, Layers: []openelm.LayerConfig{{QueryHeads: 1, KVHeads: 1, FFNDim: 2}},
			TiedHead: true, RopeBase: 1e4, MaxContext: 4096, BOS: -1, EOS: f.eos,
		},
		Weights: openelm.Weights{
			Embedding: matrix(fakeVocab, 2), Norm: view(8),
			Layers: []openelm.LayerWeights{{
				AttnNorm: view(8), FFNNorm: view(8), QKV: matrix(6, 2), Out: matrix(2, 2), Gate: matrix(2, 2), Down: matrix(2, 2),
			}},
		},
		Tokenizer: letters{},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

type memory []byte

func (m memory) Bytes() []byte { return m }
func (m memory) Release()      {}

func (f *fake) Name() string { return "fake" }
func (f *fake) NewBuffer(n int) (kernels.Buffer, error) {
	if f.largest > 0 && n >= f.largest {
		return nil, errors.New("no memory")
	}
	return memory(make([]byte, n)), nil
}
func (f *fake) PassRows() int { return max(f.rows, 64) }
func (f *fake) Close() error  { return nil }
func (f *fake) Begin(ctx context.Context) (kernels.Ops, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open++
	o := &fakeOps{fake: f, ctx: ctx}
	if f.async {
		return &asyncFakeOps{fakeOps: o}, nil
	}
	return o, nil
}
func (f *fake) WrapBuffer(mem []byte) (kernels.Buffer, bool, error) {
	return memory(mem), true, nil
}

// taken is the passes so far, which are then forgotten.
func (f *fake) taken() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.passes
	f.passes = nil
	return p
}

// fakeOps runs operations as they are recorded, and takes its time in Run.
type fakeOps struct {
	*fake
	ctx    context.Context
	tokens []int32
}

func (o *fakeOps) Embed(x kernels.View, _ kernels.Linear, tokens kernels.View, rows int) {
	o.tokens = append(o.tokens[:0], tokens.Ints()[:rows]...)
	for i, t := range o.tokens {
		x.Floats()[2*i] = float32(t)
	}
}

func (o *fakeOps) NormQKV(qkv, x kernels.View, rows int, _ kernels.Norm, w kernels.Linear) {
	for i := range rows {
		v := x.Floats()[2*i]
		if w.LoRA != nil {
			v += w.LoRA.A.Data.Floats()[0]
		}
		qkv.Floats()[6*i] = v
	}
}

func (o *fakeOps) Attend(out, qkv kernels.View, _ *kernels.Attention, spans []kernels.Span) {
	row := 0
	for _, s := range spans {
		keys := s.Keys.Floats()
		for i := range s.Rows {
			keys[2*(s.Pos+i)] = qkv.Floats()[6*row]
			h := uint32(1)
			for _, k := range keys[:2*(s.Pos+i+1)] {
				h = (h*31 + uint32(k)) % (1 << 20)
			}
			out.Floats()[2*row] = float32(h)
			row++
		}
	}
}

func (o *fakeOps) ProjAdd(x, in kernels.View, rows int, w kernels.Linear) {
	for i := range rows {
		x.Floats()[2*i] = in.Floats()[2*i]
	}
}

func (o *fakeOps) NormSwiGLU(h, x kernels.View, rows int, _ kernels.Norm, _, _ kernels.Linear) {
	copy(h.Floats()[:2*rows], x.Floats())
}

func (o *fakeOps) NormLogits(logits, x kernels.View, rows int, _ kernels.Norm, _ kernels.Linear) {
	for i := range rows {
		h := uint32(x.Floats()[2*i])
		for j := range fakeVocab {
			h = h*1664525 + 1013904223
			logits.Floats()[i*fakeVocab+j] = float32(h>>16) / 8192
		}
		if o.wrong != nil && o.wrong(o.tokens[len(o.tokens)-1]) {
			logits.Floats()[i*fakeVocab+5] = float32(math.NaN())
		}
	}
}

func (o *fakeOps) Run() error {
	o.mu.Lock()
	o.passes = append(o.passes, len(o.tokens))
	fault := o.fault
	o.mu.Unlock()
	if fault != nil {
		if err := fault(o.tokens); err != nil {
			return err
		}
	}
	select {
	case <-time.After(o.perPass + time.Duration(len(o.tokens))*o.perRow):
		return nil
	case <-o.ctx.Done():
		return context.Cause(o.ctx)
	}
}

func (o *fakeOps) End() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open--
}

// asyncFakeOps is kernels.AsyncOps of the same operations.
type asyncFakeOps struct {
	*fakeOps
	started bool
}

func (o *asyncFakeOps) EmbedChosen(x kernels.View, table kernels.Linear, tokens kernels.View, rows int) {
	o.Embed(x, table, tokens, rows)
}

func (o *asyncFakeOps) Choose(tokens, logits kernels.View, rows, n int) {
	for r := range rows {
		best := 0
		for i, l := range logits.Floats()[r*n : (r+1)*n] {
			if l != l {
				best = -1
				break
			}
			if l > logits.Floats()[r*n+best] {
				best = i
			}
		}
		tokens.Ints()[r] = int32(best)
	}
}

func (o *asyncFakeOps) Start() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.started = true
	o.under++
	o.most = max(o.most, o.under)
	return context.Cause(o.ctx)
}

func (o *asyncFakeOps) wait() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.started {
		o.under--
	}
	o.started = false
}

func (o *asyncFakeOps) Run() error {
	defer o.wait()
	return o.fakeOps.Run()
}

func (o *asyncFakeOps) End() {
	o.wait()
	o.fakeOps.End()
}

// letters is a tokenizer whose tokens are characters from '!' on.
type letters struct{}

func (letters) Encode(text string) (tokens []int32) {
	for _, b := range []byte(text) {
		tokens = append(tokens, int32(b-'!'))
	}
	return tokens
}

func (l letters) EncodeAfter(_ int32, text string) []int32 { return l.Encode(text) }

func (letters) Decode(tokens []int32) (text string) {
	for _, t := range tokens {
		text += string(rune('!' + t))
	}
	return text
}
func (letters) NewDecoder() openelm.Decoder { return letters{} }
func (l letters) Next(t int32) string       { return l.Decode([]int32{t}) }
func (letters) Flush() string               { return "" }
