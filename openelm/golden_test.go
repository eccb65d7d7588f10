package openelm_test

import (
	"os"
	"testing"

	"github.com/go-openelm/go-openelm/internal/testing/golden"
	"github.com/go-openelm/go-openelm/kernels/cpu"
)

// isas are the instruction sets to test: under emulation, the machine's own.
func isas() []cpu.ISA {
	if testing.Short() {
		return cpu.ISAs()[:1]
	}
	return cpu.ISAs()
}

func TestGolden(t *testing.T) {
	for _, isa := range isas() {
		t.Run(isa.String(), func(t *testing.T) {
			b := cpu.New(cpu.Options{ISA: isa})
			defer b.Close()
			golden.Test(t, b)
		})
	}
}

func TestExact(t *testing.T) {
	soak := os.Getenv("OPENELM_SOAK") != ""
	for _, isa := range isas() {
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
		if !soak {
			if isa == cpu.Portable {
				continue // rounds, and then does the same
			}
			load.Packs = []string{"tiny-bf16", "gguf-q4_0"}
			if testing.Short() {
				load.Packs = load.Packs[:1]
			}
		}
		t.Run(isa.String()+"/rounded", func(t *testing.T) {
			b := cpu.New(cpu.Options{Threads: 2, ISA: isa, RoundActivations: true})
			defer b.Close()
			golden.Exact(t, b, load)
		})
	}
}
