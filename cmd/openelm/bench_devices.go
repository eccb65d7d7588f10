//go:build !darwin

package main

import "github.com/go-openelm/go-openelm/bench"

// benchDevices are the devices of this system.
func benchDevices() []bench.Device { return []bench.Device{bench.CPU()} }
