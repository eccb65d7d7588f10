//go:build !(linux && amd64)

package gnustep

import (
	"errors"
	"runtime"
)

// Build fails: the shim is for GNUstep on linux/amd64.
func Build(...string) (string, error) {
	return "", errors.New("gnustep: only for linux/amd64, not " + runtime.GOOS + "/" + runtime.GOARCH)
}
