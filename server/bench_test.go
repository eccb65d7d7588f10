package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/server"
)

// BenchmarkStreams is what one stream and eight get, through HTTP and from the
// library's batch: tokens a second of all together, and how long each waits for
// its first one.
func BenchmarkStreams(b *testing.B) {
	const tokens = 200
	f := newFixture(b, server.Options{CacheBytes: -1}, openelm.BatchOptions{})
	h := httptest.NewServer(f)
	defer h.Close()
	batch, err := openelm.NewBatch(f.model, nil)
	if err != nil {
		b.Fatal(err)
	}
	prompt := encode(b, f, longPrompt)
	ways := map[string]func(first func(), seed int) error{
		"library": func(first func(), seed int) error {
			s, err := f.model.NewSession(&openelm.SessionOptions{Batch: batch})
			if err != nil {
				return err
			}
			defer s.Close()
			o := openelm.GenerateOptions{MaxTokens: tokens, IgnoreEOS: true, Sampling: openelm.Sampling{Temperature: 1, Seed: uint64(seed)}}
			for _, err := range s.Generate(context.Background(), prompt, &o) {
				if err != nil {
					return err
				}
				first()
			}
			return nil
		},
		"http": func(first func(), seed int) error {
			r, err := http.Post(h.URL+"/v1/completions", "application/json", strings.NewReader(string(mustJSON(object{
				"model": "story", "prompt": prompt, "max_tokens": tokens, "ignore_eos": true, "seed": seed, "stream": true,
			}))))
			if err != nil {
				return err
			}
			defer r.Body.Close()
			in := bufio.NewReader(r.Body)
			if _, err := in.ReadString('\n'); err != nil || r.StatusCode != http.StatusOK {
				return fmt.Errorf("%d: %w", r.StatusCode, err)
			}
			first()
			_, err = io.Copy(io.Discard, in)
			return err
		},
	}
	for _, way := range []string{"library", "http"} {
		for _, n := range []int{1, 8} {
			b.Run(fmt.Sprintf("%s/%d", way, n), func(b *testing.B) {
				var mu sync.Mutex
				var waited time.Duration
				for b.Loop() {
					var all sync.WaitGroup
					start := time.Now()
					for i := range n {
						all.Go(func() {
							first := sync.OnceFunc(func() {
								mu.Lock()
								defer mu.Unlock()
								waited += time.Since(start)
							})
							if err := ways[way](first, i); err != nil {
								b.Error(err)
							}
						})
					}
					all.Wait()
				}
				b.ReportMetric(float64(b.N*n*tokens)/b.Elapsed().Seconds(), "tok/s")
				b.ReportMetric(waited.Seconds()*1e3/float64(b.N*n), "ms/first")
			})
		}
	}
}
