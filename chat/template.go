package chat

// Template is how turns are laid out. Each turn is a prefix, its text and an
// end; the reply is generated after the assistant's prefix.
type Template struct {
	System, User, Assistant string // prefixes
	// EndToken ends a turn with the model's end-of-text token; End is text that
	// follows it, or that ends a turn alone.
	EndToken bool
	End      string
	// Stop ends a reply, besides the end-of-text token.
	Stop []string
}

// Instruct is the layout of OpenELM's Instruct models. The one public source is
// the chat_template in CoreNet's instruction-tuning configuration
// (projects/openelm/instruction_tuning/openelm-instruct.yaml); Apple's model
// repositories name none. The role markers are ordinary text.
var Instruct = Template{
	System:    "<|system|>\n",
	User:      "<|user|>\n",
	Assistant: "<|assistant|>\n",
	EndToken:  true,
	End:       "\n",
	// The smaller models sometimes go on with the next turn by themselves.
	Stop: []string{"<|user|>", "<|system|>", "<|assistant|>"},
}

// Plain is for models that were never taught to chat: each turn is a paragraph.
var Plain = Template{End: "\n"}
