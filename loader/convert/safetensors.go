package convert

import (
	"io"
	"os"
	"path/filepath"

	"github.com/go-openelm/go-openelm/internal/filewrite"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader/quantize"
	"github.com/go-openelm/go-openelm/loader/safetensors"
)

var dtypes = map[kernels.Format]safetensors.DType{
	kernels.F32: safetensors.F32, kernels.F16: safetensors.F16, kernels.BF16: safetensors.BF16,
}

// writeFolder writes a folder under another name, which then becomes path.
func (w *writer) writeFolder(path string) (err error) {
	var sources []safetensors.Source
	for _, t := range w.tensors(huggingFace) {
		sources = append(sources, w.sources(&t)...)
	}
	files, err := w.companions()
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp) // a folder that was replaced, if all went well
	folder := filepath.Join(temp, "new")
	if err := os.Mkdir(folder, 0o777); err != nil {
		return err
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(folder, f.name), f.data, 0o666); err != nil {
			return err
		}
	}
	library := "pt" // what transformers calls its own
	if w.Format.Kind == MLX {
		library = "mlx"
	}
	err = filewrite.Atomic(w.ctx, filepath.Join(folder, "model.safetensors"), func(out io.Writer) error {
		return safetensors.Write(out, map[string]string{"format": library}, sources)
	})
	if err != nil {
		return err
	}
	return replace(folder, path, filepath.Join(temp, "old"))
}

// replace makes folder become path; what is there becomes old, and path again if
// that fails.
func replace(folder, path, old string) error {
	there := os.Rename(path, old) // fails if there is nothing
	err := os.Rename(folder, path)
	if err != nil && there == nil {
		_ = os.Rename(old, path) // the first error says more
	}
	return err
}

// sources is the tensors that t is stored as.
func (w *writer) sources(t *tensor) []safetensors.Source {
	if w.Format.Kind == MLX && t.vector == nil && t.cols()%w.Format.Group == 0 {
		return w.affineSources(t)
	}
	kind := w.kind
	return []safetensors.Source{{
		Name: t.name + ".weight", DType: dtypes[kind], Shape: t.shape(),
		Data: func(out io.Writer) error { return w.writePlain(out, t, kind, nil) },
	}}
}

// writePlain writes a tensor in a format that is one tensor.
func (w *writer) writePlain(out io.Writer, t *tensor, f kernels.Format, importance []float32) error {
	if t.stored(func(m *kernels.Matrix) bool { return m.Format == f }) {
		return w.writeStored(out, t, func(m *kernels.Matrix) kernels.View { return m.Data })
	}
	size := t.cols() / f.BlockCols() * f.BlockBytes()
	return w.writeRows(out, t, size, func(dst []byte, r int, s *rowScratch) error {
		t.read(s.row, r, s.sum)
		return quantize.Row(dst, s.row, f, importance)
	})
}

// affineSources is a matrix as MLX quantises it. The scales and biases come with
// the weights and are kept for the two tensors behind.
func (w *writer) affineSources(t *tensor) []safetensors.Source {
	f := w.Format
	bits, groups := f.bits(), t.cols()/f.Group
	scaleBytes := groups * f.Scales.BlockBytes()
	stored := t.stored(func(m *kernels.Matrix) bool {
		return m.Format == f.Matrix && m.Group == f.Group && m.ScaleFormat == f.Scales
	})
	var scales, biases []byte
	quantised := func(out io.Writer) error {
		scales, biases = make([]byte, t.rows()*scaleBytes), make([]byte, t.rows()*scaleBytes)
		return w.writeRows(out, t, t.cols()*bits/8, func(dst []byte, r int, s *rowScratch) error {
			t.read(s.row, r, s.sum)
			if err := roundTo(s.row, f.Scales); err != nil {
				return err
			}
			at := r * scaleBytes
			return quantize.Affine(dst, scales[at:at+scaleBytes], biases[at:at+scaleBytes], s.row, bits, f.Group, f.Scales)
		})
	}
	part := func(name string, dtype safetensors.DType, cols int, kept *[]byte, view func(m *kernels.Matrix) kernels.View) safetensors.Source {
		return safetensors.Source{Name: name, DType: dtype, Shape: []int{t.rows(), cols}, Data: func(out io.Writer) error {
			switch {
			case stored:
				return w.writeStored(out, t, view)
			case kept == nil:
				return quantised(out)
			}
			_, err := out.Write(*kept)
			*kept = nil
			return err
		}}
	}
	return []safetensors.Source{
		part(t.name+".weight", safetensors.U32, t.cols()*bits/32, nil, func(m *kernels.Matrix) kernels.View { return m.Data }),
		part(t.name+".scales", dtypes[f.Scales], groups, &scales, func(m *kernels.Matrix) kernels.View { return m.Scales }),
		part(t.name+".biases", dtypes[f.Scales], groups, &biases, func(m *kernels.Matrix) kernels.View { return m.Biases }),
	}
}

// roundTo rounds a row to the type that MLX has the model in when it quantises it.
func roundTo(row []float32, f kernels.Format) error {
	if f == kernels.F32 {
		return nil
	}
	stored := make([]byte, len(row)*f.BlockBytes())
	if err := quantize.Row(stored, row, f, nil); err != nil {
		return err
	}
	kernels.Widen(row, stored, f)
	return nil
}
