package loader

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/go-openelm/go-openelm/internal/mmap"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/openelm"
)

// memory is what a model's weights occupy: mapped files, and buffers for what
// cannot stay where it is in its file.
type memory struct {
	buffers  []kernels.Buffer
	mappings []*mmap.Mapping
}

// Close releases all of it.
func (m *memory) Close() error {
	var errs []error
	for _, b := range m.buffers {
		b.Release()
	}
	for _, p := range m.mappings { // after the buffers that wrap them
		errs = append(errs, p.Close())
	}
	m.buffers, m.mappings = nil, nil
	return errors.Join(errs...)
}

func (m *memory) newBuffer(b kernels.Backend, size int) (kernels.View, error) {
	if size == 0 {
		return kernels.View{}, nil
	}
	buf, err := b.NewBuffer(size)
	if err != nil {
		return kernels.View{}, fmt.Errorf("loader: buffer of %d bytes: %w", size, err)
	}
	m.buffers = append(m.buffers, buf)
	return kernels.Whole(buf), nil
}

// copyAlign is the alignment of tensors that are copied: a cache line.
const copyAlign = 64

func alignUp(n, align int) int { return (n + align - 1) / align * align }

// align is the alignment that operations want of a matrix's tensor.
func (t *tensor) align() int {
	if t.format == 0 { // packed words
		return kernels.Affine4.Align()
	}
	return t.format.Align()
}

// aligned reports whether the tensor can be used where it is in its file, which
// is mapped at a page boundary.
func (t *tensor) aligned() bool { return t.off%int64(t.align()) == 0 }

// loadWeights brings the weights of a checkpoint into the backend's reach. It
// maps the files and reads only the norms and what is not aligned.
func loadWeights(ctx context.Context, c *checkpoint, backend kernels.Backend, log *slog.Logger) (w openelm.Weights, _ *memory, err error) {
	roles, err := c.roles(&w)
	if err != nil {
		return w, nil, err
	}
	m := &memory{}
	defer func() {
		if err != nil {
			m.Close()
		}
	}()
	if err := m.loadNorms(backend, roles); err != nil {
		return w, nil, err
	}
	views, copied, err := m.mapFiles(backend, roles, log)
	if err != nil {
		return w, nil, err
	}
	if err := m.copyTensors(ctx, backend, copied, views, log); err != nil {
		return w, nil, err
	}
	for _, r := range roles {
		if r.matrix != nil {
			r.fill(views)
		}
	}
	return w, m, nil
}

// loadNorms widens the norms' weights to float32, all into one buffer.
func (m *memory) loadNorms(backend kernels.Backend, roles []*role) error {
	size := 0
	for _, r := range roles {
		if r.vector != nil {
			size += alignUp(4*r.rows, copyAlign)
		}
	}
	all, err := m.newBuffer(backend, size)
	if err != nil {
		return err
	}
	off := 0
	for _, r := range roles {
		if r.vector == nil {
			continue
		}
		stored := make([]byte, r.weight.size)
		if err := r.weight.file.readFull(stored, r.weight.off); err != nil {
			return inFile(r.weight.file.name, err)
		}
		*r.vector = all.Slice(off, 4*r.rows)
		kernels.Widen(r.vector.Floats(), stored, r.weight.format)
		off += alignUp(4*r.rows, copyAlign)
	}
	return nil
}

// mapFiles maps the files that hold matrices and returns a view of each tensor
// that can stay where it is, and the tensors that cannot.
func (m *memory) mapFiles(backend kernels.Backend, roles []*role, log *slog.Logger) (views map[*tensor]kernels.View, copied []*tensor, err error) {
	views = map[*tensor]kernels.View{}
	whole := map[*file]kernels.View{}
	for _, r := range roles {
		if r.matrix == nil {
			continue
		}
		for _, t := range r.tensors() {
			if t.file.os == nil || !t.aligned() {
				copied = append(copied, t)
				continue
			}
			if _, mapped := whole[t.file]; !mapped {
				v, err := m.mapFile(backend, t.file, log)
				if err != nil {
					return nil, nil, err
				}
				whole[t.file] = v
			}
			if v := whole[t.file]; v.IsZero() {
				copied = append(copied, t)
			} else {
				views[t] = v.Slice(int(t.off), int(t.size))
			}
		}
	}
	return views, copied, nil
}

// mapFile makes one buffer of a file. The view is zero where the system has no
// mappings.
func (m *memory) mapFile(backend kernels.Backend, f *file, log *slog.Logger) (kernels.View, error) {
	mapping, err := mmap.Map(f.os, f.size)
	if errors.Is(err, mmap.ErrUnsupported) {
		return kernels.View{}, nil
	}
	if err != nil {
		return kernels.View{}, inFile(f.name, err)
	}
	m.mappings = append(m.mappings, mapping)
	buf, shared, err := backend.WrapBuffer(mapping.Data)
	if err != nil {
		return kernels.View{}, inFile(f.name, fmt.Errorf("%s: %w", backend.Name(), err))
	}
	m.buffers = append(m.buffers, buf)
	if !shared {
		log.Info("the device cannot use the mapped file and has copied it", "file", f.name, "bytes", f.size, "device", backend.Name())
	}
	return kernels.Whole(buf), nil
}

// copyTensors reads tensors into one buffer and adds their views.
func (m *memory) copyTensors(ctx context.Context, backend kernels.Backend, list []*tensor, views map[*tensor]kernels.View, log *slog.Logger) error {
	size, files := 0, map[string]bool{}
	for _, t := range list {
		size += alignUp(int(t.size), copyAlign)
		files[t.file.name] = t.file.os != nil
	}
	all, err := m.newBuffer(backend, size)
	if err != nil {
		return err
	}
	for name, misaligned := range files {
		if misaligned {
			log.Info("weights are copied, because they are not aligned in their file", "file", name)
		}
	}
	off := 0
	for _, t := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		v := all.Slice(off, int(t.size))
		if err := t.file.readFull(v.Bytes(), t.off); err != nil {
			return inFile(t.file.name, err)
		}
		views[t] = v
		off += alignUp(int(t.size), copyAlign)
	}
	return nil
}

// fill sets the role's matrix to the views of its tensors.
func (r *role) fill(views map[*tensor]kernels.View) {
	*r.matrix = kernels.Matrix{Rows: r.rows, Cols: r.cols, Format: r.weight.format, Data: views[r.weight]}
	if r.scales != nil {
		r.matrix.Format, r.matrix.Group = affineFormats[r.bits], r.group
		r.matrix.ScaleFormat = r.scales.format
		r.matrix.Scales, r.matrix.Biases = views[r.scales], views[r.biases]
	}
	if r.upper != nil {
		both, half := *r.matrix, r.rows/2
		*r.matrix, *r.upper = both.SliceRows(0, half), both.SliceRows(half, half)
	}
}
