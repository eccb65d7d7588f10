package openelm

import (
	"cmp"
	"fmt"
	"sync"

	"github.com/go-openelm/go-openelm/kernels"
)

// Adapter is a set of LoRA or DoRA updates over a model's matrices. The base
// weights are never touched, so that several adapters can be used over one
// model, each by its own sessions. Package loader reads adapters.
type Adapter struct {
	// Embedding changes what tokens are looked up in. Where the head is tied to
	// the embedding, the head's own update is still Head.
	Embedding *kernels.LowRank
	Layers    []LayerAdapter // one per layer of the model
	Head      *kernels.LowRank

	// Table and Output take the place of the model's embedding and head; nil
	// leaves these. The updates above are then of them.
	Table, Output *kernels.Matrix

	// Release gives the adapter's buffers back; may be nil.
	Release func()

	digestOnce sync.Once
	digestOf   string
}

// LayerAdapter is the updates of one layer; nil where a matrix is left as it is.
type LayerAdapter struct {
	QKV, Out, Gate, Up, Down *kernels.LowRank
}

// Validate holds a against the model it is for.
func (a *Adapter) Validate(m *Model) error {
	if len(a.Layers) != len(m.layers) {
		return fmt.Errorf("%w: an adapter of %d layers for a model of %d", ErrConfig, len(a.Layers), len(m.layers))
	}
	check := func(name string, r *kernels.LowRank, w *kernels.Matrix) error {
		if r == nil {
			return nil
		}
		if err := checkMatrix(name+".A", &r.A, r.A.Rows, w.Cols); err != nil {
			return err
		}
		if err := checkMatrix(name+".B", &r.B, w.Rows, r.A.Rows); err != nil {
			return err
		}
		if r.A.Format != kernels.F32 || r.B.Format != kernels.F32 {
			return fmt.Errorf("%w: %s: adapter matrices are %s and %s, want F32", ErrConfig, name, r.A.Format, r.B.Format)
		}
		if !r.RowScale.IsZero() {
			return checkVector(name+".row_scale", r.RowScale, w.Rows)
		}
		return nil
	}
	c, w := &m.parts.Config, &m.parts.Weights
	for t := range w.Tensors(c) {
		if t.Matrix == nil {
			continue
		}
		if err := check(t.Name(), *a.Update(&t), t.Matrix); err != nil {
			return err
		}
	}
	if !c.GLU {
		for i, l := range a.Layers {
			if l.Up != nil {
				return fmt.Errorf("%w: the adapter has layers.%d.up, the model has not", ErrConfig, i)
			}
		}
	}
	for _, t := range []struct {
		name   string
		in     *kernels.Matrix // its place
		matrix *kernels.Matrix
	}{{"table", &w.Embedding, a.Table}, {"output", &w.Head, a.Output}} {
		if t.matrix == nil {
			continue
		}
		if err := checkMatrix(t.name, t.matrix, t.in.Rows, t.in.Cols); err != nil {
			return err
		}
	}
	return check("head", a.Head, &w.Head) // a tied one, too
}

// all is the updates in a fixed order, nil where there is none.
func (a *Adapter) all() []*kernels.LowRank {
	list := []*kernels.LowRank{a.Embedding, a.Head}
	for _, l := range a.Layers {
		list = append(list, l.QKV, l.Out, l.Gate, l.Up, l.Down)
	}
	return list
}

// layer is the updates of layer i, none for a nil adapter.
func (a *Adapter) layer(i int) LayerAdapter {
	if a == nil {
		return LayerAdapter{}
	}
	return a.Layers[i]
}

// embedding and head are the model's matrices, which are given, with the adapter.

func (a *Adapter) embedding(w *kernels.Matrix) kernels.Linear {
	if a == nil {
		return kernels.Linear{W: w}
	}
	return kernels.Linear{W: cmp.Or(a.Table, w), LoRA: a.Embedding}
}

func (a *Adapter) head(w *kernels.Matrix) kernels.Linear {
	if a == nil {
		return kernels.Linear{W: w}
	}
	return kernels.Linear{W: cmp.Or(a.Output, w), LoRA: a.Head}
}
