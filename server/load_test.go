package server_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/server"
)

// loadRequest is a request of a load, and what it gets when it is alone.
type loadRequest struct {
	path    string
	request object
	want    []string // texts
}

// answer is what completions and chats have in common, whole or in part.
type answer struct {
	Choices []struct {
		Index   int
		Text    string
		Message struct{ Content string }
		Delta   struct{ Content string }
	}
	Usage *usage
}

func (a answer) addTo(texts []string) {
	for _, c := range a.Choices {
		texts[c.Index] += c.Text + c.Message.Content + c.Delta.Content
	}
}

// loadRequests are requests of all kinds, answered by h one by one.
func loadRequests(t *testing.T, h http.Handler, n int) []loadRequest {
	r := rand.New(rand.NewPCG(11, 12))
	beginnings := []string{"Once", longPrompt, longPrompt + " she met a bear and a wolf, and they", "The capital of France is"}
	all := make([]loadRequest, n)
	for i := range all {
		request := object{"model": []string{"story", "other"}[r.IntN(2)], "seed": i, "max_tokens": 1 + r.IntN(40), "n": 1 + r.IntN(2)}
		path := "/v1/completions"
		if r.IntN(3) == 0 {
			path = "/v1/chat/completions"
			request["messages"] = []object{{"role": "user", "content": beginnings[r.IntN(4)]}}
		} else {
			request["prompt"] = beginnings[r.IntN(4)]
			if r.IntN(4) == 0 {
				request["echo"], request["logprobs"] = true, 2
			}
		}
		want := make([]string, request["n"].(int))
		call[answer](t, h, path, request).addTo(want)
		all[i] = loadRequest{path, request, want}
	}
	return all
}

// TestLoad: 64 clients at once, some of which leave, read slowly or send nonsense.
// Every whole answer is what its request gets alone; afterwards nothing is left,
// and the metrics have counted everybody. The long form takes a minute.
func TestLoad(t *testing.T) {
	const many = 64
	requests, least := 3, time.Duration(0) // of each client
	if os.Getenv("OPENELM_SOAK") != "" {
		requests, least = 0, time.Minute
	}
	all := loadRequests(t, newFixture(t, server.Options{CacheBytes: -1}, openelm.BatchOptions{}), 24)
	f := newFixture(t, server.Options{CacheBytes: 16 << 20}, openelm.BatchOptions{})
	h := httptest.NewServer(f)
	defer h.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: many}}
	settle := func() (goroutines int, heap uint64) {
		client.CloseIdleConnections()
		for !strings.Contains(f.do("GET", "/metrics", "").Body.String(), "\nopenelm_requests_processing 0\n") {
			time.Sleep(time.Millisecond)
		}
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return runtime.NumGoroutine(), m.HeapAlloc
	}
	load := clients{t: t, client: client, url: h.URL, all: all}
	load.one(rand.New(rand.NewPCG(0, 0)))
	goroutines, heap := settle()
	start := time.Now()
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(13, uint64(i)))
			for n := 0; n < requests || time.Since(start) < least; n++ {
				load.one(r)
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	var after int
	var heapAfter uint64
	for after, heapAfter = settle(); after > goroutines; after, heapAfter = settle() {
		time.Sleep(10 * time.Millisecond) // connections end; those that do not end with the tests' time
	}
	if limit := heap + 16<<20 + 16<<20; heapAfter > limit { // the cache's, and what the pools keep
		t.Errorf("the heap has %d bytes, before %d", heapAfter, heap)
	}
	t.Logf("%d whole answers of %d tokens in %.1f s, %d left, %d refused; the heap has %.1f MB, before %.1f; %d goroutines, before %d",
		load.whole.Load(), load.tokens.Load(), took.Seconds(), load.left.Load(), load.refused.Load(), float64(heapAfter)/1e6, float64(heap)/1e6, after, goroutines)
	text := f.do("GET", "/metrics", "").Body.String()
	count := map[string]int64{}
	for _, m := range regexp.MustCompile(`openelm_requests_total\{endpoint="/v1/[a-z/]+",status="(\d+)"\} (\d+)`).FindAllStringSubmatch(text, -1) {
		n, _ := strconv.ParseInt(m[2], 10, 64)
		count[m[1]] += n
	}
	// Who leaves may be too late.
	if count["400"] != load.refused.Load() || count["200"]+count["499"] != load.whole.Load()+load.left.Load() || count["200"] < load.whole.Load() || len(count) > 3 {
		t.Errorf("the metrics count %v", count)
	}
	value := func(name string) float64 {
		m := regexp.MustCompile(`(?m)^openelm_` + name + ` (\S+)$`).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("no %s in\n%s", name, text)
		}
		x, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	if value("requests_deferred") != 0 || value("tokens_predicted_total") < float64(load.tokens.Load()) ||
		value("prompt_tokens_cached_total") == 0 || value("prompt_tokens_cached_total") > value("prompt_tokens_total") ||
		value("prefix_cache_bytes") > 16<<20 || value("time_to_first_token_seconds_count") < float64(load.whole.Load()) {
		t.Errorf("the metrics do not add up:\n%s", text)
	}
}

// clients send requests, and count them.
type clients struct {
	t      *testing.T
	client *http.Client
	url    string
	all    []loadRequest

	whole, left, refused, tokens atomic.Int64
}

func (l *clients) post(ctx context.Context, path string, body []byte) *http.Response {
	r, err := http.NewRequestWithContext(ctx, "POST", l.url+path, bytes.NewReader(body))
	if err != nil {
		panic(err) // the path is a constant
	}
	answer, err := l.client.Do(r)
	if err != nil {
		if ctx.Err() == nil {
			l.t.Error(err)
		}
		return nil
	}
	return answer
}

// one sends one request, of a kind that r chooses.
func (l *clients) one(r *rand.Rand) {
	q := l.all[r.IntN(len(l.all))]
	request := object{}
	for k, v := range q.request {
		request[k] = v
	}
	ctx, cancel := context.WithCancel(l.t.Context())
	defer cancel()
	switch kind := r.IntN(8); kind {
	case 0: // leaves in the middle
		request["stream"], request["max_tokens"], request["ignore_eos"] = true, 300, true
		if answer := l.post(ctx, q.path, mustJSON(request)); answer != nil {
			io.ReadFull(answer.Body, make([]byte, r.IntN(3000)))
			cancel()
			answer.Body.Close()
		}
		l.left.Add(1)
	case 1: // makes no sense
		body := mustJSON(request)
		switch r.IntN(3) {
		case 0:
			body = body[:r.IntN(len(body))]
		case 1:
			request["temperature"] = -1
			body = mustJSON(request)
		default:
			body = append([]byte(`{"nobody":1,`), body[1:]...)
		}
		if answer := l.post(ctx, q.path, body); answer != nil {
			if answer.StatusCode != http.StatusBadRequest {
				l.t.Errorf("%s: %d", body, answer.StatusCode)
			}
			io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
		}
		l.refused.Add(1)
	default:
		streams := kind > 3
		if request["stream"] = streams; streams {
			request["stream_options"] = object{"include_usage": true}
		}
		texts := make([]string, len(q.want))
		tokens, err := l.read(l.post(ctx, q.path, mustJSON(request)), streams, kind == 4, texts)
		if err != nil || !slices.Equal(texts, q.want) {
			l.t.Errorf("%s %v: %q, alone %q; %v", q.path, request, texts, q.want, err)
		}
		l.whole.Add(1)
		l.tokens.Add(int64(tokens))
	}
}

// read takes an answer, slowly if it is to be so.
func (l *clients) read(r *http.Response, stream, slow bool, texts []string) (tokens int, err error) {
	if r == nil {
		return 0, io.ErrUnexpectedEOF
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(r.Body)
		return 0, fmt.Errorf("%d: %s", r.StatusCode, text)
	}
	var a answer
	if !stream {
		err = json.NewDecoder(r.Body).Decode(&a)
		a.addTo(texts)
		return a.Usage.CompletionTokens, err
	}
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		if data == "[DONE]" {
			return tokens, nil
		}
		a = answer{}
		if err := json.Unmarshal([]byte(data), &a); err != nil {
			return 0, err
		}
		a.addTo(texts)
		if a.Usage != nil {
			tokens = a.Usage.CompletionTokens
		}
		if slow {
			time.Sleep(2 * time.Millisecond)
		}
	}
	return 0, io.ErrUnexpectedEOF
}
