package metal_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"math"

	"github.com/go-openelm/go-openelm/internal/metalsim"
	"github.com/go-openelm/go-openelm/metal"
)

const vectorAdd = `
#include <metal_stdlib>
using namespace metal;

kernel void add(device const float* a [[buffer(0)]],
                device const float* b [[buffer(1)]],
                device float* sum     [[buffer(2)]],
                uint i [[thread_position_in_grid]]) {
  sum[i] = a[i] + b[i];
}
`

// Adding two vectors on the GPU. On Linux this runs on the simulator.
func Example() {
	useSimulator() // on Linux only; macOS needs nothing
	sum, err := addOnGPU([]float32{1, 2, 3}, []float32{10, 20, 30})
	if errors.Is(err, metal.ErrNoDevice) || errors.Is(err, metal.ErrUnsupported) {
		log.Fatal("no GPU here")
	} else if err != nil {
		log.Fatal(err)
	}
	fmt.Println(sum)
	// Output: [11 22 33]
}

func addOnGPU(a, b []float32) ([]float32, error) {
	device, err := metal.SystemDefaultDevice()
	if err != nil {
		return nil, err
	}
	defer device.Release()
	queue, err := device.NewCommandQueue()
	if err != nil {
		return nil, err
	}
	defer queue.Release()
	library, err := device.NewLibrary(vectorAdd, nil)
	if err != nil {
		return nil, err // a *metal.CompileError has line and column
	}
	defer library.Release()
	function, err := library.NewFunction("add")
	if err != nil {
		return nil, err
	}
	defer function.Release()
	pipeline, err := device.NewComputePipeline(function, nil)
	if err != nil {
		return nil, err
	}
	defer pipeline.Release()

	var buffers [3]*metal.Buffer
	for i := range buffers {
		if buffers[i], err = device.NewBuffer(4*len(a), metal.StorageModeShared); err != nil {
			return nil, err
		}
		defer buffers[i].Release()
	}
	for i := range a {
		binary.LittleEndian.PutUint32(buffers[0].Bytes()[4*i:], math.Float32bits(a[i]))
		binary.LittleEndian.PutUint32(buffers[1].Bytes()[4*i:], math.Float32bits(b[i]))
	}

	commands, err := queue.NewCommandBuffer()
	if err != nil {
		return nil, err
	}
	encoder, err := commands.ComputeEncoder(metal.Serial)
	if err != nil {
		commands.Release()
		return nil, err
	}
	encoder.SetPipeline(pipeline)
	for i, buffer := range buffers {
		encoder.SetBuffer(buffer, 0, i)
	}
	encoder.DispatchThreads(metal.Size{len(a), 1, 1}, metal.Size{32, 1, 1})
	if err := encoder.End(); err != nil {
		commands.Release()
		return nil, err
	}
	if err := commands.Commit(); err != nil {
		return nil, err
	}
	if err := commands.WaitUntilCompleted(); err != nil {
		return nil, err
	}

	sum := make([]float32, len(a))
	for i := range sum {
		sum[i] = math.Float32frombits(binary.LittleEndian.Uint32(buffers[2].Bytes()[4*i:]))
	}
	return sum, nil
}

// useSimulator builds the simulator, if this is Linux, and sets METALSIM.
func useSimulator() {
	if _, err := metalsim.Open(); err != nil {
		log.Fatal(err)
	}
}
