package checkpoint

import (
	"io"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/openelm"
)

// Layout is how the matrices of a model are stored.
type Layout struct {
	Format kernels.Format
	// Affine formats only.
	Group       int
	ScaleFormat kernels.Format
}

// Zeros makes a model of zeros in one buffer of b, which takes no memory until
// it is written to: for counting what a token costs, whatever the weights. read
// is the bytes of the weights that a token reads whole, which is all of them but
// the embedding of an untied head.
func Zeros(b kernels.Backend, c *openelm.Config, l Layout) (m *openelm.Model, read int64, err error) {
	var w openelm.Weights
	var views []*kernels.View
	matrix := func(m *kernels.Matrix, rows, cols int) {
		*m = kernels.Matrix{Rows: rows, Cols: cols, Format: l.Format}
		m.Data.Len = rows * m.RowBytes()
		views = append(views, &m.Data)
		if l.Format.Affine() {
			m.Group, m.ScaleFormat = l.Group, l.ScaleFormat
			m.Scales.Len = rows * (cols / l.Group) * l.ScaleFormat.BlockBytes()
			m.Biases.Len = m.Scales.Len
			views = append(views, &m.Scales, &m.Biases)
		}
	}
	vector := func(v *kernels.View, n int) {
		v.Len = 4 * n
		views = append(views, v)
	}
	matrix(&w.Embedding, c.VocabSize, c.ModelDim)
	embedding := w.Embedding.Bytes()
	vector(&w.Norm, c.ModelDim)
	if !c.TiedHead {
		matrix(&w.Head, c.VocabSize, c.ModelDim)
	}
	w.Layers = make([]openelm.LayerWeights, len(c.Layers))
	for i := range w.Layers {
		lw, lc := &w.Layers[i], c.Layers[i]
		vector(&lw.AttnNorm, c.ModelDim)
		matrix(&lw.QKV, c.QKVDim(i), c.ModelDim)
		if c.QKNorm {
			vector(&lw.QNorm, c.HeadDim)
			vector(&lw.KNorm, c.HeadDim)
		}
		matrix(&lw.Out, c.ModelDim, lc.QueryHeads*c.HeadDim)
		vector(&lw.FFNNorm, c.ModelDim)
		matrix(&lw.Gate, lc.FFNDim, c.ModelDim)
		if c.GLU {
			matrix(&lw.Up, lc.FFNDim, c.ModelDim)
		}
		matrix(&lw.Down, c.ModelDim, lc.FFNDim)
	}
	size := 0
	for _, v := range views {
		v.Off = size
		size += (v.Len + 255) &^ 255
		read += int64(v.Len)
	}
	if !c.TiedHead {
		read -= int64(embedding)
	}
	buf, err := b.NewBuffer(size)
	if err != nil {
		return nil, 0, err
	}
	for _, v := range views {
		v.Buf = buf
	}
	m, err = openelm.New(openelm.Parts{Config: *c, Weights: w, Backend: b, Closer: release{buf}})
	if err != nil {
		buf.Release()
		return nil, 0, err
	}
	return m, read, nil
}

// release closes a buffer by releasing it.
type release struct{ b kernels.Buffer }

var _ io.Closer = release{}

func (r release) Close() error {
	r.b.Release()
	return nil
}
