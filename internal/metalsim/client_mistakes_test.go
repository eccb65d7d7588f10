//go:build linux && (amd64 || arm64)

package metalsim_test

import (
	"runtime"
	"slices"
	"testing"
	"unsafe"

	"github.com/go-openelm/go-openelm/internal/metalsim"
)

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

// violations are what f is reported for, and their kinds.
func (c *client) violations(f func(*client)) (kinds []string, all []metalsim.Violation) {
	pool := c.call(c.push)
	f(c)
	c.call(c.pop, pool)
	all = c.sim.TakeViolations()
	for _, v := range all {
		if !slices.Contains(kinds, v.Kind) {
			kinds = append(kinds, v.Kind)
		}
	}
	return kinds, all
}

// Each mistake is recorded, as what it is and nothing else; done right, nothing is.
func TestClientMistakes(t *testing.T) {
	for _, m := range clientMistakes {
		t.Run(m.name, func(t *testing.T) {
			c := newClient(t)
			c.sim.Set(t, "os", "15")
			if kinds, all := c.violations(m.wrong); !slices.Equal(kinds, []string{m.kind}) {
				t.Errorf("done wrong: %v, want %s", all, m.kind)
			}
			if kinds, all := c.violations(m.right); len(kinds) != 0 {
				t.Errorf("done right: %v", all)
			}
		})
	}
}
