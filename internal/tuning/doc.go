// Package tuning keeps what gpu.Tune found out, a file for each device and version
// of the system in the user's cache, and gives it to backends of that device. A
// file that is broken, or of other kernels, another device or another system, is
// not used.
package tuning
