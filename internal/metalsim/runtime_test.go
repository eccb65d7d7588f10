//go:build linux

package metalsim_test

import (
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/ebitengine/purego"

	"github.com/go-openelm/go-openelm/internal/metalsim"
)

// client sends Objective-C messages itself, without package metal, which would refuse the mistakes below.
type client struct {
	t                             *testing.T
	sim                           *metalsim.Simulator
	msgSend, getClass, selectorOf uintptr
	push, pop, defaultDevice, all uintptr
	device, queue                 uintptr
	add, scale                    uintptr // pipelines
	owned                         []uintptr
}

// unused marks argument registers without an argument; see metalsim's README.
const unused = 0x5afe0bad

const kernels = `#include <metal_stdlib>
using namespace metal;
kernel void add(device const float* a [[buffer(0)]], device const float* b [[buffer(1)]], device float* c [[buffer(2)]],
                uint i [[thread_position_in_grid]]) {
  c[i] = a[i] + b[i];
}
kernel void scale(device float* x [[buffer(0)]], constant float& by [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  x[i] *= by;
}
`

func newClient(t *testing.T) *client {
	t.Helper()
	c := &client{t: t, sim: metalsim.Start(t)}
	lib, err := purego.Dlopen(os.Getenv(metalsim.Variable), purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]*uintptr{
		"objc_msgSend": &c.msgSend, "objc_getClass": &c.getClass, "sel_registerName": &c.selectorOf,
		"objc_autoreleasePoolPush": &c.push, "objc_autoreleasePoolPop": &c.pop,
		"MTLCreateSystemDefaultDevice": &c.defaultDevice, "MTLCopyAllDevices": &c.all,
	} {
		if *p, err = purego.Dlsym(lib, name); err != nil {
			t.Fatal(err)
		}
	}
	runtime.LockOSThread() // autorelease pools belong to threads
	t.Cleanup(runtime.UnlockOSThread)
	c.sim.Set(t, "devices", "2")
	pool := c.call(c.push)
	c.device = c.call(c.defaultDevice)
	c.queue = c.send(c.device, "newCommandQueue")
	library := c.send(c.device, "newLibraryWithSource:options:error:", c.str(kernels), 0, 0)
	for name, p := range map[string]*uintptr{"add": &c.add, "scale": &c.scale} {
		f := c.send(library, "newFunctionWithName:", c.str(name))
		*p = c.send(c.device, "newComputePipelineStateWithFunction:error:", f, 0)
		if *p == 0 {
			t.Fatalf("no pipeline %s", name)
		}
		c.send(f, "release")
		c.own(*p)
	}
	c.send(library, "release")
	c.own(c.queue)
	c.own(c.device)
	c.call(c.pop, pool)
	t.Cleanup(func() {
		for _, o := range c.owned {
			c.send(o, "release")
		}
	})
	return c
}

func (c *client) own(obj uintptr) uintptr {
	c.owned = append(c.owned, obj)
	return obj
}

func (c *client) call(fn uintptr, args ...uintptr) uintptr {
	r, _, _ := purego.SyscallN(fn, args...)
	return r
}

// heap copies v to memory that does not move.
//
//go:noinline
func heap[T any](v T) *T { return &v }

func (c *client) cstring(s string) uintptr {
	b := append([]byte(s), 0)
	c.t.Cleanup(func() { runtime.KeepAlive(b) })
	return uintptr(unsafe.Pointer(unsafe.SliceData(*heap(b))))
}

func (c *client) send(obj uintptr, selector string, args ...uintptr) uintptr {
	all := append([]uintptr{obj, c.call(c.selectorOf, c.cstring(selector))}, args...)
	return c.call(c.msgSend, all...)
}

func (c *client) class(name string) uintptr { return c.call(c.getClass, c.cstring(name)) }

func (c *client) str(s string) uintptr {
	return c.send(c.class("NSString"), "stringWithUTF8String:", c.cstring(s))
}

type size [3]uintptr

// dispatch sends a message with two MTLSize by value: on amd64 on the stack, after the six registers; on arm64 as pointers.
func (c *client) dispatch(encoder uintptr, selector string, grid, threads size) {
	if runtime.GOARCH == "arm64" {
		g, t := heap(grid), heap(threads)
		c.send(encoder, selector, uintptr(unsafe.Pointer(g)), uintptr(unsafe.Pointer(t)))
		runtime.KeepAlive(g)
		runtime.KeepAlive(t)
		return
	}
	c.send(encoder, selector, 0, 0, 0, 0, grid[0], grid[1], grid[2], threads[0], threads[1], threads[2])
}

const (
	threadgroups = "dispatchThreadgroups:threadsPerThreadgroup:"
	setBuffer    = "setBuffer:offset:atIndex:"
	setBytes     = "setBytes:length:atIndex:"
	setPipeline  = "setComputePipelineState:"
	setMemory    = "setThreadgroupMemoryLength:atIndex:"
)

// buffer makes a buffer of n bytes, released after the test.
func (c *client) buffer(n uintptr) uintptr {
	return c.own(c.send(c.device, "newBufferWithLength:options:", n, 0))
}

// bytes binds n zero bytes with setBytes.
func (c *client) bytes(encoder, n, index uintptr) {
	b := *heap(make([]byte, n))
	c.send(encoder, setBytes, uintptr(unsafe.Pointer(&b[0])), n, index)
	runtime.KeepAlive(b)
}

// bound is an encoder with everything that scale needs.
func (c *client) bound(encoder uintptr) uintptr {
	c.send(encoder, setPipeline, c.scale)
	c.send(encoder, setBuffer, c.buffer(256), 0, 0)
	c.bytes(encoder, 4, 1)
	return encoder
}

func (c *client) encode(f func(encoder uintptr)) (commandBuffer uintptr) {
	cb := c.send(c.queue, "commandBuffer")
	e := c.send(cb, "computeCommandEncoder")
	f(e)
	c.send(e, "endEncoding")
	return cb
}

// run commits what f encodes and waits.
func (c *client) run(f func(encoder uintptr)) {
	cb := c.encode(f)
	c.send(cb, "commit")
	c.send(cb, "waitUntilCompleted")
}

// concurrent runs two dispatches of scale in one concurrent encoder, on the given buffer offsets.
func (c *client) concurrent(first, second uintptr, between func(encoder, buffer uintptr)) {
	cb := c.send(c.queue, "commandBuffer")
	e := c.send(cb, "computeCommandEncoderWithDispatchType:", 1)
	c.bound(e)
	b := c.buffer(512)
	c.send(e, setBuffer, b, first, 0)
	c.dispatch(e, threadgroups, size{1, 1, 1}, size{32, 1, 1})
	between(e, b)
	c.send(e, setBuffer, b, second, 0)
	c.dispatch(e, threadgroups, size{1, 1, 1}, size{32, 1, 1})
	c.send(e, "endEncoding")
	c.send(cb, "commit")
	c.send(cb, "waitUntilCompleted")
}

func (c *client) otherDevice() uintptr {
	array := c.call(c.all)
	d := c.send(array, "objectAtIndex:", 1)
	c.send(array, "release")
	return d
}

var small = size{1, 1, 1}

// clientMistakes are what a client can do wrong, each with the same thing done right.
var clientMistakes = []struct {
	name, kind   string
	wrong, right func(*client)
}{
	{"selector Metal does not have", "unknown selector",
		func(c *client) { c.send(c.device, "newBufferOfLength:", 16) },
		func(c *client) { c.buffer(16) }},
	{"class method on an instance", "unknown selector",
		func(c *client) { c.send(c.str("x"), "stringWithUTF8String:", c.cstring("y")) },
		func(c *client) { c.send(c.class("NSString"), "stringWithUTF8String:", c.cstring("y")) }},
	{"selector of a newer macOS", "unknown selector",
		func(c *client) {
			c.sim.Configure("os", "14")
			c.send(c.send(c.queue, "commandBuffer"), "useResidencySet:", 0)
		},
		func(c *client) {
			c.sim.Configure("os", "15")
			c.send(c.send(c.queue, "commandBuffer"), "useResidencySet:", 0)
		}},
	{"argument missing", "wrong argument count",
		func(c *client) { c.run(func(e uintptr) { c.send(e, setBuffer, c.buffer(16), 0, unused, unused) }) },
		func(c *client) { c.run(func(e uintptr) { c.send(e, setBuffer, c.buffer(16), 0, 0, unused) }) }},
	{"argument too many", "wrong argument count",
		func(c *client) {
			c.send(c.buffer(16), "length", 0, unused, unused, unused)
		},
		func(c *client) { c.send(c.buffer(16), "length", unused, unused, unused, unused) }},
	{"message to a released object", "released object",
		func(c *client) {
			b := c.send(c.device, "newBufferWithLength:options:", 16, 0)
			c.send(b, "release")
			c.send(b, "length")
		},
		func(c *client) {
			b := c.send(c.device, "newBufferWithLength:options:", 16, 0)
			c.send(b, "length")
			c.send(b, "release")
		}},
	{"released twice", "released object",
		func(c *client) {
			b := c.send(c.device, "newBufferWithLength:options:", 16, 0)
			c.send(b, "release")
			c.send(b, "release")
		},
		func(c *client) {
			b := c.send(c.device, "newBufferWithLength:options:", 16, 0)
			c.send(b, "retain")
			c.send(b, "release")
			c.send(b, "release")
		}},
	{"released and autoreleased", "released object",
		func(c *client) {
			pool := c.call(c.push)
			b := c.send(c.device, "newBufferWithLength:options:", 16, 0)
			c.send(b, "autorelease")
			c.send(b, "release")
			c.call(c.pop, pool)
		},
		func(c *client) {
			pool := c.call(c.push)
			c.send(c.send(c.device, "newBufferWithLength:options:", 16, 0), "autorelease")
			c.call(c.pop, pool)
		}},
	{"pool popped twice", "autorelease pool",
		func(c *client) { pool := c.call(c.push); c.call(c.pop, pool); c.call(c.pop, pool) },
		func(c *client) { pool := c.call(c.push); c.call(c.pop, pool) }},
	{"instance of a class one cannot make", "invalid argument",
		func(c *client) { c.send(c.class("MTLBuffer"), "alloc") },
		func(c *client) { c.send(c.send(c.send(c.class("MTLCompileOptions"), "alloc"), "init"), "release") }},
	{"buffer of no bytes", "invalid argument",
		func(c *client) { c.send(c.device, "newBufferWithLength:options:", 0, 0) },
		func(c *client) { c.buffer(1) }},
	{"wrapped memory not in whole pages", "invalid argument",
		func(c *client) {
			b := c.buffer(1 << 16)
			c.own(c.send(c.device, "newBufferWithBytesNoCopy:length:options:deallocator:", c.send(b, "contents")+16, 4096, 0, 0))
		},
		func(c *client) {
			b := c.buffer(1 << 16)
			c.own(c.send(c.device, "newBufferWithBytesNoCopy:length:options:deallocator:", c.send(b, "contents"), 1<<16, 0, 0))
		}},
	{"CPU write past a buffer", "out of bounds",
		func(c *client) {
			b := c.buffer(100)
			p := c.send(b, "contents")
			*(*byte)(unsafe.Add(*(*unsafe.Pointer)(unsafe.Pointer(&p)), 100)) = 1
			c.run(func(e uintptr) { c.bound(e); c.send(e, setBuffer, b, 0, 0); c.dispatch(e, threadgroups, small, small) })
			*(*byte)(unsafe.Add(*(*unsafe.Pointer)(unsafe.Pointer(&p)), 100)) = 0xa5
		},
		func(c *client) {
			b := c.buffer(100)
			p := c.send(b, "contents")
			*(*byte)(unsafe.Add(*(*unsafe.Pointer)(unsafe.Pointer(&p)), 99)) = 1
			c.run(func(e uintptr) { c.bound(e); c.send(e, setBuffer, b, 0, 0); c.dispatch(e, threadgroups, small, small) })
		}},
	{"buffer index 31", "index out of range",
		func(c *client) { c.run(func(e uintptr) { c.send(e, setBuffer, c.buffer(16), 0, 31) }) },
		func(c *client) { c.run(func(e uintptr) { c.send(e, setBuffer, c.buffer(16), 0, 30) }) }},
	{"offset past the buffer", "out of bounds",
		func(c *client) { c.run(func(e uintptr) { c.send(e, setBuffer, c.buffer(16), 16, 0) }) },
		func(c *client) { c.run(func(e uintptr) { c.send(e, setBuffer, c.buffer(16), 12, 0) }) }},
	{"a pipeline bound as a buffer", "invalid argument",
		func(c *client) { c.run(func(e uintptr) { c.send(e, setBuffer, c.add, 0, 0) }) },
		func(c *client) { c.run(func(e uintptr) { c.send(e, setPipeline, c.add) }) }},
	{"setBytes above 4 KiB", "length",
		func(c *client) { c.run(func(e uintptr) { c.bytes(e, 4097, 0) }) },
		func(c *client) { c.run(func(e uintptr) { c.bytes(e, 4096, 0) }) }},
	{"threadgroup memory not a multiple of 16", "length",
		func(c *client) { c.run(func(e uintptr) { c.send(e, setMemory, 20, 0) }) },
		func(c *client) { c.run(func(e uintptr) { c.send(e, setMemory, 32, 0) }) }},
	{"threadgroup memory above 32 KiB", "length",
		func(c *client) {
			c.run(func(e uintptr) {
				c.bound(e)
				c.send(e, setMemory, 32<<10, 0)
				c.send(e, setMemory, 16, 1)
				c.dispatch(e, threadgroups, small, small)
			})
		},
		func(c *client) {
			c.run(func(e uintptr) {
				c.bound(e)
				c.send(e, setMemory, 32<<10-16, 0)
				c.send(e, setMemory, 16, 1)
				c.dispatch(e, threadgroups, small, small)
			})
		}},
	{"threadgroup of 1025 threads", "threads",
		func(c *client) {
			c.run(func(e uintptr) { c.dispatch(c.bound(e), threadgroups, small, size{1025, 1, 1}) })
		},
		func(c *client) {
			c.run(func(e uintptr) { c.dispatch(c.bound(e), threadgroups, small, size{64, 1, 1}) })
		}},
	{"empty grid", "threads",
		func(c *client) { c.run(func(e uintptr) { c.dispatch(c.bound(e), threadgroups, size{0, 1, 1}, small) }) },
		func(c *client) { c.run(func(e uintptr) { c.dispatch(c.bound(e), threadgroups, size{1, 1, 1}, small) }) }},
	{"dispatch without pipeline", "wrong state",
		func(c *client) { c.run(func(e uintptr) { c.dispatch(e, threadgroups, small, small) }) },
		func(c *client) { c.run(func(e uintptr) { c.dispatch(c.bound(e), threadgroups, small, small) }) }},
	{"buffer of the kernel not bound", "missing binding",
		func(c *client) {
			c.run(func(e uintptr) { c.bound(e); c.send(e, setPipeline, c.add); c.dispatch(e, threadgroups, small, small) })
		},
		func(c *client) {
			c.run(func(e uintptr) {
				c.bound(e)
				c.send(e, setPipeline, c.add)
				c.send(e, setBuffer, c.buffer(16), 0, 1)
				c.send(e, setBuffer, c.buffer(16), 0, 2)
				c.dispatch(e, threadgroups, small, small)
			})
		}},
	{"buffer of another device", "foreign device",
		func(c *client) {
			b := c.own(c.send(c.otherDevice(), "newBufferWithLength:options:", 16, 0))
			c.run(func(e uintptr) { c.send(e, setBuffer, b, 0, 0) })
		},
		func(c *client) {
			b := c.own(c.send(c.device, "newBufferWithLength:options:", 16, 0))
			c.run(func(e uintptr) { c.send(e, setBuffer, b, 0, 0) })
		}},
	{"encoding after the end", "wrong state",
		func(c *client) {
			cb := c.send(c.queue, "commandBuffer")
			e := c.send(cb, "computeCommandEncoder")
			c.send(e, "endEncoding")
			c.send(e, setPipeline, c.add)
		},
		func(c *client) {
			cb := c.send(c.queue, "commandBuffer")
			e := c.send(cb, "computeCommandEncoder")
			c.send(e, setPipeline, c.add)
			c.send(e, "endEncoding")
		}},
	{"encoder not ended at commit", "wrong state",
		func(c *client) {
			cb := c.send(c.queue, "commandBuffer")
			e := c.send(cb, "computeCommandEncoder")
			c.send(cb, "commit")
			c.send(e, "endEncoding")
		},
		func(c *client) {
			cb := c.send(c.queue, "commandBuffer")
			c.send(c.send(cb, "computeCommandEncoder"), "endEncoding")
			c.send(cb, "commit")
			c.send(cb, "waitUntilCompleted")
		}},
	{"encoder released before its end", "wrong state",
		func(c *client) {
			cb := c.send(c.queue, "commandBuffer")
			pool := c.call(c.push)
			c.send(cb, "computeCommandEncoder")
			c.call(c.pop, pool)
		},
		func(c *client) {
			cb := c.send(c.queue, "commandBuffer")
			pool := c.call(c.push)
			c.send(c.send(cb, "computeCommandEncoder"), "endEncoding")
			c.call(c.pop, pool)
		}},
	{"two encoders at once", "wrong state",
		func(c *client) {
			cb := c.send(c.queue, "commandBuffer")
			e := c.send(cb, "computeCommandEncoder")
			c.send(cb, "computeCommandEncoder")
			c.send(e, "endEncoding")
		},
		func(c *client) {
			cb := c.send(c.queue, "commandBuffer")
			c.send(c.send(cb, "computeCommandEncoder"), "endEncoding")
			c.send(c.send(cb, "computeCommandEncoder"), "endEncoding")
		}},
	{"committed twice", "wrong state",
		func(c *client) {
			cb := c.encode(func(uintptr) {})
			c.send(cb, "commit")
			c.send(cb, "commit")
			c.send(cb, "waitUntilCompleted")
		},
		func(c *client) {
			cb := c.encode(func(uintptr) {})
			c.send(cb, "commit")
			c.send(cb, "waitUntilCompleted")
		}},
	{"encoding after commit", "wrong state",
		func(c *client) {
			cb := c.encode(func(uintptr) {})
			c.send(cb, "commit")
			c.send(cb, "computeCommandEncoder")
			c.send(cb, "waitUntilCompleted")
		},
		func(c *client) {
			cb := c.encode(func(uintptr) {})
			c.send(c.send(cb, "computeCommandEncoder"), "endEncoding")
			c.send(cb, "commit")
			c.send(cb, "waitUntilCompleted")
		}},
	{"waiting without commit", "wrong state",
		func(c *client) { c.send(c.encode(func(uintptr) {}), "waitUntilCompleted") },
		func(c *client) {
			cb := c.encode(func(uintptr) {})
			c.send(cb, "commit")
			c.send(cb, "waitUntilCompleted")
		}},
	{"65 command buffers nobody commits", "wrong state",
		func(c *client) {
			for range 65 {
				c.send(c.queue, "commandBuffer")
			}
		},
		func(c *client) {
			for range 64 {
				c.send(c.queue, "commandBuffer")
			}
		}},
	{"buffer released under an unretained command buffer", "released object",
		func(c *client) { c.releaseInFlight("commandBufferWithUnretainedReferences") },
		func(c *client) { c.releaseInFlight("commandBuffer") }},
	{"concurrent dispatches write the same bytes", "hazard between dispatches",
		func(c *client) { c.concurrent(0, 64, func(uintptr, uintptr) {}) },
		func(c *client) { c.concurrent(0, 128, func(uintptr, uintptr) {}) }},
	{"barrier for another buffer", "hazard between dispatches",
		func(c *client) {
			c.concurrent(0, 0, func(e, _ uintptr) {
				other := heap(c.buffer(16))
				c.send(e, "memoryBarrierWithResources:count:", uintptr(unsafe.Pointer(other)), 1)
				runtime.KeepAlive(other)
			})
		},
		func(c *client) {
			c.concurrent(0, 0, func(e, b uintptr) {
				this := heap(b)
				c.send(e, "memoryBarrierWithResources:count:", uintptr(unsafe.Pointer(this)), 1)
				runtime.KeepAlive(this)
			})
		}},
	{"barrier of another scope", "hazard between dispatches",
		func(c *client) { c.concurrent(0, 0, func(e, _ uintptr) { c.send(e, "memoryBarrierWithScope:", 2) }) },
		func(c *client) { c.concurrent(0, 0, func(e, _ uintptr) { c.send(e, "memoryBarrierWithScope:", 1) }) }},
	{"barrier without scope", "invalid argument",
		func(c *client) { c.run(func(e uintptr) { c.send(e, "memoryBarrierWithScope:", 0) }) },
		func(c *client) { c.run(func(e uintptr) { c.send(e, "memoryBarrierWithScope:", 1) }) }},
	{"debug group not popped", "wrong state",
		func(c *client) { c.run(func(e uintptr) { c.send(e, "pushDebugGroup:", c.str("x")) }) },
		func(c *client) {
			c.run(func(e uintptr) { c.send(e, "pushDebugGroup:", c.str("x")); c.send(e, "popDebugGroup") })
		}},
	{"label that is not a string", "invalid argument",
		func(c *client) { c.send(c.queue, "setLabel:", c.device) },
		func(c *client) { c.send(c.queue, "setLabel:", c.str("queue")) }},
}

func (c *client) releaseInFlight(commandBuffer string) {
	b := c.send(c.device, "newBufferWithLength:options:", 256, 0)
	cb := c.send(c.queue, commandBuffer)
	e := c.send(cb, "computeCommandEncoder")
	c.bound(e)
	c.send(e, setBuffer, b, 0, 0)
	c.dispatch(e, threadgroups, small, small)
	c.send(e, "endEncoding")
	c.send(b, "release")
	c.send(cb, "commit")
	c.send(cb, "waitUntilCompleted")
}

// Each mistake is recorded, as what it is and nothing else; done right, nothing is.
func TestClientMistakes(t *testing.T) {
	for _, m := range clientMistakes {
		t.Run(m.name, func(t *testing.T) {
			c := newClient(t)
			c.sim.Set(t, "os", "15")
			do := func(f func(*client)) (kinds []string, all []metalsim.Violation) {
				pool := c.call(c.push)
				f(c)
				c.call(c.pop, pool)
				for _, v := range c.sim.TakeViolations() {
					all = append(all, v)
					if !slices.Contains(kinds, v.Kind) {
						kinds = append(kinds, v.Kind)
					}
				}
				return kinds, all
			}
			if kinds, all := do(m.wrong); !slices.Equal(kinds, []string{m.kind}) {
				t.Errorf("done wrong: %v, want %s", all, m.kind)
			}
			if kinds, all := do(m.right); len(kinds) != 0 {
				t.Errorf("done right: %v", all)
			}
		})
	}
}

func TestAutoreleaseWithoutPool(t *testing.T) {
	c := newClient(t)
	leaked := c.send(c.device, "name")
	if v := c.sim.TakeViolations(); len(v) != 1 || v[0].Kind != "autorelease pool" {
		t.Errorf("%v", v)
	}
	if n := c.sim.Objects()["NSString"]; n == 0 {
		t.Error("the string did not leak")
	}
	c.send(leaked, "release")
	pool := c.call(c.push)
	name := c.send(c.device, "name")
	c.send(name, "retain")
	c.call(c.pop, pool)
	before := c.sim.Objects()["NSString"]
	c.send(name, "release")
	if after := c.sim.Objects()["NSString"]; after != before-1 {
		t.Errorf("%d strings, then %d", before, after)
	}
}

func TestCounters(t *testing.T) {
	c := newClient(t)
	c.sim.Reset()
	pool := c.call(c.push)
	b := c.buffer(1024)
	c.send(b, "setLabel:", c.str("activations"))
	for range 3 {
		c.run(func(e uintptr) {
			c.bound(e)
			c.send(e, setBuffer, b, 0, 0)
			c.dispatch(e, threadgroups, size{2, 1, 1}, size{64, 1, 1})
			c.send(e, "memoryBarrierWithScope:", 1)
			c.dispatch(e, "dispatchThreads:threadsPerThreadgroup:", size{100, 1, 1}, size{64, 1, 1})
		})
	}
	c.call(c.pop, pool)
	got := c.sim.Counters()
	if got.CommandBuffers != 3 || got.Commits != 3 || got.Waits != 3 || got.Encoders != 3 || got.Dispatches != 6 || got.MemoryBarriers != 3 || got.Buffers != 4 {
		t.Errorf("%+v", got)
	}
	if k := got.Kernels["scale"]; k.Dispatches != 6 || k.Threadgroups != 12 || k.Threads != 3*(128+100) || k.Seconds <= 0 {
		t.Errorf("%+v", k)
	}
	bytes := uint64(3 * (128 + 100) * 4)
	if l := got.Labels["activations"]; l.Read != bytes || l.Written != bytes || l.UniqueRead != bytes || l.UniqueWritten != bytes {
		t.Errorf("activations: %+v, want %d", l, bytes)
	}
	if l := got.Labels["setBytes"]; l.UniqueRead != 6*4 || l.Written != 0 {
		t.Errorf("setBytes: %+v", l)
	}
	if got.Bytes.Read != bytes+got.Labels["setBytes"].Read {
		t.Errorf("in all %+v", got.Bytes)
	}
	c.sim.Reset()
	if got := c.sim.Counters(); got.Dispatches != 0 || len(got.Kernels) != 0 || len(got.Labels) != 0 {
		t.Errorf("after reset: %+v", got)
	}
}

// A line that ran is hit, one that did not is listed all the same.
func TestCoverage(t *testing.T) {
	c := newClient(t)
	c.sim.Set(t, "coverage", "1")
	pool := c.call(c.push)
	defer c.call(c.pop, pool)
	source := `#include <metal_stdlib>
using namespace metal;
kernel void half_used(device float* x [[buffer(0)]], constant uint& n [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  if (n > 0)
    x[i] = 1.0f;
  else
    x[i] = 2.0f;
}
`
	library := c.send(c.device, "newLibraryWithSource:options:error:", c.str(source), 0, 0)
	f := c.send(library, "newFunctionWithName:", c.str("half_used"))
	p := c.own(c.send(c.device, "newComputePipelineStateWithFunction:error:", f, 0))
	c.send(f, "release")
	c.send(library, "release")
	c.run(func(e uintptr) { c.bound(e); c.send(e, setPipeline, p); c.dispatch(e, threadgroups, small, small) })
	got := map[int]int{}
	for _, l := range c.sim.Coverage() {
		got[l.Line] = l.Hit
	}
	for line, want := range map[int]int{4: 1, 5: 0, 7: 1} {
		if hit, listed := got[line]; !listed || hit != want {
			t.Errorf("line %d: hit %d, listed %v, want %d", line, hit, listed, want)
		}
	}
}

// blockLiteral is a block as a compiler lays it out on the stack: the runtime must copy it before it keeps it.
type blockLiteral struct {
	isa        uintptr
	flags      int32
	_          int32
	invoke     uintptr
	descriptor *blockDescriptor
}

type blockDescriptor struct{ _, size, copy, dispose uintptr }

const hasCopyDispose = 1 << 25

var blockCalls struct{ invoked, freed, copied, disposed atomic.Int32 }

var (
	onInvoke = sync.OnceValue(func() uintptr { return purego.NewCallback(func(block, object uintptr) { blockCalls.invoked.Add(1) }) })
	onFree   = sync.OnceValue(func() uintptr {
		return purego.NewCallback(func(block, memory, length uintptr) { blockCalls.freed.Add(int32(length)) })
	})
	onCopy    = sync.OnceValue(func() uintptr { return purego.NewCallback(func(to, from uintptr) { blockCalls.copied.Add(1) }) })
	onDispose = sync.OnceValue(func() uintptr { return purego.NewCallback(func(block uintptr) { blockCalls.disposed.Add(1) }) })
)

// Blocks on the stack are copied when handed over, called later from another thread, and disposed of.
func TestBlocks(t *testing.T) {
	c := newClient(t)
	pool := c.call(c.push)
	blockCalls.invoked.Store(0)
	blockCalls.freed.Store(0)
	blockCalls.copied.Store(0)
	blockCalls.disposed.Store(0)
	d := heap(blockDescriptor{size: unsafe.Sizeof(blockLiteral{}), copy: onCopy(), dispose: onDispose()})
	handler := heap(blockLiteral{flags: hasCopyDispose, invoke: onInvoke(), descriptor: d})
	cb := c.encode(func(uintptr) {})
	for range 2 {
		c.send(cb, "addCompletedHandler:", uintptr(unsafe.Pointer(handler)))
	}
	handler.invoke = 0 // as if the stack frame were gone
	c.send(cb, "commit")
	c.send(cb, "waitUntilCompleted")
	if n := blockCalls.invoked.Load(); n != 2 {
		t.Errorf("%d calls of completion handlers when waiting ended, want 2", n)
	}

	b := c.buffer(1 << 16)
	free := heap(blockLiteral{flags: hasCopyDispose, invoke: onFree(), descriptor: d})
	wrapped := c.send(c.device, "newBufferWithBytesNoCopy:length:options:deallocator:", c.send(b, "contents"), 1<<16, 0, uintptr(unsafe.Pointer(free)))
	runtime.KeepAlive(free)
	if n := blockCalls.freed.Load(); n != 0 {
		t.Error("memory freed early")
	}
	c.send(wrapped, "release")
	if n := blockCalls.freed.Load(); n != 1<<16 {
		t.Errorf("deallocator called for %d bytes", n)
	}
	if copied, disposed := blockCalls.copied.Load(), blockCalls.disposed.Load(); copied != 3 || disposed != 3 {
		t.Errorf("%d blocks copied, %d disposed of, want 3", copied, disposed)
	}
	c.call(c.pop, pool)
}

// A setting that does not exist is a mistake in a test.
func TestSettings(t *testing.T) {
	sim := metalsim.Start(t)
	for _, bad := range [][2]string{{"os", "3"}, {"family", "m1"}, {"mode", "fast"}, {"nonsense", "1"}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s=%s was accepted", bad[0], bad[1])
				}
			}()
			sim.Configure(bad[0], bad[1])
		}()
	}
	sim.Set(t, "family", "apple7")
	sim.SetSeed(42)
	sim.SetSeed(0)
}
