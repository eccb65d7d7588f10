package metal

import (
	"fmt"
	"sync"
	"unsafe"
)

// api holds what is looked up once per process.
var api struct {
	mu     sync.Mutex
	loaded bool

	msgSend, retain, poolPush, poolPop uintptr
	createDevice                       uintptr
	copyDevices                        uintptr // 0 where the OS has no MTLCopyAllDevices (iOS before 18)

	sels    [numSelectors]uintptr
	classes [numClasses]uintptr

	globalBlock uintptr // the class of completion blocks
	completed   uintptr // commandBufferDone for C
}

// load opens Metal. A failure is not remembered: METALSIM may be set later.
func load() error {
	api.mu.Lock()
	defer api.mu.Unlock()
	if api.loaded {
		return nil
	}
	libs, err := openLibraries()
	if err != nil {
		return err
	}
	find := func(name string) uintptr {
		for _, l := range libs {
			if p, err := symbol(l, name); err == nil && p != 0 {
				return p
			}
		}
		return 0
	}
	var getClass, registerName uintptr
	for _, f := range [...]struct {
		name string
		addr *uintptr
	}{
		{"objc_msgSend", &api.msgSend},
		{"objc_retain", &api.retain},
		{"objc_autoreleasePoolPush", &api.poolPush},
		{"objc_autoreleasePoolPop", &api.poolPop},
		{"objc_getClass", &getClass},
		{"sel_registerName", &registerName},
		{"_NSConcreteGlobalBlock", &api.globalBlock},
		{"MTLCreateSystemDefaultDevice", &api.createDevice},
	} {
		if *f.addr = find(f.name); *f.addr == 0 {
			return fmt.Errorf("metal: the system's libraries have no %s", f.name)
		}
	}
	api.copyDevices = find("MTLCopyAllDevices")
	for i, m := range methods {
		api.sels[i] = callC(registerName, cString(m.name))
	}
	for i, name := range classNames {
		api.classes[i] = callC(getClass, cString(name))
	}
	api.completed = newCallback(commandBufferDone)
	api.loaded = true
	return nil
}

// names keeps C strings handed out by cString alive: some runtimes keep the pointer.
var names [][]byte

func cString(s string) uintptr {
	b := append([]byte(s), 0)
	names = append(names, b)
	return uintptr(unsafe.Pointer(&b[0]))
}

// available reports whether obj has a method that only newer systems have.
func available(obj uintptr, s selector) error {
	if obj != 0 && sendBool(obj, selRespondsToSelector, api.sels[s]) {
		return nil
	}
	m := &methods[s]
	return &UnavailableError{Class: m.class, Method: m.name, Since: m.since}
}
