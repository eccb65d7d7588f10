package chat

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/go-openelm/go-openelm/openelm"
)

// ErrTooLong is wrapped by the error about a turn that leaves no room for a
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
	model   *openelm.Model
	session *openelm.Session
	o       Options
	head    []int32   // begin-of-text and the system turn
	turns   [][]int32 // what was said and replied, oldest first
}

// New begins a conversation with m.
func New(m *openelm.Model, o Options) (*Chat, error) {
	if m.Tokenizer() == nil {
		return nil, openelm.ErrNoTokenizer
	}
	s, err := m.NewSession(&o.Session)
	if err != nil {
		return nil, err
	}
	if o.Reserve == 0 {
		o.Reserve = s.Capacity() / 4
	}
	c := &Chat{model: m, session: s, o: o}
	if c.head, err = m.EncodePrompt(""); err == nil && o.System != "" {
		c.head = append(c.head, c.said(o.Template.System, o.System)...)
	}
	if err == nil {
		err = c.Reset()
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
	return c.rewind()
}

// Undo forgets the last turn, if there is one.
func (c *Chat) Undo() error {
	if n := len(c.turns); n > 0 {
		c.turns = c.turns[:n-1]
	}
	return c.rewind()
}

// rewind makes the session hold just the head and the turns, keeping what it
// has evaluated already.
func (c *Chat) rewind() error {
	want := append([]int32(nil), c.head...)
	for _, t := range c.turns {
		want = append(want, t...)
	}
	have := c.session.Tokens()
	same := 0
	for same < min(len(have), len(want)) && have[same] == want[same] {
		same++
	}
	if err := c.session.Truncate(same); err != nil {
		return err
	}
	return c.session.Push(want[same:]...)
}

// said is a finished turn of somebody.
func (c *Chat) said(prefix, text string) []int32 {
	t := c.o.Template
	if !t.EndToken {
		return c.encode(prefix + text + t.End)
	}
	tokens := append(c.encode(prefix+text), c.end()...)
	return append(tokens, c.encode(t.End)...)
}

func (c *Chat) encode(text string) []int32 {
	if text == "" {
		return nil
	}
	return c.model.Tokenizer().Encode(text)
}

func (c *Chat) end() []int32 {
	if eos := c.model.Config().EOS; c.o.Template.EndToken && len(eos) > 0 {
		return eos[:1]
	}
	return nil
}

// Say adds the user's message and streams the reply. Leaving the loop early, and
// a cancelled context, end the reply where it is; the conversation goes on from
// there. When the context is full the oldest turns are forgotten.
func (c *Chat) Say(ctx context.Context, message string, o *openelm.GenerateOptions) iter.Seq2[openelm.Token, error] {
	return func(yield func(openelm.Token, error) bool) {
		options := openelm.GenerateOptions{}
		if o != nil {
			options = *o
		}
		options.Stop = append(append([]string(nil), options.Stop...), c.o.Template.Stop...)
		prompt := c.said(c.o.Template.User, message)
		prompt = append(prompt, c.encode(c.o.Template.Assistant)...)
		if err := c.makeRoom(len(prompt)); err != nil {
			yield(openelm.Token{}, err)
			return
		}
		if err := c.rewind(); err != nil {
			yield(openelm.Token{}, err)
			return
		}
		var reply []openelm.Token
		defer func() {
			if len(reply) > 0 {
				c.keep(prompt, reply)
			}
		}()
		for t, err := range c.session.Generate(ctx, prompt, &options) {
			if err == nil {
				reply = append(reply, t)
			}
			if !yield(t, err) {
				return
			}
		}
	}
}

// keep records a turn: the tokens the model chose, without the end-of-text
// token or stop string that ended them, and closed like any other turn.
func (c *Chat) keep(prompt []int32, reply []openelm.Token) {
	text := 0
	ids := make([]int32, len(reply))
	for i, t := range reply {
		ids[i] = t.ID
		text += len(t.Text)
	}
	switch reply[len(reply)-1].Stop {
	case openelm.StopEOS:
		ids = ids[:len(ids)-1]
	case openelm.StopString:
		for len(ids) > 0 && len(c.model.Tokenizer().Decode(ids)) > text {
			ids = ids[:len(ids)-1]
		}
	}
	var all []int32
	for _, part := range [][]int32{prompt, ids, c.end(), c.encode(c.o.Template.End)} {
		all = append(all, part...)
	}
	c.turns = append(c.turns, all)
}

// makeRoom forgets the oldest turns until n tokens and a reply fit.
func (c *Chat) makeRoom(n int) error {
	for {
		used := len(c.head)
		for _, t := range c.turns {
			used += len(t)
		}
		if used+n+c.o.Reserve <= c.session.Capacity() {
			return nil
		}
		if len(c.turns) == 0 {
			if used+n < c.session.Capacity() {
				return nil // a short reply still fits
			}
			return fmt.Errorf("%w: %d tokens, %d of %d are left", ErrTooLong, n, c.session.Capacity()-used, c.session.Capacity())
		}
		c.turns = c.turns[1:]
	}
}
