package bench

import (
	"context"
	"testing"

	"github.com/go-openelm/go-openelm/internal/randommodel"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/cpu"
	"github.com/go-openelm/go-openelm/openelm"
)

// tiny is a configuration whose costs can be counted by hand.
var tiny = openelm.Config{
	VocabSize: 10, ModelDim: 4, HeadDim: 2, QKNorm: true, GLU: true, TiedHead: true,
	RopeBase: 1e4, MaxContext: 64, NormEps: 1e-6, BOS: -1,
	Layers: []openelm.LayerConfig{{QueryHeads: 2, KVHeads: 1, FFNDim: 8}},
}

type memoryBuffer []byte

func (b memoryBuffer) Bytes() []byte { return b }
func (b memoryBuffer) Release()      {}

func matrixOf(rows, cols int) kernels.Matrix {
	return kernels.Matrix{Rows: rows, Cols: cols, Format: kernels.F32, Data: vectorOf(rows * cols)}
}

func vectorOf(n int) kernels.View { return kernels.Whole(memoryBuffer(make([]byte, 4*n))) }

func tinyWeights() *openelm.Weights {
	return &openelm.Weights{
		Embedding: matrixOf(10, 4), Norm: vectorOf(4),
		Layers: []openelm.LayerWeights{{
			AttnNorm: vectorOf(4), QKV: matrixOf(8, 4), QNorm: vectorOf(2), KNorm: vectorOf(2),
			Out: matrixOf(4, 4), FFNNorm: vectorOf(4), Gate: matrixOf(8, 4), Up: matrixOf(8, 4), Down: matrixOf(4, 8),
		}},
	}
}

func TestPassCost(t *testing.T) {
	w := tinyWeights()
	if err := w.Validate(&tiny); err != nil {
		t.Fatal(err)
	}
	if got, want := weightBytes(&tiny, w), 4*tiny.Parameters(); got != want {
		t.Errorf("%d bytes of weights, want %d", got, want)
	}
	const (
		layer = 8*4 + 4*4 + 8*4 + 8*4 + 4*8 // weights of one layer's matrices
		head  = 10 * 4
		norms = 4 + 4 + 2 + 2 + 4
		kv    = 2 * 1 * 2 // floats of a position: one key and one value head of 2
	)
	for _, test := range []struct {
		name                     string
		sequences, rows, context int
		want                     Cost
	}{
		// One token after five: attention over six positions, two heads of two.
		{"decode", 1, 1, 5, Cost{Bytes: 4 * (layer + head + norms + 4 + kv*6), Flop: 2*(layer+head) + 4*6*2*2}},
		// Three tokens see one, two and three positions; one has logits.
		{"prefill", 1, 3, 0, Cost{Bytes: 4 * (layer + head + norms + 3*4 + kv*3), Flop: 2*(3*layer+head) + 4*6*2*2}},
		// Three texts share the weights and nothing else.
		{"batch", 3, 1, 5, Cost{Bytes: 4 * (layer + head + norms + 3*4 + 3*kv*6), Flop: 3 * (2*(layer+head) + 4*6*2*2)}},
	} {
		if got := passCost(&tiny, w, test.sequences, test.rows, test.context); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

func TestRoofline(t *testing.T) {
	limit := LimitSample{Read: 10, MulAdd: 1000}
	for _, test := range []struct {
		cost  Cost
		time  float64
		bound string
	}{
		{Cost{Bytes: 20, Flop: 500}, 2, "memory"},
		{Cost{Bytes: 20, Flop: 5000}, 5, "compute"},
	} {
		if time, bound := test.cost.time(limit); time != test.time || bound != test.bound {
			t.Errorf("%+v: %g s, %s; want %g s, %s", test.cost, time, bound, test.time, test.bound)
		}
	}
}

// TestCountNorms: the figures of the paper.
func TestCountNorms(t *testing.T) {
	for name, want := range map[string]int{"1.1B": 113, "olmo-1.1B": 33} {
		c, err := randommodel.Shape(name)
		if got := countNorms(&c); err != nil || got != want {
			t.Errorf("%s: %d norms, %v; want %d", name, got, err, want)
		}
	}
}

// countingBackend counts the operations of its passes.
type countingBackend struct {
	kernels.Backend
	operations, norms int
}

type countingOps struct {
	kernels.Ops
	b *countingBackend
}

func (b *countingBackend) Begin(ctx context.Context) (kernels.Ops, error) {
	ops, err := b.Backend.Begin(ctx)
	return &countingOps{ops, b}, err
}

func (o *countingOps) Embed(x kernels.View, t kernels.Linear, tokens kernels.View, rows int) {
	o.b.operations++
	o.Ops.Embed(x, t, tokens, rows)
}

func (o *countingOps) NormQKV(qkv, x kernels.View, rows int, n kernels.Norm, w kernels.Linear) {
	o.b.operations++
	if w.W.Rows == 1 {
		o.b.norms++
	}
	o.Ops.NormQKV(qkv, x, rows, n, w)
}

func (o *countingOps) Attend(out, qkv kernels.View, a *kernels.Attention, spans []kernels.Span) {
	o.b.operations++
	o.Ops.Attend(out, qkv, a, spans)
}

func (o *countingOps) ProjAdd(x, in kernels.View, rows int, w kernels.Linear) {
	o.b.operations++
	o.Ops.ProjAdd(x, in, rows, w)
}

func (o *countingOps) NormSwiGLU(h, x kernels.View, rows int, n kernels.Norm, g, u kernels.Linear) {
	o.b.operations++
	o.Ops.NormSwiGLU(h, x, rows, n, g, u)
}

func (o *countingOps) NormLogits(l, x kernels.View, rows int, n kernels.Norm, w kernels.Linear) {
	o.b.operations++
	o.Ops.NormLogits(l, x, rows, n, w)
}

// TestOneByOne: every norm is an operation more, the side says how many there
// are, and the model computes what it did before.
func TestOneByOne(t *testing.T) {
	logits := func(passes int) ([]float32, int, *side) {
		counting := &countingBackend{}
		d := CPU()
		d.Open = func(threads int) (kernels.Backend, error) {
			counting.Backend = cpu.New(cpu.Options{Threads: threads})
			return counting, nil
		}
		s, err := openSide(t.Context(), model{name: storyName}, d, how{2, Exact, passes})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.close(); err != nil {
				t.Error(err)
			}
		})
		session, err := s.model.NewSession(&openelm.SessionOptions{Capacity: 16})
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		if err := session.Append(t.Context(), randomTokens(s.model.Config().VocabSize, 7)...); err != nil {
			t.Fatal(err)
		}
		counting.operations, counting.norms = 0, 0
		if err := session.Append(t.Context(), 5); err != nil {
			t.Fatal(err)
		}
		if counting.operations != s.Operations {
			t.Errorf("%d passes: %d operations, the side says %d", passes, counting.operations, s.Operations)
		}
		logits, norms := append([]float32(nil), session.Logits()...), counting.norms
		// Alone there are as many, once each, and nothing else.
		counting.operations, counting.norms = 0, 0
		if _, err := s.normsAlone(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if want := countNorms(s.model.Config()); counting.norms != want || counting.operations != want {
			t.Errorf("alone: %d norms, %d operations, want %d of both", counting.norms, counting.operations, want)
		}
		return logits, norms, s
	}
	want, norms, s := logits(0)
	if norms != 0 {
		t.Errorf("fused: %d norms of their own", norms)
	}
	for _, passes := range []int{1, naivePasses} {
		got, norms, _ := logits(passes)
		if want := passes * countNorms(s.model.Config()); norms != want {
			t.Errorf("%d passes: %d norms of their own, want %d", passes, norms, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("%d passes: logit %d is %g, fused %g", passes, i, got[i], want[i])
			}
		}
	}
}
