package loader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"slices"

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
func loadWeights(ctx context.Context, c *checkpoint, backend kernels.Backend, o *Options) (w openelm.Weights, _ *memory, err error) {
	log := o.Logger
	roles, err := c.roles(&w, o.Strict)
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
	var files []*file
	stay := map[*file][]*tensor{}
	for _, r := range roles {
		if r.matrix == nil {
			continue
		}
		for _, t := range r.tensors() {
			switch {
			case t.file.os == nil || !t.aligned():
				copied = append(copied, t)
				continue
			case stay[t.file] == nil:
				files = append(files, t.file)
			}
			stay[t.file] = append(stay[t.file], t)
		}
	}
	for _, f := range files {
		err := m.mapFile(backend, f, stay[f], views, log)
		if errors.Is(err, mmap.ErrUnsupported) {
			copied = append(copied, stay[f]...)
		} else if err != nil {
			return nil, nil, inFile(f.name, err)
		}
	}
	return views, copied, nil
}

// mapFile maps a file, makes it one buffer, or several where the device has no
// buffer as large, and adds the views of its tensors.
func (m *memory) mapFile(backend kernels.Backend, f *file, tensors []*tensor, views map[*tensor]kernels.View, log *slog.Logger) error {
	mapping, err := mmap.Map(f.os, f.size)
	if err != nil {
		return err
	}
	m.mappings = append(m.mappings, mapping)
	for _, w := range windows(tensors, int64(os.Getpagesize()), int64(maxBuffer(backend))) {
		buf, shared, err := backend.WrapBuffer(mapping.Data[w.start:w.end])
		if err != nil {
			return fmt.Errorf("%s: %w", backend.Name(), err)
		}
		m.buffers = append(m.buffers, buf)
		if !shared {
			log.Info("the device cannot use the mapped file and has copied it", "file", f.name, "bytes", w.end-w.start, "device", backend.Name())
		}
		for _, t := range w.tensors {
			views[t] = kernels.Whole(buf).Slice(int(t.off-w.start), int(t.size))
		}
	}
	return nil
}

// maxBuffer is the size of the backend's largest buffer.
func maxBuffer(b kernels.Backend) int {
	if l, ok := b.(kernels.BufferLimiter); ok {
		return l.MaxBuffer()
	}
	return math.MaxInt
}

// window is whole pages of a file, from byte start to byte end, in which tensors
// lie wholly.
type window struct {
	start, end int64
	tensors    []*tensor
}

// windows divides tensors of one file among few windows of at most limit bytes;
// a tensor that is larger has one of its own. Neighbours may share a page.
func windows(tensors []*tensor, page, limit int64) (list []window) {
	tensors = slices.SortedFunc(slices.Values(tensors), func(a, b *tensor) int { return cmp.Compare(a.off, b.off) })
	for _, t := range tensors {
		start, end := t.off/page*page, (t.off+t.size+page-1)/page*page
		if n := len(list) - 1; n >= 0 && max(end, list[n].end)-list[n].start <= limit {
			list[n].end = max(end, list[n].end)
			list[n].tensors = append(list[n].tensors, t)
			continue
		}
		list = append(list, window{start, end, []*tensor{t}})
	}
	return list
}

// copyTensors reads tensors into one buffer, or several where the device has no
// buffer as large, and adds their views.
func (m *memory) copyTensors(ctx context.Context, backend kernels.Backend, list []*tensor, views map[*tensor]kernels.View, log *slog.Logger) error {
	files := map[string]bool{}
	for _, t := range list {
		files[t.file.name] = t.file.os != nil
	}
	for name, misaligned := range files {
		if misaligned {
			log.Info("weights are copied, because they are not aligned in their file", "file", name)
		}
	}
	limit := maxBuffer(backend)
	for len(list) > 0 {
		n, size := 0, 0
		for n < len(list) && (n == 0 || alignUp(int(list[n].size), copyAlign) <= limit-size) {
			size += alignUp(int(list[n].size), copyAlign)
			n++
		}
		if err := m.copyInto(ctx, backend, size, list[:n], views); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

// copyInto reads tensors into a buffer of size bytes.
func (m *memory) copyInto(ctx context.Context, backend kernels.Backend, size int, list []*tensor, views map[*tensor]kernels.View) error {
	all, err := m.newBuffer(backend, size)
	if err != nil {
		return err
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
	r.matrix.Data = r.matrix.Data.Slice(0, r.rows*r.matrix.RowBytes()) // without CoreNet's padding
	if r.upper != nil {
		both, half := *r.matrix, r.rows/2
		*r.matrix, *r.upper = both.SliceRows(0, half), both.SliceRows(half, half)
	}
}
