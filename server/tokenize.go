package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/go-openelm/go-openelm/internal/strictjson"
	"github.com/go-openelm/go-openelm/loader/tokenizer"
)

// textField reads a text into a pointer, so that an empty one is one.
func textField(p **string) field {
	return func(v json.RawMessage) error {
		*p = new(string)
		return text(*p)(v)
	}
}

// maxTokenize bounds a text to tokenize, since the answer is many times as long.
const maxTokenize = 1 << 20

// tokenize has the fields of vLLM (and lm-eval) and of llama.cpp. They differ in
// the name of the text, and in whether special tokens are added by default.
func (s *Server) tokenize(w *response, r *http.Request) error {
	var (
		model           string
		prompt, content *string
		special, parse  *bool
		names, pieces   bool
	)
	flag := func(p **bool) field {
		return func(v json.RawMessage) error {
			*p = new(bool)
			return boolean(*p)(v)
		}
	}
	f := fields{
		"model": text(&model), "prompt": textField(&prompt), "content": textField(&content),
		"add_special_tokens": flag(&special), "add_special": flag(&special), "parse_special": flag(&parse),
		"return_token_strs": boolean(&names), "with_pieces": boolean(&pieces),
	}
	m, err := s.tokenizerRequest(w, r, f, &model)
	if err != nil {
		return err
	}
	in := prompt
	if in == nil {
		in = content
	}
	switch {
	case in == nil:
		return invalid("prompt", "prompt: is missing (content is another name of it)")
	case prompt != nil && content != nil:
		return invalid("content", "content: is another name of prompt, which is there, too")
	}
	if len(*in) > maxTokenize {
		return refuse(http.StatusRequestEntityTooLarge, "", "a text of %d bytes; %d is the most", len(*in), maxTokenize)
	}
	add := prompt != nil
	if special != nil {
		add = *special
	}
	o := tokenizer.EncodeOptions{
		AddBOS:       add && m.tokens.AddsBOS() || s.options.TokenizeBOS,
		AddEOS:       add && m.tokens.AddsEOS(),
		ParseSpecial: parse == nil || *parse,
	}
	ids := m.tokens.EncodeWith(*in, o)
	if ids == nil {
		ids = []int32{}
	}
	answer := struct {
		Count       int      `json:"count"`
		MaxModelLen int      `json:"max_model_len"`
		Tokens      any      `json:"tokens"`
		TokenStrs   []string `json:"token_strs,omitempty"`
	}{Count: len(ids), MaxModelLen: m.Model.Config().MaxContext, Tokens: ids}
	if names {
		for _, id := range ids {
			answer.TokenStrs = append(answer.TokenStrs, m.tokens.Piece(id))
		}
	}
	if pieces {
		type piece struct {
			ID    int32 `json:"id"`
			Piece any   `json:"piece"` // bytes where they are no text
		}
		list := []piece{}
		for _, id := range ids {
			p := piece{id, m.tokenText(id)}
			if b := m.tokenBytes(id); m.tokens.Type(id) == tokenizer.Byte && b[0] >= 0x80 {
				p.Piece = []int{int(b[0])}
			}
			list = append(list, p)
		}
		answer.Tokens = list
	}
	return w.json(http.StatusOK, answer)
}

// tokenizerRequest reads a request and returns the model that it is about.
func (s *Server) tokenizerRequest(w *response, r *http.Request, f fields, model *string) (*Model, error) {
	body, err := s.readBody(w, r)
	if err != nil {
		return nil, err
	}
	if err := f.decode(body); err != nil {
		return nil, err
	}
	return s.useOrFirst(w, r, *model)
}

// detokenize spells control tokens out, as vLLM does.
func (s *Server) detokenize(w *response, r *http.Request) error {
	var model string
	var tokens json.RawMessage
	m, err := s.tokenizerRequest(w, r, fields{
		"model":  text(&model),
		"tokens": func(v json.RawMessage) error { tokens = v; return nil },
	}, &model)
	if err != nil {
		return err
	}
	err = errors.New("is missing")
	var ids []int32
	if tokens != nil && !strictjson.IsNull(tokens) {
		ids, err = tokenIDs(tokens, m.Model.Config().VocabSize)
	}
	if err != nil {
		return invalid("tokens", "tokens: %v", err)
	}
	d := m.tokens.NewDecoder()
	var all strings.Builder
	for _, id := range ids {
		all.WriteString(d.Next(id))
		if m.tokens.Type(id) == tokenizer.Control {
			all.WriteString(m.tokens.Piece(id))
		}
	}
	all.WriteString(d.Flush())
	return w.json(http.StatusOK, map[string]string{"prompt": all.String(), "content": all.String()})
}

// tokenizerInfo is what lm-eval asks for.
func (s *Server) tokenizerInfo(w *response, r *http.Request) error {
	m, err := s.useOrFirst(w, r, r.URL.Query().Get("model"))
	if err != nil {
		return err
	}
	spell := func(id int32) *string {
		if id < 0 {
			return nil
		}
		p := m.tokens.Piece(id)
		return &p
	}
	return w.json(http.StatusOK, struct {
		BOS      *string `json:"bos_token"`
		EOS      *string `json:"eos_token"`
		PAD      *string `json:"pad_token"`
		Template *string `json:"chat_template"`
	}{spell(m.tokens.BOS()), spell(m.tokens.EOS()), spell(m.tokens.PAD()), nil})
}
