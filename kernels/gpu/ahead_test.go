package gpu_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/go-openelm/go-openelm/internal/metalsim"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/metal"
	"github.com/go-openelm/go-openelm/openelm"
)

// small is a model of random weights that costs little, of enough layers for a
// pass to be started early.
func small(t testing.TB, b kernels.Backend) *openelm.Model {
	t.Helper()
	c := config(t, "270M")
	c.Layers = slices.Repeat([]openelm.LayerConfig{{QueryHeads: 2, KVHeads: 1, FFNDim: 64}}, 3)
	c.VocabSize, c.ModelDim, c.HeadDim, c.MaxContext, c.TiedHead = 300, 32, 32, 200, false
	m, _ := model(t, b, c, kernels.F32)
	rng := rand.New(rand.NewPCG(1, 2))
	for w := range m.Weights().Tensors(c) {
		data := w.Vector
		if w.Matrix != nil {
			data = &w.Matrix.Data
		}
		for i := range data.Floats() {
			data.Floats()[i] = float32(rng.NormFloat64())
		}
	}
	return m
}

// greedy generates n tokens after a prompt. On the CPU's choice it asks for what
// only the CPU tells.
func greedy(ctx context.Context, s *openelm.Session, n int, onCPU bool, see func(openelm.Token) bool) (tokens []int32, err error) {
	for t, err := range s.Generate(ctx, []int32{1, 2, 3}, &openelm.GenerateOptions{MaxTokens: n, IgnoreEOS: true, LogProbs: onCPU}) {
		if err != nil {
			return tokens, err
		}
		if tokens = append(tokens, t.ID); see != nil && !see(t) {
			break
		}
	}
	return tokens, nil
}

// TestAhead has the GPU choose the tokens of a text: they are the CPU's, and the
// GPU is given each pass before the one before it is complete.
func TestAhead(t *testing.T) {
	sim, b := open(t)
	m := small(t, b)
	const n = 20
	want, err := greedy(t.Context(), session(t, m, 100), n, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := session(t, m, 100)
	sim.Reset()
	k := 0
	got, err := greedy(t.Context(), s, n, false, func(openelm.Token) bool {
		// The prompt's pass, and those of this token and the next. No pass follows the
		// last token but one.
		k++
		if c := sim.Counters().Commits; sim.Simulated() && int(c) < min(k+2, n) {
			t.Errorf("token %d was yielded after %d commits", k, c)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("the GPU chooses %v, the CPU %v", got, want)
	}
	if s.Len() != n+3 || !slices.Equal(s.Tokens()[3:], want) {
		t.Errorf("the session holds %v", s.Tokens())
	}
	if !sim.Simulated() {
		t.Skip("only the simulator tells what overlaps")
	}
	committed, overlapped := -1, 0
	events := sim.Events()
	for i, e := range events {
		if !e.Completed {
			committed = i
			continue
		}
		if committed >= 0 && events[committed].CommandBuffer > e.CommandBuffer {
			overlapped++
		}
	}
	passes := len(events) / 2
	// How many hangs on the machine's load; the commits above do not.
	t.Logf("%d tokens, %d command buffers, %d of them complete when another was committed", n, passes, overlapped)
}

// TestAheadEnds ends a text at each of its tokens: by its length, by leaving the
// loop, by the context. The session is as it should be: going on gives what an
// undisturbed text has.
func TestAheadEnds(t *testing.T) {
	sim, b := open(t)
	sim.Set(t, "mode", "plain")
	m := small(t, b)
	const n = 8
	want, err := greedy(t.Context(), session(t, m, 50), n, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	why := errors.New("no longer wanted")
	for at := 1; at < n; at++ {
		for _, end := range []string{"length", "break", "cancel"} {
			ctx, cancel := context.WithCancelCause(t.Context())
			most := n
			if end == "length" {
				most = at
			}
			s := session(t, m, 50)
			got, err := greedy(ctx, s, most, false, func(openelm.Token) bool {
				if s.Len() == 3+at && end == "cancel" {
					cancel(why)
				}
				return s.Len() < 3+at || end != "break"
			})
			cancel(nil)
			if end == "cancel" != errors.Is(err, why) {
				t.Fatalf("%s after %d tokens: error %v", end, at, err)
			}
			goOn(t, fmt.Sprintf("%s after %d tokens", end, at), s, got, want)
		}
	}
}

// goOn holds a text that ended early to want, and its continuation, too.
func goOn(t *testing.T, what string, s *openelm.Session, got, want []int32) {
	t.Helper()
	if len(got) > len(want) || !slices.Equal(got, want[:len(got)]) || s.Len() > 0 && !slices.Equal(s.Tokens()[3:], got) {
		t.Fatalf("%s: tokens %v, the session holds %v, want the first of %v", what, got, s.Tokens(), want)
	}
	if s.Len() == 0 { // the prompt failed
		if err := s.Push(1, 2, 3); err != nil {
			t.Fatal(err)
		}
	}
	if len(got) == len(want) {
		return
	}
	for tok, err := range s.Generate(t.Context(), nil, &openelm.GenerateOptions{MaxTokens: len(want) - len(got), IgnoreEOS: true}) {
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		got = append(got, tok.ID)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%s: it goes on to %v, want %v", what, got, want)
	}
}

// TestAheadFaults makes each call of a generation fail, one after another.
func TestAheadFaults(t *testing.T) {
	sim, b := open(t)
	if !sim.Simulated() {
		t.Skip("only the simulator fails on demand")
	}
	sim.Set(t, "mode", "plain")
	m := small(t, b)
	const n = 5
	want, err := greedy(t.Context(), session(t, m, 50), n, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := greedy(t.Context(), session(t, m, 50), n, false, nil); err != nil { // compile what it takes
		t.Fatal(err)
	}
	for _, fault := range []metalsim.Fault{metalsim.FaultCommandBuffer, metalsim.FaultEncoder, metalsim.FaultExecution} {
		failures := 0
		for at := uint64(1); ; at++ {
			s := session(t, m, 50)
			before := sim.Counters().Commits
			sim.FailAt(fault, at, int(metal.ErrTimeout))
			got, err := greedy(t.Context(), s, n, false, nil)
			calls := sim.Counters().Commits - before
			sim.FailAt(fault, 0, 0)
			if err == nil && len(got) < n {
				t.Fatalf("%s %d fails: no error after %d tokens", fault, at, len(got))
			}
			if err != nil {
				failures++
				if !metal.IsGPUError(err) {
					t.Errorf("%s %d fails: %v does not tell that the GPU failed", fault, at, err)
				}
			}
			goOn(t, fmt.Sprintf("%s %d fails", fault, at), s, got, want)
			if at > calls && err == nil {
				break
			}
		}
		if failures < n {
			t.Errorf("%s: only %d failures", fault, failures)
		}
	}
}

// TestAheadNotFinite has a prediction that is not made of numbers: the error is
// what the CPU's choice gives.
func TestAheadNotFinite(t *testing.T) {
	sim, b := open(t)
	sim.Set(t, "mode", "plain")
	m := small(t, b)
	want, err := greedy(t.Context(), session(t, m, 50), 8, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	// The fifth token's embedding spoils the prediction after it.
	first := slices.Index(want, want[4])
	row := m.Weights().Embedding.Data.Slice(int(want[4])*m.Weights().Embedding.RowBytes(), 4)
	row.Floats()[0] = float32(math.NaN())
	for _, onCPU := range []bool{true, false} {
		s := session(t, m, 50)
		got, err := greedy(t.Context(), s, 8, onCPU, nil)
		var wrong *openelm.LogitError
		if !errors.As(err, &wrong) || wrong.Position != 3+first+1 || wrong.Token != 0 || wrong.Logit == wrong.Logit {
			t.Fatalf("chosen by the CPU %v: error %v", onCPU, err)
		}
		if !slices.Equal(got, want[:first+1]) || !slices.Equal(s.Tokens()[3:], got) {
			t.Errorf("chosen by the CPU %v: tokens %v, the session holds %v", onCPU, got, s.Tokens())
		}
	}
}
