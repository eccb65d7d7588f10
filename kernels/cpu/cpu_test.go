package cpu_test

import (
	"testing"

	"github.com/go-openelm/go-openelm/internal/optest"
	"github.com/go-openelm/go-openelm/kernels/cpu"
)

func TestConformance(t *testing.T) {
	for _, isa := range cpu.ISAs() {
		t.Run(isa.String(), func(t *testing.T) {
			b := cpu.New(cpu.Options{Threads: 3, ISA: isa})
			defer b.Close()
			optest.Conformance(t, b)
		})
	}
}
