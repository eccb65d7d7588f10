package metal

import "sync/atomic"

// object is one counted reference to an Objective-C object. The owner has one count and every command buffer that
// uses the object one more, so that releasing an object in use frees it when the GPU is done.
type object struct {
	id       uintptr
	dev      uintptr // the device it belongs to, to refuse mixing devices
	count    atomic.Int32
	released atomic.Bool   // by the owner
	holder   atomic.Uint64 // serial of the command buffer that took the last count
}

// adopt makes o own one reference to id.
func (o *object) adopt(id, dev uintptr) {
	o.id, o.dev = id, dev
	o.count.Store(1)
}

// alive reports whether the object can be used; false for nil.
func (o *object) alive() bool { return o != nil && o.id != 0 && !o.released.Load() }

// hold takes one more count, unless the object is gone.
func (o *object) hold() bool {
	for !o.released.Load() {
		n := o.count.Load()
		if n <= 0 {
			return false
		}
		if o.count.CompareAndSwap(n, n+1) {
			return true
		}
	}
	return false
}

// drop gives one count back; the last one releases the Objective-C object.
func (o *object) drop() {
	if o.count.Add(-1) == 0 {
		send(o.id, selRelease)
	}
}

// release gives the owner's count back, once.
func (o *object) release() {
	if o.id != 0 && !o.released.Swap(true) {
		o.drop()
	}
}

// setLabel sets the label debuggers and captures show.
func (o *object) setLabel(s selector, label string) {
	sc := openScope()
	defer sc.Close()
	sc.send(o.id, s, sc.String(label))
}
