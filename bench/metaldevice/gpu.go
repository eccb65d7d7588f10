package metaldevice

import (
	"context"
	_ "embed"
	"encoding/binary"
	"errors"

	"github.com/go-openelm/go-openelm/metal"
)

//go:embed limits.metal
var source string

// device is a GPU with the two kernels that its limits are measured with.
type device struct {
	load
	read, mulAdd *metal.ComputePipeline
	queue        *metal.CommandQueue
	memory, out  *metal.Buffer
	owned        []interface{ Release() }
}

func newGPU(l load) (_ *device, err error) {
	g := &device{load: l}
	defer func() {
		if err != nil {
			g.release()
		}
	}()
	d, err := metal.SystemDefaultDevice()
	if err != nil {
		return nil, err
	}
	g.owned = append(g.owned, d)
	library, err := d.NewLibrary(source, &metal.CompileOptions{Label: "limits.metal"})
	if err != nil {
		return nil, err
	}
	g.owned = append(g.owned, library)
	if g.read, err = g.pipeline(d, library, "read_memory"); err != nil {
		return nil, err
	}
	if g.mulAdd, err = g.pipeline(d, library, "multiply_add"); err != nil {
		return nil, err
	}
	if g.queue, err = d.NewCommandQueue(); err != nil {
		return nil, err
	}
	g.owned = append(g.owned, g.queue)
	if g.memory, err = g.buffer(d, l.bytes); err != nil {
		return nil, err
	}
	for i, b := 0, g.memory.Bytes(); i < len(b); i += 64 { // touch every page, and do not leave zeros
		b[i] = byte(i >> 6)
	}
	g.out, err = g.buffer(d, 4*l.threads)
	return g, err
}

func (g *device) pipeline(d *metal.Device, library *metal.Library, name string) (*metal.ComputePipeline, error) {
	f, err := library.NewFunction(name)
	if err != nil {
		return nil, err
	}
	defer f.Release()
	p, err := d.NewComputePipeline(f, nil)
	if err == nil {
		g.owned = append(g.owned, p)
	}
	return p, err
}

func (g *device) buffer(d *metal.Device, size int) (*metal.Buffer, error) {
	b, err := d.NewBuffer(size, metal.StorageModeShared)
	if err == nil {
		g.owned = append(g.owned, b)
	}
	return b, err
}

func (g *device) release() {
	for i := len(g.owned) - 1; i >= 0; i-- {
		g.owned[i].Release()
	}
}

// time runs a kernel over all threads and returns the GPU's seconds.
func (g *device) time(ctx context.Context, p *metal.ComputePipeline, n uint32) (float64, error) {
	commands, err := g.queue.NewCommandBuffer()
	if err != nil {
		return 0, err
	}
	defer commands.Release()
	e, err := commands.ComputeEncoder(metal.Concurrent)
	if err != nil {
		return 0, err
	}
	e.SetPipeline(p)
	e.SetBuffer(g.memory, 0, 0)
	e.SetBuffer(g.out, 0, 1)
	e.SetBytes(binary.LittleEndian.AppendUint32(nil, n), 2)
	e.DispatchThreads(metal.Size{g.threads, 1, 1}, metal.Size{min(256, g.threads), 1, 1})
	if err := e.End(); err != nil {
		return 0, err
	}
	if err := commands.Commit(); err != nil {
		return 0, err
	}
	if err := commands.Wait(ctx); err != nil {
		return 0, err
	}
	seconds := commands.GPUTime().Seconds()
	if !(seconds > 0) {
		return 0, errors.New("metaldevice: the GPU does not tell its time")
	}
	return seconds, nil
}
