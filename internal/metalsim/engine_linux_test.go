//go:build amd64 || arm64

package metalsim_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/ebitengine/purego"

	"github.com/go-openelm/go-openelm/internal/metalsim"
)

// These tests use the engine through its C interface (engine/engine.h), without the Objective-C runtime.

const (
	modePlain = iota
	modeCount
	modeCheck
)

var modeNames = []string{"plain", "count", "check"}

// C structures of engine.h.
type (
	cOptions struct {
		languageVersion             uint32
		fastMath, mode, coverage, _ uint8
		macroNames, macroValues     unsafe.Pointer
		macroCount                  uintptr
		sourceName                  unsafe.Pointer
	}
	cConstant struct {
		name, typ             unsafe.Pointer
		index, dataType, size uint32
		required              uint8
	}
	cConstantValue struct {
		_     unsafe.Pointer // name
		index uint32
		_     uint32 // data type
		value unsafe.Pointer
	}
	cArgument struct {
		name                                        unsafe.Pointer
		kind, index, elementSize, elementAlignment  uint32
		readOnly, constantSpace, reference, present uint8
	}
	cKernelInfo struct {
		_                                                   unsafe.Pointer // name
		maxThreads, width, threadgroupMemory, argumentCount uint32
		arguments                                           unsafe.Pointer
		usesBarriers                                        uint8
	}
	cBinding struct {
		contents                 unsafe.Pointer
		length, offset, identity uint64
	}
	cDispatch struct {
		buffers               [31]cBinding
		threadgroupMemory     [31]uint32
		grid                  [3]uint64
		threadsPerThreadgroup [3]uint64
		gridIsThreads         uint8
		seed                  uint64
	}
	cPosition struct {
		threadgroup, thread [3]uint32
		simdgroup, lane     uint32
	}
	cViolation struct {
		kind                            uint32
		kindName, message, kernel, file unsafe.Pointer
		line, column                    uint32
		otherFile                       unsafe.Pointer
		otherLine, otherColumn          uint32
		buffer, threadgroupIndex        int32
		offset                          uint64
		where, other                    cPosition
		count                           uint64
	}
	cTraffic  struct{ Read, Written, UniqueRead, UniqueWritten uint64 }
	cCounters struct {
		threadgroups, threads, barriers, simdOperations uint64
		_                                               uint64  // context switches
		_                                               float64 // seconds
		total                                           cTraffic
		buffers                                         [31]cTraffic
		slots                                           uint64
		inFlight                                        float64
	}
	cRange struct{ Begin, End uint64 }
	cLine  struct {
		file         unsafe.Pointer
		sourceHash   uint64
		line         uint32
		hit, partial uint8
	}
)

// api holds the functions of engine.h.
type api struct {
	compile        func(source string, length uintptr, options *cOptions, err *unsafe.Pointer) uintptr
	libraryRelease func(uintptr)
	free           func(unsafe.Pointer)
	functionCount  func(uintptr) uintptr
	functionName   func(uintptr, uintptr) string
	constants      func(library uintptr, function string, out *unsafe.Pointer) uintptr
	specialise     func(library uintptr, function string, values *cConstantValue, count uintptr, err *unsafe.Pointer) uintptr
	kernelRelease  func(uintptr)
	kernelDescribe func(uintptr) *cKernelInfo
	dispatch       func(uintptr, *cDispatch) uintptr
	reportRelease  func(uintptr)
	violations     func(uintptr, *unsafe.Pointer) uintptr
	reportText     func(uintptr) string
	counters       func(uintptr) *cCounters
	ranges         func(report uintptr, buffer uint32, write int32, out *unsafe.Pointer) uintptr
	hazardsCreate  func() uintptr
	hazardsDestroy func(uintptr)
	hazardsBarrier func(uintptr)
	hazardsAdd     func(uintptr, uintptr, *unsafe.Pointer) uintptr
	coverage       func(*unsafe.Pointer) uintptr
	sourceHash     func(string, uintptr) uint64
}

var loadEngine = sync.OnceValues(func() (*api, error) {
	path, err := metalsim.Build()
	if err != nil {
		return nil, err
	}
	lib, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, err
	}
	a := &api{}
	for name, f := range map[string]any{
		"compile": &a.compile, "library_release": &a.libraryRelease, "free": &a.free, "function_count": &a.functionCount,
		"function_name": &a.functionName, "constants": &a.constants, "specialise": &a.specialise, "kernel_release": &a.kernelRelease,
		"kernel_describe": &a.kernelDescribe, "dispatch": &a.dispatch, "report_release": &a.reportRelease,
		"report_violations": &a.violations, "report_text": &a.reportText, "report_counters": &a.counters,
		"report_ranges": &a.ranges, "hazards_create": &a.hazardsCreate, "hazards_destroy": &a.hazardsDestroy,
		"hazards_barrier": &a.hazardsBarrier, "hazards_add": &a.hazardsAdd, "coverage": &a.coverage, "source_hash": &a.sourceHash,
	} {
		purego.RegisterLibFunc(f, lib, "metalsim_"+name)
	}
	return a, nil
})

func engine(t testing.TB) *api {
	t.Helper()
	a, err := loadEngine()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func goString(p unsafe.Pointer) string {
	if p == nil {
		return ""
	}
	n := 0
	for *(*byte)(unsafe.Add(p, n)) != 0 {
		n++
	}
	return string(unsafe.Slice((*byte)(p), n))
}

// compile returns the library, or 0 and the messages.
func (a *api) compileSource(source string, mode int, change func(*cOptions)) (uintptr, string) {
	o := cOptions{languageVersion: 3<<16 | 1, fastMath: 1, mode: uint8(mode)}
	if change != nil {
		change(&o)
	}
	var messages unsafe.Pointer
	lib := a.compile(source, uintptr(len(source)), &o, &messages)
	text := goString(messages)
	a.free(messages)
	return lib, text
}

func mustCompile(t testing.TB, source string, mode int) uintptr {
	t.Helper()
	a := engine(t)
	lib, text := a.compileSource(source, mode, nil)
	if lib == 0 {
		t.Fatalf("compile:\n%s", text)
	}
	t.Cleanup(func() { a.libraryRelease(lib) })
	return lib
}

func (a *api) kernel(library uintptr, name string, constants map[uint32][]byte) (uintptr, string) {
	var values []cConstantValue
	for index, v := range constants {
		values = append(values, cConstantValue{index: index, value: unsafe.Pointer(&v[0])})
	}
	var p *cConstantValue
	if len(values) > 0 {
		p = &values[0]
	}
	var message unsafe.Pointer
	var pin runtime.Pinner
	defer pin.Unpin()
	for _, v := range values {
		pin.Pin(v.value)
	}
	k := a.specialise(library, name, p, uintptr(len(values)), &message)
	text := goString(message)
	a.free(message)
	return k, text
}

func mustKernel(t testing.TB, library uintptr, name string, constants map[uint32][]byte) uintptr {
	t.Helper()
	a := engine(t)
	k, text := a.kernel(library, name, constants)
	if k == 0 {
		t.Fatalf("kernel %s: %s", name, text)
	}
	t.Cleanup(func() { a.kernelRelease(k) })
	return k
}

// run is one dispatch.
type run struct {
	buffers     map[int]any // []float32, []uint32, ...
	offsets     map[int]uint64
	memory      map[int]uint32
	grid        [3]uint64
	threads     [3]uint64
	gridThreads bool
	seed        uint64
}

// outcome is a report copied to Go.
type outcome struct {
	text       string
	violations []violation
	counters   cCounters
	report     uintptr
}

type violation struct {
	kind, message, file string
	line                int
	where, other        cPosition
	otherLine           int
}

func bytesOf(v any) (unsafe.Pointer, uint64) {
	switch v := v.(type) {
	case []float32:
		return unsafe.Pointer(unsafe.SliceData(v)), uint64(len(v) * 4)
	case []uint32:
		return unsafe.Pointer(unsafe.SliceData(v)), uint64(len(v) * 4)
	case []int32:
		return unsafe.Pointer(unsafe.SliceData(v)), uint64(len(v) * 4)
	case []byte:
		return unsafe.Pointer(unsafe.SliceData(v)), uint64(len(v))
	}
	panic(fmt.Sprintf("no buffer of %T", v))
}

// dispatch runs a kernel. The report lives until the end of the test.
func dispatch(t testing.TB, kernel uintptr, r run) outcome {
	t.Helper()
	a := engine(t)
	d := &cDispatch{seed: r.seed}
	var pin runtime.Pinner
	defer pin.Unpin()
	for i, v := range r.buffers {
		p, n := bytesOf(v)
		pin.Pin(p)
		d.buffers[i] = cBinding{contents: p, length: n, offset: r.offsets[i], identity: uint64(uintptr(p))}
	}
	for i, n := range r.memory {
		d.threadgroupMemory[i] = n
	}
	one := func(v [3]uint64) [3]uint64 {
		for i := range v {
			if v[i] == 0 {
				v[i] = 1
			}
		}
		return v
	}
	d.grid, d.threadsPerThreadgroup = one(r.grid), one(r.threads)
	if r.gridThreads {
		d.gridIsThreads = 1
	}
	report := a.dispatch(kernel, d)
	t.Cleanup(func() { a.reportRelease(report) })
	o := outcome{text: a.reportText(report), counters: *a.counters(report), report: report}
	var list unsafe.Pointer
	n := a.violations(report, &list)
	for _, v := range unsafe.Slice((*cViolation)(list), n) {
		o.violations = append(o.violations, violation{goString(v.kindName), goString(v.message), goString(v.file), int(v.line), v.where, v.other, int(v.otherLine)})
	}
	return o
}

func (o outcome) has(kind string) bool {
	for _, v := range o.violations {
		if strings.Contains(v.kind, kind) {
			return true
		}
	}
	return false
}
