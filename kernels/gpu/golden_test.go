package gpu_test

import (
	"testing"

	"github.com/go-openelm/go-openelm/internal/golden"
)

// TestGolden reproduces the reference packs: from the checkpoint file that is
// the GPU's buffer to the logits, with the tolerances of the CPU.
func TestGolden(t *testing.T) {
	sim, b := open(t)
	// Every kernel has been checked on its own (TestConformance).
	sim.Set(t, "mode", "plain")
	golden.Test(t, b)
}
