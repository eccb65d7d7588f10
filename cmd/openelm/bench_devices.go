package main

import (
	"fmt"
	"runtime"

	"github.com/go-openelm/go-openelm/bench"
	"github.com/go-openelm/go-openelm/bench/metaldevice"
	"github.com/go-openelm/go-openelm/kernels/gpu"
)

// benchDevices are all devices that --backend can name.
func benchDevices() []bench.Device { return []bench.Device{metaldevice.New(), bench.CPU()} }

// chooseDevices are the devices of these names. Without names it is the CPU
// and, on a Mac whose GPU runs the kernels, the GPU.
func chooseDevices(names []string) ([]bench.Device, error) {
	all := benchDevices()
	if len(names) == 0 {
		if runtime.GOOS == "darwin" {
			if b, err := gpu.Open(gpu.Options{}); err == nil {
				b.Close()
				return all, nil
			}
		}
		return []bench.Device{bench.CPU()}, nil
	}
	var list []bench.Device
	for _, name := range names {
		found := false
		for _, d := range all {
			if d.Name == name {
				list, found = append(list, d), true
			}
		}
		if !found {
			return nil, fmt.Errorf("no backend %q; there are cpu and metal", name)
		}
	}
	return list, nil
}
