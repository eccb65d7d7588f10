// Package cpu runs the operations of package kernels on the CPU, on all cores.
//
// It is written to be read beside the formulas: a matrix row is widened to
// float32 by [kernels.Matrix.ReadRow] and multiplied with each activation row.
// Memory is ordinary Go memory, and any buffer of another backend whose bytes
// the CPU can see works as well, so that a session can move here from a GPU.
package cpu
