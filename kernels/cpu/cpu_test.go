package cpu_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/internal/testing/optest"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/cpu"
	"github.com/go-openelm/go-openelm/openelm"
)

func TestConformance(t *testing.T) {
	for _, isa := range cpu.ISAs() {
		t.Run(isa.String(), func(t *testing.T) {
			b := cpu.New(cpu.Options{Threads: 3, ISA: isa})
			defer b.Close()
			optest.Conformance(t, b, kernels.F32, kernels.F16)
		})
	}
}

// TestExactness: what a row gets depends neither on its company nor on the number
// of threads.
func TestExactness(t *testing.T) {
	for _, isa := range cpu.ISAs() {
		if testing.Short() && (isa == cpu.Portable || isa == cpu.AVX2) {
			continue // an emulated processor's own: these run on the machine itself
		}
		t.Run(isa.String(), func(t *testing.T) {
			alone, company := cpu.New(cpu.Options{Threads: 1, ISA: isa}), cpu.New(cpu.Options{Threads: 3, ISA: isa})
			defer alone.Close()
			defer company.Close()
			optest.Exactness(t, alone, company, kernels.F32, kernels.F16)
		})
		t.Run(isa.String()+"/rounded", func(t *testing.T) { // attention is the same
			alone := cpu.New(cpu.Options{Threads: 1, ISA: isa, RoundActivations: true})
			company := cpu.New(cpu.Options{Threads: 3, ISA: isa, RoundActivations: true})
			defer alone.Close()
			defer company.Close()
			optest.ExactProducts(t, alone, company)
		})
	}
}

// TestRounding holds rounded activations to their definition, which is the same for
// every instruction set.
func TestRounding(t *testing.T) {
	for _, isa := range cpu.ISAs() {
		if testing.Short() && (isa == cpu.Portable || isa == cpu.AVX2) {
			continue // as TestExactness
		}
		t.Run(isa.String(), func(t *testing.T) {
			exact, b := cpu.New(cpu.Options{Threads: 1, ISA: isa}), cpu.New(cpu.Options{Threads: 2, ISA: isa, RoundActivations: true})
			defer exact.Close()
			defer b.Close()
			optest.Rounding(t, exact, b)
		})
	}
}

// TestLaterRows: a row that is not a number spoils none before it.
func TestLaterRows(t *testing.T) {
	for _, isa := range cpu.ISAs() {
		for _, threads := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s/%d", isa, threads), func(t *testing.T) {
				b := cpu.New(cpu.Options{Threads: threads, ISA: isa})
				defer b.Close()
				optest.LaterRows(t, b, kernels.F32, kernels.F16)
			})
		}
	}
}

// TestAllocations holds the steady state to its promise: a token costs no
// memory beyond the session's.
func TestAllocations(t *testing.T) {
	for _, f := range []kernels.Format{kernels.BF16, kernels.Q4_0, kernels.Affine4} {
		m := randomModel(t, openelm.Config{
			VocabSize: 96, ModelDim: 128, HeadDim: 64, QKNorm: true, GLU: true, TiedHead: true, RopeBase: 10000, MaxContext: 64, NormEps: 1e-6, BOS: 1,
			Layers: []openelm.LayerConfig{{QueryHeads: 4, KVHeads: 1, FFNDim: 256}, {QueryHeads: 4, KVHeads: 2, FFNDim: 384}},
		}, f, nil, cpu.Options{Threads: 2})
		s := newSession(t, m, 64, 3)
		ctx := context.Background()
		if n := testing.AllocsPerRun(20, func() {
			if err := s.Append(ctx, 1); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: a token allocates %v times", f, n)
		}
	}
}

// TestBadOperands: operands that do not fit are an error, not a panic.
func TestBadOperands(t *testing.T) {
	b := cpu.New(cpu.Options{Threads: 1})
	defer b.Close()
	view := func(n int) kernels.View {
		buf, err := b.NewBuffer(4 * n)
		if err != nil {
			t.Fatal(err)
		}
		return kernels.Whole(buf)
	}
	matrix := func(rows, cols int) *kernels.Matrix {
		return &kernels.Matrix{Rows: rows, Cols: cols, Format: kernels.F32, Data: view(rows * cols)}
	}
	const dim = 8
	x, y, norm := view(4*dim), view(4*dim), kernels.Norm{Weight: view(dim)}
	good := kernels.Linear{W: matrix(dim, dim)}
	bad := kernels.Linear{W: good.W, LoRA: &kernels.LowRank{A: *matrix(2, dim+1), B: *matrix(dim, 2)}}
	for name, op := range map[string]func(kernels.Ops){
		"Embed":            func(o kernels.Ops) { o.Embed(x, bad, view(1), 1) },
		"NormQKV":          func(o kernels.Ops) { o.NormQKV(y, x, 1, norm, bad) },
		"ProjAdd":          func(o kernels.Ops) { o.ProjAdd(y, x, 1, bad) },
		"NormSwiGLU gate":  func(o kernels.Ops) { o.NormSwiGLU(y, x, 1, norm, bad, good) },
		"NormSwiGLU up":    func(o kernels.Ops) { o.NormSwiGLU(y, x, 1, norm, good, bad) },
		"NormSwiGLU shape": func(o kernels.Ops) { o.NormSwiGLU(y, x, 1, norm, good, kernels.Linear{W: matrix(dim, dim+1)}) },
		"NormLogits":       func(o kernels.Ops) { o.NormLogits(y, x, 1, norm, bad) },
		"no rows":          func(o kernels.Ops) { o.ProjAdd(y, x, 0, good) },
		"few tokens":       func(o kernels.Ops) { o.Embed(x, good, view(1), 2) },
	} {
		ops, err := b.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		op(ops)
		if err := ops.Run(); !errors.Is(err, kernels.ErrShape) {
			t.Errorf("%s: got error %v", name, err)
		}
		ops.End()
	}
}

// TestHugeBuffer: memory that nobody has is an error that says how much it was.
func TestHugeBuffer(t *testing.T) {
	b := cpu.New(cpu.Options{Threads: 1})
	defer b.Close()
	const size = math.MaxInt / 2
	if _, err := b.NewBuffer(size); err == nil || !strings.Contains(err.Error(), strconv.Itoa(size)) {
		t.Errorf("got error %v, want one about %d bytes", err, size)
	}
	large, err := b.NewBuffer(2 << 20)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range large.Bytes() {
		if v != 0 {
			t.Fatalf("byte %d is %d", i, v)
		}
	}
	large.Bytes()[2<<20-1] = 1
	large.Release()
	large.Release()
	if large.Bytes() != nil {
		t.Error("a released buffer has bytes")
	}
}
