//go:build linux && (amd64 || arm64)

package metalsim_test

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"unsafe"
)

const (
	concurrentDispatch = 1     // MTLDispatchTypeConcurrent
	untracked          = 0x100 // MTLResourceHazardTrackingModeUntracked
	page               = 1 << 16
)

// place is where a binding begins.
type place struct{ buffer, offset uintptr }

// sum dispatches add over 32 floats: to[i] = a[i] + b[i].
func (c *client) sum(encoder uintptr, a, b, to place) {
	c.send(encoder, setPipeline, c.add)
	for i, p := range []place{a, b, to} {
		c.send(encoder, setBuffer, p.buffer, p.offset, uintptr(i))
	}
	c.dispatch(encoder, threadgroups, small, size{32, 1, 1})
}

// record is a command buffer of a queue with one encoder for each function.
func (c *client) record(queue, kind uintptr, encoders ...func(encoder uintptr)) (commandBuffer uintptr) {
	cb := c.send(queue, "commandBuffer")
	for _, f := range encoders {
		e := c.send(cb, "computeCommandEncoderWithDispatchType:", kind)
		f(e)
		c.send(e, "endEncoding")
	}
	return cb
}

func (c *client) commit(commandBuffers ...uintptr) {
	for _, cb := range commandBuffers {
		c.send(cb, "commit")
	}
}

func (c *client) wait(commandBuffers ...uintptr) {
	for _, cb := range commandBuffers {
		c.send(cb, "waitUntilCompleted")
	}
}

// finish commits and waits.
func (c *client) finish(commandBuffers ...uintptr) {
	c.commit(commandBuffers...)
	c.wait(commandBuffers...)
}

func (c *client) barrier(encoder uintptr, buffers ...uintptr) {
	list := *heap(buffers)
	c.send(encoder, "memoryBarrierWithResources:count:", uintptr(unsafe.Pointer(&list[0])), uintptr(len(list)))
	runtime.KeepAlive(list)
}

// views are two buffers over the same memory.
func (c *client) views() (u, v uintptr) {
	memory := c.send(c.buffer(page), "contents")
	wrap := func() uintptr {
		return c.own(c.send(c.device, "newBufferWithBytesNoCopy:length:options:deallocator:", memory, page, 0, 0))
	}
	return wrap(), wrap()
}

func (c *client) floats(buffer uintptr) []float32 {
	p := c.send(buffer, "contents")
	return unsafe.Slice(*(**float32)(unsafe.Pointer(&p)), int(c.send(buffer, "length"))/4)
}

// hazards are what a client does in the wrong order, each with the same thing in order.
var hazards = []struct {
	name, kind   string
	wrong, right func(*client)
}{
	{"two views of the same memory in a concurrent encoder", "hazard between dispatches",
		func(c *client) {
			u, v := c.views()
			x := c.buffer(256)
			c.finish(c.record(c.queue, concurrentDispatch, func(e uintptr) {
				c.sum(e, place{x, 0}, place{x, 0}, place{u, 0})
				c.sum(e, place{v, 124}, place{x, 0}, place{x, 128})
			}))
		},
		func(c *client) {
			u, v := c.views()
			x, y := c.buffer(256), c.buffer(256)
			c.finish(c.record(c.queue, concurrentDispatch, func(e uintptr) {
				c.sum(e, place{x, 0}, place{x, 0}, place{u, 0})
				c.sum(e, place{v, 128}, place{x, 0}, place{x, 128})
				c.send(e, "memoryBarrierWithScope:", 1)
				c.sum(e, place{v, 0}, place{u, 64}, place{y, 0}) // readers of the same bytes
				c.sum(e, place{u, 0}, place{v, 64}, place{y, 128})
			}))
		}},
	{"barrier for another view of the memory than was written", "hazard between dispatches",
		func(c *client) {
			u, v := c.views()
			x := c.buffer(256)
			c.finish(c.record(c.queue, concurrentDispatch, func(e uintptr) {
				c.sum(e, place{x, 0}, place{x, 0}, place{u, 0})
				c.barrier(e, v)
				c.sum(e, place{v, 0}, place{v, 0}, place{x, 128})
			}))
		},
		func(c *client) {
			u, v := c.views()
			x := c.buffer(256)
			c.finish(c.record(c.queue, concurrentDispatch, func(e uintptr) {
				c.sum(e, place{x, 0}, place{x, 0}, place{u, 0})
				c.barrier(e, u, v)
				c.sum(e, place{v, 0}, place{v, 0}, place{x, 128})
			}))
		}},
	{"two views of the same memory in two encoders", "hazard between encoders",
		func(c *client) {
			u, v := c.views()
			x := c.buffer(256)
			c.finish(c.record(c.queue, 0,
				func(e uintptr) { c.sum(e, place{x, 0}, place{x, 0}, place{u, 0}) },
				func(e uintptr) { c.sum(e, place{v, 0}, place{v, 0}, place{x, 128}) }))
		},
		func(c *client) {
			u, v := c.views()
			x := c.buffer(256)
			c.finish(c.record(c.queue, 0, // a serial encoder waits for each of its dispatches
				func(e uintptr) {
					c.sum(e, place{x, 0}, place{x, 0}, place{u, 0})
					c.sum(e, place{v, 0}, place{v, 0}, place{x, 128})
				},
				func(e uintptr) { c.sum(e, place{u, 0}, place{u, 0}, place{x, 0}) }))
		}},
	{"untracked buffer in two encoders", "hazard between encoders",
		func(c *client) { c.twoEncoders(untracked) },
		func(c *client) { c.twoEncoders(0) }},
	{"untracked buffer in two command buffers", "hazard between encoders",
		func(c *client) {
			first, second := c.twoCommandBuffers(c.queue)
			c.finish(first, second)
		},
		func(c *client) {
			first, second := c.twoCommandBuffers(c.queue)
			c.finish(first)
			c.finish(second)
		}},
	{"one buffer written and read by two queues", "hazard between queues",
		func(c *client) {
			x, y := c.buffer(256), c.buffer(256)
			first := c.record(c.queue, 0, func(e uintptr) { c.sum(e, place{x, 0}, place{x, 0}, place{y, 0}) })
			second := c.record(c.secondQueue(), 0, func(e uintptr) { c.sum(e, place{y, 124}, place{x, 0}, place{x, 128}) })
			c.finish(first, second)
		},
		func(c *client) { // other bytes; readers of the same bytes; and after waiting
			x, y := c.buffer(256), c.buffer(256)
			other := c.secondQueue()
			first := c.record(c.queue, 0, func(e uintptr) { c.sum(e, place{x, 0}, place{x, 0}, place{y, 0}) })
			second := c.record(other, 0, func(e uintptr) { c.sum(e, place{x, 0}, place{x, 0}, place{y, 128}) })
			third := c.record(other, 0, func(e uintptr) { c.sum(e, place{y, 0}, place{y, 0}, place{x, 128}) })
			c.finish(first, second)
			c.finish(third)
		}},
	{"one buffer written by two queues", "hazard between queues",
		func(c *client) {
			first, second := c.twoCommandBuffers(c.secondQueue())
			c.finish(first, second)
		},
		func(c *client) { // the wait for a later command buffer of the queue is one for the earlier, too
			first, second := c.twoCommandBuffers(c.secondQueue())
			last := c.record(c.queue, 0, func(uintptr) {})
			c.commit(first)
			c.finish(last)
			c.finish(second)
		}},
	{"the CPU writes what a command buffer in flight reads", "write in flight",
		func(c *client) {
			x, y := c.buffer(256), c.buffer(256)
			cb := c.record(c.queue, 0, func(e uintptr) { c.sum(e, place{x, 0}, place{x, 0}, place{y, 0}) })
			c.commit(cb)
			c.floats(x)[31] = 5
			c.wait(cb)
		},
		func(c *client) {
			x, y := c.buffer(256), c.buffer(256)
			cb := c.record(c.queue, 0, func(e uintptr) { c.sum(e, place{x, 0}, place{x, 0}, place{y, 0}) })
			c.floats(x)[31] = 5
			c.commit(cb)
			c.floats(x)[32] = 5 // the next command buffer's
			c.floats(y)[32] = 5
			c.wait(cb)
			c.floats(x)[31] = 6
			c.floats(y)[31] = 6
			c.finish(c.record(c.queue, 0, func(e uintptr) { c.sum(e, place{x, 0}, place{x, 0}, place{y, 128}) }))
		}},
	{"the CPU writes over results before it knows that they are there", "write in flight",
		func(c *client) {
			x, y := c.buffer(256), c.buffer(256)
			before := c.sim.Counters().Kernels["add"].Dispatches
			cb := c.record(c.queue, 0, func(e uintptr) { c.sum(e, place{x, 0}, place{x, 0}, place{y, 0}) })
			c.commit(cb)
			for c.sim.Counters().Kernels["add"].Dispatches == before {
				runtime.Gosched()
			}
			c.floats(y)[0] = 7
			c.wait(cb)
		},
		func(c *client) { // results that later command buffers read and write again
			x, y := c.buffer(256), c.buffer(256)
			c.floats(x)[0] = 1
			first := c.record(c.queue, 0, func(e uintptr) { c.sum(e, place{x, 0}, place{x, 0}, place{y, 0}) })
			second := c.record(c.queue, 0, func(e uintptr) { c.sum(e, place{y, 0}, place{y, 0}, place{x, 128}) })
			third := c.record(c.queue, 0, func(e uintptr) { c.sum(e, place{x, 128}, place{x, 0}, place{y, 0}) })
			c.finish(first, second, third)
			c.floats(y)[0], c.floats(x)[32] = 7, 7
			c.finish(c.record(c.queue, 0, func(e uintptr) { c.sum(e, place{y, 0}, place{y, 0}, place{x, 128}) }))
		}},
}

func (c *client) secondQueue() uintptr { return c.own(c.send(c.device, "newCommandQueue")) }

// twoEncoders write a buffer in one encoder and read it in the next.
func (c *client) twoEncoders(options uintptr) {
	x := c.buffer(256)
	b := c.own(c.send(c.device, "newBufferWithLength:options:", 256, options))
	c.finish(c.record(c.queue, 0,
		func(e uintptr) { c.sum(e, place{x, 0}, place{x, 0}, place{b, 0}) },
		func(e uintptr) { c.sum(e, place{b, 0}, place{x, 0}, place{x, 128}) }))
}

// twoCommandBuffers, of two queues or one, write the same bytes of an untracked buffer.
func (c *client) twoCommandBuffers(second uintptr) (first, last uintptr) {
	x := c.buffer(256)
	b := c.own(c.send(c.device, "newBufferWithLength:options:", 256, untracked))
	write := func(e uintptr) { c.sum(e, place{x, 0}, place{x, 0}, place{b, 0}) }
	return c.record(c.queue, 0, write), c.record(second, 0, write)
}

// Each is found, as what it is and nothing else, in every order; done right, nothing is.
func TestClientHazards(t *testing.T) {
	for _, h := range hazards {
		t.Run(h.name, func(t *testing.T) {
			c := newClient(t)
			for seed := range 6 {
				c.sim.Set(t, "seed", fmt.Sprint(seed))
				if kinds, all := c.violations(h.wrong); !slices.Equal(kinds, []string{h.kind}) {
					t.Errorf("seed %d: done wrong: %v, want %s", seed, all, h.kind)
				}
				if kinds, all := c.violations(h.right); len(kinds) != 0 {
					t.Errorf("seed %d: done right: %v", seed, all)
				}
			}
		})
	}
}
