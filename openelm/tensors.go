package openelm

import (
	"fmt"
	"iter"

	"github.com/go-openelm/go-openelm/kernels"
)

// Role is what a tensor is in a model or, the most of them, in a layer.
type Role string

// The roles of all tensors.
const (
	RoleEmbedding Role = "embedding"
	RoleAttnNorm  Role = "attn_norm"
	RoleQKV       Role = "qkv"
	RoleQNorm     Role = "q_norm"
	RoleKNorm     Role = "k_norm"
	RoleOut       Role = "out"
	RoleFFNNorm   Role = "ffn_norm"
	RoleGate      Role = "gate"
	RoleUp        Role = "up"
	RoleDown      Role = "down"
	RoleNorm      Role = "norm"
	RoleHead      Role = "head"
)

// Tensor is a tensor that a model has by its configuration, and its place in
// the model's [Weights].
type Tensor struct {
	Role       Role
	Layer      int // −1 outside the layers
	Rows, Cols int // a vector has one column

	// One of both is the place, the other nil.
	Matrix *kernels.Matrix
	Vector *kernels.View
}

// Name is the role with the layer, such as "layers.3.qkv".
func (t *Tensor) Name() string {
	if t.Layer < 0 {
		return string(t.Role)
	}
	return fmt.Sprintf("layers.%d.%s", t.Layer, t.Role)
}

// Tensors lists the tensors of a model of configuration c, in the order in which
// they are used: this is the one list of what an OpenELM consists of. The places
// are in w, which has as many layers as c. A tied head, the norms of queries and
// keys and the second half of a feed-forward network are listed where c has them.
func (w *Weights) Tensors(c *Config) iter.Seq[Tensor] {
	return func(yield func(Tensor) bool) {
		layer, more := -1, true
		matrix := func(r Role, m *kernels.Matrix, rows, cols int) {
			more = more && yield(Tensor{Role: r, Layer: layer, Rows: rows, Cols: cols, Matrix: m})
		}
		vector := func(r Role, v *kernels.View, n int) {
			more = more && yield(Tensor{Role: r, Layer: layer, Rows: n, Cols: 1, Vector: v})
		}
		matrix(RoleEmbedding, &w.Embedding, c.VocabSize, c.ModelDim)
		for i, lc := range c.Layers {
			l := &w.Layers[i]
			layer = i
			vector(RoleAttnNorm, &l.AttnNorm, c.ModelDim)
			matrix(RoleQKV, &l.QKV, c.QKVDim(i), c.ModelDim)
			if c.QKNorm {
				vector(RoleQNorm, &l.QNorm, c.HeadDim)
				vector(RoleKNorm, &l.KNorm, c.HeadDim)
			}
			matrix(RoleOut, &l.Out, c.ModelDim, lc.QueryHeads*c.HeadDim)
			vector(RoleFFNNorm, &l.FFNNorm, c.ModelDim)
			matrix(RoleGate, &l.Gate, lc.FFNDim, c.ModelDim)
			if c.GLU {
				matrix(RoleUp, &l.Up, lc.FFNDim, c.ModelDim)
			}
			matrix(RoleDown, &l.Down, c.ModelDim, lc.FFNDim)
		}
		layer = -1
		vector(RoleNorm, &w.Norm, c.ModelDim)
		if !c.TiedHead {
			matrix(RoleHead, &w.Head, c.VocabSize, c.ModelDim)
		}
	}
}

// Bytes is the size of the tensor as it is stored.
func (t *Tensor) Bytes() int {
	if t.Vector != nil {
		return t.Vector.Len
	}
	return t.Matrix.Bytes()
}

// check holds what is in the tensor's place against its shape.
func (t *Tensor) check() error {
	if t.Vector != nil {
		return checkVector(t.Name(), *t.Vector, t.Rows)
	}
	return checkMatrix(t.Name(), t.Matrix, t.Rows, t.Cols)
}

// Update is the place in a of t's update; nil for a tensor that has none.
func (a *Adapter) Update(t *Tensor) **kernels.LowRank {
	switch t.Role {
	case RoleEmbedding:
		return &a.Embedding
	case RoleHead:
		return &a.Head
	case RoleQKV:
		return &a.Layers[t.Layer].QKV
	case RoleOut:
		return &a.Layers[t.Layer].Out
	case RoleGate:
		return &a.Layers[t.Layer].Gate
	case RoleUp:
		return &a.Layers[t.Layer].Up
	case RoleDown:
		return &a.Layers[t.Layer].Down
	}
	return nil
}
