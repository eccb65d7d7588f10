package cpu_test

import (
	"testing"

	"github.com/go-openelm/go-openelm/internal/optest"
	"github.com/go-openelm/go-openelm/kernels/cpu"
)

func TestConformance(t *testing.T) {
	b := cpu.New(cpu.Options{Threads: 3})
	defer b.Close()
	optest.Conformance(t, b)
}
