package openelm_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-openelm/go-openelm/openelm"
)

// collect takes a whole generation.
func collect(t testing.TB, s *openelm.Session, prompt []int32, o *openelm.GenerateOptions) (tokens []openelm.Token) {
	t.Helper()
	for tok, err := range s.Generate(t.Context(), prompt, o) {
		if err != nil {
			t.Error(err)
			return tokens
		}
		tokens = append(tokens, tok)
	}
	return tokens
}

func ids(tokens []openelm.Token) (list []int32) {
	for _, t := range tokens {
		list = append(list, t.ID)
	}
	return list
}

func prompt(r *rand.Rand, n int) []int32 {
	p := make([]int32, n)
	for i := range p {
		p[i] = r.Int32N(fakeVocab)
	}
	return p
}

func newBatch(t testing.TB, m *openelm.Model, o *openelm.BatchOptions) *openelm.Batch {
	t.Helper()
	b, err := openelm.NewBatch(m, o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newSessionIn(t testing.TB, m *openelm.Model, b *openelm.Batch) *openelm.Session {
	t.Helper()
	s, err := m.NewSession(&openelm.SessionOptions{Capacity: 2048, Batch: b})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing a session whose loop has ended: %v", err)
		}
	})
	return s
}

// TestBatch runs requests of all kinds that come, dawdle and leave as they like:
// each gets what it gets alone.
func TestBatch(t *testing.T) {
	f := &fake{}
	m := fakeModel(t, f)
	synctest.Test(t, func(t *testing.T) {
		f.perPass, f.perRow = 10*time.Millisecond, time.Millisecond
		b := newBatch(t, m, nil)
		var wg sync.WaitGroup
		for i := range 60 {
			r := rand.New(rand.NewPCG(7, uint64(i)))
			o := &openelm.GenerateOptions{
				Sampling:  openelm.Sampling{Temperature: float32(i%3) * 0.7, TopK: 40 * (i % 2), RepetitionPenalty: 1.2, Seed: uint64(i)},
				MaxTokens: 1 + r.IntN(60), IgnoreEOS: true, LogProbs: i%4 == 0, Lookup: i%5 == 0,
			}
			p := prompt(r, 1+r.IntN(200))
			wg.Go(func() {
				alone := newSessionIn(t, m, nil)
				want := collect(t, alone, p, o)
				time.Sleep(time.Duration(r.IntN(1000)) * time.Millisecond)
				leave := r.IntN(2 * len(want)) // after so many tokens, if there are
				dawdle := time.Duration(r.IntN(50)) * time.Millisecond
				s := newSessionIn(t, m, b)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				n := 0
				for tok, err := range s.Generate(ctx, p, o) {
					if errors.Is(err, context.Canceled) && n > leave {
						break
					}
					if err != nil {
						t.Error(err)
						return
					}
					if w := want[n]; tok.ID != w.ID || tok.Text != w.Text || tok.LogProb != w.LogProb || tok.Stop != w.Stop {
						t.Errorf("request %d, token %d: %+v, alone %+v", i, n, tok, w)
						return
					}
					n++
					time.Sleep(dawdle)
					if n > leave && i%2 == 0 {
						break
					}
					if n > leave {
						cancel()
					}
				}
				if want := append(slices.Clone(p), ids(want)[:n]...); !slices.Equal(s.Tokens(), want) {
					t.Errorf("request %d: the session holds %d tokens, want the prompt's %d and %d", i, s.Len(), len(p), n)
				}
				// Whatever happened, the session goes on from there.
				fork := newSessionIn(t, m, nil)
				if err := errors.Join(s.Append(t.Context(), 5), fork.Append(t.Context(), s.Tokens()...)); err != nil {
					t.Error(err)
				}
				if !slices.Equal(s.Logits(), fork.Logits()) {
					t.Errorf("request %d: afterwards the session predicts something else", i)
				}
			})
		}
		wg.Wait()
	})
}

// TestBatchShares: who generates at the same time shares passes, and a long
// prompt holds them up for no longer than it may.
func TestBatchShares(t *testing.T) {
	t.Run("readers wait", func(t *testing.T) { testBatchShares(t, 0) })
	// Now and then nobody waits, or is in the queue.
	t.Run("readers come later", func(t *testing.T) { testBatchShares(t, 150*time.Millisecond) })
}

func testBatchShares(t *testing.T, dawdle time.Duration) {
	f := &fake{rows: 512}
	m := fakeModel(t, f)
	synctest.Test(t, func(t *testing.T) {
		f.perPass, f.perRow = 10*time.Millisecond, time.Millisecond
		const delay = 100 * time.Millisecond
		b := newBatch(t, m, &openelm.BatchOptions{MaxDelay: delay})
		var wg sync.WaitGroup
		const streams = 8
		var longest [streams]time.Duration
		for i := range streams {
			wg.Go(func() {
				s := newSessionIn(t, m, b)
				n, last := 0, time.Time{}
				for _, err := range s.Generate(t.Context(), []int32{int32(i)}, &openelm.GenerateOptions{MaxTokens: 200}) {
					if err != nil {
						t.Error(err)
					}
					if n++; n > 1 {
						longest[i] = max(longest[i], time.Since(last))
					}
					time.Sleep(dawdle)
					last = time.Now()
				}
			})
		}
		time.Sleep(500 * time.Millisecond)
		f.taken()
		start := time.Now()
		s := newSessionIn(t, m, b)
		if err := s.Append(t.Context(), make([]int32, 2000)...); err != nil {
			t.Error(err)
		}
		took := time.Since(start)
		alone, rest := 2000*f.perRow, 0
		for _, rows := range f.taken() {
			if rows <= 16 && rows != streams && dawdle == 0 {
				t.Errorf("a pass of %d rows while %d texts are generated", rows, streams)
			}
			if rows <= 16 {
				rest++
			}
		}
		wg.Wait()
		for i, d := range longest {
			// The pieces take the delay, and the step the rest.
			if limit := delay*5/4 + f.perPass + streams*f.perRow; d > limit {
				t.Errorf("stream %d waited %v for a token, want at most %v", i, d, limit)
			}
		}
		if took > alone*3/2 && dawdle == 0 {
			t.Errorf("the prompt took %v, %v of them its own rows, with %d steps in between", took, alone, rest)
		}
		t.Logf("a prompt of %v delayed tokens by %v at most, and took %v", alone, slices.Max(longest[:]), took)
	})
}

// TestBatchCancel: who cancels leaves at once when it is alone, and otherwise
// after the pass under way, which goes on for the others.
func TestBatchCancel(t *testing.T) {
	f := &fake{rows: 4096}
	m := fakeModel(t, f)
	cause := errors.New("enough")
	synctest.Test(t, func(t *testing.T) {
		f.perPass = time.Hour
		b := newBatch(t, m, nil)
		cancelled := func(s *openelm.Session, n int) time.Duration {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(cause) })
			start := time.Now()
			if err := s.Append(ctx, make([]int32, n)...); !errors.Is(err, cause) {
				t.Errorf("got error %v, want the cause", err)
			}
			if s.Len() != 0 {
				t.Errorf("the session holds %d tokens after a cancelled call", s.Len())
			}
			return time.Since(start)
		}
		for _, n := range []int{1, 1000} {
			if d := cancelled(newSessionIn(t, m, b), n); d != time.Second {
				t.Errorf("%d tokens, alone: left after %v, want at once after 1 s", n, d)
			}
		}
		var wg sync.WaitGroup
		first, second := newSessionIn(t, m, b), newSessionIn(t, m, b)
		wg.Go(func() {
			if err := first.Append(t.Context(), 1); err != nil {
				t.Errorf("the other one's call: %v", err)
			}
		})
		synctest.Wait()
		// The first one's pass is under way; the second one is in the queue.
		if d := cancelled(second, 1); d != time.Second {
			t.Errorf("in the queue: left after %v, want at once after 1 s", d)
		}
		wg.Wait()
		// Both in one pass.
		wg.Go(func() { first.Append(t.Context(), 1) })
		synctest.Wait()
		third := newSessionIn(t, m, b)
		wg.Go(func() {
			if err := third.Append(t.Context(), 1); err != nil {
				t.Errorf("the other one's call: %v", err)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Minute) // in the second pass
		defer cancel()
		start := time.Now()
		if err := second.Append(ctx, 1); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 2*time.Hour {
			t.Errorf("in a pass with others: left after %v with error %v, want after the pass, 2 h", time.Since(start), err)
		}
		wg.Wait()
	})
}

// TestBatchFaults: what goes wrong with one session is its own business.
func TestBatchFaults(t *testing.T) {
	const poison, explosive = 13, 14
	lost := errors.New("GPU lost")
	f := &fake{}
	m := fakeModel(t, f)
	f.fault = func(tokens []int32) error {
		if slices.Contains(tokens, explosive) {
			panic("kernel")
		}
		if slices.Contains(tokens, poison) {
			return lost
		}
		return nil
	}
	synctest.Test(t, func(t *testing.T) {
		f.perPass = time.Millisecond
		b := newBatch(t, m, nil)
		var wg sync.WaitGroup
		for i := range 6 {
			s := newSessionIn(t, m, b)
			wg.Go(func() {
				switch i {
				case 2:
					if err := s.Append(t.Context(), poison); !errors.Is(err, lost) {
						t.Errorf("got error %v, want the device's", err)
					}
				case 3:
					defer func() {
						if v := fmt.Sprint(recover()); !strings.Contains(v, "kernel") {
							t.Errorf("got panic %q, want the kernel's", v)
						}
					}()
					s.Append(t.Context(), explosive)
				case 4:
					defer func() {
						if v := recover(); v != "constraint" {
							t.Errorf("got panic %v, want the constraint's", v)
						}
					}()
					for range s.Generate(t.Context(), []int32{1}, &openelm.GenerateOptions{Constraint: bomb{}}) {
					}
				default:
					if err := s.Append(t.Context(), int32(i)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	})
}

// bomb is a constraint that panics.
type bomb struct{}

func (bomb) Mask([]uint64)      { panic("constraint") }
func (bomb) Accept(int32) error { return nil }

func TestBatchOptions(t *testing.T) {
	m := fakeModel(t, &fake{})
	for _, o := range []openelm.BatchOptions{{MaxDelay: -1}, {Places: -1}} {
		if _, err := openelm.NewBatch(m, &o); !errors.Is(err, openelm.ErrArgument) {
			t.Errorf("%+v: got error %v, want ErrArgument", o, err)
		}
	}
	b := newBatch(t, m, nil)
	for _, err := range []error{
		second(fakeModel(t, &fake{}).NewSession(&openelm.SessionOptions{Batch: b})),
		second(m.NewSession(&openelm.SessionOptions{Batch: b, Trace: func(int, []float32) {}})),
	} {
		if !errors.Is(err, openelm.ErrArgument) {
			t.Errorf("got error %v, want ErrArgument", err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestEnter: places are given in order, the queue has an end, and who gives up
// loses nothing for the others.
func TestEnter(t *testing.T) {
	m := fakeModel(t, &fake{})
	synctest.Test(t, func(t *testing.T) {
		b := newBatch(t, m, &openelm.BatchOptions{Places: 2, Queue: 3})
		var mu sync.Mutex
		var order []int
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 5 {
			wg.Go(func() {
				c := t.Context()
				if i == 3 {
					c = ctx
				}
				leave, err := b.Enter(c)
				if i == 3 {
					if !errors.Is(err, context.Canceled) {
						t.Errorf("got error %v, want context.Canceled", err)
					}
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				time.Sleep(time.Duration(i+1) * time.Second)
				leave()
				leave() // harmless
			})
			synctest.Wait()
		}
		if _, err := b.Enter(t.Context()); !errors.Is(err, openelm.ErrQueueFull) {
			t.Errorf("got error %v, want ErrQueueFull", err)
		}
		cancel()
		wg.Wait()
		if !slices.Equal(order, []int{0, 1, 2, 4}) {
			t.Errorf("entered in order %v", order)
		}
		leave, err := b.Enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		second, ok := b.TryEnter()
		if _, third := b.TryEnter(); !ok || third {
			t.Errorf("of two places, one of them taken, there is a second: %v, a third: %v", ok, third)
		}
		leave()
		second()
	})
}
