package metal

import "fmt"

// ResidencySet is a set of buffers kept resident for the GPU together (MTLResidencySet, macOS 15 and iOS 18). Safe for
// use by many goroutines.
type ResidencySet struct {
	object
}

// NewResidencySet makes an empty set with room for capacity buffers (0: unknown). On an older OS the error is an
// *UnavailableError: programs work without the set, the system then makes resources resident per command buffer.
func (d *Device) NewResidencySet(label string, capacity int) (*ResidencySet, error) {
	const op = "metal: Device.NewResidencySet"
	if err := d.check(op); err != nil {
		return nil, err
	}
	if capacity < 0 {
		return nil, fmt.Errorf("%s: capacity %d: %w", op, capacity, ErrInvalidArgument)
	}
	if api.classes[classResidencySetDescriptor] == 0 {
		return nil, &UnavailableError{Class: classNames[classResidencySetDescriptor], Since: "15.0"}
	}
	if err := available(d.id, selDeviceNewResidencySet); err != nil {
		return nil, err
	}
	s := openScope()
	defer s.Close()
	desc := s.New(api.classes[classResidencySetDescriptor])
	if label != "" {
		s.send(desc, selSetDescLabel, s.String(label))
	}
	s.send(desc, selSetDescCapacity, uintptr(capacity))
	id := s.send(d.id, selDeviceNewResidencySet, desc, s.ErrorOut())
	if id == 0 {
		return nil, s.failure("create residency set", s.Error())
	}
	r := &ResidencySet{}
	r.adopt(id, d.id)
	return r, nil
}

// Add adds a buffer, from the next Commit on. The set keeps the memory alive until the buffer is removed or the set freed.
func (r *ResidencySet) Add(b *Buffer) error { return r.change("Add", selSetAdd, b) }

// Remove removes a buffer, from the next Commit on.
func (r *ResidencySet) Remove(b *Buffer) error { return r.change("Remove", selSetRemove, b) }

func (r *ResidencySet) change(method string, s selector, b *Buffer) error {
	if r == nil || b == nil || !r.alive() || !b.alive() {
		return fmt.Errorf("metal: ResidencySet.%s: %w", method, ErrReleased)
	}
	if r.dev != b.dev {
		return fmt.Errorf("metal: ResidencySet.%s: %w", method, ErrForeignDevice)
	}
	send(r.id, s, b.id)
	return nil
}

// Commit makes the changes of Add and Remove take effect.
func (r *ResidencySet) Commit() error { return r.do("Commit", selSetCommit) }

// RequestResidency makes the buffers resident now, instead of when a command buffer first needs them.
func (r *ResidencySet) RequestResidency() error { return r.do("RequestResidency", selSetRequest) }

// EndResidency undoes RequestResidency.
func (r *ResidencySet) EndResidency() error { return r.do("EndResidency", selSetEnd) }

// RemoveAll removes every buffer, from the next Commit on.
func (r *ResidencySet) RemoveAll() error { return r.do("RemoveAll", selSetRemoveAll) }

func (r *ResidencySet) do(method string, s selector) error {
	if r == nil || !r.alive() {
		return fmt.Errorf("metal: ResidencySet.%s: %w", method, ErrReleased)
	}
	send(r.id, s)
	return nil
}

// AllocatedSize is the memory of the set's buffers, in bytes, as of the last Commit; 0 after Release.
func (r *ResidencySet) AllocatedSize() uint64 {
	if r == nil || !r.alive() {
		return 0
	}
	return uint64(send(r.id, selSetAllocatedSize))
}

// Len is the number of buffers in the set; 0 after Release.
func (r *ResidencySet) Len() int {
	if r == nil || !r.alive() {
		return 0
	}
	return int(send(r.id, selSetCount))
}

// Release frees the set once no command buffer uses it. Idempotent, nil is fine.
func (r *ResidencySet) Release() {
	if r != nil {
		r.release()
	}
}

// AddResidencySet makes a set resident for every command buffer of the queue.
func (q *CommandQueue) AddResidencySet(r *ResidencySet) error {
	return q.residency("AddResidencySet", selQueueAddResidencySet, r)
}

// RemoveResidencySet undoes AddResidencySet.
func (q *CommandQueue) RemoveResidencySet(r *ResidencySet) error {
	return q.residency("RemoveResidencySet", selQueueRemoveResidencySet, r)
}

func (q *CommandQueue) residency(method string, s selector, r *ResidencySet) error {
	if q == nil || r == nil || !q.alive() || !r.alive() {
		return fmt.Errorf("metal: CommandQueue.%s: %w", method, ErrReleased)
	}
	if q.dev != r.dev {
		return fmt.Errorf("metal: CommandQueue.%s: %w", method, ErrForeignDevice)
	}
	if err := available(q.id, s); err != nil {
		return err
	}
	send(q.id, s, r.id)
	return nil
}
