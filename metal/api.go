package metal

import (
	"fmt"
	"sync"

	"github.com/go-openelm/go-openelm/internal/objc"
)

// api holds what is looked up once per process.
var api struct {
	mu     sync.Mutex
	loaded bool

	createDevice uintptr
	copyDevices  uintptr // 0 where the OS has no MTLCopyAllDevices (iOS before 18)

	sels    [numSelectors]uintptr
	classes [numClasses]uintptr

	completed uintptr // commandBufferDone for C
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
	if err := objc.Start(libs); err != nil {
		return fmt.Errorf("metal: %w", err)
	}
	const create = "MTLCreateSystemDefaultDevice"
	if api.createDevice = libs.Symbol(create); api.createDevice == 0 {
		return fmt.Errorf("metal: the system's libraries have no %s", create)
	}
	api.copyDevices = libs.Symbol("MTLCopyAllDevices")
	for i, m := range methods {
		api.sels[i] = objc.Selector(m.Name)
	}
	for i, name := range classNames {
		api.classes[i] = objc.Class(name)
	}
	api.completed = objc.Callback(commandBufferDone)
	api.loaded = true
	return nil
}

// available reports whether obj has a method that only newer systems have.
func available(obj uintptr, s selector) error {
	if objc.Responds(obj, api.sels[s]) {
		return nil
	}
	m := &methods[s]
	return &UnavailableError{Class: m.Class, Method: m.Name, Since: m.Since}
}
