//go:build (darwin || linux) && (amd64 || arm64)

package objc

import (
	"reflect"
	"runtime"

	"github.com/ebitengine/purego"
)

// sendAllABI0 is the address of the assembly function sendAll, set in send_$GOARCH.s.
var sendAllABI0 uintptr

// Call calls a C function whose arguments are integers and pointers.
//
//go:uintptrescapes
func Call(fn uintptr, args ...uintptr) uintptr {
	r, _, _ := purego.SyscallN(fn, args...)
	return r
}

// Callback makes a C function pointer of a Go function, for the lifetime of the process.
func Callback(fn any) uintptr { return purego.NewCallback(fn) }

// Bind makes *fn, a function whose first two arguments are receiver and selector (uintptr both), one that sends messages
// with the arguments and the result that its type says: numbers of their C size and structs of them. Slower than Send,
// for what does not fit a Message. Nil must not be asked for a struct that no register holds.
func Bind(fn any) {
	send := functions.msgSend
	// Results that no register holds: amd64 has a function of its own for them, arm64 a register for the address.
	if t := reflect.TypeOf(fn).Elem(); runtime.GOARCH == "amd64" && t.NumOut() == 1 && t.Out(0).Kind() == reflect.Struct && t.Out(0).Size() > 16 {
		send = functions.msgSendStret
	}
	purego.RegisterFunc(fn, send)
}

func openLibrary(path string) (uintptr, error) {
	return purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
}

func symbol(library uintptr, name string) (uintptr, error) { return purego.Dlsym(library, name) }
