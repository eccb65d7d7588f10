package objc

import (
	"math"
	"runtime"
	"sync"
	"unsafe"
)

// Message is one message as the assembly of send_$GOARCH.s reads it: 64 bytes, a cache line.
//
// At most four integer or pointer arguments fit (they and the receiver and selector are the six integer registers of
// amd64), or two structs of three words (MTLSize), which use all six; see size_amd64.go and size_arm64.go.
type Message struct {
	Sel  uintptr
	Args [6]uintptr
	Flag uintptr // in: flag bits; out: what the message returned (a double as its bits)
}

// Flags of a message. FlagSizes, of size_$GOARCH.go, says that the six words are two structs of three words.
const (
	FlagDouble = 1 // the message returns a double
	FlagRetain = 2 // retain the object the message returns, before the autorelease pool is drained
	flagSizes  = 4 // looked at on arm64 only
)

// unused fills argument words a selector does not take, so that the simulator recognises a message sent with too few
// arguments. Real methods never look at them.
const unused = 0x5afe0bad

// Unused are argument words that say so.
var Unused = [6]uintptr{unused, unused, unused, unused, unused, unused}

// Set makes m a message without flags; words of Args beyond those given say "unused".
func (m *Message) Set(sel uintptr, args ...uintptr) {
	m.Sel, m.Args, m.Flag = sel, Unused, 0
	copy(m.Args[:], args)
}

// Double is the double that a message with FlagDouble returned.
func (m *Message) Double() float64 { return math.Float64frombits(uint64(m.Flag)) }

// batch is a list of messages to one receiver, sent by one call into C: on one OS thread, inside one autorelease
// pool, with no Go code in between. That makes runtime.LockOSThread unnecessary around it.
type batch struct {
	obj     uintptr
	msgs    *Message // the first of count
	count   uintptr
	msgSend uintptr
	retain  uintptr
	push    uintptr // objc_autoreleasePoolPush, or 0: no pool of its own
	pop     uintptr
}

// Sender owns the memory one call into C needs, so that a call allocates nothing. It must be on the heap, since C code
// gets the address of its fields and a goroutine's stack may move; NewSender's come from a pool.
type Sender struct {
	Messages [4]Message
	b        batch
	arg      [1]uintptr // purego.SyscallN allocates a slice for arguments written out, none for arg[:]...
	out      uintptr    // where a method stores its NSError
}

var senders = sync.Pool{New: func() any { return new(Sender) }}

// NewSender takes a sender from the pool.
func NewSender() *Sender { return senders.Get().(*Sender) }

// Free gives a sender back to the pool.
func (c *Sender) Free() { senders.Put(c) }

// Run sends n messages at msgs, which must be on the heap, to obj, in an autorelease pool of their own.
func (c *Sender) Run(obj uintptr, msgs *Message, n int) { c.run(obj, msgs, n, true) }

func (c *Sender) run(obj uintptr, msgs *Message, n int, pool bool) {
	c.b = batch{obj: obj, msgs: msgs, count: uintptr(n), msgSend: functions.msgSend, retain: functions.retain}
	if pool {
		c.b.push, c.b.pop = functions.poolPush, functions.poolPop
	}
	c.arg[0] = uintptr(unsafe.Pointer(&c.b))
	Call(sendAllABI0, c.arg[:]...)
	runtime.KeepAlive(c)
	runtime.KeepAlive(msgs)
}

// Send sends one message in a pool of its own and returns its result, which must not be an autoreleased object.
//
//go:uintptrescapes
func Send(obj, sel uintptr, args ...uintptr) uintptr {
	c := NewSender()
	m := &c.Messages[0]
	m.Set(sel, args...)
	c.run(obj, m, 1, true)
	r := m.Flag
	c.Free()
	return r
}

// Bool is a result of type BOOL, of which only the low byte is defined.
func Bool(result uintptr) bool { return result&0xff != 0 }

// Responds reports whether obj, which may be nil, has a method.
func Responds(obj, sel uintptr) bool { return obj != 0 && Bool(Send(obj, basic[responds], sel)) }
