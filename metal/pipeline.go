package metal

import "fmt"

// PipelineOptions are options of NewComputePipeline; the zero value is the system's defaults.
type PipelineOptions struct {
	Label string // shown by debuggers and captures; the function's name if empty
	// MaxTotalThreadsPerThreadgroup lets the compiler use more registers by promising no larger threadgroup; 0: no promise.
	MaxTotalThreadsPerThreadgroup int
	// WholeSIMDGroups promises that threadgroup sizes are multiples of the pipeline's ThreadExecutionWidth.
	WholeSIMDGroups bool
}

// ComputePipeline is a kernel compiled for the GPU (MTLComputePipelineState). Safe for use by many goroutines.
type ComputePipeline struct {
	object
	label        string
	maxThreads   int
	width        int
	staticMemory int
	whole        bool
}

// NewComputePipeline compiles f for the GPU; opts may be nil. Several goroutines may do so at once.
func (d *Device) NewComputePipeline(f *Function, opts *PipelineOptions) (*ComputePipeline, error) {
	const op = "metal: Device.NewComputePipeline"
	if f == nil {
		return nil, fmt.Errorf("%s: function: %w", op, ErrReleased)
	}
	if opts == nil {
		opts = &PipelineOptions{}
	}
	if err := d.check(op, &f.object); err != nil {
		return nil, err
	}
	if n := opts.MaxTotalThreadsPerThreadgroup; n < 0 || n > maxThreadgroup {
		return nil, fmt.Errorf("%s: %s: MaxTotalThreadsPerThreadgroup %d, want 0 to %d: %w", op, f.name, n, maxThreadgroup, ErrInvalidArgument)
	}
	label := opts.Label
	if label == "" {
		label = f.name
	}
	s := openScope()
	defer s.Close()
	desc := s.New(api.classes[classComputePipelineDescriptor])
	s.send(desc, selPipelineDescSetFunction, f.id)
	s.send(desc, selPipelineDescSetLabel, s.String(label))
	if n := opts.MaxTotalThreadsPerThreadgroup; n > 0 {
		s.send(desc, selPipelineDescSetMaxThreads, uintptr(n))
	}
	if opts.WholeSIMDGroups {
		s.send(desc, selPipelineDescSetMultiple, 1)
	}
	id := s.send(d.id, selDeviceNewPipeline, desc, 0, 0, s.ErrorOut())
	if id == 0 {
		return nil, s.failure("create pipeline "+label, s.Error())
	}
	p := &ComputePipeline{
		label:        label,
		maxThreads:   int(s.send(id, selPipelineMaxThreads)),
		width:        int(s.send(id, selPipelineExecutionWidth)),
		staticMemory: int(s.send(id, selPipelineStaticMemory)),
		whole:        opts.WholeSIMDGroups,
	}
	p.adopt(id, d.id)
	return p, nil
}

// Label is the label given, or the function's name.
func (p *ComputePipeline) Label() string {
	if p == nil {
		return ""
	}
	return p.label
}

// MaxTotalThreadsPerThreadgroup is the largest threadgroup this kernel can run with: its registers limit it.
func (p *ComputePipeline) MaxTotalThreadsPerThreadgroup() int {
	if p == nil {
		return 0
	}
	return p.maxThreads
}

// ThreadExecutionWidth is the number of threads in a SIMD-group: 32 on Apple GPUs.
func (p *ComputePipeline) ThreadExecutionWidth() int {
	if p == nil {
		return 0
	}
	return p.width
}

// StaticThreadgroupMemoryLength is how many bytes of threadgroup memory the kernel declares itself.
func (p *ComputePipeline) StaticThreadgroupMemoryLength() int {
	if p == nil {
		return 0
	}
	return p.staticMemory
}

// Release frees the pipeline once no command buffer uses it. Idempotent, nil is fine.
func (p *ComputePipeline) Release() {
	if p != nil {
		p.release()
	}
}
