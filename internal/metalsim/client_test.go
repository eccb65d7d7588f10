//go:build linux && (amd64 || arm64)

package metalsim_test

import (
	"os"
	"runtime"
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
