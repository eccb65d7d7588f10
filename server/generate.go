package server

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-openelm/go-openelm/openelm"
)

// request is a request for texts that has its place in the batch.
type request struct {
	*params
	server *Server
	model  *Model
	start  time.Time

	head  head
	mu    sync.Mutex
	usage usage
}

// head is what all answers begin with, and all events of a stream alike.
type head struct {
	ID                string `json:"id"`
	Object            string `json:"object"`
	Created           int64  `json:"created"`
	Model             string `json:"model"`
	SystemFingerprint string `json:"system_fingerprint"`
}

// answer is what completions and chats answer with, or an event of their streams.
type answer[C any] struct {
	head
	Choices []C `json:"choices"`
	Usage   any `json:"usage,omitempty"`
}

type usage struct {
	PromptTokens        int           `json:"prompt_tokens"`
	CompletionTokens    int           `json:"completion_tokens"`
	TotalTokens         int           `json:"total_tokens"`
	PromptTokensDetails promptDetails `json:"prompt_tokens_details"`
}

type promptDetails struct {
	CachedTokens int `json:"cached_tokens"`
}

// enterBatch waits for a place among those who use the model.
func (s *Server) enterBatch(ctx context.Context, m *Model) (leave func(), err error) {
	s.metrics.deferred.Inc()
	free, err := m.Batch.Enter(ctx)
	s.metrics.deferred.Dec()
	if err != nil {
		return nil, err
	}
	s.metrics.processing.Inc()
	return sync.OnceFunc(func() {
		s.metrics.processing.Dec()
		free()
	}), nil
}

// begin waits for a place among those who generate. end gives it back;
// calling it again does nothing.
func (s *Server) begin(ctx context.Context, m *Model, p *params, prefix, object string) (q *request, end func(), err error) {
	start := time.Now()
	if end, err = s.enterBatch(ctx, m); err != nil {
		return nil, nil, err
	}
	return &request{
		params: p, server: s, model: m, start: start,
		head: head{
			ID: prefix + rand.Text(), Object: object, Created: time.Now().Unix(), Model: m.Name,
			SystemFingerprint: "openelm-" + m.Model.Backend().Name(),
		},
	}, end, nil
}

// prompt is a prompt of a request, which is evaluated once for all its texts.
type prompt struct {
	tokens []int32
	top    int // how many of the most probable tokens to score it with, −1: not at all

	mu      sync.Mutex
	begun   bool
	err     error
	session *openelm.Session
	scores  []openelm.Token // of its tokens from the second on
	left    int             // texts that need the session
}

// continuation is one of the texts that a request is for.
type continuation struct {
	*request
	prompt *prompt
	index  int // among all of the request's
	number int // among those of its prompt
}

// texts runs n texts for each prompt, side by side as far as the batch has places
// that nobody waits for. The first error ends them all, and is returned. top is
// how many of the most probable tokens to score the prompts with, or −1.
func (q *request) texts(ctx context.Context, prompts [][]int32, top int, run func(context.Context, *continuation) error) error {
	all := make([]*prompt, len(prompts))
	for i, tokens := range prompts {
		all[i] = &prompt{tokens: tokens, top: top, left: q.n}
	}
	defer func() {
		for _, p := range all {
			if p.session != nil {
				p.session.Close()
			}
		}
	}()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	one := func() bool {
		i := int(next.Add(1)) - 1
		if i >= len(all)*q.n || ctx.Err() != nil {
			return false
		}
		err := guard(func() error { return run(ctx, &continuation{q, all[i/q.n], i, i % q.n}) })
		if err != nil {
			cancel(err)
		}
		return err == nil
	}
	var others sync.WaitGroup
	for range len(all)*q.n - 1 {
		leave, ok := q.model.Batch.TryEnter()
		if !ok {
			break
		}
		others.Go(func() {
			for ok {
				more := one()
				leave() // to who waits, first
				if !more {
					return
				}
				leave, ok = q.model.Batch.TryEnter()
			}
		})
	}
	for one() {
	}
	others.Wait()
	return context.Cause(ctx)
}

// text runs the one text of a request for one, and calls each with what comes.
func (q *request) text(ctx context.Context, prompt []int32, each func(openelm.Token) error) error {
	return q.texts(ctx, [][]int32{prompt}, -1, func(ctx context.Context, t *continuation) error { return t.generate(ctx, nil, each) })
}

// guard makes a panic of f its error.
func guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return f()
}

// begin returns a session of the text's own, with the prompt evaluated; nil if
// nothing is to be evaluated.
func (t *continuation) begin(ctx context.Context) (*openelm.Session, error) {
	p := t.prompt
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.begun {
		p.begun = true
		p.err = t.evaluate(ctx, p)
	}
	if p.err != nil || p.session == nil {
		return nil, p.err
	}
	if p.left--; p.left > 0 {
		return p.session.Fork(nil)
	}
	s := p.session
	p.session = nil
	return s, nil
}

// evaluate evaluates a prompt, in the session that it shares most with.
func (q *request) evaluate(ctx context.Context, p *prompt) error {
	capacity, err := q.capacity(q.model, len(p.tokens))
	if err != nil {
		return err
	}
	known := p.tokens
	if p.top >= 0 {
		known = nil // every token has to be evaluated to be scored
	}
	cached := 0
	if p.top >= 0 || q.maxTokens != 0 {
		if p.session, cached, err = q.server.cache.take(q.model, known, capacity); err != nil {
			return err
		}
	}
	q.mu.Lock()
	q.usage.PromptTokens += len(p.tokens)
	q.usage.PromptTokensDetails.CachedTokens += cached
	q.mu.Unlock()
	q.server.metrics.prompt.Add(float64(len(p.tokens)))
	q.server.metrics.cached.Add(float64(cached))
	if p.session == nil {
		return nil
	}
	if p.top < 0 {
		return p.session.Append(ctx)
	}
	for t, err := range p.session.Score(ctx, p.tokens, p.top) {
		if err != nil {
			return err
		}
		p.scores = append(p.scores, t)
	}
	return nil
}

// generate continues the text's prompt, and calls each with what comes. scored, if
// not nil, sees the tokens of the prompt from the second on first.
func (t *continuation) generate(ctx context.Context, scored, each func(openelm.Token) error) error {
	session, err := t.begin(ctx)
	if err != nil || session == nil {
		return err
	}
	ok := false
	defer func() {
		if ok {
			t.server.cache.give(t.model, session, len(t.prompt.tokens))
		} else {
			session.Close()
		}
	}()
	if scored != nil {
		for _, s := range t.prompt.scores {
			if err := scored(s); err != nil {
				return err
			}
		}
	}
	if t.maxTokens != 0 {
		o := t.choice(t.number)
		o.MaxTokens = t.most(t.model, len(t.prompt.tokens)) // whatever the session's size
		for tok, err := range session.Generate(ctx, nil, &o) {
			if err == nil {
				t.count()
				err = each(tok)
			}
			if err != nil {
				return err
			}
		}
	}
	ok = true
	return nil
}

// count counts a token.
func (q *request) count() {
	q.mu.Lock()
	q.usage.CompletionTokens++
	first := q.usage.CompletionTokens == 1
	q.mu.Unlock()
	if first {
		q.server.metrics.firstToken.Observe(time.Since(q.start).Seconds())
	}
	q.server.metrics.predicted.Inc()
}

// total is the usage when all is done.
func (q *request) total() *usage {
	q.usage.TotalTokens = q.usage.PromptTokens + q.usage.CompletionTokens
	return &q.usage
}

// finish sends the texts of a request, or what ends their streams.
func finish[C any](w *response, q *request, choices []C) error {
	if !q.stream {
		return w.json(http.StatusOK, answer[C]{q.head, choices, q.total()})
	}
	if q.includeUsage {
		if err := w.event(answer[C]{q.head, []C{}, q.total()}); err != nil {
			return err
		}
	}
	return w.done()
}

// streamUsage is the usage of an event: null until the last one, where it was
// asked for, and otherwise absent.
func (q *request) streamUsage() any {
	if q.includeUsage {
		return (*usage)(nil)
	}
	return nil
}

// finishReason is OpenAI's word for the end of a text, nil before it.
func finishReason(r openelm.StopReason) *string {
	reason := "stop"
	switch r {
	case "":
		return nil
	case openelm.StopLength:
		reason = "length"
	}
	return &reason
}

// reply gathers a text.
type reply struct {
	text strings.Builder
	stop openelm.StopReason
}

func (r *reply) add(t openelm.Token) {
	r.text.WriteString(t.Text)
	r.stop = t.Stop
}
