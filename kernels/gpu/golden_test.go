package gpu_test

import (
	"testing"

	"github.com/go-openelm/go-openelm/internal/golden"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
)

// TestGolden reproduces the reference packs: from the checkpoint file that is
// the GPU's buffer to the logits, with the tolerances of the CPU.
func TestGolden(t *testing.T) {
	sim, b := open(t)
	// Every kernel has been checked on its own (TestConformance).
	sim.Set(t, "mode", "plain")
	golden.Test(t, func(t *testing.T, p *golden.Pack) (*openelm.Model, *openelm.Adapter) {
		m, err := loader.Open(t.Context(), p.Path(), &loader.Options{Backend: b, NoTokenizer: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		if p.Adapter() == "" {
			return m, nil
		}
		a, err := loader.OpenAdapter(t.Context(), p.Adapter(), m, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { a.Release() })
		return m, a
	})
}
