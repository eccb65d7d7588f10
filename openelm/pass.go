package openelm

import (
	"context"
	"time"

	"github.com/go-openelm/go-openelm/kernels"
)

// pass is the sequences that are evaluated together, and how their rows lie in
// the workspace: the first sequence's rows, then the second's, and so on.
type pass struct {
	segments []segment
	rows     int
	adapter  *Adapter
	chosen   kernels.View // the tokens, if not those of the workspace

	spanBuf []kernels.Span
	attend  kernels.Attention
}

// segment is rows of one session, from position from on: those that follow what it
// has cached, or what the device has been given already.
type segment struct {
	*Session
	from, rows int
}

// A session that has more than ExactRows tokens to evaluate does so in passes of
// the prompt class only, every other one in passes of the decode class only.
// Then the company it has, and how its tokens are cut, change no bit of what it
// gets ([kernels.ExactRows]). A session's class stays what it is while its tokens
// dwindle, since cut leaves it none or more than ExactRows.
func (s *Session) isPrompt() bool { return s.pending() > kernels.ExactRows }

// minPassRows is the least capacity of a pass of the prompt class: of every
// number of tokens up to it, or above it, cut leaves none or enough.
const minPassRows = 2 * (kernels.ExactRows + 1)

// cut is how many of n pending tokens a pass with room for some more takes.
func cut(n, room int) int {
	if n <= room || n <= kernels.ExactRows {
		return min(n, room)
	}
	return min(room, n-kernels.ExactRows-1)
}

// evaluate runs every pending token of the sessions.
func (m *Model) evaluate(ctx context.Context, sessions []*Session) error {
	total, prompts := 0, false
	for _, s := range sessions {
		total += s.pending()
		prompts = prompts || s.isPrompt()
	}
	if total == 0 {
		return context.Cause(ctx)
	}
	return m.inPass(ctx, prompts, func(ops kernels.Ops, ws *workspace) error {
		for ws.pass.fill(ws, sessions, ws.rows) {
			if err := m.run(ops, ws); err != nil {
				return err
			}
		}
		return nil
	})
}

// inPass gives f a workspace, a large one for prompts, and operations.
func (m *Model) inPass(ctx context.Context, prompts bool, f func(kernels.Ops, *workspace) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ws, err := m.takeWorkspace(prompts)
	if err != nil {
		return err
	}
	defer m.giveWorkspace(ws)
	ops, err := m.parts.Backend.Begin(ctx)
	if err != nil {
		return err
	}
	defer ops.End()
	return f(ops, ws)
}

// fill takes at most limit rows from the sessions, in order, for one pass: rows
// of one class and one adapter, those of the first session that has any. It
// reports whether there were any.
func (p *pass) fill(ws *workspace, sessions []*Session, limit int) bool {
	p.segments, p.rows, p.chosen = p.segments[:0], 0, kernels.View{}
	prompts := false
	for _, s := range sessions {
		n := s.pending()
		if n == 0 {
			continue
		}
		if p.rows == 0 {
			p.adapter, prompts = s.adapter, s.isPrompt()
			if !prompts {
				limit = kernels.ExactRows
			}
		}
		if s.adapter != p.adapter || s.isPrompt() != prompts {
			continue
		}
		if n = cut(n, limit-p.rows); n == 0 {
			continue
		}
		s.copyTokens(ws.tokens.Ints()[p.rows : p.rows+n])
		p.segments = append(p.segments, segment{s, s.cached, n})
		p.rows += n
	}
	return p.rows > 0
}

// run runs the pass in ws, delivers its logits, and moves its sessions on.
func (m *Model) run(ops kernels.Ops, ws *workspace) error {
	p := &ws.pass
	start := time.Now()
	if err := m.forward(ops, ws, p); err != nil {
		return err
	}
	if err := m.predict(ops, ws); err != nil {
		return err
	}
	x := ws.x.Floats()
	for _, s := range p.segments {
		n := s.rows * m.parts.Config.ModelDim
		if s.states != nil {
			addStates(s.states, x[:n], m.norm)
		}
		x = x[n:]
		if p.rows > kernels.ExactRows && s.exact == s.cached {
			s.exact += s.rows
		}
		s.cached += s.rows
	}
	m.pace.observe(p.rows, time.Since(start))
	return nil
}

// predict records the logits of the rows that want them, runs the pass and
// delivers them. It never asks for more than ExactRows rows at once, so that a
// row's prediction does not depend on how many others are wanted.
func (m *Model) predict(ops kernels.Ops, ws *workspace) error {
	p := &ws.pass
	for row := 0; ; {
		first, n := row, 0
		off := 0 // bytes of ws.logits
		for row < p.rows && n < kernels.ExactRows {
			k := p.wanted(row, kernels.ExactRows-n)
			if k == 0 {
				row++
				continue
			}
			off = m.logits(ops, ws, row, k, off)
			row, n = row+k, n+k
		}
		if err := ops.Run(); err != nil {
			return err
		}
		off = 0
		for r := first; r < row; {
			k := p.wanted(r, kernels.ExactRows)
			if k == 0 {
				r++
				continue
			}
			k = min(k, row-r)
			size := 4 * k * m.parts.Config.VocabSize
			copy(p.destination(r), ws.logits.Slice(off, size).Floats())
			r, off = r+k, align(off+size)
		}
		for row < p.rows && p.wanted(row, 1) == 0 {
			row++
		}
		if row == p.rows {
			return nil
		}
	}
}

// locate is the segment of a row, and the row's place in it.
func (p *pass) locate(row int) (segment, int) {
	for _, s := range p.segments {
		if row < s.rows {
			return s, row
		}
		row -= s.rows
	}
	panic("openelm: row outside the pass")
}

// wanted is how many rows from this one on, of one segment and at most most,
// want their logits.
func (p *pass) wanted(row, most int) int {
	s, r := p.locate(row)
	if s.from+r < s.predictFrom() {
		return 0
	}
	return min(s.rows-r, most)
}

// destination is where the logits of a row, and of those that follow it in its
// segment, go.
func (p *pass) destination(row int) []float32 {
	s, r := p.locate(row)
	return s.wanted[(s.from+r-s.predictFrom())*s.model.parts.Config.VocabSize:]
}

// attention is layer i's attention with a RoPE table that reaches far enough
// for all sequences.
func (p *pass) attention(i int) *kernels.Attention {
	p.attend = p.segments[0].model.layers[i].attention
	for _, s := range p.segments {
		if s.rope.Len > p.attend.Rope.Len {
			p.attend.Rope = s.rope
		}
	}
	return &p.attend
}

// spans is where layer i's keys and values of each sequence are.
func (p *pass) spans(i int) []kernels.Span {
	p.spanBuf = p.spanBuf[:0]
	for _, s := range p.segments {
		p.spanBuf = append(p.spanBuf, s.cache.span(i, s.from, s.rows))
	}
	return p.spanBuf
}

// observe shows the residual stream to a session's trace, in tests.
func (p *pass) observe(ops kernels.Ops, layer int, x kernels.View) error {
	trace := p.segments[0].trace
	if trace == nil {
		return nil
	}
	if err := ops.Run(); err != nil {
		return err
	}
	trace(layer, x.Floats()[:p.rows*p.segments[0].model.parts.Config.ModelDim])
	return nil
}
