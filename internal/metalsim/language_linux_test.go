//go:build amd64 || arm64

package metalsim_test

import (
	"encoding/binary"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

// Every check inside the kernels of language.metal holds, in every mode and order of threads, without a violation.
func TestLanguage(t *testing.T) {
	source := readKernels(t, "language.metal")
	constants := map[uint32][]byte{
		0: {1}, 1: binary.LittleEndian.AppendUint32(nil, 0xfffffffb), 2: binary.LittleEndian.AppendUint32(nil, math.Float32bits(0.25)),
		3: {0x00, 0x3c, 0x00, 0x40, 0x00, 0x42, 0x00, 0x44},
	}
	for mode, modeName := range modeNames {
		t.Run(modeName, func(t *testing.T) {
			lib := mustCompile(t, source, mode)
			for _, test := range []struct {
				kernel    string
				run       run
				checks    int // CHECK statements executed by all threads
				constants map[uint32][]byte
			}{
				{"vectors", run{}, 24, nil},
				{"packed", run{buffers: map[int]any{1: make([]byte, 20), 2: make([]byte, 8)}}, 6, nil},
				{"small_floats", run{}, 11, nil},
				{"mathematics", run{}, 20, nil},
				{"integers", run{}, 13, nil},
				{"matrices", run{}, 8, nil},
				{"lanes", run{threads: [3]uint64{64}}, 64 * 40, nil},
				{"matrix_multiply_float", matrixRun(4), 128, nil},
				{"matrix_multiply_half", matrixRun(2), 128, nil},
				{"matrix_multiply_bfloat", matrixRun(2), 128, nil},
				{"matrix_elements", run{threads: [3]uint64{32}}, 64, nil},
				{"atomics", run{threads: [3]uint64{64}, buffers: map[int]any{1: make([]uint32, 1), 2: []int32{-9}, 3: make([]float32, 1)}}, 256, nil},
				{"constants", run{buffers: map[int]any{1: []uint32{99}}}, 5, constants},
				{"positions", run{grid: [3]uint64{19, 7}, gridThreads: true, threads: [3]uint64{8, 5}, buffers: map[int]any{1: make([]uint32, 19*7)}}, 19 * 7 * 4, nil},
				{"literals", run{}, 2, nil},
				{"booleans", run{}, 9, nil},
				{"members", run{buffers: map[int]any{1: make([]byte, 12)}, memory: map[int]uint32{0: 16}}, 5, nil},
				{"aliases", run{buffers: map[int]any{1: make([]float32, 4)}}, 2, nil},
				{"specification", run{}, 11, nil},
				{"deduced_uint", run{}, 1, nil},
				{"templates", run{buffers: map[int]any{1: make([]float32, 3), 2: make([]float32, 1)}, memory: map[int]uint32{0: 16}}, 8, nil},
			} {
				k := mustKernel(t, lib, test.kernel, test.constants)
				for seed := uint64(0); seed < 3; seed++ {
					r := test.run
					r.seed = seed
					ok := slices.Repeat([]uint32{77}, test.checks)
					r.buffers = map[int]any{0: ok}
					for i, b := range test.run.buffers {
						r.buffers[i] = clone(b)
					}
					o := dispatch(t, k, r)
					if len(o.violations) > 0 {
						t.Errorf("%s: %s", test.kernel, o.text)
					}
					for i, v := range ok {
						if v != 1 {
							t.Errorf("%s, seed %d: check %d: %d", test.kernel, seed, i, v)
						}
					}
					if test.kernel == "positions" {
						for i, v := range r.buffers[1].([]uint32) {
							if v != 1 {
								t.Errorf("position %d ran %d times", i, v)
							}
						}
					}
				}
			}
		})
	}
}

func matrixRun(size int) run {
	return run{threads: [3]uint64{32}, buffers: map[int]any{1: make([]byte, 64*size), 2: make([]byte, 64*size), 3: make([]float32, 64)}}
}

func clone(b any) any {
	switch b := b.(type) {
	case []float32:
		return slices.Clone(b)
	case []uint32:
		return slices.Clone(b)
	case []int32:
		return slices.Clone(b)
	case []byte:
		return slices.Clone(b)
	}
	panic("unknown buffer type")
}

// Function constants: what a function uses is known, and a missing one or one of another type is refused.
func TestFunctionConstants(t *testing.T) {
	a := engine(t)
	lib := mustCompile(t, readKernels(t, "language.metal"), modeCheck)
	var list unsafe.Pointer
	n := a.constants(lib, "constants", &list)
	var got []string
	for _, c := range unsafe.Slice((*cConstant)(list), n) {
		required := ""
		if c.required != 0 {
			required = " required"
		}
		got = append(got, goString(c.name)+" "+goString(c.typ)+required)
	}
	want := []string{"flag bool required", "number int required", "scale float required", "four half4 required", "absent uint"}
	if !slices.Equal(got, want) {
		t.Errorf("constants of the kernel: %q, want %q", got, want)
	}
	if n := a.constants(lib, "vectors", &list); n != 0 {
		t.Errorf("kernel vectors uses %d constants, want none", n)
	}
	if k, text := a.kernel(lib, "constants", nil); k != 0 || text == "" {
		t.Errorf("a kernel without its constants: %q", text)
	}
}

// Reflection of arguments.
func TestReflection(t *testing.T) {
	a := engine(t)
	lib := mustCompile(t, `#include <metal_stdlib>
using namespace metal;
struct P { float4 v; half h; };
[[max_total_threads_per_threadgroup(256)]]
kernel void k(device const half4 *x [[buffer(3)]], device float *y [[buffer(1)]], constant P &p [[buffer(0)]], threadgroup float2 *s [[threadgroup(1)]],
              uint i [[thread_position_in_grid]]) {
  threadgroup float own[10];
  own[i] = p.h;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  s[i] = own[i];
  y[i] = x[i].x + s[i].x;
}
`, modeCheck)
	info := a.kernelDescribe(mustKernel(t, lib, "k", nil))
	if info.maxThreads != 256 || info.width != 32 || info.threadgroupMemory != 40 || info.usesBarriers != 1 {
		t.Errorf("kernel: %+v", *info)
	}
	type arg struct {
		name                         string
		kind, index, size, alignment uint32
		readOnly, constant, ref      uint8
	}
	var got []arg
	for _, c := range unsafe.Slice((*cArgument)(info.arguments), info.argumentCount) {
		got = append(got, arg{goString(c.name), c.kind, c.index, c.elementSize, c.elementAlignment, c.readOnly, c.constantSpace, c.reference})
	}
	want := []arg{{"x", 0, 3, 8, 8, 1, 0, 0}, {"y", 0, 1, 4, 4, 0, 0, 0}, {"p", 0, 0, 32, 16, 1, 1, 1}, {"s", 1, 1, 8, 8, 0, 0, 0}}
	if !slices.Equal(got, want) {
		t.Errorf("arguments:\n%+v, want\n%+v", got, want)
	}
}

// Compile options reach the source and the messages.
func TestCompileOptions(t *testing.T) {
	const source = `
#if __METAL_VERSION__ != 300 || VALUE != 7 || defined(__FAST_MATH__)
#error options
#endif
kernel void k(device int *y [[buffer(0)]]) { y[0] = VALUE; }
`
	a := engine(t)
	lib, text := a.compileSource(source, modePlain, nil)
	if lib != 0 || !strings.HasPrefix(text, "program_source:3:2: error: options") {
		t.Errorf("without options: %q", text)
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	c := func(s string) unsafe.Pointer {
		b := append([]byte(s), 0)
		pin.Pin(&b[0])
		return unsafe.Pointer(&b[0])
	}
	names, values := []unsafe.Pointer{c("VALUE")}, []unsafe.Pointer{c("7")}
	pin.Pin(&names[0])
	pin.Pin(&values[0])
	options := func(o *cOptions) {
		o.languageVersion, o.fastMath = 3<<16, 0
		o.macroNames, o.macroValues, o.macroCount = unsafe.Pointer(&names[0]), unsafe.Pointer(&values[0]), 1
		o.sourceName = c("named.metal")
	}
	if lib, text = a.compileSource(source, modePlain, options); lib == 0 {
		t.Fatal(text)
	}
	a.libraryRelease(lib)
	if lib, text = a.compileSource(source+"nonsense", modePlain, options); lib != 0 || !strings.HasPrefix(text, "named.metal:6:1: error: ") {
		t.Errorf("with a name: %q", text)
	}
}
