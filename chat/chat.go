package chat

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/go-openelm/go-openelm/openelm"
)

// ErrTooLong is wrapped by the error about a message that leaves no room for a
// reply even when everything said before is forgotten.
var ErrTooLong = errors.New("chat: the message does not fit into the context")

// Options configure a conversation.
type Options struct {
	Template Template
	// System is said before the first turn; may be empty.
	System string
	// Session configures the session underneath.
	Session openelm.SessionOptions
	// Reserve is how many tokens a reply may need: when fewer are left, the
	// oldest turns are forgotten. 0 means a quarter of the capacity.
	Reserve int
}

// Chat is one conversation. It is used by one goroutine.
type Chat struct {
	session *openelm.Session
	layout  layout
	reserve int
	turns   []turn // oldest first
}

// New begins a conversation with m.
func New(m *openelm.Model, o Options) (*Chat, error) {
	l, err := newLayout(m, o.Template)
	if err != nil {
		return nil, err
	}
	l.system = o.System
	s, err := m.NewSession(&o.Session)
	if err != nil {
		return nil, err
	}
	c := &Chat{session: s, layout: l, reserve: o.Reserve}
	if c.reserve == 0 {
		c.reserve = s.Capacity() / 4
	}
	first := len(l.prompt(nil, ""))
	switch {
	case c.reserve < 0 || c.reserve >= s.Capacity():
		err = fmt.Errorf("%w: %d tokens reserved for a reply in a context of %d", openelm.ErrArgument, c.reserve, s.Capacity())
	case first >= s.Capacity():
		err = fmt.Errorf("%w: an empty one takes %d tokens with the system message, of %d", ErrTooLong, first, s.Capacity())
	default:
		err = s.Push(l.history(nil)...)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return c, nil
}

// Close ends the conversation.
func (c *Chat) Close() error { return c.session.Close() }

// Turns is the number of turns that the model still remembers.
func (c *Chat) Turns() int { return len(c.turns) }

// Len is the number of tokens that the model remembers, and Capacity the most
// it can.
func (c *Chat) Len() int      { return c.session.Len() }
func (c *Chat) Capacity() int { return c.session.Capacity() }

// Reset forgets everything but the system turn.
func (c *Chat) Reset() error {
	c.turns = nil
	return c.rewind(c.layout.history(nil))
}

// Undo forgets the last turn, if there is one.
func (c *Chat) Undo() error {
	if n := len(c.turns); n > 0 {
		c.turns = c.turns[:n-1]
	}
	return c.rewind(c.layout.history(c.turns))
}

// rewind forgets what the session holds beyond the beginning that it shares with
// tokens.
func (c *Chat) rewind(tokens []int32) error {
	same := 0
	for _, id := range c.session.Tokens() {
		if same == len(tokens) || tokens[same] != id {
			break
		}
		same++
	}
	return c.session.Truncate(same)
}

// Say adds the user's message and streams the reply. Leaving the loop early, and
// a cancelled context, end the reply where it is; the conversation goes on from
// the text that the loop was given. When the context is full the oldest turns
// are forgotten.
func (c *Chat) Say(ctx context.Context, message string, o *openelm.GenerateOptions) iter.Seq2[openelm.Token, error] {
	return func(yield func(openelm.Token, error) bool) {
		options := openelm.GenerateOptions{}
		if o != nil {
			options = *o
		}
		options.Stop = append(append([]string(nil), options.Stop...), c.layout.Stop...)
		prompt, err := c.makeRoom(message)
		if err == nil {
			err = c.rewind(prompt)
		}
		if err != nil {
			yield(openelm.Token{}, err)
			return
		}
		var r reply
		defer func() {
			if len(r.ids) > 0 {
				c.keep(message, prompt, &r)
			}
		}()
		for t, err := range c.session.Generate(ctx, prompt[c.session.Len():], &options) {
			if err == nil {
				r.add(t)
			}
			if !yield(t, err) {
				return
			}
		}
	}
}

// reply is what the model generates.
type reply struct {
	ids  []int32
	text strings.Builder // what was shown of them
	stop openelm.StopReason
}

func (r *reply) add(t openelm.Token) {
	r.ids = append(r.ids, t.ID)
	r.text.WriteString(t.Text)
	r.stop = t.Stop
}

// keep remembers a turn, with just the text of the reply that was shown. Where a
// stop string or the caller ended it, the tokens may say more: then it is the
// text that counts.
func (c *Chat) keep(message string, prompt []int32, r *reply) {
	ids := r.ids
	switch r.stop {
	case openelm.StopEOS:
		ids = ids[:len(ids)-1]
	case openelm.StopLength:
	default:
		ids = c.layout.tokenizer.EncodeAfter(prompt[len(prompt)-1], r.text.String())
	}
	c.turns = append(c.turns, turn{message, ids})
	// An error is the session's state, and the next call returns it as well.
	_ = c.rewind(c.layout.history(c.turns))
}

// makeRoom forgets the oldest turns until message and a reply fit, and returns
// the tokens of the conversation up to that reply.
func (c *Chat) makeRoom(message string) ([]int32, error) {
	for {
		prompt := c.layout.prompt(c.turns, message)
		if len(prompt)+c.reserve <= c.Capacity() {
			return prompt, nil
		}
		if len(c.turns) == 0 {
			if len(prompt) < c.Capacity() {
				return prompt, nil // a short reply still fits
			}
			return nil, fmt.Errorf("%w: it takes %d tokens with what surrounds it, of %d", ErrTooLong, len(prompt), c.Capacity())
		}
		c.turns = c.turns[1:]
	}
}
