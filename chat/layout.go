package chat

import (
	"fmt"

	"github.com/go-openelm/go-openelm/openelm"
)

// turn is a message and the model's reply to it, without what ended that.
type turn struct {
	message string
	reply   []int32
}

// layout makes a conversation one text and encodes it as such: in one piece from
// one end-of-text token to the next, but for the replies, which are tokens.
type layout struct {
	Template
	tokenizer openelm.Tokenizer
	begin     []int32 // what begins a text
	end       []int32 // the end-of-text token, where turns end with it
	system    string
}

// newLayout is the layout t with what m's files say about the ends of texts.
func newLayout(m *openelm.Model, t Template) (layout, error) {
	begin, err := m.EncodePrompt("")
	if err != nil {
		return layout{}, err
	}
	l := layout{Template: t, tokenizer: m.Tokenizer(), begin: begin}
	if t.EndToken {
		eos := m.Config().EOS
		if len(eos) == 0 {
			return layout{}, fmt.Errorf("%w: the template ends turns with the end-of-text token, and the model names none", openelm.ErrArgument)
		}
		l.end = eos[:1]
	}
	return l, nil
}

// history is the conversation so far. The text that a turn ends with is the
// beginning of what comes next, and not there yet.
func (l *layout) history(turns []turn) []int32 {
	w := l.write(turns)
	return w.ids
}

// prompt is the conversation up to the reply to message.
func (l *layout) prompt(turns []turn, message string) []int32 {
	w := l.write(turns)
	w.say(l.User, message)
	w.text += l.Assistant
	w.encode()
	return w.ids
}

// messages is the conversation up to the reply to the last message.
func (l *layout) messages(messages []Message) ([]int32, error) {
	w := l.writer()
	if l.EmptySystem && (len(messages) == 0 || messages[0].Role != System) {
		w.say(l.System, "")
	}
	for i, m := range messages {
		switch m.Role {
		case System:
			w.say(l.System, m.Text)
		case User:
			w.say(l.User, m.Text)
		case Assistant:
			w.say(l.Assistant, m.Text)
		default:
			return nil, fmt.Errorf("%w: message %d has the role %.40q", openelm.ErrArgument, i, m.Role)
		}
	}
	w.text += l.Assistant
	w.encode()
	return w.ids, nil
}

func (l *layout) writer() *writer {
	return &writer{layout: l, ids: append([]int32(nil), l.begin...)}
}

func (l *layout) write(turns []turn) *writer {
	w := l.writer()
	if l.system != "" || l.EmptySystem {
		w.say(l.System, l.system)
	}
	for _, t := range turns {
		w.say(l.User, t.message)
		w.text += l.Assistant
		if len(t.reply) > 0 {
			w.add(t.reply)
		}
		w.endTurn()
	}
	return w
}

// writer writes a conversation from its beginning on.
type writer struct {
	*layout
	ids  []int32
	text string // follows ids, not encoded yet
}

func (w *writer) say(prefix, text string) {
	w.text += prefix + text
	w.endTurn()
}

func (w *writer) endTurn() {
	if w.EndToken {
		w.add(w.end)
	}
	w.text += w.End
}

// add adds tokens after the text.
func (w *writer) add(ids []int32) {
	w.encode()
	w.ids = append(w.ids, ids...)
}

func (w *writer) encode() {
	prev := int32(-1)
	if n := len(w.ids); n > 0 {
		prev = w.ids[n-1]
	}
	w.ids = append(w.ids, w.tokenizer.EncodeAfter(prev, w.text)...)
	w.text = ""
}
