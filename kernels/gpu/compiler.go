package gpu

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/metal"
)

// A source is a .metal file with the headers it needs. The Metal compiler takes
// one text and finds no files, so they are joined.
type source struct {
	name    string
	headers []string
	text    string
	// Function constants are bool, numbered from 0 to constants-1, except the
	// one at index number, which is uint.
	constants, number int
	// threads is the largest threadgroup its kernels are launched with.
	threads int
}

// program joins headers and source, with line numbers that refer to the files.
func (s *source) program() string {
	var b strings.Builder
	for i := 0; i < len(s.headers); i += 2 {
		fmt.Fprintf(&b, "#line 1 %q\n%s", s.headers[i], s.headers[i+1])
	}
	fmt.Fprintf(&b, "#line 1 %q\n%s", s.name, s.text)
	return b.String()
}

// libraryKey is what a library is compiled for.
type libraryKey struct {
	source  *source
	weights kernels.Format // zero for sources that know no weights
}

// kernelKey is what a pipeline is compiled for.
type kernelKey struct {
	libraryKey
	function string
	flags    uint32 // bit i is bool function constant i
	number   uint32 // the uint function constant
}

// flag returns bit i if on.
func flag(i int, on bool) uint32 {
	if on {
		return 1 << i
	}
	return 0
}

// compiler holds the kernels compiled for a device, each once.
type compiler struct {
	id    uint64 // the device's registry ID
	users int    // backends; guarded by compilers

	mu        sync.RWMutex
	libraries map[libraryKey]*future[*metal.Library]
	pipelines map[kernelKey]*future[*metal.ComputePipeline]
}

// compilers are those of the devices that have open backends.
var compilers = struct {
	sync.Mutex
	of map[uint64]*compiler // by registry ID
}{of: map[uint64]*compiler{}}

func acquireCompiler(d *metal.Device) *compiler {
	compilers.Lock()
	defer compilers.Unlock()
	id := d.RegistryID()
	c := compilers.of[id]
	if c == nil {
		c = &compiler{
			id:        id,
			libraries: map[libraryKey]*future[*metal.Library]{},
			pipelines: map[kernelKey]*future[*metal.ComputePipeline]{},
		}
		compilers.of[id] = c
	}
	c.users++
	return c
}

// release ends one backend's use; its compilations have finished.
func (c *compiler) release() {
	compilers.Lock()
	defer compilers.Unlock()
	if c.users--; c.users > 0 {
		return
	}
	delete(compilers.of, c.id)
	for _, f := range c.pipelines {
		f.value.Release()
	}
	for _, f := range c.libraries {
		f.value.Release()
	}
}

// future is the result of work that runs in a goroutine of its own.
type future[T any] struct {
	done  chan struct{} // closed when value and err are set
	value T
	err   error
}

func (f *future[T]) wait(ctx context.Context) (T, error) {
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// start returns the entry of key in m, which create makes in the
// background if there is none. A failure is not kept: who comes later tries
// again.
func start[K comparable, T any](b *Backend, m map[K]*future[T], key K, create func(*Backend, K) (T, error)) *future[T] {
	mu := &b.compiler.mu
	mu.RLock()
	f := m[key]
	mu.RUnlock()
	if f != nil {
		return f
	}
	mu.Lock()
	defer mu.Unlock()
	if f = m[key]; f != nil {
		return f
	}
	f = &future[T]{done: make(chan struct{})}
	m[key] = f
	b.compiling.Add(1)
	go func() {
		defer b.compiling.Done()
		defer close(f.done)
		if f.value, f.err = create(b, key); f.err != nil {
			mu.Lock()
			delete(m, key)
			mu.Unlock()
		}
	}()
	return f
}

// pipeline is the compiled kernel of key, or will be.
func (b *Backend) pipeline(key kernelKey) *future[*metal.ComputePipeline] {
	return start(b, b.compiler.pipelines, key, compilePipeline)
}

// compile begins to compile the kernels of keys. A failure shows when a pass needs
// the kernel and it is compiled again.
func (b *Backend) compile(keys ...kernelKey) {
	for _, key := range keys {
		b.pipeline(key)
	}
}

func compilePipeline(b *Backend, key kernelKey) (*metal.ComputePipeline, error) {
	library, err := start(b, b.compiler.libraries, key.libraryKey, compileLibrary).wait(context.Background())
	if err != nil {
		return nil, err
	}
	constants := make([]metal.FunctionConstant, key.source.constants)
	for i := range constants {
		constants[i] = metal.Constant(i, key.flags>>i&1 == 1)
		if i == key.source.number {
			constants[i] = metal.Constant(i, key.number)
		}
	}
	function, err := library.NewFunction(key.function, constants...)
	if err != nil {
		return nil, fmt.Errorf("gpu: %w", err)
	}
	defer function.Release()
	p, err := b.device.NewComputePipeline(function, &metal.PipelineOptions{
		Label:                         key.function,
		MaxTotalThreadsPerThreadgroup: key.source.threads,
		WholeSIMDGroups:               true,
	})
	if err != nil {
		return nil, fmt.Errorf("gpu: %w", err)
	}
	if err := checkWidth(b.device, p); err != nil {
		p.Release()
		return nil, err
	}
	return p, nil
}

func compileLibrary(b *Backend, key libraryKey) (*metal.Library, error) {
	o := metal.CompileOptions{
		Label:           key.source.name,
		LanguageVersion: metal.Language3_0,
		// exp must be right for scores far below the maximum, and sums must not
		// depend on the compiler; memory, not arithmetic, is the limit.
		MathMode: metal.MathSafe,
	}
	if key.weights != 0 {
		o.Macros = map[string]string{"WEIGHTS": key.weights.String()}
	}
	l, err := b.device.NewLibrary(key.source.program(), &o)
	if err != nil {
		return nil, fmt.Errorf("gpu: %w", err)
	}
	return l, nil
}
