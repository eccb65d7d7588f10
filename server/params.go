package server

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"net/http"

	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/schema"
)

// params are the parameters that completions and chats have in common.
type params struct {
	model        string
	n            int
	stream       bool
	includeUsage bool
	maxTokens    int // −1: as many as fit
	context      int // tokens, if fewer than the model's; 0: the model's
	seed         *int64
	format       *schema.Schema // of the text; nil for any text
	vocabulary   *schema.Vocabulary
	options      openelm.GenerateOptions
}

func (p *params) wanted() string { return p.model }

// asked is the parameters of an endpoint, with params in them.
type asked interface {
	wanted() string
	check(*Model) error
}

// ask reads a request for texts, finds its model and holds one against the other.
func ask[P asked](s *Server, w *response, r *http.Request, decode func([]byte) (P, error)) (p P, m *Model, err error) {
	body, err := s.readBody(w, r)
	if err != nil {
		return p, nil, err
	}
	if p, err = decode(body); err != nil {
		return p, nil, err
	}
	if m, err = s.use(w, r, p.wanted()); err != nil {
		return p, nil, err
	}
	return p, m, p.check(m)
}

// maxTop is how many of the most probable tokens may be asked for.
const maxTop = 20

// newParams returns the parameters' defaults, and what reads them.
func newParams() (*params, fields) {
	p := &params{n: 1, maxTokens: -1}
	o := &p.options
	o.Temperature = 1
	return p, fields{
		"model":  text(&p.model),
		"n":      integer(&p.n, 1, math.MaxInt32),
		"stop":   stops(&o.Stop),
		"stream": boolean(&p.stream),
		"stream_options": fields{
			"include_usage":       boolean(&p.includeUsage),
			"include_obfuscation": only("false"),
		}.inside,
		"seed": func(v json.RawMessage) error {
			p.seed = new(int64)
			return integer(p.seed, math.MinInt64, math.MaxInt64)(v)
		},
		"max_tokens":        integer(&p.maxTokens, 0, math.MaxInt32),
		"temperature":       number(&o.Temperature, 0, 2),
		"top_p":             number(&o.TopP, 0, 1),
		"presence_penalty":  number(&o.PresencePenalty, -2, 2),
		"frequency_penalty": number(&o.FrequencyPenalty, -2, 2),
		"logit_bias":        biases(&o.LogitBias),

		// Of other servers.
		"top_k":              integer(&o.TopK, 0, math.MaxInt32),
		"min_p":              number(&o.MinP, 0, 1),
		"repetition_penalty": number(&o.RepetitionPenalty, 0.01, 100),
		"ignore_eos":         boolean(&o.IgnoreEOS),

		"user":              without,
		"metadata":          without,
		"safety_identifier": without,
		"prompt_cache_key":  without,
		"service_tier":      only(`"auto"`, `"default"`),
		"store":             only("false"),
	}
}

// check holds the parameters against each other and against the model.
func (p *params) check(m *Model) error {
	if p.format != nil {
		if p.options.IgnoreEOS {
			return invalid("ignore_eos", "ignore_eos: a text with a schema ends when its value is complete")
		}
		var err error
		if p.vocabulary, err = m.vocabulary(); err != nil {
			return err
		}
	}
	if p.includeUsage && !p.stream {
		return invalid("stream_options", "stream_options: only for a stream")
	}
	vocab := m.Model.Config().VocabSize
	for id := range p.options.LogitBias {
		if id < 0 || int(id) >= vocab {
			return invalid("logit_bias", "logit_bias: %d is no token: ids are from 0 to %d", id, vocab-1)
		}
	}
	if p.seed == nil {
		seed := rand.Int64N(1 << 53) // every client can write it
		p.seed = &seed
	}
	return nil
}

// choice is the options of one of the texts that a request gets for a prompt.
// The first one's seed is the request's, so that it is what a request for one
// text gets.
func (p *params) choice(i int) openelm.GenerateOptions {
	o := p.options
	o.Seed = uint64(*p.seed) + uint64(i)
	if p.format != nil {
		o.Constraint = p.vocabulary.Constraint(p.format)
	}
	return o
}

// maxLogprobs is how many log-probabilities the answer to a request may hold, which
// is in memory until it is whole: some 50 MB. Streams have no such limit.
const maxLogprobs = 1 << 19

// checkLogprobs refuses an answer of so many tokens, each with top others, that
// would be too large.
func checkLogprobs(param string, tokens, top int) error {
	if n := tokens * (top + 1); n > maxLogprobs {
		return invalid(param, "%s: an answer with up to %d log-probabilities; %d are the most, but for a stream", param, n, maxLogprobs)
	}
	return nil
}

// most is how many tokens may be generated after a prompt.
func (p *params) most(m *Model, prompt int) int {
	if p.maxTokens < 0 {
		return p.longest(m) - prompt
	}
	return p.maxTokens
}

// longest is how many tokens a text may have.
func (p *params) longest(m *Model) int {
	longest := m.Model.Config().MaxContext
	if p.context > 0 {
		longest = min(longest, p.context)
	}
	return longest
}

// capacity is how many tokens a prompt and what is generated after it take.
func (p *params) capacity(m *Model, prompt int) (int, error) {
	longest := p.longest(m)
	generated := max(p.maxTokens, 0)
	if p.maxTokens < 0 {
		generated = 1 // at least
	}
	if generated > longest-prompt {
		return 0, refuse(400, "context_length_exceeded",
			"the context is %d tokens; the prompt has %d, and %d are to follow it", longest, prompt, generated)
	}
	if p.maxTokens < 0 {
		return longest, nil
	}
	return prompt + generated, nil
}
