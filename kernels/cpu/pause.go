//go:build amd64 || arm64

package cpu

// pause tells the core that the goroutine is waiting for another one.
func pause()
