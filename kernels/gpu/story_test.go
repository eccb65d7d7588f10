package gpu_test

import (
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/cpu"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/story"
)

// TestStory has the embedded model tell its most probable story on the GPU and
// on the CPU: prefill, a few hundred decodes and the tokenizer, end to end.
func TestStory(t *testing.T) {
	sim, b := open(t)
	sim.Set(t, "mode", "plain")
	c := cpu.New(cpu.Options{})
	defer c.Close()
	tell := func(b kernels.Backend) string {
		m, err := story.Open(t.Context(), &loader.Options{Backend: b})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		var text strings.Builder
		var last openelm.Token
		for tok, err := range m.Generate(t.Context(), "Once upon a time", nil) {
			if err != nil {
				t.Fatal(err)
			}
			text.WriteString(tok.Text)
			last = tok
		}
		if last.Stop != openelm.StopEOS {
			t.Errorf("the story on %s ends for %q", b.Name(), last.Stop)
		}
		return text.String()
	}
	onGPU, onCPU := tell(b), tell(c)
	if onGPU != onCPU || !strings.Contains(onGPU, "Tim") {
		t.Errorf("on %s the story is\n%s\non the CPU\n%s", b.Name(), onGPU, onCPU)
	}
}
