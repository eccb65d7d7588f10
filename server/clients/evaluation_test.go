package clients

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// taskResult is what lm-evaluation-harness found for a task.
type taskResult struct {
	Figures map[string]float64
	Samples []json.RawMessage
}

// likelihood is a sample's log-likelihood and whether it is the greedy choice.
type likelihood struct {
	sum    float64
	greedy bool
}

func (r taskResult) likelihoods(t *testing.T) (all []likelihood) {
	t.Helper()
	for _, s := range r.Samples {
		var l likelihood
		if err := json.Unmarshal(s, &[]any{&l.sum, &l.greedy}); err != nil && json.Unmarshal(s, &l.sum) != nil {
			t.Fatalf("%s: %v", s, err)
		}
		all = append(all, l)
	}
	return all
}

// tolerance is what float32 may change in the sum of a text of a few hundred tokens.
const tolerance = 5e-5

// compare holds log-likelihoods to those that are right.
func compare(got, want []likelihood, tolerance float64) error {
	if len(got) != len(want) || len(got) == 0 {
		return fmt.Errorf("%d samples, want %d", len(got), len(want))
	}
	worst := 0.0
	for i, g := range got {
		if d := math.Abs(g.sum - want[i].sum); !(d <= tolerance) || g.greedy != want[i].greedy {
			return fmt.Errorf("sample %d: %+v, want %+v", i, g, want[i])
		} else {
			worst = max(worst, d)
		}
	}
	return nil
}

// TestEvaluation: what lm-evaluation-harness finds through the server is what a
// reference in float64 finds, and what openelm score does; and if the server lost
// the last token's log-probability, it would not.
func TestEvaluation(t *testing.T) {
	e := programs(t)
	begins, plain := serve(t, "--tokenize-bos"), serve(t)
	var broken []string
	for _, s := range []*process{begins, plain} {
		proxy := httptest.NewServer(withoutLast(t, s.url))
		defer proxy.Close()
		broken = append(broken, proxy.URL)
	}
	model, err := filepath.Abs("../../story/model")
	if err != nil {
		t.Fatal(err)
	}
	cmd := command(t.Context(), e.python, "testdata/evaluate.py", begins.url, plain.url, broken[0], broken[1], model)
	cmd.Env = append(cmd.Env, "HF_HOME="+e.home)
	var found map[string]map[string]taskResult
	if err := json.Unmarshal([]byte(output(t, cmd)), &found); err != nil {
		t.Fatal(err)
	}
	server, reference := found["server"], found["reference"]
	for task, r := range server {
		for name, got := range r.Figures {
			want := reference[task].Figures[name]
			t.Logf("%-10s %-15s server %.9g, reference %.9g", task, name, got, want)
			if math.Abs(got-want) > 1e-6*want {
				t.Errorf("%s, %s: %v, want %v", task, name, got, want)
			}
		}
	}
	if got, want := fmt.Sprintf("%s", server["generation"].Samples), fmt.Sprintf("%s", reference["generation"].Samples); got != want {
		t.Errorf("the texts are\n%s\nwant\n%s", got, want)
	}
	scores := map[string][]likelihood{"choice": scoreChoices(t), "rolling": scorePages(t)}
	for task, scores := range scores {
		got, want := server[task].likelihoods(t), reference[task].likelihoods(t)
		if err := compare(got, want, tolerance); err != nil {
			t.Errorf("%s: %v", task, err)
			continue
		}
		if err := compare(found["broken"][task].likelihoods(t), want, tolerance); err == nil {
			t.Errorf("%s: a server that loses the last token goes unnoticed", task)
		}
		for i := range scores {
			got[i].greedy = false // openelm score does not tell
		}
		if err := compare(got[:len(scores)], scores, 1e-6); err != nil {
			t.Errorf("%s by openelm score: %v", task, err)
		}
	}
}

// withoutLast is a server that forgets the last token's log-probability.
func withoutLast(t *testing.T, to string) http.Handler {
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(u)
	proxy.ModifyResponse = func(r *http.Response) error {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		r.Body.Close()
		var answer map[string]any
		if err := json.Unmarshal(text, &answer); err != nil {
			return err
		}
		if choices, ok := answer["choices"].([]any); ok {
			for _, c := range choices {
				lists, ok := c.(map[string]any)["logprobs"].(map[string]any)
				for name, list := range lists {
					if list, isList := list.([]any); ok && isList {
						lists[name] = list[:len(list)-1]
					}
				}
			}
			if text, err = json.Marshal(answer); err != nil {
				return err
			}
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
		r.Header.Set("Content-Length", strconv.Itoa(len(text)))
		return nil
	}
	return proxy
}

// scoreChoices are the log-likelihoods of the answers in the task choice.
func scoreChoices(t *testing.T) (all []likelihood) {
	for _, q := range lines[struct {
		Question string
		Choices  []string
	}](t, "choice") {
		context := len(strings.Fields(output(t, command(t.Context(), openelm, "tokenize", "-q", "--ids", q.Question))))
		for _, c := range q.Choices {
			all = append(all, likelihood{sum: sum(score(t, q.Question+c)[context-1:])})
		}
	}
	return all
}

// scorePages are those of the pages in the task rolling that fit into the context,
// the first ones.
func scorePages(t *testing.T) (all []likelihood) {
	for _, page := range lines[struct{ Page string }](t, "rolling")[:2] {
		all = append(all, likelihood{sum: sum(score(t, page.Page))})
	}
	return all
}

func lines[T any](t *testing.T, task string) (all []T) {
	t.Helper()
	text, err := os.ReadFile("testdata/tasks/" + task + ".jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var v T
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

// score is the log-probability of each token of a text but the first, by the command.
func score(t *testing.T, text string) (all []float64) {
	t.Helper()
	out := strings.Split(strings.TrimSpace(output(t, command(t.Context(), openelm, "score", "-q", "--json", text))), "\n")
	for _, line := range out[:len(out)-1] { // the last one is the sum
		var token struct{ LogProb float64 }
		if err := json.Unmarshal([]byte(line), &token); err != nil {
			t.Fatal(err)
		}
		all = append(all, token.LogProb)
	}
	return all
}

func sum(list []float64) (s float64) {
	for _, x := range list {
		s += x
	}
	return s
}
