//go:build !amd64 && !arm64

package objc

// FlagSizes: no other architecture has Metal.
const FlagSizes = 0
