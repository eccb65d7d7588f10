package metal

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/go-openelm/go-openelm/internal/objc"
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
	m := &r.Messages[0]
	set(m, selQueueCommandBuffer)
	m.Flag = objc.FlagRetain
	r.Run(q.id, m, 1)
	if m.Flag == 0 {
		recordings.Put(r)
		q.drop()
		return nil, &Error{Op: "create command buffer"}
	}
	c := &CommandBuffer{id: m.Flag, queue: q, serial: serials.Add(1), rec: r, done: make(chan struct{})}
	return c, nil
}

// recording is the memory a command buffer needs while it is recorded and executed, reused by later ones.
type recording struct {
	objc.Sender
	sends [256]objc.Message
	n     int // messages in sends
	data  [8 << 10]byte
	used  int       // bytes of data the messages in sends point to
	held  []*object // objects the command buffer keeps alive
}

var recordings = sync.Pool{New: func() any { return new(recording) }}

// flush sends the messages collected for an encoder.
func (r *recording) flush(encoder uintptr) {
	if r.n > 0 {
		r.Run(encoder, &r.sends[0], r.n)
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
