package metal

import (
	"sync"
	"unsafe"

	"github.com/go-openelm/go-openelm/internal/objc"
)

// block is an Objective-C block with one captured variable: which command buffer it is the completion handler of. The object that Metal hands to the handler is not relied on; a layer between
// program and driver may hand over one of its own.
type block struct {
	objc.Block
	serial uint64
}

// inflight are the committed command buffers that have not completed, by serial.
var inflight = struct {
	sync.Mutex
	m map[uint64]pending

	// Blocks are never freed: Metal still looks at one when its handler has returned. There are as many as command
	// buffers were ever in flight at a time.
	blocks, free []*block
}{m: map[uint64]pending{}}

type pending struct {
	c *CommandBuffer
	b *block
}

// await makes c one in flight and returns the address of its completion handler.
func await(c *CommandBuffer) uintptr {
	inflight.Lock()
	defer inflight.Unlock()
	n := len(inflight.free)
	if n == 0 {
		b := &block{Block: objc.NewBlock(api.completed, unsafe.Sizeof(block{}))}
		inflight.blocks, inflight.free, n = append(inflight.blocks, b), append(inflight.free, b), 1
	}
	b := inflight.free[n-1]
	inflight.free = inflight.free[:n-1]
	b.serial = c.serial
	inflight.m[c.serial] = pending{c, b}
	return uintptr(unsafe.Pointer(b))
}

// commandBufferDone is what completion handlers run. Metal calls it on a thread of its own.
func commandBufferDone(handler, _ uintptr) {
	inflight.Lock()
	serial := (*block)(objc.Pointer(handler)).serial
	p, ok := inflight.m[serial]
	if ok {
		delete(inflight.m, serial)
		inflight.free = append(inflight.free, p.b)
	}
	inflight.Unlock()
	if ok {
		p.c.finish()
	}
}
