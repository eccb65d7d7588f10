package convert

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/openelm"
)

// tensor is one tensor to be written: the rows of one matrix with its adapter,
// or of two, one below the other; or a vector.
type tensor struct {
	name   string // without ".weight"
	role   role
	layer  int
	parts  []kernels.Linear
	vector []float32
}

// role is what a matrix is for, by the name of its input's place.
type role int

const (
	embedding role = iota
	qkv
	out
	gateUp
	down
	head
)

func (t *tensor) cols() int {
	if t.vector != nil {
		return len(t.vector)
	}
	return t.parts[0].W.Cols
}

func (t *tensor) rows() (n int) {
	for _, p := range t.parts {
		n += p.W.Rows
	}
	return n
}

func (t *tensor) weights() int64 {
	if t.vector != nil {
		return int64(len(t.vector))
	}
	return int64(t.rows()) * int64(t.cols())
}

// shape is the tensor's, outermost first.
func (t *tensor) shape() []int {
	if t.vector != nil {
		return []int{len(t.vector)}
	}
	return []int{t.rows(), t.cols()}
}

// names are how a kind of checkpoint calls the tensors.
type names struct {
	embedding, norm, head, layer              string
	attnNorm, qkv, qNorm, kNorm, out, ffnNorm string
	gateUp, gate, up, down                    string // gateUp where both are one tensor
}

var huggingFace = names{
	embedding: "transformer.token_embeddings", norm: "transformer.norm", head: "lm_head", layer: "transformer.layers.%d.",
	attnNorm: "attn_norm", qkv: "attn.qkv_proj", qNorm: "attn.q_norm", kNorm: "attn.k_norm", out: "attn.out_proj",
	ffnNorm: "ffn_norm", gateUp: "ffn.proj_1", down: "ffn.proj_2",
}

var ggml = names{
	embedding: "token_embd", norm: "output_norm", head: "output", layer: "blk.%d.",
	attnNorm: "attn_norm", qkv: "attn_qkv", qNorm: "attn_q_norm", kNorm: "attn_k_norm", out: "attn_output",
	ffnNorm: "ffn_norm", gate: "ffn_gate", up: "ffn_up", down: "ffn_down",
}

// tiedHead reports whether the output matrix is the embedding, with the adapter.
func (w *writer) tiedHead() bool {
	a := w.model.Adapter()
	return w.model.Config().TiedHead && (a == nil || a.Embedding == a.Head && a.Table == a.Output)
}

// tensors lists what is to be written.
func (w *writer) tensors(n names) []tensor {
	c, m := w.model.Config(), w.model.Weights()
	a := w.model.Adapter()
	if a == nil {
		a = &openelm.Adapter{Layers: make([]openelm.LayerAdapter, len(c.Layers))}
	}
	var list []tensor
	vector := func(name string, v kernels.View) { list = append(list, tensor{name: name, vector: v.Floats()}) }
	matrix := func(name string, r role, layer int, parts ...kernels.Linear) {
		list = append(list, tensor{name: name, role: r, layer: layer, parts: parts})
	}
	whole := func(m, other *kernels.Matrix) *kernels.Matrix {
		if other != nil {
			return other
		}
		return m
	}
	matrix(n.embedding, embedding, 0, kernels.Linear{W: whole(&m.Embedding, a.Table), LoRA: a.Embedding})
	for i := range m.Layers {
		l, la, prefix := &m.Layers[i], &a.Layers[i], fmt.Sprintf(n.layer, i)
		vector(prefix+n.attnNorm, l.AttnNorm)
		matrix(prefix+n.qkv, qkv, i, kernels.Linear{W: &l.QKV, LoRA: la.QKV})
		if c.QKNorm {
			vector(prefix+n.qNorm, l.QNorm)
			vector(prefix+n.kNorm, l.KNorm)
		}
		matrix(prefix+n.out, out, i, kernels.Linear{W: &l.Out, LoRA: la.Out})
		vector(prefix+n.ffnNorm, l.FFNNorm)
		gate, up := kernels.Linear{W: &l.Gate, LoRA: la.Gate}, kernels.Linear{W: &l.Up, LoRA: la.Up}
		switch {
		case n.gateUp != "" && c.GLU:
			matrix(prefix+n.gateUp, gateUp, i, gate, up)
		case n.gateUp != "":
			matrix(prefix+n.gateUp, gateUp, i, gate)
		case c.GLU:
			matrix(prefix+n.gate, gateUp, i, gate)
			matrix(prefix+n.up, gateUp, i, up)
		default:
			matrix(prefix+n.up, gateUp, i, gate)
		}
		matrix(prefix+n.down, down, i, kernels.Linear{W: &l.Down, LoRA: la.Down})
	}
	vector(n.norm, m.Norm)
	if !w.tiedHead() {
		matrix(n.head, head, 0, kernels.Linear{W: whole(&m.Head, a.Output), LoRA: a.Head})
	}
	for i := range list {
		w.total += list[i].weights()
	}
	return list
}

// stored reports whether the tensor is stored as wanted already.
func (t *tensor) stored(want func(m *kernels.Matrix) bool) bool {
	return t.vector == nil && !slices.ContainsFunc(t.parts, func(p kernels.Linear) bool { return p.LoRA != nil || !want(p.W) })
}

// part is the matrix that holds row r of the tensor, and the row's place there.
func (t *tensor) part(r int) (kernels.Linear, int) {
	for _, p := range t.parts {
		if r < p.W.Rows {
			return p, r
		}
		r -= p.W.Rows
	}
	panic("convert: row outside the tensor")
}

// read sets dst to row r, the adapter's update included: RowScale ⊙ (W + B·A).
// The update is summed in float64. sum is scratch space.
func (t *tensor) read(dst []float32, r int, sum []float64) {
	if t.vector != nil {
		copy(dst, t.vector)
		return
	}
	l, r := t.part(r)
	l.W.ReadRow(dst, r)
	if l.LoRA == nil {
		return
	}
	for c, x := range dst {
		sum[c] = float64(x)
	}
	a, b := l.LoRA.A.Data.Floats(), l.LoRA.B.Data.Floats()
	for k, scale := range b[r*l.LoRA.B.Cols:][:l.LoRA.B.Cols] {
		for c, x := range a[k*len(dst):][:len(dst)] {
			sum[c] += float64(float64(scale) * float64(x)) // not fused: the same on every machine
		}
	}
	scale := 1.0
	if !l.LoRA.RowScale.IsZero() {
		scale = float64(l.LoRA.RowScale.Floats()[r])
	}
	for c := range dst {
		dst[c] = float32(scale * sum[c])
	}
}

// chunk is about how many weights each core encodes at a time.
const chunk = 1 << 16

// writeRows writes size bytes for each row, which encode makes of its number; the
// cores work on different rows. A row that cannot be encoded ends it.
func (w *writer) writeRows(out io.Writer, t *tensor, size int, encode func(dst []byte, r int, scratch *rowScratch) error) error {
	rows := max(t.rows(), 1)
	step := max(1, chunk/t.cols())
	pieces := make([][]byte, runtime.GOMAXPROCS(0))
	errs := make([]error, len(pieces))
	scratch := make([]rowScratch, len(pieces))
	for i := range scratch {
		scratch[i] = rowScratch{make([]float32, t.cols()), make([]float64, t.cols())}
	}
	for first := 0; first < rows; first += len(pieces) * step {
		if w.ctx.Err() != nil {
			return context.Cause(w.ctx)
		}
		var wg sync.WaitGroup
		for i := range pieces {
			begin := min(first+i*step, rows)
			n := min(step, rows-begin)
			pieces[i] = slices.Grow(pieces[i][:0], n*size)[:n*size]
			wg.Go(func() {
				for r := range n {
					if err := encode(pieces[i][r*size:(r+1)*size], begin+r, &scratch[i]); err != nil {
						errs[i] = fmt.Errorf("convert: %s.weight: row %d: %w", t.name, begin+r, err)
						return
					}
				}
			})
		}
		wg.Wait()
		for i, b := range pieces {
			if errs[i] != nil {
				return errs[i]
			}
			if _, err := out.Write(b); err != nil {
				return err
			}
		}
		w.advance(t.name, int64(min(len(pieces)*step, rows-first))*int64(t.cols()))
	}
	return nil
}

// rowScratch is one worker's row.
type rowScratch struct {
	row []float32
	sum []float64
}

// writeStored copies the matrices as they are, view by view of each part.
func (w *writer) writeStored(out io.Writer, t *tensor, view func(m *kernels.Matrix) kernels.View) error {
	const piece = 4 << 20
	for _, p := range t.parts {
		data := view(p.W).Bytes()
		for len(data) > 0 {
			n := min(piece, len(data))
			if _, err := out.Write(data[:n]); err != nil {
				return err
			}
			data = data[n:]
		}
	}
	w.advance(t.name, t.weights())
	return nil
}
