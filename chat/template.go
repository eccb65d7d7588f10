package chat

import "github.com/go-openelm/go-openelm/openelm"

// Template is how turns are laid out. Each turn is a prefix, its text and an
// end; the reply is generated after the assistant's prefix. All of them are one
// text, and are encoded as one.
type Template struct {
	System, User, Assistant string // prefixes
	// EmptySystem begins a conversation that has no system message with an empty
	// system turn.
	EmptySystem bool
	// EndToken ends a turn with the model's end-of-text token; End is text that
	// follows it, or that ends a turn alone.
	EndToken bool
	End      string
	// Stop ends a reply, besides the end-of-text token.
	Stop []string
}

// Instruct is the layout that OpenELM's Instruct models were trained with. Its
// one public source is the chat_template of CoreNet's instruction-tuning
// configuration (projects/openelm/instruction_tuning/openelm-instruct.yaml), with
// the alignment-handbook revision that it names, which puts an empty system turn
// before conversations without one; Apple's model repositories say nothing. The
// role markers are ordinary text.
//
// The models were trained on prompts of at most 512 tokens.
var Instruct = Template{
	System:      "<|system|>\n",
	User:        "<|user|>\n",
	Assistant:   "<|assistant|>\n",
	EmptySystem: true,
	EndToken:    true,
	End:         "\n",
	// The smaller models sometimes go on with the next turn by themselves.
	Stop: []string{"<|user|>", "<|system|>", "<|assistant|>"},
}

// Plain is for models that were never taught to chat: each turn is a paragraph.
var Plain = Template{End: "\n"}

// Role is who says a message.
type Role string

// The roles of a conversation.
const (
	System    Role = "system"
	User      Role = "user"
	Assistant Role = "assistant"
)

// Message is one turn of a conversation that is there as text.
type Message struct {
	Role Role
	Text string
}

// Encode lays out a conversation that is there as text, up to the reply that m is
// to give. Everything between two end-of-text tokens is encoded as one text, as
// in training; control tokens that a message spells are plain text. Errors wrap
// openelm.ErrNoTokenizer or openelm.ErrArgument.
func (t Template) Encode(m *openelm.Model, messages []Message) ([]int32, error) {
	l, err := newLayout(m, t)
	if err != nil {
		return nil, err
	}
	return l.messages(messages)
}
