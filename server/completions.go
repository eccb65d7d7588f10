package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"unicode/utf8"

	"github.com/go-openelm/go-openelm/internal/strictjson"
	"github.com/go-openelm/go-openelm/openelm"
)

// completionParams are the parameters of /v1/completions.
type completionParams struct {
	*params
	prompt   json.RawMessage
	echo     bool
	logprobs int // −1: none
}

// fields adds the parameters of texts to the common ones.
func (p *completionParams) fields(f fields) fields {
	f["prompt"] = func(v json.RawMessage) error { p.prompt = v; return nil }
	f["echo"] = boolean(&p.echo)
	f["logprobs"] = integer(&p.logprobs, 0, maxTop)
	f["best_of"] = only("1")
	f["suffix"] = only(`""`)
	return f
}

func decodeCompletion(body []byte) (*completionParams, error) {
	common, f := newParams()
	common.maxTokens = 16 // OpenAI's default
	p := &completionParams{params: common, logprobs: -1}
	if err := p.fields(f).decode(body); err != nil {
		return nil, err
	}
	if p.logprobs >= 0 {
		p.options.LogProbs, p.options.TopLogProbs = true, p.logprobs
	}
	return p, nil
}

// texts are those of the parameter named param: a text, a list of token ids, or a
// list of limit of these at most. encode makes tokens of text.
func (m *Model) texts(param string, v json.RawMessage, limit int, encode func(string) ([]int32, error)) ([][]int32, error) {
	elements, ok := array(v)
	switch {
	case v == nil:
		return nil, invalid(param, "%s: is missing", param)
	case !ok:
		elements = []json.RawMessage{v}
	case len(elements) == 0:
		return nil, invalid(param, "%s: is empty", param)
	case elements[0][0] != '"' && elements[0][0] != '[': // one text of tokens
		elements = []json.RawMessage{v}
	case len(elements) > limit:
		return nil, invalid(param, "%s: has %d texts; %d are the most", param, len(elements), limit)
	}
	var all [][]int32
	for _, e := range elements {
		var ids []int32
		var err error
		if text, ok := strictjson.String(e); ok {
			var done *apiError
			if ids, err = encode(text); errors.As(err, &done) {
				return nil, err
			}
		} else if ids, err = tokenIDs(e, m.Model.Config().VocabSize); err != nil {
			err = errors.New("must be a text, a list of token ids, or a list of these: " + err.Error())
		}
		if err == nil && len(ids) == 0 {
			err = errors.New("has no tokens")
		}
		if err != nil {
			return nil, invalid(param, "%s: %v", param, err)
		}
		all = append(all, ids)
	}
	return all, nil
}

// bounded encodes texts that may fit into the context, and no others.
func (m *Model) bounded(encode func(string) ([]int32, error)) func(string) ([]int32, error) {
	return func(text string) ([]int32, error) {
		if err := m.checkSize(len(text)); err != nil {
			return nil, err
		}
		return encode(text)
	}
}

type textChoice struct {
	Text         string        `json:"text"`
	Index        int           `json:"index"`
	Logprobs     *textLogprobs `json:"logprobs"`
	FinishReason *string       `json:"finish_reason"`
}

type textLogprobs struct {
	Tokens        []string             `json:"tokens"`
	TokenLogprobs []*float32           `json:"token_logprobs"`
	TopLogprobs   []map[string]float32 `json:"top_logprobs"`
	TextOffset    []int                `json:"text_offset"`
}

func (s *Server) completions(w *response, r *http.Request) error {
	p, m, err := ask(s, w, r, decodeCompletion)
	if err != nil {
		return err
	}
	prompts, err := m.texts("prompt", p.prompt, s.options.MaxTexts, m.bounded(m.Model.EncodePrompt))
	if err != nil {
		return err
	}
	if p.n > s.options.MaxTexts/len(prompts) {
		return invalid("n", "n: %d texts for each of %d prompts are more than %d", p.n, len(prompts), s.options.MaxTexts)
	}
	for _, prompt := range prompts {
		if _, err := p.capacity(m, len(prompt)); err != nil {
			return err
		}
	}
	if p.logprobs >= 0 && !p.stream {
		tokens := 0
		for _, prompt := range prompts {
			tokens += p.most(m, len(prompt))
			if p.echo {
				tokens += len(prompt)
			}
		}
		if err := checkLogprobs("logprobs", tokens*p.n, p.logprobs); err != nil {
			return err
		}
	}
	if p.stream {
		defer w.keepAlive()()
	}
	q, end, err := s.begin(r.Context(), m, p.params, "cmpl-", "text_completion")
	if err != nil {
		return err
	}
	defer end()
	top := -1
	if p.echo {
		top = p.logprobs
	}
	choices := make([]textChoice, len(prompts)*p.n)
	err = q.texts(r.Context(), prompts, top, func(ctx context.Context, t *continuation) error {
		c := &completionWriter{continuation: t, p: p}
		if p.stream {
			c.out = w
		}
		err := c.run(ctx)
		choices[t.index] = c.choice
		return err
	})
	if err != nil {
		return err
	}
	end()
	return finish(w, q, choices)
}

// completionWriter makes one of a request's texts, whole or as a stream.
type completionWriter struct {
	*continuation
	p      *completionParams
	out    *response  // of a stream
	choice textChoice // what was not sent yet
	offset int        // characters so far
}

func (c *completionWriter) run(ctx context.Context) error {
	c.choice.Index = c.index
	var scored func(openelm.Token) error
	if c.p.echo {
		tokens := c.prompt.tokens
		scored = c.echo(tokens)
		if c.p.logprobs < 0 {
			// Only the text is wanted, which the tokens give.
			for _, id := range tokens[1:] {
				if err := scored(openelm.Token{ID: id}); err != nil {
					return err
				}
			}
		}
	}
	if err := c.generate(ctx, scored, c.add); err != nil {
		return err
	}
	if c.maxTokens == 0 {
		c.choice.FinishReason = finishReason(openelm.StopLength)
		return c.send()
	}
	return nil
}

// echo writes the prompt: its first token, and with the function that it returns
// the others.
func (c *completionWriter) echo(prompt []int32) func(openelm.Token) error {
	d := c.model.tokens.NewDecoder()
	left := len(prompt)
	write := func(t openelm.Token, known bool) error {
		t.Text = d.Next(t.ID)
		if left--; left == 0 {
			t.Text += d.Flush()
		}
		c.write(t, known)
		return nil
	}
	_ = write(openelm.Token{ID: prompt[0]}, false)
	return func(t openelm.Token) error { return write(t, true) }
}

// add writes a token that was generated.
func (c *completionWriter) add(t openelm.Token) error {
	c.write(t, true)
	c.choice.FinishReason = finishReason(t.Stop)
	return c.send()
}

// write adds a token; known says whether its probability is.
func (c *completionWriter) write(t openelm.Token, known bool) {
	c.choice.Text += t.Text
	if c.p.logprobs >= 0 {
		if c.choice.Logprobs == nil {
			c.choice.Logprobs = &textLogprobs{}
		}
		c.choice.Logprobs.add(c.model, t, known, c.offset)
	}
	c.offset += utf8.RuneCountInString(t.Text)
}

// send sends what there is, if it is a stream. A token without a text of its own
// goes with the next one, unless there is more to say about it.
func (c *completionWriter) send() error {
	if c.out == nil || c.choice.Text == "" && c.choice.Logprobs == nil && c.choice.FinishReason == nil {
		return nil
	}
	err := c.out.event(answer[textChoice]{c.head, []textChoice{c.choice}, c.streamUsage()})
	c.choice = textChoice{Index: c.index}
	return err
}

// add adds a token. The names of the most probable ones are texts: of several
// with one name the most probable counts, which comes first.
func (l *textLogprobs) add(m *Model, t openelm.Token, known bool, offset int) {
	name := m.tokenText(t.ID)
	l.Tokens = append(l.Tokens, name)
	l.TextOffset = append(l.TextOffset, offset)
	if !known {
		l.TokenLogprobs = append(l.TokenLogprobs, nil)
		l.TopLogprobs = append(l.TopLogprobs, nil)
		return
	}
	top := map[string]float32{name: t.LogProb}
	for _, p := range t.Top {
		name := m.tokenText(p.ID)
		if other, ok := top[name]; !ok || other < p.LogProb {
			top[name] = p.LogProb
		}
	}
	l.TokenLogprobs = append(l.TokenLogprobs, &t.LogProb)
	l.TopLogprobs = append(l.TopLogprobs, top)
}
