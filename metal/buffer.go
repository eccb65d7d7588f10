package metal

import (
	"fmt"
	"os"
	"unsafe"

	"github.com/go-openelm/go-openelm/internal/objc"
)

// Buffer is memory the GPU can use (MTLBuffer). Its methods may be called by many goroutines; who writes its bytes when
// is the caller's business, as with any memory.
type Buffer struct {
	object
	length  int
	bytes   []byte // nil: not visible to the CPU
	wrapped []byte // keeps memory of NewBufferNoCopy that Go owns alive
}

// NewBuffer allocates length bytes, zeroed, page-aligned. A refusal is an *AllocationError, which matches ErrOutOfMemory.
func (d *Device) NewBuffer(length int, options ResourceOptions) (*Buffer, error) {
	const op = "metal: Device.NewBuffer"
	if err := d.check(op); err != nil {
		return nil, err
	}
	if length <= 0 {
		return nil, fmt.Errorf("%s: %d bytes: %w", op, length, ErrInvalidArgument)
	}
	if known := StorageModePrivate | CPUCacheWriteCombined | HazardTrackingUntracked; options&^known != 0 {
		return nil, fmt.Errorf("%s: options %#x: %w", op, options, ErrInvalidArgument)
	}
	if length > d.maxBuffer {
		return nil, d.refused(length)
	}
	return d.newBuffer(send(d.id, selDeviceNewBuffer, uintptr(length), uintptr(options)), length, options)
}

// NewBufferNoCopy makes existing memory, such as a mapped file, a buffer without copying it. It must consist of whole
// pages (os.Getpagesize: 16 KiB on Apple GPUs), else the error is an *AlignmentError, and stay mapped until the buffer is
// released and every command buffer using it has completed; Metal never frees it.
func (d *Device) NewBufferNoCopy(memory []byte, options ResourceOptions) (*Buffer, error) {
	const op = "metal: Device.NewBufferNoCopy"
	if err := d.check(op); err != nil {
		return nil, err
	}
	if len(memory) == 0 || options&^HazardTrackingUntracked != 0 {
		return nil, fmt.Errorf("%s: %d bytes, options %#x: %w", op, len(memory), options, ErrInvalidArgument)
	}
	address, page := uintptr(unsafe.Pointer(&memory[0])), os.Getpagesize()
	if address%uintptr(page) != 0 || len(memory)%page != 0 {
		return nil, &AlignmentError{Address: address, Length: len(memory), PageSize: page}
	}
	if len(memory) > d.maxBuffer {
		return nil, d.refused(len(memory))
	}
	b, err := d.newBuffer(send(d.id, selDeviceNewBufferNoCopy, uintptr(unsafe.Pointer(&memory[0])), uintptr(len(memory)), uintptr(options), 0), len(memory), options)
	if err != nil {
		return nil, err
	}
	b.wrapped = memory
	return b, nil
}

func (d *Device) newBuffer(id uintptr, length int, options ResourceOptions) (*Buffer, error) {
	if id == 0 {
		return nil, d.refused(length)
	}
	b := &Buffer{length: length}
	b.adopt(id, d.id)
	if options&StorageModePrivate == 0 {
		if p := send(id, selBufferContents); p != 0 {
			b.bytes = unsafe.Slice((*byte)(objc.Pointer(p)), length)
		}
	}
	return b, nil
}

func (d *Device) refused(length int) error {
	return &AllocationError{Length: length, Allocated: d.CurrentAllocatedSize(), Working: d.RecommendedMaxWorkingSetSize()}
}

// Len is the size in bytes.
func (b *Buffer) Len() int {
	if b == nil {
		return 0
	}
	return b.length
}

// Bytes is the buffer's memory: nil for private storage and after Release. A slice taken before Release must not be used
// after it.
func (b *Buffer) Bytes() []byte {
	if b == nil || !b.alive() {
		return nil
	}
	return b.bytes
}

// GPUAddress is where the GPU sees the buffer (macOS 13).
func (b *Buffer) GPUAddress() (uint64, error) {
	const op = "metal: Buffer.GPUAddress"
	if b == nil || !b.alive() {
		return 0, fmt.Errorf("%s: %w", op, ErrReleased)
	}
	if err := available(b.id, selBufferGPUAddress); err != nil {
		return 0, err
	}
	return uint64(send(b.id, selBufferGPUAddress)), nil
}

// SetLabel names the buffer for debuggers, captures and the simulator's reports.
func (b *Buffer) SetLabel(label string) {
	if b != nil && b.alive() {
		b.setLabel(selResourceSetLabel, label)
	}
}

// AllocatedSize is the memory the buffer takes, in bytes; 0 after Release.
func (b *Buffer) AllocatedSize() int {
	if b == nil || !b.alive() {
		return 0
	}
	return int(send(b.id, selResourceAllocatedSize))
}

// Release frees the buffer once no command buffer uses it. Idempotent, nil is fine.
func (b *Buffer) Release() {
	if b != nil {
		b.release()
	}
}
