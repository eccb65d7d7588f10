//go:build !linux && !darwin

package cpu

// hasBF16 is false where nobody has said how to ask for BFMMLA.
func hasBF16() bool { return false }
