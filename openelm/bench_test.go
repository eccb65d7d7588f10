package openelm_test

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/cpu"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/story"
)

// counting is a backend that counts passes and their rows.
type counting struct {
	kernels.Backend
	passes, rows atomic.Int64
}

func (c *counting) Begin(ctx context.Context) (kernels.Ops, error) {
	ops, err := c.Backend.Begin(ctx)
	return countingOps{ops, c}, err
}

type countingOps struct {
	kernels.Ops
	c *counting
}

func (o countingOps) Embed(x kernels.View, table kernels.Linear, tokens kernels.View, rows int) {
	o.c.passes.Add(1)
	o.c.rows.Add(int64(rows))
	o.Ops.Embed(x, table, tokens, rows)
}

// benchModel is the story model, or the one that OPENELM_BENCH_MODEL names.
func benchModel(b *testing.B) (*openelm.Model, *counting) {
	b.Helper()
	device := cpu.New(cpu.Options{})
	b.Cleanup(func() { device.Close() })
	c := &counting{Backend: device}
	var m *openelm.Model
	var err error
	if path := os.Getenv("OPENELM_BENCH_MODEL"); path != "" {
		m, err = loader.Open(b.Context(), path, &loader.Options{Backend: c, NoTokenizer: true})
	} else {
		m, err = story.Open(b.Context(), &loader.Options{Backend: c})
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { m.Close() })
	return m, c
}

// BenchmarkLookup generates a text that copies its prompt but for every
// twentieth token, as a rewriting does (a constraint makes it), and one as the
// model likes, with and without guesses.
func BenchmarkLookup(b *testing.B) {
	m, count := benchModel(b)
	const tokens = 200
	phrase := make([]int32, 150)
	for i := range phrase {
		phrase[i] = int32((i*i*31 + 7*i + 40) % m.Config().VocabSize)
	}
	for _, text := range []string{"copied", "free"} {
		for _, lookup := range []bool{false, true} {
			name := text + "/plain"
			if lookup {
				name = text + "/lookup"
			}
			b.Run(name, func(b *testing.B) {
				count.passes.Store(0)
				count.rows.Store(0)
				n := 0
				for b.Loop() {
					b.StopTimer()
					s, err := m.NewSession(&openelm.SessionOptions{Capacity: 512})
					if err != nil {
						b.Fatal(err)
					}
					o := openelm.GenerateOptions{Sampling: openelm.Sampling{Temperature: 0.8, Seed: 1}, MaxTokens: tokens, IgnoreEOS: true, Lookup: lookup}
					if text == "copied" {
						o.Constraint = &rewriting{text: phrase, vocab: int32(m.Config().VocabSize)}
					}
					if err := s.Append(b.Context(), phrase...); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
					for _, err := range s.Generate(b.Context(), nil, &o) {
						if err != nil {
							b.Fatal(err)
						}
						n++
					}
					s.Close()
				}
				passes, rows := count.passes.Load(), count.rows.Load()
				prompts := int64(n/tokens) * int64(len(phrase))
				passes, rows = passes-int64(n/tokens), rows-prompts
				b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "tok/s")
				b.ReportMetric(float64(n)/float64(passes), "tok/pass")
				if guesses := rows - passes; guesses > 0 {
					b.ReportMetric(float64(int64(n)-passes-int64(n/tokens))/float64(guesses), "right/guess")
				}
			})
		}
	}
}

// rewriting allows a text again and again, with other tokens here and there.
type rewriting struct {
	text  []int32
	vocab int32
	n     int
}

func (r *rewriting) Mask(allowed []uint64) {
	id := r.text[r.n%len(r.text)]
	if r.n%20 == 19 {
		id = (id + 1) % r.vocab
	}
	allowed[id/64] |= 1 << (id % 64)
}

func (r *rewriting) Accept(int32) error { r.n++; return nil }

// BenchmarkStall measures the longest wait for a token of a stream while a long
// prompt is evaluated: beside it in a batch, or before its next token without.
func BenchmarkStall(b *testing.B) {
	m, _ := benchModel(b)
	prompt := make([]int32, 1500)
	for _, way := range []string{"in pieces", "at once"} {
		b.Run(way, func(b *testing.B) {
			batch, err := openelm.NewBatch(m, nil)
			if err != nil {
				b.Fatal(err)
			}
			session := func(in *openelm.Batch) *openelm.Session {
				s, err := m.NewSession(&openelm.SessionOptions{Capacity: 2048, Batch: in})
				if err != nil {
					b.Fatal(err)
				}
				return s
			}
			var longest, evaluation time.Duration
			for b.Loop() {
				stream, long := session(batch), session(batch)
				if way == "at once" {
					stream, long = session(nil), session(nil)
				}
				var wg sync.WaitGroup
				n, last := 0, time.Now()
				done := make(chan struct{})
				for _, err := range stream.Generate(b.Context(), []int32{1}, &openelm.GenerateOptions{IgnoreEOS: true}) {
					if err != nil {
						b.Fatal(err)
					}
					if n > 0 {
						longest = max(longest, time.Since(last))
					}
					last = time.Now()
					if n++; n == 20 {
						start := last
						evaluate := func() {
							if err := long.Append(b.Context(), prompt...); err != nil {
								b.Error(err)
							}
							evaluation += time.Since(start)
							close(done)
						}
						if way == "at once" {
							evaluate() // one loop over both, as without a batch
						} else {
							wg.Go(evaluate)
						}
					}
					select {
					case <-done:
						if n > 40 {
							goto enough
						}
					default:
					}
				}
			enough:
				wg.Wait()
				stream.Close()
				long.Close()
			}
			b.ReportMetric(longest.Seconds()*1000, "ms-longest-wait")
			b.ReportMetric(evaluation.Seconds()*1000/float64(b.N), "ms-prompt")
		})
	}
}
