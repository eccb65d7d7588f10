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
	for t := range w.Tensors(c) {
		if err := t.check(); err != nil {
			return err
		}
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
