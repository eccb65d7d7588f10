package appkit

import "github.com/go-openelm/go-openelm/internal/objc"

// watchMemory tells the assistant when the system is short of memory, until stop is called. Dispatch calls on a thread of
// its own.
func (d *Desktop) watchMemory() (stop func()) {
	source := sourceCreate.call(pressureType.addr, 0, pressureWarn|pressureCritical, queueGlobal.call(0, 0))
	if source == 0 {
		d.Log.Error("memory pressure is not watched")
		return func() {}
	}
	sourceSetHandler.call(source, objc.Callback(func(uintptr) {
		d.a.Pressure(sourceData.call(source)&pressureCritical != 0)
	}))
	sourceResume.call(source)
	return func() { sourceCancel.call(source) }
}
