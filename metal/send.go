package metal

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"unicode/utf8"
	"unsafe"
)

// message is one Objective-C message as the assembly of send_$GOARCH.s reads it: 64 bytes, a cache line.
//
// At most four integer or pointer arguments fit (they and the receiver and selector are the six integer registers of
// amd64), or two MTLSize values, which use all six words; see size_amd64.go and size_arm64.go.
type message struct {
	sel  uintptr
	args [6]uintptr
	flag uintptr // in: flag bits; out: what the message returned (a double as its bits)
}

// Flags of a message.
const (
	flagFloat  = 1 // the message returns a double
	flagRetain = 2 // retain the object the message returns, before the autorelease pool is drained
	flagSizes  = 4 // the six words are two MTLSize values (looked at on arm64 only)
)

// unusedArg fills argument words a selector does not take, so that the simulator recognises a message sent with too
// few arguments. Real methods never look at them.
const unusedArg = 0x5afe0bad

var unusedArgs = [6]uintptr{unusedArg, unusedArg, unusedArg, unusedArg, unusedArg, unusedArg}

// set makes m a message without flags; words of args beyond those given say "unused".
func (m *message) set(s selector, args ...uintptr) {
	m.sel, m.args, m.flag = api.sels[s], unusedArgs, 0
	copy(m.args[:], args)
}

// batch is a list of messages to one receiver, sent by one call into C: on one OS thread, inside one autorelease
// pool, with no Go code in between. That makes runtime.LockOSThread unnecessary around it.
type batch struct {
	obj     uintptr
	msgs    *message // the first of count
	count   uintptr
	msgSend uintptr
	retain  uintptr
	push    uintptr // objc_autoreleasePoolPush, or 0: no pool of its own
	pop     uintptr
}

// caller owns the memory one call into C needs, so that a call allocates nothing. It is always on the heap, since C
// code gets the address of its fields and a goroutine's stack may move; callers and sendBuffers come from pools.
type caller struct {
	b    batch
	arg  [1]uintptr // purego.SyscallN allocates a slice for arguments written out, none for arg[:]...
	msgs [4]message
	out  uintptr // where a method stores its NSError
}

var callers = sync.Pool{New: func() any { return new(caller) }}

// run sends n messages at msgs to obj. pool tells whether they get an autorelease pool of their own.
func (c *caller) run(obj uintptr, msgs *message, n int, pool bool) {
	c.b = batch{obj: obj, msgs: msgs, count: uintptr(n), msgSend: api.msgSend, retain: api.retain}
	if pool {
		c.b.push, c.b.pop = api.poolPush, api.poolPop
	}
	c.arg[0] = uintptr(unsafe.Pointer(&c.b))
	callC(sendAllABI0, c.arg[:]...)
	runtime.KeepAlive(c)
	runtime.KeepAlive(msgs)
}

// sendFlag sends one message in a pool of its own and returns its result.
//
//go:uintptrescapes
func sendFlag(obj uintptr, s selector, flag uintptr, args ...uintptr) uintptr {
	c := callers.Get().(*caller)
	m := &c.msgs[0]
	m.set(s, args...)
	m.flag = flag
	c.run(obj, m, 1, true)
	r := m.flag
	callers.Put(c)
	return r
}

// send sends one message in a pool of its own. For a result that is autoreleased use sendFlag with flagRetain, or a
// scope.
//
//go:uintptrescapes
func send(obj uintptr, s selector, args ...uintptr) uintptr {
	return sendFlag(obj, s, 0, args...)
}

// sendBool sends a message that returns BOOL, of which only the low byte is defined.
func sendBool(obj uintptr, s selector, args ...uintptr) bool {
	return sendFlag(obj, s, 0, args...)&0xff != 0
}

// scope is an autorelease pool for several messages whose results outlive the message but not the scope: strings,
// errors, descriptors. It holds the goroutine on its OS thread, because pools belong to threads.
type scope struct {
	c     *caller
	token uintptr
}

func openScope() scope {
	runtime.LockOSThread()
	return scope{c: callers.Get().(*caller), token: callC(api.poolPush)}
}

func (s scope) close() {
	callC(api.poolPop, s.token)
	s.c.out = 0
	callers.Put(s.c)
	runtime.UnlockOSThread()
}

// send sends one message whose result lives until the scope closes.
//
//go:uintptrescapes
func (s scope) send(obj uintptr, sel selector, args ...uintptr) uintptr {
	m := &s.c.msgs[0]
	m.set(sel, args...)
	s.c.run(obj, m, 1, false)
	return m.flag
}

// errorOut is the address to pass for an NSError**; the error stored there is s.c.out.
func (s scope) errorOut() uintptr {
	s.c.out = 0
	return uintptr(unsafe.Pointer(&s.c.out))
}

// checkText is the error for text that no NSString of a C string can hold. Objective-C then has nil, which most methods
// answer by ending the process.
func checkText(what, v string) error {
	if utf8.ValidString(v) && strings.IndexByte(v, 0) < 0 {
		return nil
	}
	return fmt.Errorf("%s %.60q is not UTF-8, or has a NUL: %w", what, v, ErrInvalidArgument)
}

// string makes an NSString that lives until the scope closes. Text that checkText refuses, as a label may be, is mended.
func (s scope) string(v string) uintptr {
	b := append([]byte(strings.ToValidUTF8(v, "\uFFFD")), 0)
	return s.send(api.classes[classNSString], selStringWithUTF8String, uintptr(unsafe.Pointer(&b[0])))
}

// new makes an object with alloc and init that lives until the scope closes.
func (s scope) new(c class) uintptr {
	obj := s.send(s.send(api.classes[c], selAlloc), selInit)
	return s.send(obj, selAutorelease)
}

// text is the Go copy of an NSString.
func (s scope) text(ns uintptr) string {
	if ns == 0 {
		return ""
	}
	return goString(s.send(ns, selUTF8String))
}

// failure turns the NSError of a failed operation, which may be nil, into an Error.
func (s scope) failure(op string, nsError uintptr) *Error {
	e := &Error{Op: op}
	if nsError != 0 {
		e.Domain = s.text(s.send(nsError, selErrorDomain))
		e.Code = int(s.send(nsError, selErrorCode))
		e.Description = s.text(s.send(nsError, selErrorDescription))
	}
	return e
}

// goString copies a C string.
func goString(p uintptr) string {
	if p == 0 {
		return ""
	}
	n := 0
	for *(*byte)(unsafe.Add(pointer(p), n)) != 0 {
		n++
	}
	return string(unsafe.Slice((*byte)(pointer(p)), n))
}

// pointer turns an address that C returned into a pointer, in a form vet accepts.
func pointer(p uintptr) unsafe.Pointer {
	return *(*unsafe.Pointer)(unsafe.Pointer(&p))
}

// float is the double a message with flagFloat returned.
func (m *message) float() float64 { return math.Float64frombits(uint64(m.flag)) }
