package checkpoint

import (
	"io"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/openelm"
)

// Zeros makes a model of zeros in one buffer of b, which takes no memory until
// it is written to: for counting what a token costs, whatever the weights. read
// is the bytes of the weights that a token reads whole, which is all of them but
// the embedding of an untied head.
func Zeros(b kernels.Backend, c *openelm.Config, l kernels.Layout) (m *openelm.Model, read int64, err error) {
	w := openelm.Weights{Layers: make([]openelm.LayerWeights, len(c.Layers))}
	var views []*kernels.View
	for t := range w.Tensors(c) {
		m := t.Matrix
		if m == nil {
			t.Vector.Len = 4 * t.Rows
			views = append(views, t.Vector)
			continue
		}
		*m = l.Matrix(t.Rows, t.Cols)
		views = append(views, &m.Data)
		if l.Format.Affine() {
			views = append(views, &m.Scales, &m.Biases)
		}
	}
	size := 0
	for _, v := range views {
		v.Off = size
		size += (v.Len + 255) &^ 255
		read += int64(v.Len)
	}
	if !c.TiedHead {
		read -= int64(w.Embedding.Bytes())
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
