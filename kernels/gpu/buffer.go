package gpu

import (
	"errors"
	"fmt"
	"sync"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/metal"
)

// BufferSizeError says that a buffer's size is not possible on the device.
type BufferSizeError struct {
	Size int // bytes asked for
	Max  int // the device's longest buffer
}

func (e *BufferSizeError) Error() string {
	if e.Size < 1 {
		return fmt.Sprintf("gpu: buffer size %d is not positive", e.Size)
	}
	return fmt.Sprintf("gpu: a buffer of %d bytes: the device takes %d at most; use the CPU backend", e.Size, e.Max)
}

// ErrForeignBuffer is wrapped by errors about views of memory that is not the
// backend's: of another backend's buffer, or of none.
var ErrForeignBuffer = errors.New("gpu: not a buffer of this backend")

type buffer struct {
	*metal.Buffer
	backend  *Backend
	released sync.Once
}

// adopt makes m a buffer of b and a member of its residency set; label is what
// captures and the simulator's reports call it.
func (b *Backend) adopt(m *metal.Buffer, label string) *buffer {
	m.SetLabel(label)
	if b.resident != nil && b.resident.Add(m) == nil {
		b.resident.Commit()
	}
	return &buffer{Buffer: m, backend: b}
}

// Release gives the memory back once no pass uses it.
func (m *buffer) Release() {
	m.released.Do(func() {
		if r := m.backend.resident; r != nil && r.Remove(m.Buffer) == nil {
			r.Commit()
		}
		m.Buffer.Release()
	})
}

var _ kernels.BufferLimiter = (*Backend)(nil)

// MaxBuffer is the size in bytes of the device's largest buffer.
func (b *Backend) MaxBuffer() int { return b.device.MaxBufferLength() }

func (b *Backend) checkSize(size int) error {
	if b.closed.Load() {
		return ErrClosed
	}
	if longest := b.MaxBuffer(); size < 1 || size > longest {
		return &BufferSizeError{size, longest}
	}
	return nil
}

// NewBuffer allocates size zeroed bytes of memory shared by CPU and GPU. Errors
// are [*BufferSizeError] or [*metal.AllocationError].
func (b *Backend) NewBuffer(size int) (kernels.Buffer, error) {
	if err := b.checkSize(size); err != nil {
		return nil, err
	}
	m, err := b.device.NewBuffer(size, metal.StorageModeShared)
	if err != nil {
		return nil, fmt.Errorf("gpu: %w", err)
	}
	return b.adopt(m, "memory"), nil
}

// WrapBuffer gives the GPU mem as it is when it begins and ends at page
// boundaries (16 KiB on Apple GPUs), which a mapping from package mmap does;
// other memory is copied. Errors are those of NewBuffer.
func (b *Backend) WrapBuffer(mem []byte) (kernels.Buffer, bool, error) {
	if err := b.checkSize(len(mem)); err != nil {
		return nil, false, err
	}
	m, err := b.device.NewBufferNoCopy(mem, metal.StorageModeShared)
	if err == nil {
		return b.adopt(m, "mapped memory"), true, nil
	}
	var misaligned *metal.AlignmentError
	if !errors.As(err, &misaligned) {
		return nil, false, fmt.Errorf("gpu: %w", err)
	}
	c, err := b.NewBuffer(len(mem))
	if err != nil {
		return nil, false, err
	}
	copy(c.Bytes(), mem)
	return c, false, nil
}

// binding is a place in a buffer, as encoders want it. Without a buffer it is a
// place in the pass's scratch memory.
type binding struct {
	buf *metal.Buffer
	off int
}

// bind is the binding of the first n bytes of v, whose elements are align bytes.
func (p *pass) bind(op, name string, v kernels.View, n, align int) binding {
	if p.err != nil {
		return binding{}
	}
	b, ok := v.Buf.(*buffer)
	switch {
	case !ok || b.backend != p.backend:
		p.fail(fmt.Errorf("gpu: %s: %s: %w", op, name, ErrForeignBuffer))
		return binding{}
	case n < 1 || v.Len < n || v.Off < 0 || v.Off > b.Len()-v.Len:
		p.fail(fmt.Errorf("gpu: %s: %w: %s has %d bytes at %d of %d, want %d", op, kernels.ErrShape, name, v.Len, v.Off, b.Len(), n))
	case v.Off%align != 0:
		p.fail(fmt.Errorf("gpu: %s: %w: %s at byte %d is not aligned to %d", op, kernels.ErrShape, name, v.Off, align))
	}
	return binding{b.Buffer, v.Off}
}

// floats is the binding of the first n float32 of v.
func (p *pass) floats(op, name string, v kernels.View, n int) binding {
	return p.bind(op, name, v, 4*n, 4)
}
