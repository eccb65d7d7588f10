package openelm_test

import (
	"testing"

	"github.com/go-openelm/go-openelm/internal/golden"
	"github.com/go-openelm/go-openelm/kernels/cpu"
)

func TestGolden(t *testing.T) {
	isas := cpu.ISAs()
	if testing.Short() { // under emulation: the machine's own routines
		isas = isas[:1]
	}
	for _, isa := range isas {
		t.Run(isa.String(), func(t *testing.T) {
			b := cpu.New(cpu.Options{ISA: isa})
			defer b.Close()
			golden.Test(t, b)
		})
	}
}

// TestExact runs the portable routines on weights that are not quantised; the
// others follow when their products add in one order.
func TestExact(t *testing.T) {
	b := cpu.New(cpu.Options{Threads: 2, ISA: cpu.Portable})
	defer b.Close()
	load := golden.Short
	load.Packs = []string{"tiny-f32", "dora-peft"}
	golden.Exact(t, b, load)
}
