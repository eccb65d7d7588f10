//go:build !((darwin || linux) && (amd64 || arm64))

package metal

// On these platforms openLibraries fails, so that nothing below is ever called.

var sendAllABI0 uintptr

func callC(uintptr, ...uintptr) uintptr { return 0 }

func newCallback(func(block, object uintptr)) uintptr { return 0 }

func symbol(uintptr, string) (uintptr, error) { return 0, ErrUnsupported }

func openLibraries() ([]uintptr, error) { return nil, ErrUnsupported }
