//go:build !amd64 && !arm64

package cpu

// native are the routines in assembly that the machine can run: none here.
func native() []*isaTable { return nil }
