package openelm

import "github.com/go-openelm/go-openelm/kernels"

// forward records the whole model for the rows in ws, which belong to the
// sequences of p:
//
//	x = E[token]
//	for each layer:
//	    x += W_o·attend(W_qkv·rmsnorm(x))
//	    x += W_2·(silu(W_g·n) ⊙ W_u·n),  n = rmsnorm(x)
//
// NormLogits is left to the caller, who knows which rows need logits.
func (m *Model) forward(ops kernels.Ops, ws *workspace, p *pass) error {
	embedding := p.adapter.embedding(&m.parts.Weights.Embedding)
	if p.chosen.IsZero() {
		ops.Embed(ws.x, embedding, ws.tokens, p.rows)
	} else {
		ops.(kernels.AsyncOps).EmbedChosen(ws.x, embedding, p.chosen, p.rows)
	}
	if err := p.observe(ops, 0, ws.x); err != nil {
		return err
	}
	for i := range m.layers {
		l, a := &m.layers[i], p.adapter.layer(i)
		attention := p.attention(i)
		ops.NormQKV(ws.qkv, ws.x, p.rows, l.attnNorm, kernels.Linear{W: l.qkv, LoRA: a.QKV})
		ops.Attend(ws.attended, ws.qkv, attention, p.spans(i))
		ops.ProjAdd(ws.x, ws.attended, p.rows, kernels.Linear{W: l.out, LoRA: a.Out})
		ops.NormSwiGLU(ws.hidden, ws.x, p.rows, l.ffnNorm, kernels.Linear{W: l.gate, LoRA: a.Gate}, kernels.Linear{W: l.up, LoRA: a.Up})
		ops.ProjAdd(ws.x, ws.hidden, p.rows, kernels.Linear{W: l.down, LoRA: a.Down})
		if err := p.observe(ops, i+1, ws.x); err != nil {
			return err
		}
	}
	return nil
}

// logits records the last norm and the output matrix for rows [first, first+n),
// to offset off of ws.logits, and returns the offset for the next ones.
func (m *Model) logits(ops kernels.Ops, ws *workspace, first, n, off int) int {
	width, size := 4*m.parts.Config.ModelDim, 4*n*m.parts.Config.VocabSize
	head := ws.pass.adapter.head(&m.parts.Weights.Head)
	ops.NormLogits(ws.logits.Slice(off, size), ws.x.Slice(first*width, n*width), n, m.norm, head)
	return align(off + size)
}

// workspace is the activations of one pass.
type workspace struct {
	rows   int            // capacity
	buf    kernels.Buffer // everything but logits
	out    kernels.Buffer
	tokens kernels.View    // [rows] int32
	chosen [2]kernels.View // one int32 each: tokens that the device chooses

	x        kernels.View // [rows, model_dim], the residual stream
	qkv      kernels.View // [rows, widest qkv]
	attended kernels.View // [rows, widest q]
	hidden   kernels.View // [rows, widest ffn]
	logits   kernels.View // ExactRows rows of vocab, in aligned runs

	pass pass
}

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
	}{{&ws.tokens, 1}, {&ws.chosen[0], 1}, {&ws.chosen[1], 1}, {&ws.x, c.ModelDim}, {&ws.qkv, qkv}, {&ws.attended, attended}, {&ws.hidden, hidden}}
	total := 0
	for _, p := range parts {
		p.view.Off, p.view.Len = total, 4*rows*p.width
		total += align(p.view.Len)
	}
	var err error
	if ws.buf, err = m.parts.Backend.NewBuffer(total); err != nil {
		return nil, err
	}
	if ws.out, err = m.parts.Backend.NewBuffer(kernels.ExactRows * align(4*c.VocabSize)); err != nil {
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

func align(n int) int { return (n + viewAlign - 1) / viewAlign * viewAlign }

func (ws *workspace) release() {
	ws.buf.Release()
	ws.out.Release()
}
