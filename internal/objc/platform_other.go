//go:build !((darwin || linux) && (amd64 || arm64))

package objc

import (
	"errors"
	"fmt"
	"runtime"
)

// On these platforms Open and Start fail, so that nothing else is ever called.

var errPlatform = fmt.Errorf("no Objective-C on %s/%s: %w", runtime.GOOS, runtime.GOARCH, errors.ErrUnsupported)

var sendAllABI0 uintptr

// Call calls nothing.
func Call(uintptr, ...uintptr) uintptr { return 0 }

// Callback makes nothing.
func Callback(any) uintptr { return 0 }

// Bind binds nothing.
func Bind(any) {}

func openLibrary(string) (uintptr, error) { return 0, errPlatform }

func symbol(uintptr, string) (uintptr, error) { return 0, errPlatform }
