package objc

import (
	"runtime"
	"strings"
	"unsafe"
)

// Scope is an autorelease pool for several messages whose results outlive the message but not the scope: strings,
// errors, descriptors. It holds the goroutine on its OS thread, because pools belong to threads.
type Scope struct {
	c     *Sender
	token uintptr
}

// OpenScope begins a scope; every one is closed, the last one opened first.
func OpenScope() Scope {
	runtime.LockOSThread()
	return Scope{c: NewSender(), token: Call(functions.poolPush)}
}

// Close releases what was autoreleased since OpenScope.
func (s Scope) Close() {
	Call(functions.poolPop, s.token)
	s.c.out = 0
	s.c.Free()
	runtime.UnlockOSThread()
}

// Send sends one message whose result lives until the scope closes.
//
//go:uintptrescapes
func (s Scope) Send(obj, sel uintptr, args ...uintptr) uintptr {
	m := &s.c.Messages[0]
	m.Set(sel, args...)
	s.c.run(obj, m, 1, false)
	return m.Flag
}

// ErrorOut is the address to pass for an NSError**; Error is the object stored there.
func (s Scope) ErrorOut() uintptr {
	s.c.out = 0
	return uintptr(unsafe.Pointer(&s.c.out))
}

// Error is the NSError that the last method given ErrorOut stored, or nil.
func (s Scope) Error() uintptr { return s.c.out }

// String makes an NSString that lives until the scope closes. Text that no NSString of a C string can hold is mended:
// what is not UTF-8 becomes U+FFFD, and a NUL ends it.
func (s Scope) String(v string) uintptr {
	b := append([]byte(strings.ToValidUTF8(v, "\uFFFD")), 0)
	return s.Send(functions.nsString, basic[stringWithUTF8String], uintptr(unsafe.Pointer(&b[0])))
}

// Text is the Go copy of an NSString.
func (s Scope) Text(ns uintptr) string {
	if ns == 0 {
		return ""
	}
	return goString(s.Send(ns, basic[utf8String]))
}

// New makes an object with alloc and init that lives until the scope closes.
func (s Scope) New(class uintptr) uintptr {
	obj := s.Send(s.Send(class, basic[alloc]), basic[initialise])
	return s.Send(obj, basic[autorelease])
}

// Describe takes an NSError, which may be nil, apart.
func (s Scope) Describe(nsError uintptr) (domain string, code int, description string) {
	if nsError == 0 {
		return "", 0, ""
	}
	domain = s.Text(s.Send(nsError, basic[errorDomain]))
	code = int(s.Send(nsError, basic[errorCode]))
	return domain, code, s.Text(s.Send(nsError, basic[errorDescription]))
}

// goString copies a C string.
func goString(p uintptr) string {
	if p == 0 {
		return ""
	}
	n := 0
	for *(*byte)(unsafe.Add(Pointer(p), n)) != 0 {
		n++
	}
	return string(unsafe.Slice((*byte)(Pointer(p)), n))
}

// Pointer turns an address that C returned into a pointer, in a form vet accepts.
func Pointer(p uintptr) unsafe.Pointer {
	return *(*unsafe.Pointer)(unsafe.Pointer(&p))
}
