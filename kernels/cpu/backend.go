package cpu

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"github.com/go-openelm/go-openelm/kernels"
)

// Options configure a backend. The zero value uses every core and the best
// instruction set.
type Options struct {
	Threads int // goroutines that compute, at most MaxThreads; 0 means GOMAXPROCS
	ISA     ISA // Portable if the machine does not have it

	// RoundActivations rounds what is multiplied with a matrix of the model to
	// bfloat16, for faster prompts; see the package's Rounding. By default nothing is.
	RoundActivations bool
}

// MaxThreads is more than any processor runs at once. Beyond it threads would only
// take memory.
const MaxThreads = 1024

// Backend runs operations on the CPU. Create it with [New].
type Backend struct {
	threads int
	rounds  bool
	table   *isaTable
	pool    *pool

	mu     sync.Mutex
	passes []*pass // not in use
}

var _ kernels.Backend = (*Backend)(nil)

// New returns a CPU backend.
func New(o Options) *Backend {
	if o.Threads < 1 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	o.Threads = min(o.Threads, MaxThreads)
	r := choose(o.ISA)
	return &Backend{threads: o.Threads, rounds: o.RoundActivations, table: r, pool: newPool(o.Threads, r)}
}

// Name is "cpu".
func (b *Backend) Name() string { return "cpu" }

// Threads is the number of goroutines that compute.
func (b *Backend) Threads() int { return b.threads }

// ISA is the instruction set in use.
func (b *Backend) ISA() ISA { return b.table.isa }

// PassRows is 256. Widening the weights is 1/25 of the work then, and a context
// is looked at before each operation.
func (b *Backend) PassRows() int { return 256 }

// Close ends the worker goroutines.
func (b *Backend) Close() error {
	b.pool.close()
	return nil
}

const alignment = 64 // a cache line, and the widest vector register

// ErrBufferSize is returned for a buffer of fewer than one byte.
var ErrBufferSize = errors.New("cpu: buffer size is not positive")

// largeBuffer is the size from which a buffer is memory of its own, not of Go's
// heap: one that cannot be had is an error then, and not the program's end.
const largeBuffer = 1 << 20

// NewBuffer allocates size zeroed bytes.
func (b *Backend) NewBuffer(size int) (kernels.Buffer, error) {
	if size < 1 {
		return nil, fmt.Errorf("%w: %d", ErrBufferSize, size)
	}
	if size < largeBuffer {
		return &buffer{mem: alignedBytes(size)}, nil
	}
	mem, release, err := reserve(size)
	if err != nil {
		return nil, fmt.Errorf("cpu: a buffer of %d bytes: %w", size, err)
	}
	return &buffer{mem, release}, nil
}

func alignedBytes(n int) []byte {
	mem := make([]byte, n+alignment)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(mem))) % alignment)
	return mem[skip : skip+n : skip+n]
}

// aligned is n float32 from the start of a cache line on.
func aligned(n int) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(alignedBytes(4*n+4)))), n)
}

// WrapBuffer uses mem as it is.
func (b *Backend) WrapBuffer(mem []byte) (kernels.Buffer, bool, error) {
	if len(mem) < 1 {
		return nil, false, fmt.Errorf("%w: %d", ErrBufferSize, len(mem))
	}
	return &buffer{mem: mem}, true, nil
}

type buffer struct {
	mem     []byte
	release func([]byte) // of what is not Go's; nil otherwise
}

func (b *buffer) Bytes() []byte { return b.mem }

func (b *buffer) Release() {
	if b.release != nil && b.mem != nil {
		b.release(b.mem)
	}
	b.mem = nil
}

// Begin starts a pass. Operations run as they are recorded.
func (b *Backend) Begin(ctx context.Context) (kernels.Ops, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := b.take()
	p.ctx, p.err = ctx, nil
	return p, nil
}

// take returns a pass that is not in use, with the memory it has grown.
func (b *Backend) take() *pass {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.passes)
	if n == 0 {
		return newPass(b)
	}
	p := b.passes[n-1]
	b.passes = b.passes[:n-1]
	return p
}

func (b *Backend) give(p *pass) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.passes = append(b.passes, p)
}
