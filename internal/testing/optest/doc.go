// Package optest holds an implementation of kernels.Backend to the contract of
// package kernels: every operation, over random shapes, formats and adapters,
// against the formula in float64.
//
// Both backends run the same [Conformance] suite, so that a CPU operation and
// its Metal twin cannot drift apart.
package optest
