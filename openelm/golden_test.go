package openelm_test

import (
	"os"
	"testing"

	"github.com/go-openelm/go-openelm/internal/testing/golden"
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

func TestExact(t *testing.T) {
	soak := os.Getenv("OPENELM_SOAK") != ""
	for _, isa := range cpu.ISAs() {
		load := golden.Short
		switch {
		case soak:
			load = golden.Full
		case isa == cpu.Portable: // quantised weights are slow to read
			load.Packs = []string{"tiny-f32", "dora-peft"}
		}
		t.Run(isa.String(), func(t *testing.T) {
			b := cpu.New(cpu.Options{Threads: 2, ISA: isa})
			defer b.Close()
			golden.Exact(t, b, load)
		})
	}
}
