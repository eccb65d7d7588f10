package metal

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/go-openelm/go-openelm/internal/objc"
)

// Limits of Metal on every device (Metal Feature Set Tables).
const (
	MaxBuffers         = 31   // buffer indices are 0 to 30
	MaxBytesLength     = 4096 // longest SetBytes
	maxThreadgroupSets = 31   // threadgroup memory indices are 0 to 30
	maxThreadgroup     = 1024 // threads, on Macs and from the A11 on
)

// Size is an extent in three dimensions: width, height, depth (MTLSize). Each is at least 1.
type Size [3]int

// ComputeEncoder records compute commands into a command buffer (MTLComputeCommandEncoder), for one goroutine at a time.
//
// Its methods return nothing, like those of a writer one checks at the end: the first error sticks, later calls do
// nothing, End returns it and Commit refuses the command buffer. They allocate nothing: messages are collected and sent
// in batches, objects stay alive until the command buffer has finished even if released in between.
type ComputeEncoder struct {
	cb       *CommandBuffer
	rec      *recording
	id       uintptr
	dev      uintptr
	pipeline *ComputePipeline
	err      error
	ended    bool
	groups   int // open debug groups
	tgLimit  int
	tgBytes  int
	tg       [maxThreadgroupSets]int32
}

// failed records an error of method.
func (e *ComputeEncoder) failed(method string, err error, format string, args ...any) {
	if e.err == nil {
		e.err = fmt.Errorf("metal: ComputeEncoder.%s: %s: %w", method, fmt.Sprintf(format, args...), err)
		if !e.ended {
			e.cb.fail(e.err)
		}
	}
}

// recording reports whether commands can be recorded.
func (e *ComputeEncoder) recording(method string) bool {
	if e == nil {
		return false
	}
	if e.ended {
		e.failed(method, ErrState, "the encoder has ended")
		return false
	}
	return e.err == nil
}

// next is the message to fill for a selector.
func (e *ComputeEncoder) next(s selector) *objc.Message {
	r := e.rec
	if r.n == len(r.sends) {
		r.flush(e.id)
	}
	m := &r.sends[r.n]
	r.n++
	m.Sel, m.Args, m.Flag = api.sels[s], objc.Unused, 0
	return m
}

// use keeps an object alive for the command buffer, or records why it cannot be used.
func (e *ComputeEncoder) use(method string, o *object) bool {
	if o.dev != e.dev {
		e.failed(method, ErrForeignDevice, "not of the encoder's device")
		return false
	}
	if err := e.cb.hold(o); err != nil {
		e.failed(method, err, "not usable")
		return false
	}
	return true
}

// Err is the first error so far.
func (e *ComputeEncoder) Err() error {
	if e == nil {
		return ErrReleased
	}
	return e.err
}

// SetPipeline chooses the kernel of the following dispatches.
func (e *ComputeEncoder) SetPipeline(p *ComputePipeline) {
	const method = "SetPipeline"
	if !e.recording(method) {
		return
	}
	if p == nil {
		e.failed(method, ErrReleased, "no pipeline")
		return
	}
	if !e.use(method, &p.object) || e.pipeline == p {
		return
	}
	e.pipeline = p
	e.next(selEncoderSetPipeline).Args[0] = p.id
}

// SetBuffer binds b from byte offset on to [[buffer(index)]]. Offsets of pointers must suit the pointee's alignment.
func (e *ComputeEncoder) SetBuffer(b *Buffer, offset, index int) {
	const method = "SetBuffer"
	switch {
	case !e.recording(method):
		return
	case b == nil:
		e.failed(method, ErrReleased, "no buffer for index %d", index)
		return
	case uint(index) >= MaxBuffers:
		e.failed(method, ErrInvalidArgument, "index %d, want 0 to %d", index, MaxBuffers-1)
		return
	case offset < 0 || offset >= b.length:
		e.failed(method, ErrInvalidArgument, "offset %d in a buffer of %d bytes", offset, b.length)
		return
	case !e.use(method, &b.object):
		return
	}
	m := e.next(selEncoderSetBuffer)
	m.Args[0], m.Args[1], m.Args[2] = b.id, uintptr(offset), uintptr(index)
}

// SetBytes binds a copy of data (1 to MaxBytesLength bytes) to [[buffer(index)]].
func (e *ComputeEncoder) SetBytes(data []byte, index int) {
	const method = "SetBytes"
	switch {
	case !e.recording(method):
		return
	case uint(index) >= MaxBuffers:
		e.failed(method, ErrInvalidArgument, "index %d, want 0 to %d", index, MaxBuffers-1)
		return
	case len(data) == 0 || len(data) > MaxBytesLength:
		e.failed(method, ErrInvalidArgument, "%d bytes, want 1 to %d", len(data), MaxBytesLength)
		return
	}
	r := e.rec
	if r.used+len(data) > len(r.data) {
		r.flush(e.id)
	}
	m := e.next(selEncoderSetBytes) // may flush, too: before the copy
	at := r.data[r.used : r.used+len(data)]
	copy(at, data)
	r.used = (r.used + len(data) + 15) &^ 15
	m.Args[0], m.Args[1], m.Args[2] = uintptr(unsafe.Pointer(&at[0])), uintptr(len(data)), uintptr(index)
}

// SetValue binds a copy of *v, a plain struct or number without pointers laid out as in MSL, to [[buffer(index)]].
func SetValue[T any](e *ComputeEncoder, v *T, index int) {
	if v == nil {
		e.SetBytes(nil, index)
		return
	}
	e.SetBytes(unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v)), index)
}

// SetThreadgroupMemory gives [[threadgroup(index)]] length bytes, a multiple of 16.
func (e *ComputeEncoder) SetThreadgroupMemory(length, index int) {
	const method = "SetThreadgroupMemory"
	switch {
	case !e.recording(method):
		return
	case uint(index) >= maxThreadgroupSets:
		e.failed(method, ErrInvalidArgument, "index %d, want 0 to %d", index, maxThreadgroupSets-1)
		return
	case length < 0 || length%16 != 0 || length > e.tgLimit:
		e.failed(method, ErrInvalidArgument, "%d bytes, want a multiple of 16 up to %d", length, e.tgLimit)
		return
	}
	e.tgBytes += length - int(e.tg[index])
	e.tg[index] = int32(length)
	m := e.next(selEncoderSetThreadgroupMemory)
	m.Args[0], m.Args[1] = uintptr(length), uintptr(index)
}

// DispatchThreadgroups runs the kernel on groups threadgroups of threads threads each.
func (e *ComputeEncoder) DispatchThreadgroups(groups, threads Size) {
	e.dispatch("DispatchThreadgroups", selEncoderDispatchThreadgroups, &groups, &threads)
}

// DispatchThreads runs the kernel on grid threads in threadgroups of threads threads; those at the edges are smaller.
func (e *ComputeEncoder) DispatchThreads(grid, threads Size) {
	e.dispatch("DispatchThreads", selEncoderDispatchThreads, &grid, &threads)
}

func (e *ComputeEncoder) dispatch(method string, s selector, grid, threads *Size) {
	if !e.recording(method) {
		return
	}
	p := e.pipeline
	if p == nil {
		e.failed(method, ErrState, "no pipeline set")
		return
	}
	for _, n := range [...]int{grid[0], grid[1], grid[2], threads[0], threads[1], threads[2]} {
		if n < 1 || int64(n) > math.MaxUint32 {
			e.failed(method, ErrInvalidArgument, "%s: grid %v of threadgroups %v, want at least 1 each way", p.label, *grid, *threads)
			return
		}
	}
	if n := threads[0] * threads[1] * threads[2]; max(threads[0], threads[1], threads[2]) > p.maxThreads || n > p.maxThreads {
		e.failed(method, ErrInvalidArgument, "%s: threadgroup %v, the pipeline allows %d threads", p.label, *threads, p.maxThreads)
		return
	} else if p.whole && n%p.width != 0 {
		e.failed(method, ErrInvalidArgument, "%s: threadgroup %v is not whole SIMD-groups of %d, as promised", p.label, *threads, p.width)
		return
	}
	if n := p.staticMemory + e.tgBytes; n > e.tgLimit {
		e.failed(method, ErrInvalidArgument, "%s: %d bytes of threadgroup memory, the device has %d", p.label, n, e.tgLimit)
		return
	}
	m := e.next(s)
	m.Flag = objc.FlagSizes
	for i := range 3 {
		m.Args[i], m.Args[3+i] = uintptr(grid[i]), uintptr(threads[i])
	}
}

// MemoryBarrier makes the dispatches before it, in a Concurrent encoder, finish their buffer writes before those after
// it begin.
func (e *ComputeEncoder) MemoryBarrier() {
	if e.recording("MemoryBarrier") {
		e.next(selEncoderBarrierScope).Args[0] = barrierScopeBuffers
	}
}

// MemoryBarrierBuffers is a MemoryBarrier for some buffers only.
func (e *ComputeEncoder) MemoryBarrierBuffers(buffers ...*Buffer) {
	const method = "MemoryBarrierBuffers"
	if !e.recording(method) {
		return
	}
	const word = int(unsafe.Sizeof(uintptr(0)))
	r := e.rec
	if len(buffers) == 0 || len(buffers)*word > len(r.data) {
		e.failed(method, ErrInvalidArgument, "%d buffers", len(buffers))
		return
	}
	for _, b := range buffers {
		if b == nil {
			e.failed(method, ErrReleased, "no buffer")
			return
		}
		if !e.use(method, &b.object) {
			return
		}
	}
	if r.used+len(buffers)*word > len(r.data) {
		r.flush(e.id)
	}
	m := e.next(selEncoderBarrierResources)
	at := r.data[r.used : r.used+len(buffers)*word]
	ids := unsafe.Slice((*uintptr)(unsafe.Pointer(&at[0])), len(buffers))
	for i, b := range buffers {
		ids[i] = b.id
	}
	r.used = (r.used + len(at) + 15) &^ 15
	m.Args[0], m.Args[1] = uintptr(unsafe.Pointer(&at[0])), uintptr(len(buffers))
}

// SetLabel names the encoder for debuggers and captures.
func (e *ComputeEncoder) SetLabel(label string) { e.sendText("SetLabel", selEncoderSetLabel, label) }

// PushDebugGroup opens a named group of commands in debuggers and captures. Every group is popped before End.
func (e *ComputeEncoder) PushDebugGroup(name string) {
	if e.recording("PushDebugGroup") {
		e.groups++
		e.sendText("PushDebugGroup", selEncoderPushDebugGroup, name)
	}
}

// PopDebugGroup closes the innermost group.
func (e *ComputeEncoder) PopDebugGroup() {
	const method = "PopDebugGroup"
	if !e.recording(method) {
		return
	}
	if e.groups == 0 {
		e.failed(method, ErrState, "no debug group is open")
		return
	}
	e.groups--
	e.next(selEncoderPopDebugGroup)
}

func (e *ComputeEncoder) sendText(method string, s selector, text string) {
	if !e.recording(method) {
		return
	}
	e.rec.flush(e.id)
	sc := openScope()
	defer sc.Close()
	sc.send(e.id, s, sc.String(text))
}

// End finishes recording and returns the first error. The encoder cannot be used afterwards; a second End is an error.
func (e *ComputeEncoder) End() error {
	if e == nil {
		return fmt.Errorf("metal: ComputeEncoder.End: %w", ErrReleased)
	}
	if e.ended {
		e.failed("End", ErrState, "the encoder has ended")
		return e.err
	}
	e.cb.mu.Lock()
	defer e.cb.mu.Unlock()
	if e.groups > 0 {
		e.failed("End", ErrState, "%d debug groups are open", e.groups)
	}
	e.finish()
	return e.err
}

// finish ends the Objective-C encoder and lets go of it.
func (e *ComputeEncoder) finish() {
	for ; e.groups > 0; e.groups-- {
		e.next(selEncoderPopDebugGroup)
	}
	e.next(selEncoderEnd)
	e.next(selRelease)
	e.rec.flush(e.id)
	e.ended = true
	e.cb.open = nil
	e.rec, e.pipeline, e.id = nil, nil, 0
}
