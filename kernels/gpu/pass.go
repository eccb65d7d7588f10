package gpu

import (
	"context"
	"fmt"
	"slices"
	"time"
	"unsafe"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/metal"
)

// pass implements kernels.AsyncOps: it records dispatches, which Start encodes.
type pass struct {
	backend *Backend
	ctx     context.Context
	err     error // the first of recording and starting

	rows       int // of the operations, at most
	dispatches []dispatch
	barrier    bool // the next dispatch needs what was dispatched before
	started    []started
	gpuTime    time.Duration // of what was waited for since Begin
	geometry   *geometry

	scratch     *metal.Buffer
	scratchSize int // bytes that the dispatches need
}

var _ kernels.AsyncOps = (*pass)(nil)

// started is a command buffer that was committed and not yet waited for.
type started struct {
	*metal.CommandBuffer
	dispatches, barriers int64
}

const (
	// An idle GPU is given the first pieceDispatches while the rest is recorded
	// and encoded, which takes a fraction of the time that a GPU needs. One that
	// is at work already needs no more command buffers than there are passes.
	//
	// A pass of many rows is given to the GPU in pieces of as many dispatches,
	// piecesAhead of which are under way at most: a done context is noticed between
	// them, and none is so long that the system takes it for hung.
	pieceDispatches = 16
	piecesAhead     = 2

	maxBindings = 17
	simdWidth   = 32 // lanes of a SIMD-group of every Apple GPU
)

// dispatch is one kernel launch.
type dispatch struct {
	pipeline *future[*metal.ComputePipeline]
	barrier  bool // first wait for all before it
	bindings [maxBindings]binding
	bound    uint32 // bit i: bindings[i] is set

	args      [16]uint32 // the kernel's argument struct
	argsBytes int
	argsIndex int

	memory  int        // bytes of threadgroup memory
	groups  metal.Size // threadgroups
	threads int        // of a threadgroup
}

// fail records the first error.
func (p *pass) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

// ready reports whether the next operation is to be recorded. Between operations
// is where a pass is divided.
func (p *pass) ready() bool {
	if p.err == nil {
		p.err = context.Cause(p.ctx)
	}
	if p.err == nil && p.early() {
		p.err = p.commit()
	}
	return p.err == nil
}

// early reports whether the GPU should have what was recorded before the rest is:
// it has nothing to do, or the whole would be long.
func (p *pass) early() bool {
	switch {
	case len(p.dispatches) < pieceDispatches:
		return false
	case p.rows > kernels.ExactRows:
		return true
	case p.backend.underWay.Load() > 0:
		return false
	}
	for i := range p.dispatches {
		if p.dispatches[i].compiling() {
			return false // the rest had better compile beside it
		}
	}
	return true
}

// depends makes the next dispatch wait for all before it.
func (p *pass) depends() { p.barrier = len(p.dispatches) > 0 }

// launch adds a dispatch of the kernel of key. The result is valid until the
// next launch.
func (p *pass) launch(key kernelKey) *dispatch {
	if n := len(p.dispatches); n < cap(p.dispatches) {
		p.dispatches = p.dispatches[:n+1]
	} else {
		p.dispatches = append(p.dispatches, dispatch{})
	}
	d := &p.dispatches[len(p.dispatches)-1]
	d.pipeline, d.barrier, d.bound, d.memory = p.backend.pipeline(key), p.barrier, 0, 0
	p.barrier = false
	return d
}

// compiling reports whether the dispatch is the first of its kernel: a kernel that
// a text needs later can be compiled beside it.
func (d *dispatch) compiling() bool {
	select {
	case <-d.pipeline.done:
		return false
	default:
		return true
	}
}

func (d *dispatch) bind(index int, b binding) {
	d.bindings[index] = b
	d.bound |= 1 << index
}

// setArgs makes v, laid out as the kernel's struct, its argument.
func setArgs[T any](d *dispatch, index int, v T) {
	d.argsIndex, d.argsBytes = index, int(unsafe.Sizeof(v))
	*(*T)(unsafe.Pointer(&d.args)) = v
}

// allot returns n float32 of scratch memory after the first *used bytes. An
// operation has the scratch memory for itself.
func (p *pass) allot(used *int, n int) binding {
	at := *used
	*used += (4*n + 255) &^ 255
	p.scratchSize = max(p.scratchSize, *used)
	return binding{off: at}
}

// Run executes what was recorded and waits for it.
func (p *pass) Run() error {
	err := p.Start()
	if failed := p.waitFor(len(p.started)); err == nil {
		err = failed
	}
	p.reset()
	return err
}

// Start executes what was recorded.
func (p *pass) Start() error {
	if p.err == nil {
		p.err = p.commit()
	}
	return p.err
}

// commit has the GPU execute the dispatches, as one command buffer.
func (p *pass) commit() error {
	if err := context.Cause(p.ctx); err != nil || len(p.dispatches) == 0 {
		return err
	}
	p.backend.standing.use()
	if err := p.waitFor(len(p.started) - piecesAhead + 1); err != nil {
		return err
	}
	if err := p.growScratch(); err != nil {
		return err
	}
	cb, err := p.backend.queue.NewCommandBuffer()
	if err != nil {
		return fmt.Errorf("gpu: %w", err)
	}
	defer cb.Release()
	if err := p.encode(cb); err != nil {
		return err
	}
	// Compiling may have taken a while.
	if err := context.Cause(p.ctx); err != nil {
		return err
	}
	if err := cb.Commit(); err != nil {
		return fmt.Errorf("gpu: %w", err)
	}
	p.backend.underWay.Add(1)
	s := started{CommandBuffer: cb, dispatches: int64(len(p.dispatches))}
	for i := range p.dispatches {
		if p.dispatches[i].barrier {
			s.barriers++
		}
	}
	p.started = append(p.started, s)
	p.forget()
	return nil
}

// waitFor waits for the first n command buffers that were started and returns the
// first error. It begins with the last one: the others are complete when that is.
func (p *pass) waitFor(n int) (err error) {
	if n <= 0 {
		return nil
	}
	for i := n - 1; i >= 0; i-- {
		s := &p.started[i]
		if failed := s.WaitUntilCompleted(); failed != nil {
			err = fmt.Errorf("gpu: %w", failed)
		} else {
			p.backend.stats.add(s)
			p.gpuTime += s.GPUTime()
		}
		p.backend.underWay.Add(-1)
	}
	p.started = slices.Delete(p.started, 0, n)
	return err
}

// encode waits for the pipelines and writes the dispatches into cb.
func (p *pass) encode(cb *metal.CommandBuffer) error {
	e, err := cb.ComputeEncoder(metal.Concurrent)
	if err != nil {
		return fmt.Errorf("gpu: %w", err)
	}
	var set [maxBindings]binding // what the encoder has bound already
	memory := 0                  // bytes of threadgroup memory that it has set
	for i := range p.dispatches {
		d := &p.dispatches[i]
		pipeline, err := d.pipeline.wait(p.ctx)
		if err != nil {
			return err
		}
		if d.barrier {
			e.MemoryBarrier()
		}
		e.SetPipeline(pipeline)
		for i, b := range d.bindings {
			if d.bound>>i&1 == 0 {
				continue
			}
			if b.buf == nil {
				b.buf = p.scratch
			}
			if b != set[i] {
				e.SetBuffer(b.buf, b.off, i)
				set[i] = b
			}
		}
		e.SetBytes(unsafe.Slice((*byte)(unsafe.Pointer(&d.args)), d.argsBytes), d.argsIndex)
		set[d.argsIndex] = binding{}
		// Also for kernels that take none: what is set counts against the
		// device's limit, beside the memory that a kernel declares itself.
		if d.memory != memory {
			e.SetThreadgroupMemory(d.memory, 0)
			memory = d.memory
		}
		e.DispatchThreadgroups(d.groups, metal.Size{d.threads, 1, 1})
	}
	if err := e.End(); err != nil {
		return fmt.Errorf("gpu: %w", err)
	}
	return nil
}

// growScratch makes the scratch memory as large as the dispatches need it.
func (p *pass) growScratch() error {
	if p.scratch.Len() >= p.scratchSize {
		return nil
	}
	p.scratch.Release()
	p.scratch = nil
	s, err := p.backend.device.NewBuffer(p.scratchSize, metal.StorageModePrivate)
	if err != nil {
		return fmt.Errorf("gpu: %w", err)
	}
	s.SetLabel("scratch")
	p.scratch = s
	return nil
}

// forget drops what was recorded.
func (p *pass) forget() {
	p.barrier, p.scratchSize = false, 0
	p.dispatches = p.dispatches[:0]
}

func (p *pass) reset() {
	p.err, p.rows = nil, 0
	p.forget()
}

// End gives the pass back to the backend.
func (p *pass) End() {
	p.waitFor(len(p.started))
	p.reset()
	clear(p.dispatches[:cap(p.dispatches)]) // keep no buffers alive
	p.ctx, p.gpuTime = nil, 0
	p.backend.putPass(p)
}
