package gpu_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/go-openelm/go-openelm/internal/metalsim"
	"github.com/go-openelm/go-openelm/internal/testing/golden"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/cpu"
	"github.com/go-openelm/go-openelm/kernels/gpu"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/metal"
	"github.com/go-openelm/go-openelm/openelm"
)

// TestEveryFailure makes every call of every kind fail once, from opening the
// GPU to the last token. Each failure is a typed error, nothing leaks, and a
// session goes on where it was on the CPU, to the same text.
func TestEveryFailure(t *testing.T) {
	sim := metalsim.Start(t)
	if !sim.Simulated() {
		t.Skip("only the simulator fails on demand")
	}
	sim.Set(t, "mode", "plain")
	pack := golden.Packs(t)[0]
	for _, p := range golden.Packs(t) {
		if p.Name == "tiny-f32" {
			pack = p
		}
	}
	prompt := pack.Ints("p0.input_ids")
	c := cpu.New(cpu.Options{Threads: 1})
	defer c.Close()
	onCPU := load(t, pack, c)
	defer onCPU.Close()
	want, err := generate(t, onCPU, onCPU, prompt)
	if err != nil {
		t.Fatal(err)
	}

	for _, fault := range []metalsim.Fault{metalsim.FaultBuffer, metalsim.FaultQueue, metalsim.FaultLibrary, metalsim.FaultFunction,
		metalsim.FaultPipeline, metalsim.FaultCommandBuffer, metalsim.FaultEncoder, metalsim.FaultExecution} {
		t.Run(string(fault), func(t *testing.T) {
			codes := []metal.CommandBufferErrorCode{0}
			if fault == metalsim.FaultExecution {
				codes = []metal.CommandBufferErrorCode{metal.ErrInternal, metal.ErrTimeout, metal.ErrPageFault, metal.ErrAccessRevoked,
					metal.ErrNotPermitted, metal.ErrOutOfMemory, metal.ErrInvalidResource, metal.ErrDeviceRemoved}
			}
			failures := 0
			for _, code := range codes {
				// A kernel that is compiled ahead of its use may fail unnoticed.
				for n, unnoticed := uint64(1), 0; unnoticed < 4; n++ {
					sim.Reset()
					sim.FailAt(fault, n, int(code))
					got, err := tell(t, pack, onCPU, prompt)
					sim.FailAt(fault, 0, 0)
					if err == nil {
						unnoticed++ // or there is no n-th call
						continue
					}
					unnoticed = 0
					failures++
					if !typed(err) || code != 0 && !errors.Is(err, code) {
						t.Fatalf("call %d: %v (%T) does not tell that the GPU failed", n, err, err)
					}
					if !slices.Equal(got, want) {
						t.Fatalf("call %d failed with %v: %d, want %d", n, err, got, want)
					}
				}
			}
			if failures == 0 {
				t.Error("no call of this kind")
			}
			t.Logf("%d failures survived", failures)
		})
	}
}

// typed reports whether err is one that the GPU's part of the program gives.
func typed(err error) bool {
	var compile *metal.CompileError
	return metal.IsGPUError(err) || errors.As(err, &compile) || errors.Is(err, metal.ErrFunctionNotFound)
}

func load(t *testing.T, p *golden.Pack, b kernels.Backend) *openelm.Model {
	t.Helper()
	m, err := loader.Open(t.Context(), p.Path(), &loader.Options{Backend: b, NoTokenizer: true})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// tell is the text after prompt, told by the GPU as far as it gets and by the
// CPU from there. The error is the GPU's.
func tell(t *testing.T, p *golden.Pack, onCPU *openelm.Model, prompt []int32) ([]int32, error) {
	t.Helper()
	alone := func(err error) ([]int32, error) {
		text, cpuErr := generate(t, onCPU, onCPU, prompt)
		return text, errors.Join(err, cpuErr)
	}
	b, err := gpu.Open(gpu.Options{})
	if err != nil {
		return alone(err)
	}
	defer b.Close()
	m, err := loader.Open(t.Context(), p.Path(), &loader.Options{Backend: b, NoTokenizer: true})
	if err != nil {
		return alone(err)
	}
	defer m.Close()
	return generate(t, m, onCPU, prompt)
}

// generate continues prompt with eight tokens, greedily, on m and after its
// first error on spare.
func generate(t *testing.T, m, spare *openelm.Model, prompt []int32) (text []int32, failure error) {
	t.Helper()
	s, err := m.NewSession(&openelm.SessionOptions{Capacity: len(prompt) + 8})
	if err != nil {
		text, second := generate(t, spare, spare, prompt)
		return text, errors.Join(err, second)
	}
	defer func() { s.Close() }()
	next := prompt
	for len(text) < 8 {
		if err := s.Append(t.Context(), next...); err != nil {
			if failure != nil {
				return text, fmt.Errorf("a second failure: %w", err)
			}
			failure = err
			moved, err := s.Fork(spare)
			if err != nil {
				t.Fatalf("after %v: %v", failure, err)
			}
			s.Close()
			s = moved
			continue
		}
		best := int32(0)
		for i, v := range s.Logits() {
			if v > s.Logits()[best] {
				best = int32(i)
			}
		}
		text, next = append(text, best), []int32{best}
	}
	return text, failure
}
