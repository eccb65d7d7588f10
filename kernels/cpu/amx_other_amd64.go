//go:build !linux

package cpu

// permitAMX is true where the process may use tile registers: nobody has tried
// it on systems other than Linux.
func permitAMX() bool { return false }
