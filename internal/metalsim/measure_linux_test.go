//go:build amd64 || arm64

package metalsim_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"
)

const measured = `#include <metal_stdlib>
using namespace metal;
// y = W x, one row a SIMD-group.
kernel void product(device const half4 *w [[buffer(0)]], device const float4 *x [[buffer(1)]], device float *y [[buffer(2)]],
                    constant uint &n [[buffer(3)]], uint row [[threadgroup_position_in_grid]], uint lane [[thread_index_in_simdgroup]]) {
  float sum = 0;
  for (uint i = lane; i < n / 4; i += 32) sum += dot(float4(w[row * (n / 4) + i]), x[i]);
  sum = simd_sum(sum);
  if (lane == 0) y[row] = sum;
}
kernel void every_other(device float *a [[buffer(0)]], device float *b [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  b[2 * i] = a[2 * i];
}
kernel void chained(device const uint *next [[buffer(0)]], device uint *last [[buffer(1)]], constant uint &n [[buffer(2)]], uint i [[thread_position_in_grid]]) {
  uint at = i;
  for (uint k = 0; k < n; k++) at = next[at];
  last[i] = at;
}
kernel void shifted(device uint *a [[buffer(0)]], constant uint &n [[buffer(1)]], uint i [[thread_position_in_grid]]) { a[i] = (a[i] >> n) ^ (a[i] << n); }
kernel void added(device uint *a [[buffer(0)]], constant uint &n [[buffer(1)]], uint i [[thread_position_in_grid]]) { a[i] = (a[i] + n) ^ (a[i] - n); }
kernel void copy(device const float *a [[buffer(0)]], device float *b [[buffer(1)]], uint i [[thread_position_in_grid]]) { b[i] = a[i]; }
kernel void wild(device float *a [[buffer(0)]], constant uint &n [[buffer(1)]], uint i [[thread_position_in_grid]]) { a[i * n] = a[i * n + 1]; }
`

// Bytes moved, per binding: what is asked for, and what no cache can avoid.
func TestTraffic(t *testing.T) {
	const rows, n = 24, 1000
	for _, mode := range []int{modeCount, modeCheck} {
		t.Run(modeNames[mode], func(t *testing.T) {
			k := mustKernel(t, mustCompile(t, measured, mode), "product", nil)
			o := dispatch(t, k, run{
				buffers: map[int]any{0: make([]byte, rows*n*2+64), 1: make([]float32, n), 2: make([]float32, rows), 3: []uint32{n}},
				offsets: map[int]uint64{0: 64}, grid: [3]uint64{rows}, threads: [3]uint64{32}, seed: 3,
			})
			if o.text != "" {
				t.Error(o.text)
			}
			for i, want := range []cTraffic{{rows * n * 2, 0, rows * n * 2, 0}, {rows * n * 4, 0, n * 4, 0}, {0, rows * 4, 0, rows * 4}} {
				if got := o.counters.buffers[i]; got != want {
					t.Errorf("buffer %d: %+v, want %+v", i, got, want)
				}
			}
			if got := o.counters.total; got.UniqueRead != rows*n*2+n*4+4 || got.UniqueWritten != rows*4 {
				t.Errorf("total %+v", got)
			}
			if c := o.counters; c.threadgroups != rows || c.threads != rows*32 || c.simdOperations != rows || c.barriers != 0 {
				t.Errorf("counters %+v", c)
			}
			if got := ranges(t, o, 0, false); !slices.Equal(got, []cRange{{64, 64 + rows*n*2}}) {
				t.Errorf("ranges read of buffer 0: %v", got)
			}
		})
	}
}

// Instructions of a loop, by what they would cost: a product of four elements is four multiply-adds and two loads, which
// do not wait for one another; links of a chain do. A shift costs as much as four additions.
func TestWork(t *testing.T) {
	const rows, n = 4, 1024
	library := mustCompile(t, measured, modeCount)
	product := dispatch(t, mustKernel(t, library, "product", nil), run{
		buffers: map[int]any{0: make([]byte, rows*n*2), 1: make([]float32, n), 2: make([]float32, rows), 3: []uint32{n}},
		grid:    [3]uint64{rows}, threads: [3]uint64{32},
	}).counters
	if perWeight := float64(product.slots) / (rows * n); perWeight < 7./4 || perWeight > 4 {
		t.Errorf("product: %.2f issue slots a weight", perWeight)
	}
	if product.inFlight < 24 || product.inFlight > 8*24 {
		t.Errorf("product: %.1f bytes in flight", product.inFlight)
	}
	const links = 100
	chained := dispatch(t, mustKernel(t, library, "chained", nil), run{
		buffers: map[int]any{0: make([]uint32, 64), 1: make([]uint32, 64), 2: []uint32{links}}, grid: [3]uint64{2}, threads: [3]uint64{32},
	}).counters
	if chained.inFlight != 4 {
		t.Errorf("chain: %.1f bytes in flight, want 4: each link waits for the one before", chained.inFlight)
	}
	if perLink := float64(chained.slots) / (64 * links); perLink < 1 || perLink > 6 {
		t.Errorf("chain: %.2f issue slots a link", perLink)
	}
	var slots [2]uint64
	for i, name := range []string{"shifted", "added"} {
		slots[i] = dispatch(t, mustKernel(t, library, name, nil), run{
			buffers: map[int]any{0: make([]uint32, 64), 1: []uint32{3}}, grid: [3]uint64{2}, threads: [3]uint64{32},
		}).counters.slots
	}
	if got := slots[0] - slots[1]; got != 64*2*3 {
		t.Errorf("two shifts cost %d slots more than two additions, want %d", got, 64*2*3)
	}
	plain := dispatch(t, mustKernel(t, mustCompile(t, measured, modePlain), "copy", nil), run{
		buffers: map[int]any{0: make([]float32, 64), 1: make([]float32, 64)}, grid: [3]uint64{2}, threads: [3]uint64{32},
	}).counters
	if plain.slots != 0 || plain.inFlight != 0 {
		t.Errorf("counted in mode plain: %d slots", plain.slots)
	}
}

func ranges(t *testing.T, o outcome, buffer uint32, write bool) []cRange {
	t.Helper()
	var w int32
	if write {
		w = 1
	}
	var list unsafe.Pointer
	n := engine(t).ranges(o.report, buffer, w, &list)
	return slices.Clone(unsafe.Slice((*cRange)(list), n))
}

func TestRanges(t *testing.T) {
	k := mustKernel(t, mustCompile(t, measured, modeCount), "every_other", nil)
	o := dispatch(t, k, run{buffers: map[int]any{0: make([]float32, 8), 1: make([]float32, 8)}, grid: [3]uint64{4}})
	want := []cRange{{0, 4}, {8, 12}, {16, 20}, {24, 28}}
	if got := ranges(t, o, 0, false); !slices.Equal(got, want) {
		t.Errorf("read %v, want %v", got, want)
	}
	if got := ranges(t, o, 1, true); !slices.Equal(got, want) {
		t.Errorf("written %v, want %v", got, want)
	}
	if got := ranges(t, o, 0, true); len(got) != 0 {
		t.Errorf("written to buffer 0: %v", got)
	}
}

// Dispatches of one concurrent encoder that touch the same bytes, and one writes.
func TestHazards(t *testing.T) {
	a := engine(t)
	k := mustKernel(t, mustCompile(t, measured, modeCheck), "copy", nil)
	x, y, z := make([]float32, 64), make([]float32, 64), make([]float32, 64)
	copyOf := func(from, to []float32, fromOffset, toOffset uint64) outcome {
		return dispatch(t, k, run{buffers: map[int]any{0: from, 1: to}, offsets: map[int]uint64{0: fromOffset, 1: toOffset}, grid: [3]uint64{32}})
	}
	for _, test := range []struct {
		name     string
		reports  []outcome
		barrier  bool
		conflict bool
	}{
		{"read after write", []outcome{copyOf(x, y, 0, 0), copyOf(y, z, 0, 0)}, false, true},
		{"read after write, with a barrier", []outcome{copyOf(x, y, 0, 0), copyOf(y, z, 0, 0)}, true, false},
		{"write after read", []outcome{copyOf(x, y, 0, 0), copyOf(z, x, 0, 0)}, false, true},
		{"write after write", []outcome{copyOf(x, y, 0, 0), copyOf(z, y, 0, 124)}, false, true},
		{"neighbours", []outcome{copyOf(x, y, 0, 0), copyOf(z, y, 0, 128)}, false, false},
		{"both read", []outcome{copyOf(x, y, 0, 0), copyOf(x, z, 0, 0)}, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := a.hazardsCreate()
			defer a.hazardsDestroy(h)
			var found uintptr
			for i, o := range test.reports {
				if i > 0 && test.barrier {
					a.hazardsBarrier(h)
				}
				var list unsafe.Pointer
				found += a.hazardsAdd(h, o.report, &list)
			}
			if (found > 0) != test.conflict {
				t.Errorf("%d hazards", found)
			}
		})
	}
}

// Mode COUNT stops what lies out of bounds, too, however far: the process survives.
func TestWildPointers(t *testing.T) {
	for _, mode := range []int{modeCount, modeCheck} {
		k := mustKernel(t, mustCompile(t, measured, mode), "wild", nil)
		for _, n := range []uint32{1, 1000, 1 << 20, 0xffffffff} {
			o := dispatch(t, k, run{buffers: map[int]any{0: make([]float32, 4), 1: []uint32{n}}, grid: [3]uint64{4}})
			if !o.has("out of bounds") {
				t.Errorf("%s, step %d: %q", modeNames[mode], n, o.text)
			}
		}
	}
}

// Results do not depend on the order of threads, and one seed is one order.
func TestSeeds(t *testing.T) {
	const source = `#include <metal_stdlib>
using namespace metal;
kernel void order(device atomic_uint *next [[buffer(0)]], device uint *at [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  threadgroup_barrier(mem_flags::mem_none);
  at[i] = atomic_fetch_add_explicit(next, 1, memory_order_relaxed);
}
`
	k := mustKernel(t, mustCompile(t, source, modeCheck), "order", nil)
	order := func(seed uint64) []uint32 {
		at := make([]uint32, 256)
		if o := dispatch(t, k, run{buffers: map[int]any{0: make([]uint32, 1), 1: at}, grid: [3]uint64{4}, threads: [3]uint64{64}, seed: seed}); o.text != "" {
			t.Error(o.text)
		}
		return at
	}
	if got := order(0); !slices.IsSorted(got) {
		t.Errorf("seed 0 is not ascending: %v", got)
	}
	if !slices.Equal(order(1), order(1)) {
		t.Error("seed 1 gives two orders")
	}
	if slices.Equal(order(1), order(2)) {
		t.Error("seeds 1 and 2 give one order")
	}
	sorted := slices.Sorted(slices.Values(order(5)))
	for i, v := range sorted {
		if int(v) != i {
			t.Fatalf("thread %d did not run once", i)
		}
	}
}

// Lines that ran, that did not, and that ran in part.
func TestLineCoverage(t *testing.T) {
	const source = `#line 1000 "covered.metal"
#include <metal_stdlib>
using namespace metal;
constant bool negate [[function_constant(0)]];
template <typename T> T half_of(T x) {
  return x / 2;
}
kernel void covered(device float *y [[buffer(0)]], constant uint &n [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  if (i >= n)
    return;
  float v = half_of(y[i]);
  if (negate) {
    v = -v;
  }
  y[i] = v > 100 ? 0 : v;
}
kernel void never(device float *y [[buffer(0)]]) {
  y[0] = 1;
}
`
	a := engine(t)
	lib, text := a.compileSource(source, modeCheck, func(o *cOptions) { o.coverage = 1 })
	if lib == 0 {
		t.Fatal(text)
	}
	defer a.libraryRelease(lib)
	states := func() string {
		var list unsafe.Pointer
		n := a.coverage(&list)
		out := strings.Repeat(" ", strings.Count(source, "\n"))
		for _, l := range unsafe.Slice((*cLine)(list), n) {
			if l.sourceHash != a.sourceHash(source, uintptr(len(source))) {
				continue
			}
			state := "-"
			if l.partial != 0 {
				state = "~"
			} else if l.hit != 0 {
				state = "+"
			}
			line := l.line - 1000
			out = out[:line] + state + out[line+1:]
		}
		return out
	}
	launch := func(negate byte, n uint32) {
		k := mustKernel(t, lib, "covered", map[uint32][]byte{0: {negate}})
		dispatch(t, k, run{buffers: map[int]any{0: make([]float32, 4), 1: []uint32{n}}, grid: [3]uint64{4}})
	}
	// Lines 5, 8, 9, 10, 11, 12, 13, 14, 15 and 17, 18 have code.
	for _, step := range []struct {
		what string
		run  func()
		want string
	}{
		{"nothing", func() {}, "    -  -------- --"},
		{"without the constant", func() { launch(0, 4) }, "    +  +-++--~+ --"},
		{"with it", func() { launch(1, 4) }, "    +  +-++++~+ --"},
		{"fewer than threads", func() { launch(1, 2) }, "    +  ++++++~+ --"},
	} {
		step.run()
		got := states()
		if strings.TrimRight(got, " ") != strings.TrimRight(step.want, " ") {
			t.Errorf("%s:\n got %q\nwant %q", step.what, got, step.want)
		}
	}
}

// Many threads may compile and run at once.
func TestConcurrentUse(t *testing.T) {
	a := engine(t)
	var group sync.WaitGroup
	for i := range 6 {
		group.Go(func() {
			source := measured + strings.Repeat("// \n", i%3)
			lib, text := a.compileSource(source, modeCheck, nil)
			if lib == 0 {
				t.Error(text)
				return
			}
			defer a.libraryRelease(lib)
			k, text := a.kernel(lib, "copy", nil)
			if k == 0 {
				t.Error(text)
				return
			}
			defer a.kernelRelease(k)
			from, to := slices.Repeat([]float32{float32(i) + 1}, 100), make([]float32, 100)
			for range 10 {
				if o := dispatch(t, k, run{buffers: map[int]any{0: from, 1: to}, grid: [3]uint64{100}}); o.text != "" {
					t.Error(o.text)
				}
			}
			if !slices.Equal(from, to) {
				t.Errorf("copy %d: %v", i, to)
			}
		})
	}
	group.Wait()
}
