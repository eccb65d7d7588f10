package kernels

import (
	"fmt"
	"unsafe"
)

// Buffer is memory that a backend's operations and Go both see. Go may touch it
// only while no pass that uses it is running.
type Buffer interface {
	// Bytes is the whole buffer. It is valid until Release.
	Bytes() []byte
	// Release gives the memory back. The buffer and all views of it must not
	// be used afterwards. Releasing twice is harmless.
	Release()
}

// View is a range of a buffer. The zero View is empty.
type View struct {
	Buf Buffer
	Off int // first byte
	Len int // bytes
}

// Whole is the view of all of b.
func Whole(b Buffer) View { return View{Buf: b, Len: len(b.Bytes())} }

// IsZero reports whether v views nothing.
func (v View) IsZero() bool { return v.Buf == nil }

// Slice is the n bytes of v from off.
func (v View) Slice(off, n int) View {
	if off < 0 || n < 0 || off > v.Len-n {
		panic(fmt.Sprintf("kernels: slice [%d:%d+%d] of a view of %d bytes", off, off, n, v.Len))
	}
	return View{Buf: v.Buf, Off: v.Off + off, Len: n}
}

// Bytes is the CPU's view of the range.
func (v View) Bytes() []byte {
	if v.Buf == nil {
		return nil
	}
	return v.Buf.Bytes()[v.Off : v.Off+v.Len : v.Off+v.Len]
}

// Floats is the range as float32 values. The first byte must be 4-byte aligned.
func (v View) Floats() []float32 { return cast[float32](v) }

// Ints is the range as int32 values. The first byte must be 4-byte aligned.
func (v View) Ints() []int32 { return cast[int32](v) }

func cast[T float32 | int32](v View) []T {
	b := v.Bytes()
	if len(b) < 4 {
		return nil
	}
	p := unsafe.Pointer(unsafe.SliceData(b))
	if uintptr(p)%4 != 0 {
		panic("kernels: misaligned view")
	}
	return unsafe.Slice((*T)(p), len(b)/4)
}
