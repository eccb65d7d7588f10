//go:build !darwin

package tuning

import "runtime"

// system is a name: without Metal there is nothing to tune but its simulator.
func system() string { return runtime.GOOS }
