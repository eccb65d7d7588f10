package openelm

import (
	"context"

	"github.com/go-openelm/go-openelm/kernels"
)

// ahead evaluates a text whose tokens the device chooses itself, greedily. While
// the device runs one pass it has been given the next one, which begins with the
// token that the first one chooses: it never waits for the CPU, and the CPU sees a
// token while the next is in the making.
//
// Two Ops are used in turn. Pass i takes its token from ws.chosen[i%2] and sets
// ws.chosen[(i+1)%2], which the CPU has read by the time that pass i+2 is started.
type ahead struct {
	session *Session
	ws      *workspace
	ops     [2]kernels.AsyncOps

	limit   int // tokens at which the text ends
	next    int // position of the token that the next pass evaluates
	started int // passes
	taken   int // passes whose token was taken
	err     error
	token   int32 // the last one taken
}

// beginAhead makes s.ahead, if the device can, for a text that ends at limit
// tokens; endAhead ends it.
func (s *Session) beginAhead(ctx context.Context, limit int) error {
	if s.trace != nil || limit < len(s.tokens)+2 { // the first token is chosen by the CPU
		return nil
	}
	m := s.model
	a := &ahead{session: s, limit: limit, next: len(s.tokens)}
	for i := range a.ops {
		ops, err := m.parts.Backend.Begin(ctx)
		if err != nil {
			a.end()
			return err
		}
		async, ok := ops.(kernels.AsyncOps)
		if !ok {
			ops.End()
			return nil
		}
		a.ops[i] = async
	}
	var err error
	if a.ws, err = m.takeWorkspace(false); err != nil {
		a.end()
		return err
	}
	s.ahead = a
	return nil
}

// start gives the device what it has not been given of the text's last token and
// the one after it. An error is that of the first pass that cannot be taken.
func (a *ahead) start() {
	s, ws := a.session, a.ws
	if a.started == 0 {
		ws.chosen[0].Ints()[0] = s.tokens[a.next]
	}
	// The token at limit-1 is the last one: it is not evaluated.
	for a.err == nil && a.next <= len(s.tokens) && a.next < a.limit-1 {
		ops := a.ops[a.started%2]
		p := &ws.pass
		p.segments = append(p.segments[:0], segment{s, a.next, 1})
		p.rows, p.adapter = 1, s.adapter
		p.chosen = ws.chosen[a.started%2]
		if a.err = s.model.forward(ops, ws, p); a.err != nil {
			return
		}
		s.model.logits(ops, ws, 0, 1, 0)
		ops.Choose(ws.chosen[(a.started+1)%2], ws.logits, 1, len(s.logits))
		if a.err = ops.Start(); a.err == nil {
			a.started++
			a.next++
		}
	}
}

// take waits for the first pass that was not taken and sets a.token, to -1 if the
// device could not choose.
func (a *ahead) take(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if a.taken == a.started {
		return a.err
	}
	if err := a.ops[a.taken%2].Run(); err != nil {
		return err
	}
	a.taken++
	a.token = a.ws.chosen[a.taken%2].Ints()[0]
	return nil
}

// end waits for the device.
func (a *ahead) end() {
	for _, ops := range a.ops {
		if ops != nil {
			ops.End()
		}
	}
	if a.ws != nil {
		a.session.model.giveWorkspace(a.ws)
	}
}

func (s *Session) endAhead() {
	if s.ahead != nil {
		s.ahead.end()
		s.ahead = nil
	}
}

// chosen is the token that the device has chosen to follow the text, if it has.
func (s *Session) chosen() (token int32, ok bool) {
	if s.ahead == nil || s.ahead.taken == 0 {
		return 0, false
	}
	return s.ahead.token, true
}
