//go:build !amd64 && !arm64

package metal

// sizesFlag: no other architecture has Metal.
const sizesFlag = 0
