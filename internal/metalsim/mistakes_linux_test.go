//go:build amd64 || arm64

package metalsim_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func readKernels(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "kernels", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every mistake is found, in whatever order threads run, at a line of its kernel; its corrected twin is clean.
func TestMistakes(t *testing.T) {
	tests := []struct {
		file, kernel, kind string
		threadgroups       uint64
	}{
		{"races.metal", "missing_barrier", "race between threads of a threadgroup", 1},
		{"races.metal", "wrong_flags", "race between threads of a threadgroup", 1},
		{"races.metal", "wrong_device_flags", "race between threads of a threadgroup", 1},
		{"races.metal", "second_round", "race between threads of a threadgroup", 1},
		{"races.metal", "lanes", "race between lanes of a SIMD-group", 1},
		{"races.metal", "many_readers", "race between", 1},
		{"races.metal", "threadgroups", "race between threadgroups", 2},
		{"races.metal", "not_atomic", "race between", 1},
		{"races.metal", "half_atomic", "race between", 1},
		{"flow.metal", "early_return", "barrier in divergent flow", 1},
		{"flow.metal", "two_barriers", "barrier in divergent flow", 1},
		{"flow.metal", "loop_barrier", "barrier in divergent flow", 1},
		{"flow.metal", "divergent_sum", "SIMD-group operation in divergent flow", 1},
		{"flow.metal", "divergent_quad", "SIMD-group operation in divergent flow", 1},
		{"memory.metal", "read_past", "out of bounds", 1},
		{"memory.metal", "read_before", "out of bounds", 1},
		{"memory.metal", "write_past", "out of bounds", 1},
		{"memory.metal", "vector_past", "out of bounds", 1},
		{"memory.metal", "struct_past", "out of bounds", 1},
		{"memory.metal", "threadgroup_past", "out of bounds", 1},
		{"memory.metal", "array_past", "array index out of bounds", 1},
		{"memory.metal", "uninitialised", "uninitialised threadgroup memory", 1},
		{"memory.metal", "misaligned", "misaligned access", 1},
		{"memory.metal", "constant_write", "write to constant memory", 1},
		{"memory.metal", "unbound", "nothing bound", 1},
		{"memory.metal", "division", "undefined arithmetic", 1},
		{"values.metal", "vector_division", "undefined arithmetic", 1},
		{"values.metal", "shift", "undefined arithmetic", 1},
		{"values.metal", "vector_shift", "undefined arithmetic", 1},
		{"values.metal", "signed_overflow", "undefined arithmetic", 1},
		{"values.metal", "lane_past", "lane out of range", 1},
		{"values.metal", "matrix", "uninitialised variable", 1},
		{"values.metal", "variable", "uninitialised variable", 1},
		{"values.metal", "array", "uninitialised variable", 1},
		{"values.metal", "chosen", "out of bounds", 1},
		{"values.metal", "shuffled", "uninitialised variable", 1},
		{"values.metal", "wrapped_index", "wrapped index", 1},
		{"values.metal", "not_a_number", "NaN produced", 1},
		{"values.metal", "pointer_past", "out of bounds", 1},
	}
	libraries := map[string]uintptr{}
	sources := map[string]string{}
	for _, file := range []string{"races.metal", "flow.metal", "memory.metal", "values.metal"} {
		sources[file] = readKernels(t, file)
		libraries[file] = mustCompile(t, sources[file], modeCheck)
	}
	launch := func(t *testing.T, file, name string, groups, seed uint64) outcome {
		k := mustKernel(t, libraries[file], name, nil)
		threads := uint64(64)
		return dispatch(t, k, run{
			buffers: map[int]any{0: make([]float32, 64*groups), 1: make([]float32, 64*groups), 2: make([]uint32, 1), 3: []uint32{55}},
			memory:  memoryFor(name), grid: [3]uint64{groups}, threads: [3]uint64{threads}, seed: seed,
		})
	}
	for _, test := range tests {
		t.Run(test.kernel, func(t *testing.T) {
			for seed := uint64(0); seed < 6; seed++ {
				o := launch(t, test.file, test.kernel, test.threadgroups, seed)
				if !o.has(test.kind) {
					t.Errorf("seed %d: want %q, got:\n%s", seed, test.kind, o.text)
				}
				for _, v := range o.violations {
					if !inKernel(sources[test.file], test.kernel, v.line) {
						t.Errorf("seed %d: line %d is not in kernel %s: %s", seed, v.line, test.kernel, v.message)
					}
				}
				if fixed := launch(t, test.file, test.kernel+"_fixed", test.threadgroups, seed); len(fixed.violations) > 0 {
					t.Errorf("seed %d: the corrected kernel is reported:\n%s", seed, fixed.text)
				}
			}
		})
	}
}

func memoryFor(kernel string) map[int]uint32 {
	if strings.HasPrefix(kernel, "threadgroup_past") {
		return map[int]uint32{0: 64 * 4}
	}
	return nil
}

// inKernel reports whether a line lies between a kernel's first line and the next kernel's.
func inKernel(source, kernel string, line int) bool {
	in := false
	for i, text := range strings.Split(source, "\n") {
		if strings.HasPrefix(text, "kernel void ") {
			in = strings.HasPrefix(text, "kernel void "+kernel+"(")
		}
		if i+1 == line {
			return in
		}
	}
	return false
}

// A race names both places, and the threads.
func TestRaceNamesBothSides(t *testing.T) {
	lib := mustCompile(t, readKernels(t, "races.metal"), modeCheck)
	o := dispatch(t, mustKernel(t, lib, "wrong_flags", nil), run{
		buffers: map[int]any{0: make([]float32, 64), 1: make([]float32, 64)}, grid: [3]uint64{1}, threads: [3]uint64{64}})
	if len(o.violations) != 1 {
		t.Fatalf("want one violation, got:\n%s", o.text)
	}
	v := o.violations[0]
	if v.otherLine != v.line-2 {
		t.Errorf("the read is at line %d, the write at %d: want them two lines apart", v.line, v.otherLine)
	}
	if v.where.thread[0] != 63-v.other.thread[0] {
		t.Errorf("threads %v and %v do not touch the same element", v.where.thread, v.other.thread)
	}
	if v.where.simdgroup != v.where.thread[0]/32 || v.where.lane != v.where.thread[0]%32 {
		t.Errorf("thread %v is not lane %d of SIMD-group %d", v.where.thread, v.where.lane, v.where.simdgroup)
	}
}

// What Apple's compiler refuses is refused, at the right line; the corrected source compiles.
func TestRefusedSource(t *testing.T) {
	const head = "#include <metal_stdlib>\nusing namespace metal;\n"
	tests := []struct{ name, wrong, fixed, message string }{
		{"double", "kernel void k(device float *y [[buffer(0)]]) { double d = 1; y[0] = d; }",
			"kernel void k(device float *y [[buffer(0)]]) { float d = 1.0; y[0] = d; }", "'double' is not supported"},
		{"pointer parameter", "float f(float *p) { return *p; }\nkernel void k(device float *y [[buffer(0)]]) { y[0] = 0; }",
			"float f(device float *p) { return *p; }\nkernel void k(device float *y [[buffer(0)]]) { y[0] = f(y); }", "address space"},
		{"kernel pointer", "kernel void k(float *y [[buffer(0)]]) { y[0] = 0; }",
			"kernel void k(device float *y [[buffer(0)]]) { y[0] = 0; }", "address space"},
		{"local pointer", "kernel void k(device float *y [[buffer(0)]]) { float a; float *p = &a; y[0] = *p; }",
			"kernel void k(device float *y [[buffer(0)]]) { float a = 1; thread float *p = &a; y[0] = *p; }", "address space"},
		{"mixed spaces", "kernel void k(device float *y [[buffer(0)]], threadgroup float *s [[threadgroup(0)]]) { device float *p = s; y[0] = *p; }",
			"kernel void k(device float *y [[buffer(0)]], threadgroup float *s [[threadgroup(0)]]) { threadgroup float *p = s; y[0] = *p; }", "cannot initialize"},
		{"device to thread", "kernel void k(device float *y [[buffer(0)]]) { thread float *p = y; y[0] = *p; }",
			"kernel void k(device float *y [[buffer(0)]]) { device float *p = y; y[0] = *p; }", "'thread'"},
		{"device to thread parameter", "float f(thread const float *p) { return *p; } kernel void k(device float *y [[buffer(0)]]) { y[0] = f(y); }",
			"float f(device const float *p) { return *p; } kernel void k(device float *y [[buffer(0)]]) { y[0] = f(y); }", "'thread'"},
		{"recursion", "float f(uint n) { return n == 0 ? 1 : n * f(n - 1); }\nkernel void k(device float *y [[buffer(0)]]) { y[0] = f(5); }",
			"float f(uint n) { float r = 1; for (; n; n--) r *= n; return r; }\nkernel void k(device float *y [[buffer(0)]]) { y[0] = f(5); }", "recursi"},
		{"float to bfloat", "kernel void k(device bfloat *y [[buffer(0)]], constant float &x [[buffer(1)]]) { y[0] = x; }",
			"kernel void k(device bfloat *y [[buffer(0)]], constant float &x [[buffer(1)]]) { y[0] = bfloat(x); }", "bfloat"},
		{"buffer index", "kernel void k(device float *y [[buffer(31)]]) { y[0] = 0; }",
			"kernel void k(device float *y [[buffer(30)]]) { y[0] = 0; }", "must be between 0 and 30"},
		{"constant", "kernel void k(constant float &x [[buffer(0)]]) { x = 1; }",
			"kernel void k(device float &x [[buffer(0)]]) { x = 1; }", "const"},
		{"undeclared", "kernel void k(device float *y [[buffer(0)]]) { y[0] = z; }",
			"kernel void k(device float *y [[buffer(0)]]) { float z = 1; y[0] = z; }", "undeclared identifier 'z'"},
		{"vector size", "kernel void k(device float4 *y [[buffer(0)]]) { y[0] = float4(1, 2, 3); }",
			"kernel void k(device float4 *y [[buffer(0)]]) { y[0] = float4(float2(1, 2), 3, 4); }", "exactly as many elements"},
		{"texture", "kernel void k(texture2d<float> t [[texture(0)]], device float *y [[buffer(0)]]) { y[0] = 0; }",
			"kernel void k(device float *y [[buffer(0)]]) { y[0] = 0; }", "texture"},
	}
	a := engine(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			lib, text := a.compileSource(head+test.wrong, modeCheck, nil)
			if lib != 0 {
				t.Fatal("compiles")
			}
			first, _, _ := strings.Cut(text, "\n")
			if !strings.HasPrefix(first, "program_source:3:") || !strings.Contains(first, ": error: ") || !strings.Contains(text, test.message) {
				t.Errorf("want program_source:3:COLUMN: error: ...%s..., got:\n%s", test.message, text)
			}
			lib, text = a.compileSource(head+test.fixed, modeCheck, nil)
			if lib == 0 {
				t.Fatalf("the corrected source is refused:\n%s", text)
			}
			a.libraryRelease(lib)
		})
	}
}

// Mistakes in the call.
func TestLimits(t *testing.T) {
	const source = `#include <metal_stdlib>
using namespace metal;
kernel void any(device float *y [[buffer(0)]], threadgroup float *s [[threadgroup(0)]], uint i [[thread_index_in_threadgroup]]) { s[i] = i; y[i] = s[i]; }
[[max_total_threads_per_threadgroup(64)]] kernel void small(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) { y[i] = i; }
kernel void much(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) { threadgroup float s[8193]; s[i] = i; y[i] = s[i]; }
struct Pair { float a, b; };
kernel void pair(device float *y [[buffer(0)]], constant Pair &p [[buffer(1)]]) { y[0] = p.a; }
`
	lib := mustCompile(t, source, modeCheck)
	every := mustKernel(t, lib, "any", nil)
	y := make([]float32, 4096)
	for _, test := range []struct {
		name   string
		kernel uintptr
		run    run
		kind   string // "" is fine
	}{
		{"1024 threads", every, run{threads: [3]uint64{32, 32}, memory: map[int]uint32{0: 4096}}, ""},
		{"1025 threads", every, run{threads: [3]uint64{1025}, memory: map[int]uint32{0: 8192}}, "thread count"},
		{"more than the kernel allows", mustKernel(t, lib, "small", nil), run{threads: [3]uint64{65}}, "thread count"},
		{"as many as the kernel allows", mustKernel(t, lib, "small", nil), run{threads: [3]uint64{64}}, ""},
		{"32 KiB", every, run{threads: [3]uint64{32}, memory: map[int]uint32{0: 32768}}, ""},
		{"more than 32 KiB", every, run{threads: [3]uint64{32}, memory: map[int]uint32{0: 32784}}, "threadgroup memory"},
		{"no length", every, run{threads: [3]uint64{32}}, "threadgroup memory"},
		{"length not a multiple of 16", every, run{threads: [3]uint64{1}, memory: map[int]uint32{0: 8}}, "threadgroup memory"},
		{"offset past the end", every, run{threads: [3]uint64{1}, memory: map[int]uint32{0: 16}, offsets: map[int]uint64{0: 1 << 20}}, "binding offset"},
		{"offset not aligned", every, run{threads: [3]uint64{1}, memory: map[int]uint32{0: 16}, offsets: map[int]uint64{0: 2}}, "binding offset"},
		{"struct cut short", mustKernel(t, lib, "pair", nil), run{threads: [3]uint64{1}, buffers: map[int]any{0: y, 1: make([]float32, 1)}}, "out of bounds"},
		{"whole struct", mustKernel(t, lib, "pair", nil), run{threads: [3]uint64{1}, buffers: map[int]any{0: y, 1: make([]float32, 2)}}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.run.buffers == nil {
				test.run.buffers = map[int]any{0: y}
			}
			o := dispatch(t, test.kernel, test.run)
			if test.kind == "" && len(o.violations) > 0 || test.kind != "" && !o.has(test.kind) {
				t.Errorf("want %q, got:\n%s", test.kind, o.text)
			}
		})
	}
	if k, text := engine(t).kernel(lib, "much", nil); k != 0 || !strings.Contains(text, "32768") {
		t.Errorf("a kernel with 32772 bytes of threadgroup memory: %q", text)
	}
}
