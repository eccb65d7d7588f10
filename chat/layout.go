package chat

import "github.com/go-openelm/go-openelm/openelm"

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

func (l *layout) write(turns []turn) *writer {
	w := &writer{layout: l, ids: append([]int32(nil), l.begin...)}
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
