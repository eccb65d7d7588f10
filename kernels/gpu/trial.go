package gpu

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/metal"
)

//go:embed trial.metal
var trialText string

var trialSource = source{name: "trial.metal", text: trialText, number: -1, threads: simdWidth}

// DeviceError says that a GPU cannot run the kernels.
type DeviceError struct {
	Device string // its name
	Reason string
	Err    error // what the system said; may be nil
}

func (e *DeviceError) Error() string {
	s := fmt.Sprintf("gpu: %s cannot run the kernels: %s", e.Device, e.Reason)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap is what the system said.
func (e *DeviceError) Unwrap() error { return e.Err }

// checkDevice refuses GPUs that lack what the kernels need, as far as they say
// so themselves. SIMD-groups are added up and matrices multiplied from the
// Apple7 family on, which all Macs with Apple's processors are; Intel's and
// AMD's GPUs, those of virtual machines, and iPhones before the 12 are not.
// Metal 3 of such a GPU says that the system is macOS 13, iOS 16 or later.
func checkDevice(d *metal.Device) error {
	switch {
	case !d.SupportsFamily(metal.FamilyApple7):
		return &DeviceError{Device: d.Name(), Reason: "it is not an Apple M1, A14 or later"}
	case !d.SupportsFamily(metal.FamilyMetal3):
		return &DeviceError{Device: d.Name(), Reason: "macOS 13, iOS 16 or later is needed"}
	}
	return nil
}

// checkWidth refuses a kernel that was compiled for SIMD-groups of another size,
// in which it would compute wrong numbers.
func checkWidth(d *metal.Device, p *metal.ComputePipeline) error {
	if w := p.ThreadExecutionWidth(); w != simdWidth {
		return &DeviceError{Device: d.Name(), Reason: fmt.Sprintf("%s has SIMD-groups of %d threads, want %d", p.Label(), w, simdWidth)}
	}
	return nil
}

// trial runs one small kernel: a driver may promise what it does not hold.
func (b *Backend) trial() error {
	failed := func(reason string, err error) error {
		var device *DeviceError
		if errors.As(err, &device) {
			return err
		}
		return &DeviceError{b.Name(), reason, err}
	}
	out, err := b.NewBuffer(4 * simdWidth)
	if err != nil {
		return failed("no memory for a trial", err)
	}
	defer out.Release()
	p := b.takePass()
	p.ctx = context.Background()
	defer p.End()
	d := p.launch(kernelKey{libraryKey: libraryKey{source: &trialSource}, function: "trial"})
	d.bind(0, p.floats("trial", "out", kernels.Whole(out), simdWidth))
	const first = 3
	setArgs(d, 1, uint32(first))
	d.threads, d.groups = simdWidth, metal.Size{1, 1, 1}
	if err := p.Run(); err != nil {
		return failed("a trial failed", err)
	}
	for lane, got := range kernels.Whole(out).Floats() {
		want := simdWidth*first + simdWidth*(simdWidth-1)/2 + first + (lane ^ 1)
		for k := range 8 {
			want += (lane/8*8 + k) * (8*k + lane%8)
		}
		if got != float32(want) {
			return failed(fmt.Sprintf("a trial computed %v in lane %d, want %d", got, lane, want), nil)
		}
	}
	return nil
}
