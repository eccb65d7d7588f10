//go:build amd64 || arm64

package metalsim

import (
	"fmt"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

const simulated = true

// library is the loaded libmetalsim.so.
type library struct{ handle uintptr }

func openLibrary(path string) (library, error) {
	h, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return library{}, fmt.Errorf("load the simulator: %w", err)
	}
	return library{h}, nil
}

// function is the address of a C function the library is known to have.
func (l library) function(name string) uintptr {
	f, err := purego.Dlsym(l.handle, name)
	if err != nil {
		panic(fmt.Sprintf("metalsim: the library does not match this package: %v", err))
	}
	return f
}

// call calls a function without arguments and copies the string it returns, which belongs to the calling thread.
func (l library) call(name string) string {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r, _, _ := purego.SyscallN(l.function(name))
	if r == 0 || !returnsText[name] {
		return ""
	}
	p := *(*unsafe.Pointer)(unsafe.Pointer(&r))
	n := 0
	for *(*byte)(unsafe.Add(p, n)) != 0 {
		n++
	}
	return string(unsafe.Slice((*byte)(p), n))
}

var returnsText = map[string]bool{
	"metalsim_violations_json": true, "metalsim_counters_json": true, "metalsim_objects_json": true, "metalsim_methods_json": true,
	"metalsim_coverage_json": true, "metalsim_dispatches_json": true, "metalsim_events_json": true,
}

// callText calls a function whose first argument is a string.
func (l library) callText(name, text string, args ...uintptr) {
	b := cString(text)
	all := append([]uintptr{uintptr(unsafe.Pointer(&b[0]))}, args...)
	if r, _, _ := purego.SyscallN(l.function(name), all...); int32(r) != 0 {
		panic(fmt.Sprintf("metalsim: %s(%q) is not understood", name, text))
	}
	runtime.KeepAlive(b)
}

func (l library) configure(name, value string) int {
	n, v := cString(name), cString(value)
	r, _, _ := purego.SyscallN(l.function("metalsim_configure"), uintptr(unsafe.Pointer(&n[0])), uintptr(unsafe.Pointer(&v[0])))
	runtime.KeepAlive(n)
	runtime.KeepAlive(v)
	return int(int32(r))
}

// cString is a C string on the heap, which does not move (a goroutine's stack may).
//
//go:noinline
func cString(s string) []byte { return append([]byte(s), 0) }
