//go:build !amd64 && !arm64

package cpu

import "runtime"

// pause lets another goroutine go on.
func pause() { runtime.Gosched() }
