package openelm

import (
	"context"
	"fmt"

	"github.com/go-openelm/go-openelm/kernels"
)

// batch is the sequences of one pass, and how their rows lie in the workspace:
// the first sequence's rows, then the second's, and so on.
type batch struct {
	sessions []*Session
	counts   []int // rows of each session
	rows     int
	adapter  *Adapter

	spanBuf []kernels.Span
	attend  kernels.Attention
}

// evaluate runs every token of the sessions that is not in their caches, in
// passes of as many rows as the backend likes, and leaves each session's logits after its last
// token. each, if not nil, sees the logits after every evaluated token, for one
// session only.
func (m *Model) evaluate(ctx context.Context, sessions []*Session, each func(row int, logits []float32) error) error {
	todo := 0
	for _, s := range sessions {
		todo += len(s.tokens) - s.cached
	}
	if todo == 0 {
		return ctx.Err()
	}
	ws, err := m.workspaces.take(m, todo)
	if err != nil {
		return fmt.Errorf("openelm: activations: %w", err)
	}
	defer m.workspaces.give(ws)
	ops, err := m.parts.Backend.Begin(ctx)
	if err != nil {
		return err
	}
	defer ops.End()
	for done := 0; done < todo; {
		ws.batch.fill(ws, sessions)
		if err := m.pass(ops, ws, done, each); err != nil {
			return err
		}
		done += ws.batch.rows
	}
	return nil
}

// fill takes as many rows as fit from the sessions, in order.
func (b *batch) fill(ws *workspace, sessions []*Session) {
	b.sessions, b.counts, b.rows = b.sessions[:0], b.counts[:0], 0
	b.adapter = sessions[0].adapter
	for _, s := range sessions {
		n := min(len(s.tokens)-s.cached, ws.rows-b.rows)
		if n == 0 {
			continue
		}
		copy(ws.tokens.Ints()[b.rows:], s.tokens[s.cached:s.cached+n])
		b.sessions, b.counts = append(b.sessions, s), append(b.counts, n)
		b.rows += n
	}
}

// pass runs the batch in ws, delivers its logits, and moves its sessions on.
// done is the number of rows of earlier passes.
func (m *Model) pass(ops kernels.Ops, ws *workspace, done int, each func(row int, logits []float32) error) error {
	b := &ws.batch
	if err := m.forward(ops, ws, b); err != nil {
		return err
	}
	vocab := m.parts.Config.VocabSize
	ran := false
	for first, n := b.wanted(0, each != nil); n > 0; first, n = b.wanted(first+n, each != nil) {
		m.logits(ops, ws, b, first, n)
		if err := ops.Run(); err != nil {
			return err
		}
		ran = true
		for r := range n {
			logits := ws.logits.Floats()[r*vocab : (r+1)*vocab]
			if s, last := b.owner(first + r); last {
				copy(s.logits, logits)
			}
			if each != nil {
				if err := each(done+first+r, logits); err != nil {
					return err
				}
			}
		}
	}
	if !ran {
		if err := ops.Run(); err != nil {
			return err
		}
	}
	for i, s := range b.sessions {
		s.cached += b.counts[i]
	}
	return nil
}

// wanted is the next run of at most logitRows rows, from row on, whose logits
// are needed: all rows, or those that end a session's text.
func (b *batch) wanted(row int, all bool) (first, n int) {
	for ; row < b.rows; row++ {
		if _, last := b.owner(row); all || last {
			break
		}
	}
	first = row
	for ; row < b.rows && n < logitRows; row++ {
		if _, last := b.owner(row); !all && !last {
			break
		}
		n++
	}
	return first, n
}

// owner is the session that row belongs to, and whether the row is the last
// token of its text.
func (b *batch) owner(row int) (s *Session, last bool) {
	for i, s := range b.sessions {
		if row < b.counts[i] {
			return s, s.cached+row == len(s.tokens)-1
		}
		row -= b.counts[i]
	}
	panic("openelm: row outside the batch")
}

// attention is layer i's attention with a RoPE table that reaches far enough
// for all sequences.
func (b *batch) attention(i int) *kernels.Attention {
	b.attend = b.sessions[0].model.layers[i].attention
	for _, s := range b.sessions {
		if s.rope.Len > b.attend.Rope.Len {
			b.attend.Rope = s.rope
		}
	}
	return &b.attend
}

// spans is where layer i's keys and values of each sequence are.
func (b *batch) spans(i int) []kernels.Span {
	b.spanBuf = b.spanBuf[:0]
	for j, s := range b.sessions {
		b.spanBuf = append(b.spanBuf, s.cache.span(i, s.cached, b.counts[j]))
	}
	return b.spanBuf
}

// observe shows the residual stream to a session's trace, in tests.
func (b *batch) observe(ops kernels.Ops, layer int, x kernels.View) error {
	trace := b.sessions[0].trace
	if trace == nil {
		return nil
	}
	if err := ops.Run(); err != nil {
		return err
	}
	trace(layer, x.Floats()[:b.rows*b.sessions[0].model.parts.Config.ModelDim])
	return nil
}
