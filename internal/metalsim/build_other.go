//go:build !(linux && (amd64 || arm64))

package metalsim

import (
	"errors"
	"runtime"
)

// Build fails: only Linux has, and needs, a simulated Metal.
func Build() (string, error) {
	return "", errors.New("metalsim: the simulator runs on linux, not on " + runtime.GOOS)
}
