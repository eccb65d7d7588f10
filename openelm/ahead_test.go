package openelm_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/go-openelm/go-openelm/openelm"
	"pgregory.net/rapid"
)

// told is all that a generation tells, and the session after it.
type told struct {
	tokens []openelm.Token
	err    string
	text   []int32
}

// TestDeviceChooses holds texts whose tokens the device chooses to those that the
// CPU chooses, whatever ends them; and to what the session gives next.
func TestDeviceChooses(t *testing.T) {
	why := errors.New("no longer wanted")
	rapid.Check(t, func(r *rapid.T) {
		eos := rapid.SliceOfN(rapid.Int32Range(0, fakeVocab-1), 0, 8).Draw(r, "eos")
		fails := rapid.Int32Range(0, 3*fakeVocab).Draw(r, "fails at token")
		wrong := rapid.Int32Range(0, 3*fakeVocab).Draw(r, "is wrong after token")
		prompt := rapid.SliceOfN(rapid.Int32Range(0, fakeVocab-1), 1, 20).Draw(r, "prompt")
		capacity := len(prompt) + rapid.IntRange(1, 30).Draw(r, "capacity")
		o := openelm.GenerateOptions{
			MaxTokens: rapid.IntRange(0, 30).Draw(r, "max tokens"),
			Stop:      rapid.SliceOfN(rapid.StringMatching(`[A-Za-z]{1,2}`), 0, 10).Draw(r, "stop"),
			IgnoreEOS: rapid.Bool().Draw(r, "ignore EOS"),
		}
		leave := rapid.IntRange(0, 40).Draw(r, "leave after")
		cancel := rapid.Bool().Draw(r, "by the context")
		generate := func(async bool) told {
			f := &fake{async: async, eos: eos, wrong: func(token int32) bool { return token == wrong }}
			f.fault = func(tokens []int32) error {
				if tokens[len(tokens)-1] == fails && len(tokens) == 1 {
					return fmt.Errorf("token %d fails", fails)
				}
				return nil
			}
			m := fakeModel(t, f)
			s := newSession(t, m, capacity)
			ctx, stop := context.WithCancelCause(t.Context())
			defer stop(nil)
			var got told
			for tok, err := range s.Generate(ctx, prompt, &o) {
				if err != nil {
					got.err = err.Error()
					break
				}
				if got.tokens = append(got.tokens, tok); len(got.tokens) == leave {
					if !cancel {
						break
					}
					stop(why)
				}
			}
			got.text = s.Tokens()
			if f.open != 0 || f.under != 0 || async && f.most > 2 {
				r.Fatalf("%d Ops not ended, %d passes not waited for, %d at a time", f.open, f.under, f.most)
			}
			if len(got.tokens) > 4 && async && f.most < 2 {
				r.Fatal("the device was given one pass at a time")
			}
			f.fault, f.wrong = nil, nil
			if s.Len() < capacity {
				if err := s.Append(t.Context(), 1); err != nil {
					r.Fatal(err)
				}
				got.text = append(got.text, int32(slices.Index(s.Logits(), slices.Max(s.Logits()))))
			}
			return got
		}
		want, got := generate(false), generate(true)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			r.Fatalf("the device chooses\n%v, the CPU\n%v", got, want)
		}
	})
}

// TestWhoChooses: the device does where the most probable token is all that is
// asked for.
func TestWhoChooses(t *testing.T) {
	for name, c := range map[string]struct {
		o      openelm.GenerateOptions
		device bool
	}{
		"greedy":            {openelm.GenerateOptions{}, true},
		"top-k of greedy":   {openelm.GenerateOptions{Sampling: openelm.Sampling{TopK: 3, TopP: 0.5, RepetitionPenalty: 1}}, true},
		"temperature":       {openelm.GenerateOptions{Sampling: openelm.Sampling{Temperature: 1}}, false},
		"bias":              {openelm.GenerateOptions{Sampling: openelm.Sampling{LogitBias: map[int32]float32{1: 1}}}, false},
		"penalty":           {openelm.GenerateOptions{Sampling: openelm.Sampling{RepetitionPenalty: 1.1}}, false},
		"presence penalty":  {openelm.GenerateOptions{Sampling: openelm.Sampling{PresencePenalty: 1}}, false},
		"frequency penalty": {openelm.GenerateOptions{Sampling: openelm.Sampling{FrequencyPenalty: 1}}, false},
		"constraint":        {openelm.GenerateOptions{Constraint: &alternate{}}, false},
		"log-probabilities": {openelm.GenerateOptions{LogProbs: true}, false},
		"the top":           {openelm.GenerateOptions{TopLogProbs: 2}, false},
		"lookup":            {openelm.GenerateOptions{Lookup: true}, false},
	} {
		f := &fake{async: true}
		m := fakeModel(t, f)
		c.o.MaxTokens = 6
		collect(t, newSession(t, m, 50), []int32{1}, &c.o)
		if device := f.most > 0; device != c.device {
			t.Errorf("%s: the device chooses: %v, want %v", name, device, c.device)
		}
	}
	f := &fake{async: true}
	m := fakeModel(t, f)
	b, err := openelm.NewBatch(m, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, so := range []openelm.SessionOptions{{Capacity: 50, Batch: b}, {Capacity: 50, Trace: func(int, []float32) {}}} {
		s, err := m.NewSession(&so)
		if err != nil {
			t.Fatal(err)
		}
		collect(t, s, []int32{1}, &openelm.GenerateOptions{MaxTokens: 6})
		s.Close()
	}
	if f.most > 0 {
		t.Error("the device chooses in a batch, or in a traced session")
	}
}
