package gpu

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/metal"
)

// ErrClosed is returned by the methods of a backend after Close.
var ErrClosed = errors.New("gpu: backend is closed")

// Options configure a backend. The zero value uses the system's default GPU.
type Options struct {
	// Device is the GPU to use. It stays the caller's and must outlive the
	// backend. Nil means the system's default.
	Device *metal.Device
}

// Backend runs operations on an Apple GPU. Create it with [Open].
type Backend struct {
	device *metal.Device
	owned  bool // device is released by Close
	queue  *metal.CommandQueue
	// resident tells the system once, instead of with every command buffer,
	// what the GPU uses; nil where it cannot be told (before macOS 15).
	resident *metal.ResidencySet
	standing *residency // the request for it
	compiler *compiler
	// compiling counts compilations that use device.
	compiling sync.WaitGroup
	closed    atomic.Bool
	geometry  atomic.Pointer[geometry]
	underWay  atomic.Int64 // command buffers that were committed and not waited for
	stats     counters

	mu   sync.Mutex
	idle []*pass // ended, to be used again
}

var _ kernels.Backend = (*Backend)(nil)

// Open makes a backend on a GPU and tries a small kernel. Without a GPU the error
// is [metal.ErrUnsupported] or [metal.ErrNoDevice], with one that cannot run the
// kernels a [*DeviceError]; see [Unusable].
func Open(o Options) (*Backend, error) {
	b := &Backend{device: o.Device}
	b.geometry.Store(defaultGeometry())
	if b.device == nil {
		d, err := metal.SystemDefaultDevice()
		if err != nil {
			return nil, fmt.Errorf("gpu: %w", err)
		}
		b.device, b.owned = d, true
	}
	if err := b.open(); err != nil {
		if b.owned {
			b.device.Release()
		}
		return nil, err
	}
	if err := b.trial(); err != nil {
		b.Close()
		return nil, err
	}
	b.stats = counters{}
	return b, nil
}

// Unusable reports whether err, of [Open], says that this machine has no GPU that
// runs the kernels, or that it does not work: a program may use the CPU instead.
func Unusable(err error) bool {
	var device *DeviceError
	return errors.As(err, &device) || errors.Is(err, metal.ErrNoDevice) || errors.Is(err, metal.ErrUnsupported) || metal.IsGPUError(err)
}

func (b *Backend) open() error {
	if err := checkDevice(b.device); err != nil {
		return err
	}
	queue, err := b.device.NewCommandQueue()
	if err != nil {
		return fmt.Errorf("gpu: %w", err)
	}
	b.queue, b.compiler = queue, acquireCompiler(b.device)
	if set, err := b.device.NewResidencySet("openelm", 0); err == nil {
		if queue.AddResidencySet(set) == nil {
			b.resident, b.standing = set, &residency{set: set}
		} else {
			set.Release()
		}
	}
	return nil
}

// Name is the GPU's name, such as "Apple M2".
func (b *Backend) Name() string { return b.device.Name() }

// PassRows is 512, which reads the weights once for as many rows and gives the cores
// of a large GPU enough tiles. A done context does not wait for the whole pass.
func (b *Backend) PassRows() int { return 512 }

// Device is the GPU.
func (b *Backend) Device() *metal.Device { return b.device }

// Close releases the queue, and the compiled kernels if no other backend of the
// device is open. It waits for compilations under way. Passes must have ended. A second Close does
// nothing.
func (b *Backend) Close() error {
	if b.closed.Swap(true) {
		return nil
	}
	b.mu.Lock()
	for _, p := range b.idle {
		p.scratch.Release()
	}
	b.idle = nil
	b.mu.Unlock()
	b.standing.end()
	b.queue.Release()
	b.resident.Release()
	b.compiling.Wait()
	b.compiler.release()
	if b.owned {
		b.device.Release()
	}
	return nil
}

// Begin starts a pass.
func (b *Backend) Begin(ctx context.Context) (kernels.Ops, error) {
	if b.closed.Load() {
		return nil, ErrClosed
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	p := b.takePass()
	p.ctx = ctx
	return p, nil
}

func (b *Backend) takePass() *pass {
	b.mu.Lock()
	defer b.mu.Unlock()
	var p *pass
	if n := len(b.idle); n > 0 {
		p = b.idle[n-1]
		b.idle = b.idle[:n-1]
	} else {
		p = &pass{backend: b}
	}
	p.geometry = b.geometry.Load()
	return p
}

func (b *Backend) putPass(p *pass) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.idle = append(b.idle, p)
}

// Stats counts what a backend has had the GPU do since it was opened.
type Stats struct {
	CommandBuffers int64
	Dispatches     int64
	Barriers       int64
	GPUTime        time.Duration // from each command buffer's start to its end
}

type counters struct{ commandBuffers, dispatches, barriers, gpuTime atomic.Int64 }

func (c *counters) add(s *started) {
	c.commandBuffers.Add(1)
	c.dispatches.Add(s.dispatches)
	c.barriers.Add(s.barriers)
	c.gpuTime.Add(int64(s.GPUTime()))
}

// Stats returns the counts so far. Only passes whose Run has returned count.
func (b *Backend) Stats() Stats {
	return Stats{
		CommandBuffers: b.stats.commandBuffers.Load(),
		Dispatches:     b.stats.dispatches.Load(),
		Barriers:       b.stats.barriers.Load(),
		GPUTime:        time.Duration(b.stats.gpuTime.Load()),
	}
}
