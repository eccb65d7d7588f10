package objc

import (
	"fmt"
	"sync"
	"unsafe"
)

// Libraries are opened shared libraries, in the order in which they are searched.
type Libraries []uintptr

// Open opens shared libraries, all of which must be there.
func Open(paths ...string) (Libraries, error) {
	var l Libraries
	for _, path := range paths {
		h, err := openLibrary(path)
		if err != nil {
			return nil, err
		}
		l = append(l, h)
	}
	return l, nil
}

// Symbol is the address of a function or variable, or 0 if no library has it.
func (l Libraries) Symbol(name string) uintptr {
	for _, h := range l {
		if p, err := symbol(h, name); err == nil && p != 0 {
			return p
		}
	}
	return 0
}

// functions are those of the Objective-C runtime, once it is started.
var functions struct {
	sync.Mutex
	started bool

	msgSend, msgSendStret, retain, poolPush, poolPop, getClass, registerName, globalBlock uintptr
	allocateClass, registerClass, addMethod                                               uintptr

	nsString uintptr
}

// Start finds the Objective-C runtime in l, and Foundation. The first success counts, later calls do nothing: a process
// has one runtime.
func Start(l Libraries) error {
	f := &functions
	f.Lock()
	defer f.Unlock()
	if f.started {
		return nil
	}
	for _, s := range [...]struct {
		name string
		addr *uintptr
	}{
		{"objc_msgSend", &f.msgSend},
		{"objc_retain", &f.retain},
		{"objc_autoreleasePoolPush", &f.poolPush},
		{"objc_autoreleasePoolPop", &f.poolPop},
		{"objc_getClass", &f.getClass},
		{"sel_registerName", &f.registerName},
		{"_NSConcreteGlobalBlock", &f.globalBlock},
	} {
		if *s.addr = l.Symbol(s.name); *s.addr == 0 {
			return fmt.Errorf("the system's libraries have no %s", s.name)
		}
	}
	// The simulated Metal has no use for these.
	f.msgSendStret = l.Symbol("objc_msgSend_stret")
	f.allocateClass, f.registerClass, f.addMethod = l.Symbol("objc_allocateClassPair"), l.Symbol("objc_registerClassPair"), l.Symbol("class_addMethod")
	for i, m := range Basics {
		basic[i] = Selector(m.Name)
	}
	f.nsString = Class("NSString")
	f.started = true
	return nil
}

// Class is a class by its name, nil where the system lacks it.
func Class(name string) uintptr { return Call(functions.getClass, cString(name)) }

// Selector registers a selector.
func Selector(name string) uintptr { return Call(functions.registerName, cString(name)) }

// names keeps C strings handed out by cString alive: some runtimes keep the pointer.
var names struct {
	sync.Mutex
	all map[string][]byte
}

func cString(s string) uintptr {
	names.Lock()
	defer names.Unlock()
	if names.all == nil {
		names.all = map[string][]byte{}
	}
	b, ok := names.all[s]
	if !ok {
		b = append([]byte(s), 0)
		names.all[s] = b
	}
	return uintptr(unsafe.Pointer(&b[0]))
}
