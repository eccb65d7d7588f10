package server

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-openelm/go-openelm/chat"
	"github.com/go-openelm/go-openelm/internal/strictjson"
	"github.com/go-openelm/go-openelm/openelm"
)

// ollamaVersion is the version of Ollama whose API this is.
const ollamaVersion = "0.17.4"

const ollamaPath = "/api/"

var ollama = &dialect{
	body:  func(e *apiError) any { return map[string]string{"error": e.Message} },
	event: func(w *response, e *apiError) error { return w.line(map[string]string{"error": e.Message}) },
}

// ollamaRoutes are the endpoints of Ollama's API.
func (s *Server) ollamaRoutes() map[string]route {
	routes := map[string]route{
		"/api/version":    {http.MethodGet: s.ollamaVersion},
		"/api/tags":       {http.MethodGet: s.ollamaTags},
		"/api/ps":         {http.MethodGet: s.ollamaRunning},
		"/api/show":       {http.MethodPost: s.ollamaShow},
		"/api/generate":   {http.MethodPost: s.ollamaGenerate},
		"/api/chat":       {http.MethodPost: s.ollamaChat},
		"/api/embed":      {http.MethodPost: s.ollamaEmbed},
		"/api/embeddings": {http.MethodPost: s.ollamaEmbedding},
		"/api/delete":     {http.MethodDelete: unmanaged},
	}
	for _, path := range []string{"pull", "push", "create", "copy"} {
		routes[ollamaPath+path] = route{http.MethodPost: unmanaged}
	}
	return routes
}

func unmanaged(*response, *http.Request) error {
	return newError(http.StatusNotImplemented, "not_implemented", "",
		"this server does not manage models: openelm models pulls and removes them, and openelm serve is told which ones to serve")
}

// ollamaParams are the parameters of /api/generate and /api/chat.
type ollamaParams struct {
	*params
	logprobs bool
	top      int

	messages []chat.Message
	truncate bool

	prompt, system string
	raw            bool

	noPenalties bool
	keep        *time.Duration
}

// newOllama returns the parameters with Ollama's defaults, and what reads them.
func newOllama() (*ollamaParams, fields) {
	common, _ := newParams()
	common.stream = true
	p := &ollamaParams{params: common}
	f := fields{
		"model":        modelName(&p.model),
		"stream":       boolean(&p.stream),
		"options":      p.optionFields().inside,
		"format":       p.ollamaFormat,
		"logprobs":     boolean(&p.logprobs),
		"top_logprobs": integer(&p.top, 0, maxTop),
		"keep_alive":   keepAlive(&p.keep),
		"think":        only("false"),
		"shift":        only("false"),
	}
	return p, f
}

func decodeOllamaGenerate(body []byte) (*ollamaParams, error) {
	p, f := newOllama()
	return p, p.generateFields(f).decode(body)
}

func (p *ollamaParams) generateFields(f fields) fields {
	f["prompt"] = text(&p.prompt)
	f["system"] = text(&p.system)
	f["raw"] = boolean(&p.raw)
	f["template"] = only(`""`)
	f["suffix"] = only(`""`)
	f["context"] = only("[]")
	f["images"] = only("[]")
	f["truncate"] = only("false")
	return f
}

func decodeOllamaChat(body []byte) (*ollamaParams, error) {
	p, f := newOllama()
	return p, p.chatFields(f).decode(body)
}

func (p *ollamaParams) chatFields(f fields) fields {
	p.truncate = true
	f["messages"] = func(v json.RawMessage) error {
		if list, ok := array(v); ok && len(list) == 0 {
			return nil // to load the model
		}
		return messages(&p.messages, fields{
			"images": only("[]"), "tool_calls": only("[]"), "thinking": only(`""`), "tool_name": only(`""`), "tool_call_id": only(`""`),
		})(v)
	}
	f["tools"] = only("[]")
	f["truncate"] = boolean(&p.truncate)
	return f
}

// modelName reads the name of a model, which Ollama's clients give a tag.
func modelName(p *string) field {
	return func(v json.RawMessage) error {
		err := text(p)(v)
		*p = strings.TrimSuffix(*p, latest)
		return err
	}
}

const latest = ":latest"

// optionFields are the fields of "options".
func (p *ollamaParams) optionFields() fields {
	o := &p.options
	o.Temperature, o.TopK, o.TopP, o.RepetitionPenalty, o.PenaltyWindow = 0.8, 40, 0.9, 1.1, 64
	f := fields{
		"temperature":       number(&o.Temperature, 0, 100),
		"top_k":             integer(&o.TopK, 0, math.MaxInt32),
		"top_p":             number(&o.TopP, 0, 1),
		"min_p":             number(&o.MinP, 0, 1),
		"typical_p":         only("1", "1.0"),
		"repeat_penalty":    number(&o.RepetitionPenalty, 0.01, 100),
		"presence_penalty":  number(&o.PresencePenalty, -2, 2),
		"frequency_penalty": number(&o.FrequencyPenalty, -2, 2),
		"stop":              stops(&o.Stop),
		"seed": func(v json.RawMessage) error {
			var seed int64
			if err := integer(&seed, -1, math.MaxInt64)(v); err != nil || seed < 0 { // −1: any
				return err
			}
			p.seed = &seed
			return nil
		},
		"num_predict": func(v json.RawMessage) error {
			if err := integer(&p.maxTokens, -2, math.MaxInt32)(v); err != nil {
				return err
			}
			if p.maxTokens <= 0 {
				p.maxTokens = -1
			}
			return nil
		},
		"repeat_last_n": func(v json.RawMessage) error {
			if err := integer(&o.PenaltyWindow, -1, math.MaxInt32)(v); err != nil {
				return err
			}
			switch o.PenaltyWindow {
			case -1:
				o.PenaltyWindow = 0 // all
			case 0:
				p.noPenalties = true
			}
			return nil
		},
		"num_ctx": integer(&p.context, 1, math.MaxInt32),
	}
	for _, name := range withoutInOllama {
		f[name] = without
	}
	return f
}

// withoutInOllama are options about how a model is run, and not about what it says.
var withoutInOllama = []string{
	"num_keep", "num_batch", "num_gpu", "main_gpu", "num_thread", "use_mmap", "use_mlock", "numa", "low_vram", "f16_kv",
}

// keepAlive reads how long a model is to stay loaded: seconds, or a duration. Less
// than nothing is for ever.
func keepAlive(p **time.Duration) field {
	return func(v json.RawMessage) error {
		var d time.Duration
		if s, ok := strictjson.String(v); ok {
			var err error
			if d, err = time.ParseDuration(s); err != nil {
				return errKeepAlive
			}
		} else {
			x, err := strconv.ParseFloat(string(v), 64)
			if err != nil || math.Abs(x) > 1e9 {
				return errKeepAlive
			}
			d = time.Duration(x * float64(time.Second))
		}
		*p = &d
		return nil
	}
}

var errKeepAlive = errors.New(`must be a number of seconds, or a duration such as "5m"`)

// ollamaHead is what answers begin with.
type ollamaHead struct {
	Model     string    `json:"model"`
	CreatedAt time.Time `json:"created_at"`
}

// ollamaAnswer is an answer, or a line of a stream of one.
type ollamaAnswer struct {
	ollamaHead
	Response   *string         `json:"response,omitempty"`
	Message    *ollamaMessage  `json:"message,omitempty"`
	Logprobs   []ollamaLogprob `json:"logprobs,omitempty"`
	Done       bool            `json:"done"`
	DoneReason string          `json:"done_reason,omitempty"`
	*ollamaMetrics
}

type ollamaMessage struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

type ollamaLogprob struct {
	topLogprob
	Top []topLogprob `json:"top_logprobs,omitempty"`
}

// ollamaMetrics are counts, and times in nanoseconds.
type ollamaMetrics struct {
	Total        time.Duration `json:"total_duration"`
	Load         time.Duration `json:"load_duration"`
	PromptTokens int           `json:"prompt_eval_count"`
	Prompt       time.Duration `json:"prompt_eval_duration"`
	Tokens       int           `json:"eval_count"`
	Evaluation   time.Duration `json:"eval_duration"`
}

func (s *Server) ollamaGenerate(w *response, r *http.Request) error {
	start := time.Now()
	body, err := s.readBody(w, r)
	if err != nil {
		return err
	}
	p, err := decodeOllamaGenerate(body)
	if err != nil {
		return err
	}
	w.keep = p.keep
	a := &ollamaWriter{p: p, out: w, started: start, text: func(a *ollamaAnswer, text string) { a.Response = &text }}
	if p.prompt == "" {
		return a.load(s, r)
	}
	m, err := s.use(w, r, p.model)
	if err != nil {
		return err
	}
	a.loading = time.Since(start)
	var prompt []int32
	switch {
	case p.raw || m.Template.User == "" && m.Template.Assistant == "":
		if p.raw && p.system != "" {
			return invalid("system", "system: a raw prompt has no place for it")
		}
		// A model that knows no turns goes on with what it is given.
		whole := p.prompt
		if p.system != "" {
			whole = p.system + m.Template.End + p.prompt
		}
		if err := m.checkSize(len(whole)); err != nil {
			return err
		}
		prompt, err = m.Model.EncodePrompt(whole)
	default:
		var list []chat.Message
		if p.system != "" {
			list = append(list, chat.Message{Role: chat.System, Text: p.system})
		}
		prompt, err = m.conversation(append(list, chat.Message{Role: chat.User, Text: p.prompt}))
		p.stopTurns(m)
	}
	if err != nil {
		return err
	}
	return a.answer(r, s, m, prompt)
}

func (s *Server) ollamaChat(w *response, r *http.Request) error {
	start := time.Now()
	body, err := s.readBody(w, r)
	if err != nil {
		return err
	}
	p, err := decodeOllamaChat(body)
	if err != nil {
		return err
	}
	w.keep = p.keep
	a := &ollamaWriter{p: p, out: w, started: start, text: func(a *ollamaAnswer, text string) {
		a.Message = &ollamaMessage{"assistant", text}
	}}
	if len(p.messages) == 0 {
		return a.load(s, r)
	}
	m, err := s.use(w, r, p.model)
	if err != nil {
		return err
	}
	a.loading = time.Since(start)
	var prompt []int32
	if p.truncate {
		prompt, err = m.recent(p.messages, p.longest(m))
	} else {
		prompt, err = m.conversation(p.messages)
	}
	if err != nil {
		return err
	}
	p.stopTurns(m)
	return a.answer(r, s, m, prompt)
}

// ollamaWriter makes the answer to a request.
type ollamaWriter struct {
	p       *ollamaParams
	out     *response
	text    func(a *ollamaAnswer, text string) // where the text of an answer goes
	started time.Time
	loading time.Duration // until the model was there
}

func (a *ollamaWriter) head(model string) ollamaHead {
	return ollamaHead{model + latest, time.Now().UTC()}
}

// load answers a request that only wants the model to be there, or to be gone.
func (a *ollamaWriter) load(s *Server, r *http.Request) error {
	answer := ollamaAnswer{ollamaHead: a.head(a.p.model), Done: true, DoneReason: "unload"}
	if keep := a.p.keep; keep == nil || *keep != 0 || !s.Keep(a.p.model, 0) {
		if _, err := s.use(a.out, r, a.p.model); err != nil {
			return err
		}
		answer.DoneReason = "load"
	}
	a.text(&answer, "")
	return a.out.json(http.StatusOK, answer)
}

func (a *ollamaWriter) answer(r *http.Request, s *Server, m *Model, prompt []int32) error {
	p := a.p
	if p.top > 0 && !p.logprobs {
		return invalid("top_logprobs", "top_logprobs: only with logprobs")
	}
	o := &p.options
	o.LogProbs, o.TopLogProbs = p.logprobs, p.top
	if p.noPenalties {
		o.RepetitionPenalty, o.PresencePenalty, o.FrequencyPenalty = 0, 0, 0
	}
	// num_predict is a limit that the context may come before.
	p.maxTokens = min(p.maxTokens, max(1, p.longest(m)-len(prompt)))
	if err := p.check(m); err != nil {
		return err
	}
	if _, err := p.capacity(m, len(prompt)); err != nil {
		return err
	}
	q, end, err := s.begin(r.Context(), m, p.params, "", "")
	if err != nil {
		return err
	}
	defer end()
	var whole strings.Builder
	var logprobs []ollamaLogprob
	var stop openelm.StopReason
	var first time.Time
	err = q.text(r.Context(), prompt, func(t openelm.Token) error {
		if first.IsZero() {
			first = time.Now()
		}
		stop = t.Stop
		if p.logprobs && t.Stop != openelm.StopEOS {
			l := ollamaLogprob{topLogprob: newTopLogprob(m, t.ID, t.LogProb)}
			for _, top := range t.Top {
				l.Top = append(l.Top, newTopLogprob(m, top.ID, top.LogProb))
			}
			logprobs = append(logprobs, l)
		}
		if !p.stream {
			whole.WriteString(t.Text)
			return nil
		}
		if t.Text == "" && len(logprobs) == 0 {
			return nil
		}
		line := ollamaAnswer{ollamaHead: a.head(m.Name), Logprobs: logprobs}
		a.text(&line, t.Text)
		logprobs = nil
		return a.out.line(line)
	})
	if err != nil {
		return err
	}
	end()
	last := ollamaAnswer{ollamaHead: a.head(m.Name), Logprobs: logprobs, Done: true, DoneReason: *finishReason(stop)}
	a.text(&last, whole.String())
	now := time.Now()
	last.ollamaMetrics = &ollamaMetrics{
		Total: now.Sub(a.started), Load: a.loading, PromptTokens: q.usage.PromptTokens, Prompt: first.Sub(q.start),
		Tokens: q.usage.CompletionTokens, Evaluation: now.Sub(first),
	}
	if p.stream {
		return a.out.line(last)
	}
	return a.out.json(http.StatusOK, last)
}

func (s *Server) ollamaVersion(w *response, _ *http.Request) error {
	return w.json(http.StatusOK, map[string]string{"version": ollamaVersion})
}

// ollamaModel is a model in a list.
type ollamaModel struct {
	Name       string        `json:"name"`
	Model      string        `json:"model"`
	ModifiedAt *time.Time    `json:"modified_at,omitempty"`
	Size       int64         `json:"size"`
	Digest     string        `json:"digest"`
	Details    ollamaDetails `json:"details"`
	*ollamaState
}

// ollamaState is that of a model that is loaded.
type ollamaState struct {
	ExpiresAt     time.Time `json:"expires_at"`
	SizeVRAM      int64     `json:"size_vram"`
	ContextLength int       `json:"context_length"`
}

type ollamaDetails struct {
	Parent       string   `json:"parent_model"`
	Format       string   `json:"format"`
	Family       string   `json:"family"`
	Families     []string `json:"families"`
	Parameters   string   `json:"parameter_size"`
	Quantisation string   `json:"quantization_level"`
}

func (o offer) ollama() ollamaModel {
	// Clients show the beginning of a digest; it is that of the name.
	digest := sha256.Sum256([]byte(o.name))
	l := ollamaModel{
		Name: o.name + latest, Model: o.name + latest, Size: o.bytes, Digest: hex.EncodeToString(digest[:]),
		Details: ollamaDetails{Format: "openelm", Family: "openelm", Families: []string{"openelm"}},
	}
	if c := o.config(); c != nil {
		l.Details.Parameters = millions(c.Parameters())
	}
	l.Details.Quantisation = o.format()
	return l
}

// weightBytes are the bytes of a model's weights.
func (m *Model) weightBytes() (sum int64) {
	for t := range m.Model.Weights().Tensors(m.Model.Config()) {
		sum += int64(t.Bytes())
	}
	return sum
}

// millions is a number of weights as people say it: 4.3M, 1.1B.
func millions(n int64) string {
	if n >= 1e9 {
		return fmt.Sprintf("%.1fB", float64(n)/1e9)
	}
	return fmt.Sprintf("%.1fM", float64(n)/1e6)
}

func (s *Server) ollamaTags(w *response, _ *http.Request) error {
	list := []ollamaModel{}
	for _, o := range s.all() {
		l := o.ollama()
		l.ModifiedAt = &s.started
		list = append(list, l)
	}
	return w.json(http.StatusOK, map[string]any{"models": list})
}

func (s *Server) ollamaRunning(w *response, _ *http.Request) error {
	list := []ollamaModel{}
	for _, o := range s.all() {
		if o.model == nil {
			continue
		}
		if o.until.IsZero() {
			o.until = farAway
		}
		l := o.ollama()
		l.ollamaState = &ollamaState{ExpiresAt: o.until, ContextLength: o.model.Model.Config().MaxContext}
		list = append(list, l)
	}
	return w.json(http.StatusOK, map[string]any{"models": list})
}

// farAway is when a model expires that stays.
var farAway = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

func (s *Server) ollamaShow(w *response, r *http.Request) error {
	body, err := s.readBody(w, r)
	if err != nil {
		return err
	}
	var model, name string
	f := fields{
		"model": modelName(&model), "name": modelName(&name), "verbose": only("true", "false"),
		"system": only(`""`), "template": only(`""`), "options": only("{}"),
	}
	if err := f.decode(body); err != nil {
		return err
	}
	if model == "" {
		model = name
	}
	o, ok := s.offered(model)
	if !ok {
		_, err := s.lookUp(model) // there is none
		return err
	}
	if o.config() == nil {
		if o.model, err = s.use(w, r, model); err != nil {
			return err
		}
	}
	c := o.config()
	return w.json(http.StatusOK, map[string]any{
		"details": o.ollama().Details, "modified_at": s.started, "capabilities": []string{"completion", "embedding"},
		"modelfile": "", "parameters": "", "template": "", "license": "",
		"model_info": map[string]any{
			"general.architecture": "openelm", "general.parameter_count": c.Parameters(), "openelm.context_length": c.MaxContext,
			"openelm.block_count": len(c.Layers), "openelm.embedding_length": c.ModelDim, "openelm.vocab_size": c.VocabSize,
		},
	})
}
