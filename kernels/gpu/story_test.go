package gpu_test

import (
	"slices"
	"testing"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/cpu"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/story"
)

// TestStory has the embedded model tell its most probable story on the GPU and
// on the CPU: prefill, a few hundred decodes and the tokenizer, end to end. The
// two may part only where two tokens are as probable to within rounding.
func TestStory(t *testing.T) {
	const prompt, rounding = "Once upon a time", 1e-3
	sim, b := open(t)
	sim.Set(t, "mode", "plain")
	c := cpu.New(cpu.Options{})
	defer c.Close()
	open := func(b kernels.Backend) *openelm.Model {
		m, err := story.Open(t.Context(), &loader.Options{Backend: b})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		return m
	}
	tell := func(m *openelm.Model) (tokens []int32, text string) {
		var last openelm.Token
		for tok, err := range m.Generate(t.Context(), prompt, nil) {
			if err != nil {
				t.Fatal(err)
			}
			tokens, text, last = append(tokens, tok.ID), text+tok.Text, tok
		}
		if last.Stop != openelm.StopEOS {
			t.Errorf("the story on %s ends for %q", m.Backend().Name(), last.Stop)
		}
		return tokens, text
	}
	onCPU := open(c)
	got, gpuText := tell(open(b))
	want, cpuText := tell(onCPU)
	if slices.Equal(got, want) {
		if gpuText != cpuText || len(want) < 50 {
			t.Errorf("on %s the story is\n%s\non the CPU\n%s", b.Name(), gpuText, cpuText)
		}
		return
	}
	same := 0
	for same < min(len(got), len(want)) && got[same] == want[same] {
		same++
	}
	if same == len(got) || same == len(want) {
		t.Fatalf("stories of %d and %d tokens", len(got), len(want))
	}
	ids, err := onCPU.EncodePrompt(prompt)
	if err != nil {
		t.Fatal(err)
	}
	s, err := onCPU.NewSession(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Append(t.Context(), append(ids, want[:same]...)...); err != nil {
		t.Fatal(err)
	}
	margin := s.Logits()[want[same]] - s.Logits()[got[same]]
	t.Logf("the stories part after %d tokens, where two are %v apart", same, margin)
	if margin > rounding {
		t.Errorf("on %s the story is\n%s\non the CPU\n%s", b.Name(), gpuText, cpuText)
	}
}
