package server

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
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

type usage struct {
	PromptTokens        int           `json:"prompt_tokens"`
	CompletionTokens    int           `json:"completion_tokens"`
	TotalTokens         int           `json:"total_tokens"`
	PromptTokensDetails promptDetails `json:"prompt_tokens_details"`
}

type promptDetails struct {
	CachedTokens int `json:"cached_tokens"`
}

// begin waits for a place among those who generate. end gives it back;
// calling it again does nothing.
func (s *Server) begin(ctx context.Context, m *Model, p *params, prefix, object string) (q *request, end func(), err error) {
	s.metrics.deferred.Inc()
	leave, err := m.Batch.Enter(ctx)
	s.metrics.deferred.Dec()
	if err != nil {
		return nil, nil, err
	}
	s.metrics.processing.Inc()
	now := time.Now()
	return &request{
			params: p, server: s, model: m, start: now,
			head: head{
				ID: prefix + rand.Text(), Object: object, Created: now.Unix(), Model: m.Name,
				SystemFingerprint: "openelm-" + m.Model.Backend().Name(),
			},
		}, sync.OnceFunc(func() {
			s.metrics.processing.Dec()
			leave()
		}), nil
}

// generate continues prompt, for the i-th time, and calls each with what comes.
// score, if not nil, sees the tokens of the prompt from the second on first, with
// their log-probabilities and the top most probable ones.
func (q *request) generate(ctx context.Context, prompt []int32, i, top int, score, each func(openelm.Token) error) error {
	capacity, err := q.capacity(q.model, len(prompt))
	if err != nil {
		return err
	}
	known := prompt
	if score != nil {
		known = nil // every token has to be evaluated to be scored
	}
	session, cached, err := q.server.cache.take(q.model, known, capacity)
	if err != nil {
		return err
	}
	ok := false
	defer func() {
		if ok {
			q.server.cache.give(q.model, session)
		} else {
			session.Close()
		}
	}()
	if i == 0 {
		q.usage.PromptTokens += len(prompt)
		q.usage.PromptTokensDetails.CachedTokens += cached
		q.server.metrics.prompt.Add(float64(len(prompt)))
		q.server.metrics.cached.Add(float64(cached))
	}
	if score != nil {
		for t, err := range session.Score(ctx, prompt, top) {
			if err == nil {
				err = score(t)
			}
			if err != nil {
				return err
			}
		}
	}
	if q.maxTokens != 0 {
		o := q.choice(i)
		o.MaxTokens = max(q.maxTokens, 0)
		if q.maxTokens < 0 {
			o.MaxTokens = q.model.Model.Config().MaxContext - len(prompt) // whatever the session's size
		}
		for t, err := range session.Generate(ctx, nil, &o) {
			if err == nil {
				q.count()
				err = each(t)
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
	if q.usage.CompletionTokens == 0 {
		q.server.metrics.firstToken.Observe(time.Since(q.start).Seconds())
	}
	q.usage.CompletionTokens++
	q.server.metrics.predicted.Inc()
}

// total is the usage when all is done.
func (q *request) total() *usage {
	q.usage.TotalTokens = q.usage.PromptTokens + q.usage.CompletionTokens
	return &q.usage
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
