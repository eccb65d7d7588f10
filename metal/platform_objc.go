//go:build (darwin || linux) && (amd64 || arm64)

package metal

import "github.com/ebitengine/purego"

// sendAllABI0 is the address of the assembly function sendAll, set in send_$GOARCH.s.
var sendAllABI0 uintptr

// callC calls a C function.
//
//go:uintptrescapes
func callC(fn uintptr, args ...uintptr) uintptr {
	r, _, _ := purego.SyscallN(fn, args...)
	return r
}

// newCallback makes a C function pointer of fn, for the lifetime of the process.
func newCallback(fn func(block, object uintptr)) uintptr { return purego.NewCallback(fn) }

func openLibrary(path string) (uintptr, error) {
	return purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
}

func symbol(library uintptr, name string) (uintptr, error) { return purego.Dlsym(library, name) }
