package gpu_test

import (
	"testing"

	"github.com/go-openelm/go-openelm/internal/testing/golden"
	"github.com/go-openelm/go-openelm/kernels/gpu"
)

// TestGolden reproduces the reference packs: from the checkpoint file that is
// the GPU's buffer to the logits, with the tolerances of the CPU.
func TestGolden(t *testing.T) {
	sim, b := open(t)
	// Every kernel has been checked on its own (TestConformance).
	sim.Set(t, "mode", "plain")
	golden.Test(t, b)
}

// TestGoldenInPasses has prompts that take several passes.
func TestGoldenInPasses(t *testing.T) {
	sim, b := open(t)
	sim.Set(t, "mode", "plain")
	pack(t, "tiny-f32").Test(t, shortPasses{b})
}

// TestExact compares bits of whole models: alone, in company, in pieces, with guesses.
func TestExact(t *testing.T) {
	sim, b := open(t)
	sim.Set(t, "mode", "plain")
	golden.Exact(t, b, golden.Load{Packs: []string{"gguf-q4_0"}, Prompts: []int{3, 17, 40}, Company: []int{2, 17}, Tokens: 2})
}

// shortPasses takes as few rows as a workspace has.
type shortPasses struct{ *gpu.Backend }

func (shortPasses) PassRows() int { return 16 }
