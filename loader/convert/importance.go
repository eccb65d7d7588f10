package convert

import (
	"context"
	"fmt"
	"math"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/openelm"
)

// Importance tells how much each column of a model's matrices contributes to
// what the model computes of a text: the mean square of the column's input. The
// K formats use it to keep the error small where it counts ("importance matrix").
type Importance struct {
	columns map[place][]float32
	tied    bool
	tokens  int
}

// place is where a matrix has its input from.
type place struct {
	role  role
	layer int
}

// Tokens is the number of tokens that it was measured on.
func (i *Importance) Tokens() int { return i.tokens }

// of is the importance of a tensor's columns, nil if it is not known.
func (i *Importance) of(t *tensor) []float32 {
	if i == nil || t.vector != nil {
		return nil
	}
	p := place{t.role, t.layer}
	if t.role == embedding && i.tied { // its rows are looked up, but its columns are the head's
		p.role = head
	}
	return i.columns[p]
}

// Calibrate measures what m uses on a text, in pieces of the model's context.
// progress, if not nil, is told how many tokens are done.
func Calibrate(ctx context.Context, m *openelm.Model, tokens []int32, progress func(done, total int)) (*Importance, error) {
	c := m.Config()
	if len(tokens) == 0 {
		return nil, fmt.Errorf("convert: calibration: %w", openelm.ErrEmpty)
	}
	o := &observer{Backend: m.Backend(), sums: map[place][]float64{}, counts: map[place]int{}}
	observed, err := openelm.New(openelm.Parts{Config: *c, Weights: *m.Weights(), Backend: o, Adapter: m.Adapter()})
	if err != nil {
		return nil, err
	}
	defer observed.Close()
	o.places = placesOf(observed)
	s, err := observed.NewSession(&openelm.SessionOptions{Capacity: min(c.MaxContext, len(tokens))})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	for done := 0; done < len(tokens); {
		n := min(len(tokens)-done, s.Capacity())
		// All predictions are wanted, so that the head's input is seen for each token.
		if err := s.AppendEach(ctx, func(int, []float32) error { return nil }, tokens[done:done+n]...); err != nil {
			return nil, err
		}
		if err := s.Truncate(0); err != nil {
			return nil, err
		}
		done += n
		if progress != nil {
			progress(done, len(tokens))
		}
	}
	return o.importance(c.TiedHead, len(tokens)), nil
}

// placesOf says where each matrix of a model has its input from. A layer's gate
// and up have the same.
func placesOf(m *openelm.Model) map[*kernels.Matrix]place {
	w := m.Weights()
	all := map[*kernels.Matrix]place{&w.Head: {role: head}}
	if a := m.Adapter(); a != nil && a.Output != nil {
		all[a.Output] = place{role: head}
	}
	for i := range w.Layers {
		l := &w.Layers[i]
		all[&l.QKV], all[&l.Out], all[&l.Gate], all[&l.Down] = place{qkv, i}, place{out, i}, place{gateUp, i}, place{down, i}
	}
	return all
}

// observer is a backend that looks at the inputs of matrices.
type observer struct {
	kernels.Backend
	places map[*kernels.Matrix]place
	sums   map[place][]float64 // of squares
	counts map[place]int
}

// Begin starts a pass. One session evaluates at a time, so that nothing else
// adds to the sums.
func (o *observer) Begin(ctx context.Context) (kernels.Ops, error) {
	ops, err := o.Backend.Begin(ctx)
	return &observedOps{Ops: ops, o: o}, err
}

// importance is the mean squares. A column that the text left untouched still
// counts a thousandth of the average one: another text may use it.
func (o *observer) importance(tied bool, tokens int) *Importance {
	i := &Importance{columns: map[place][]float32{}, tied: tied, tokens: tokens}
	for p, sums := range o.sums {
		columns, mean := make([]float32, len(sums)), 0.0
		for _, s := range sums {
			mean += s / float64(o.counts[p]*len(sums))
		}
		for c, s := range sums {
			columns[c] = float32(max(s/float64(o.counts[p]), mean/1000))
		}
		i.columns[p] = columns
	}
	return i
}

// observedOps looks at the inputs before each operation.
type observedOps struct {
	kernels.Ops
	o   *observer
	err error
}

// look adds rows of x, normalised if there is a norm, to the sums of w's input.
func (p *observedOps) look(w *kernels.Matrix, x kernels.View, rows int, norm *kernels.Norm) {
	at, known := p.o.places[w]
	if !known || p.err != nil {
		return
	}
	if p.err = p.Ops.Run(); p.err != nil { // what x holds is computed now
		return
	}
	sums := p.o.sums[at]
	if sums == nil {
		sums = make([]float64, w.Cols)
		p.o.sums[at] = sums
	}
	for r := range rows {
		row, scale := x.Floats()[r*w.Cols:(r+1)*w.Cols], 1.0
		if norm != nil {
			squares := 0.0
			for _, v := range row {
				squares += float64(v) * float64(v)
			}
			scale = 1 / math.Sqrt(squares/float64(w.Cols)+float64(norm.Eps))
		}
		for c, v := range row {
			y := float64(v) * scale
			if norm != nil {
				y *= float64(norm.Weight.Floats()[c])
			}
			sums[c] += y * y
		}
	}
	p.o.counts[at] += rows
}

func (p *observedOps) NormQKV(qkv, x kernels.View, rows int, norm kernels.Norm, w kernels.Linear) {
	p.look(w.W, x, rows, &norm)
	p.Ops.NormQKV(qkv, x, rows, norm, w)
}

func (p *observedOps) ProjAdd(x, in kernels.View, rows int, w kernels.Linear) {
	p.look(w.W, in, rows, nil)
	p.Ops.ProjAdd(x, in, rows, w)
}

func (p *observedOps) NormSwiGLU(h, x kernels.View, rows int, norm kernels.Norm, gate, up kernels.Linear) {
	p.look(gate.W, x, rows, &norm)
	p.Ops.NormSwiGLU(h, x, rows, norm, gate, up)
}

func (p *observedOps) NormLogits(logits, x kernels.View, rows int, norm kernels.Norm, w kernels.Linear) {
	p.look(w.W, x, rows, &norm)
	p.Ops.NormLogits(logits, x, rows, norm, w)
}

// Run returns the first error, also of what look had to run.
func (p *observedOps) Run() error {
	err := p.Ops.Run()
	if p.err != nil {
		err = p.err
	}
	p.err = nil
	return err
}
