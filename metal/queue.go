package metal

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// CommandQueue runs command buffers in the order they are committed (MTLCommandQueue). Safe for use by many goroutines.
type CommandQueue struct {
	object
	device *Device
}

// NewCommandQueue makes a queue. It allows 64 uncompleted command buffers; NewCommandBuffer waits for one to complete, or
// be released, when there are that many.
func (d *Device) NewCommandQueue() (*CommandQueue, error) {
	const op = "metal: Device.NewCommandQueue"
	if err := d.check(op); err != nil {
		return nil, err
	}
	id := send(d.id, selDeviceNewQueue)
	if id == 0 {
		return nil, &Error{Op: "create command queue"}
	}
	q := &CommandQueue{device: d}
	q.adopt(id, d.id)
	return q, nil
}

// SetLabel names the queue for debuggers and captures.
func (q *CommandQueue) SetLabel(label string) {
	if q != nil && q.alive() {
		q.setLabel(selQueueSetLabel, label)
	}
}

// Release frees the queue once its command buffers have completed. Idempotent, nil is fine.
func (q *CommandQueue) Release() {
	if q != nil {
		q.release()
	}
}

// serials numbers command buffers.
var serials atomic.Uint64

// NewCommandBuffer makes an empty command buffer. It is freed when it completes after Commit, or by Release.
func (q *CommandQueue) NewCommandBuffer() (*CommandBuffer, error) {
	const op = "metal: CommandQueue.NewCommandBuffer"
	if q == nil || !q.hold() {
		return nil, fmt.Errorf("%s: %w", op, ErrReleased)
	}
	r := recordings.Get().(*recording)
	m := &r.msgs[0]
	m.set(selQueueCommandBuffer)
	m.flag = flagRetain
	r.run(q.id, m, 1, true)
	if m.flag == 0 {
		recordings.Put(r)
		q.drop()
		return nil, &Error{Op: "create command buffer"}
	}
	c := &CommandBuffer{id: m.flag, queue: q, serial: serials.Add(1), rec: r, done: make(chan struct{})}
	return c, nil
}

// recording is the memory a command buffer needs while it is recorded and executed, reused by later ones.
type recording struct {
	caller
	sends [256]message
	n     int // messages in sends
	data  [8 << 10]byte
	used  int       // bytes of data the messages in sends point to
	held  []*object // objects the command buffer keeps alive
}

var recordings = sync.Pool{New: func() any { return new(recording) }}

// flush sends the messages collected for an encoder.
func (r *recording) flush(encoder uintptr) {
	if r.n > 0 {
		r.run(encoder, &r.sends[0], r.n, true)
	}
	r.n, r.used = 0, 0
}

// free returns r to the pool after dropping what it holds.
func (r *recording) free() {
	for i, o := range r.held {
		o.drop()
		r.held[i] = nil
	}
	r.held, r.n, r.used = r.held[:0], 0, 0
	recordings.Put(r)
}
