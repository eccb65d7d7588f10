package openelm

import "github.com/go-openelm/go-openelm/kernels"

// forward records the whole model for the rows in ws, which belong to the
// sequences of b:
//
//	x = E[token]
//	for each layer:
//	    x += W_o·attend(W_qkv·rmsnorm(x))
//	    x += W_2·(silu(W_g·n) ⊙ W_u·n),  n = rmsnorm(x)
//
// NormLogits is left to the caller, who knows which rows need logits.
func (m *Model) forward(ops kernels.Ops, ws *workspace, b *batch) error {
	ops.Embed(ws.x, kernels.Linear{W: &m.parts.Weights.Embedding, LoRA: b.adapter.embedding()}, ws.tokens, b.rows)
	if err := b.observe(ops, 0, ws.x); err != nil {
		return err
	}
	for i := range m.layers {
		l, a := &m.layers[i], b.adapter.layer(i)
		attention := b.attention(i)
		ops.NormQKV(ws.qkv, ws.x, b.rows, l.attnNorm, kernels.Linear{W: l.qkv, LoRA: a.QKV})
		ops.Attend(ws.attended, ws.qkv, attention, b.spans(i))
		ops.ProjAdd(ws.x, ws.attended, b.rows, kernels.Linear{W: l.out, LoRA: a.Out})
		ops.NormSwiGLU(ws.hidden, ws.x, b.rows, l.ffnNorm, kernels.Linear{W: l.gate, LoRA: a.Gate}, kernels.Linear{W: l.up, LoRA: a.Up})
		ops.ProjAdd(ws.x, ws.hidden, b.rows, kernels.Linear{W: l.down, LoRA: a.Down})
		if err := b.observe(ops, i+1, ws.x); err != nil {
			return err
		}
	}
	return nil
}

// logits records the last norm and the output matrix for rows [first, first+n).
func (m *Model) logits(ops kernels.Ops, ws *workspace, b *batch, first, n int) {
	width := 4 * m.parts.Config.ModelDim
	ops.NormLogits(ws.logits, ws.x.Slice(first*width, n*width), n, m.norm, kernels.Linear{W: &m.parts.Weights.Head, LoRA: b.adapter.head()})
}

// workspace is the activations of one pass.
type workspace struct {
	rows   int            // capacity
	buf    kernels.Buffer // everything but logits
	out    kernels.Buffer
	tokens kernels.View // [rows] int32

	x        kernels.View // [rows, model_dim], the residual stream
	qkv      kernels.View // [rows, widest qkv]
	attended kernels.View // [rows, widest q]
	hidden   kernels.View // [rows, widest ffn]
	logits   kernels.View // [logitRows, vocab]

	batch batch
}

// logitRows is how many rows of logits are computed at once.
const logitRows = 16

func (m *Model) newWorkspace(rows int) (*workspace, error) {
	c := &m.parts.Config
	var qkv, attended, hidden int
	for i := range m.layers {
		l := &m.layers[i]
		qkv, attended, hidden = max(qkv, l.qkvDim), max(attended, l.attnDim), max(hidden, l.ffnDim)
	}
	ws := &workspace{rows: rows}
	parts := []struct {
		view  *kernels.View
		width int
	}{{&ws.tokens, 1}, {&ws.x, c.ModelDim}, {&ws.qkv, qkv}, {&ws.attended, attended}, {&ws.hidden, hidden}}
	total := 0
	for _, p := range parts {
		p.view.Off, p.view.Len = total, 4*rows*p.width
		total += (p.view.Len + viewAlign - 1) / viewAlign * viewAlign
	}
	var err error
	if ws.buf, err = m.parts.Backend.NewBuffer(total); err != nil {
		return nil, err
	}
	if ws.out, err = m.parts.Backend.NewBuffer(4 * logitRows * c.VocabSize); err != nil {
		ws.buf.Release()
		return nil, err
	}
	for _, p := range parts {
		p.view.Buf = ws.buf
	}
	ws.logits = kernels.Whole(ws.out)
	return ws, nil
}

// viewAlign keeps each part of a shared buffer on its own cache lines, and on
// offsets that Metal accepts for any type.
const viewAlign = 256

func (ws *workspace) release() {
	ws.buf.Release()
	ws.out.Release()
}
