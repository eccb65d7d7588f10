package openelm

import (
	"fmt"

	"github.com/go-openelm/go-openelm/kernels"
)

// Weights are the tensors of a model, in buffers of the backend that will run
// it. Norm weights are float32; matrices are in any format.
type Weights struct {
	Embedding kernels.Matrix // [vocab, model_dim]
	Layers    []LayerWeights
	Norm      kernels.View   // [model_dim], the last norm
	Head      kernels.Matrix // [vocab, model_dim]; unset for a tied head
}

// LayerWeights are the tensors of one layer.
type LayerWeights struct {
	AttnNorm kernels.View   // [model_dim]
	QKV      kernels.Matrix // [(q_heads + 2·kv_heads)·head_dim, model_dim]
	QNorm    kernels.View   // [head_dim]; unset without q/k norm
	KNorm    kernels.View   // [head_dim]; unset without q/k norm
	Out      kernels.Matrix // [model_dim, q_heads·head_dim]
	FFNNorm  kernels.View   // [model_dim]
	Gate     kernels.Matrix // [ffn_dim, model_dim]: first half of proj_1; all of it without GLU
	Up       kernels.Matrix // [ffn_dim, model_dim]: second half of proj_1; unset without GLU
	Down     kernels.Matrix // [model_dim, ffn_dim]: proj_2
}

// ShapeError says that a tensor does not fit the configuration.
type ShapeError struct {
	Tensor     string // its role, such as "layers.3.qkv"
	Rows, Cols int    // what was found; a vector has one row
	WantRows   int
	WantCols   int
}

func (e *ShapeError) Error() string {
	return fmt.Sprintf("openelm: tensor %s is %d × %d, the configuration wants %d × %d",
		e.Tensor, e.Rows, e.Cols, e.WantRows, e.WantCols)
}

// Validate holds w against c: every tensor present, well-formed and of the
// right shape. Errors are [*ShapeError] or wrap [kernels.ErrMatrix] or
// [ErrConfig].
func (w *Weights) Validate(c *Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if len(w.Layers) != len(c.Layers) {
		return fmt.Errorf("%w: weights of %d layers for a configuration of %d", ErrConfig, len(w.Layers), len(c.Layers))
	}
	if err := checkMatrix("embedding", &w.Embedding, c.VocabSize, c.ModelDim); err != nil {
		return err
	}
	if !c.TiedHead {
		if err := checkMatrix("head", &w.Head, c.VocabSize, c.ModelDim); err != nil {
			return err
		}
	}
	if err := checkVector("norm", w.Norm, c.ModelDim); err != nil {
		return err
	}
	for i := range w.Layers {
		if err := w.Layers[i].validate(c, i); err != nil {
			return err
		}
	}
	return nil
}

func (l *LayerWeights) validate(c *Config, i int) error {
	lc := c.Layers[i]
	name := func(s string) string { return fmt.Sprintf("layers.%d.%s", i, s) }
	type matrix struct {
		name       string
		m          *kernels.Matrix
		rows, cols int
	}
	matrices := []matrix{
		{"qkv", &l.QKV, c.QKVDim(i), c.ModelDim},
		{"out", &l.Out, c.ModelDim, lc.QueryHeads * c.HeadDim},
		{"gate", &l.Gate, lc.FFNDim, c.ModelDim},
		{"down", &l.Down, c.ModelDim, lc.FFNDim},
	}
	if c.GLU {
		matrices = append(matrices, matrix{"up", &l.Up, lc.FFNDim, c.ModelDim})
	}
	for _, m := range matrices {
		if err := checkMatrix(name(m.name), m.m, m.rows, m.cols); err != nil {
			return err
		}
	}
	if err := checkVector(name("attn_norm"), l.AttnNorm, c.ModelDim); err != nil {
		return err
	}
	if err := checkVector(name("ffn_norm"), l.FFNNorm, c.ModelDim); err != nil {
		return err
	}
	if c.QKNorm {
		if err := checkVector(name("q_norm"), l.QNorm, c.HeadDim); err != nil {
			return err
		}
		return checkVector(name("k_norm"), l.KNorm, c.HeadDim)
	}
	return nil
}

func checkMatrix(name string, m *kernels.Matrix, rows, cols int) error {
	if m.Rows != rows || m.Cols != cols {
		return &ShapeError{Tensor: name, Rows: m.Rows, Cols: m.Cols, WantRows: rows, WantCols: cols}
	}
	if err := m.Validate(); err != nil {
		return fmt.Errorf("tensor %s: %w", name, err)
	}
	return nil
}

func checkVector(name string, v kernels.View, n int) error {
	if v.Len != 4*n {
		return &ShapeError{Tensor: name, Rows: 1, Cols: v.Len / 4, WantRows: 1, WantCols: n}
	}
	return nil
}
