//go:build unix

package cpu

import (
	_ "embed"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/go-openelm/go-openelm/internal/testing/optest"
	"github.com/go-openelm/go-openelm/kernels"
)

// eachTiles runs test for the routines of each instruction set that has tiles, with both
// numbers of parts of an activation.
func eachTiles(t *testing.T, test func(o *operands, k, twin *tileKernels)) {
	eachISA(t, func(o *operands, r *isaTable) {
		if r.tiles == nil {
			return
		}
		for _, k := range []*tileKernels{r.tiles, r.roundedTiles} {
			test(o, k, portableTiles(k.parts))
		}
	})
}

// bfloat is n pairs of bfloat16.
func (o *operands) bfloat(n int) []float32 {
	f := o.floats(n)
	for i := range f {
		f[i] = math.Float32frombits(math.Float32bits(f[i])&0xffff0000 | math.Float32bits(float32(o.NormFloat64()))>>16)
	}
	return f
}

// TestSplit holds the split into bfloat16 to its twin, and three parts to the number
// that they split.
func TestSplit(t *testing.T) {
	eachTiles(t, func(o *operands, k, twin *tileKernels) {
		for parts, split := range k.split {
			for steps := 1; steps < 6; steps++ {
				x := o.floats(tileDepth * steps)
				// The rows of a tile lie between others.
				size := ((steps-1)*(parts+1)+parts)*tileBytes/4 + tileDepth/2
				got, want := o.floats(size), make([]float32, size)
				copy(want, got)
				a := splitArgs{dst: &words(got)[0], x: ptr(x), steps: steps, part: tileBytes, step: (parts + 1) * tileBytes}
				split(&a)
				a.dst = &words(want)[0]
				twin.split[parts](&a)
				if !slices.Equal(words(got), words(want)) {
					o.Fatalf("%d steps of %d parts: got %v, want %v", steps, parts+1, words(got), words(want))
				}
				for i, v := range x {
					sum := float32(0)
					for part := range parts + 1 {
						sum += math.Float32frombits(uint32(words(got)[(i/tileDepth*(parts+1)+part)*tileBytes/2+i%tileDepth]) << 16)
					}
					if off := math.Abs(float64(v-sum)) / math.Abs(float64(v)); off > []float64{1.0 / (1 << 7), 1.0 / (1 << 15), 0}[parts] {
						o.Fatalf("%d parts of %v add up to %v", parts+1, v, sum)
					}
				}
			}
		}
	})
}

func TestTranspose(t *testing.T) {
	eachTiles(t, func(o *operands, k, twin *tileKernels) {
		for range 30 {
			rows, cols := 1+o.IntN(tileRows), 1+o.IntN(70)
			blocks := (cols + tileRows - 1) / tileRows
			src := o.floats(blocks * tileRows * tileRows)
			stride := cols + o.IntN(3)
			got, want := o.floats((rows-1)*stride+cols), make([]float32, (rows-1)*stride+cols)
			copy(want, got)
			a := transposeArgs{
				dst: ptr(got), src: ptr(src), dstRow: 4 * stride, dstNext: 64, srcRow: 64, srcNext: tileBytes, rows: rows, cols: cols, add: o.IntN(2),
			}
			k.transpose(&a)
			a.dst = ptr(want)
			twin.transpose(&a)
			if !slices.Equal(got, want) {
				o.Fatalf("%d rows, %d columns, add = %d: got %v, want %v", rows, cols, a.add, got, want)
			}
		}
		// In place, as tiles are.
		got := o.floats(3 * tileBytes / 4)
		want := slices.Clone(got)
		a := transposeArgs{dst: ptr(got), src: ptr(got), dstRow: 64, dstNext: tileBytes, srcRow: 64, srcNext: tileBytes, rows: tileRows, cols: 3 * tileRows}
		k.transpose(&a)
		a.dst, a.src = ptr(want), ptr(want)
		twin.transpose(&a)
		if !slices.Equal(got, want) {
			o.Fatalf("in place: got %v, want %v", got, want)
		}
	})
}

// TestTiles holds the products of tiles to their twins.
func TestTiles(t *testing.T) {
	eachTiles(t, func(o *operands, k, twin *tileKernels) {
		type routine struct {
			parts     int // of a weight
			run, twin func(*tileArgs)
		}
		routines := []routine{{1, k.scaled[0], twin.scaled[0]}, {2, k.scaled[1], twin.scaled[1]}, {1, k.biased, twin.biased}}
		for i, run := range k.sums {
			routines = append(routines, routine{i + 1, run, twin.sums[i]})
		}
		for i := range 6 * len(routines) {
			f := routines[i%len(routines)]
			a := tileArgs{tiles: 1 + o.IntN(2), groups: 1 + o.IntN(2), steps: 1 + o.IntN(3), add: o.IntN(2)}
			a.xNext, a.wStep = a.steps*k.parts*tileBytes, f.parts*4*tileBytes
			a.wRow, a.wTile, a.wGroup = 64, tileBytes, a.steps*a.wStep
			x, w := o.bfloat(a.tiles*a.xNext/4), o.bfloat(a.groups*a.wGroup/4)
			if f.parts == 1 && o.IntN(2) == 0 { // as rows of a matrix
				a.wRow, a.wTile, a.wStep = 64*a.steps, 64*a.steps*tileRows, 64
			}
			a.x, a.w = &words(x)[0], &words(w)[0]
			a.scale, a.bias = ptr(o.floats(a.groups*a.steps*groupRows)), ptr(o.floats(a.groups*a.steps*groupRows))
			a.sumsNext = 4 * a.steps * tileRows
			a.sums = ptr(o.floats(a.tiles * a.steps * tileRows))
			a.block, a.zeros = ptr(o.floats(groupCells)), ptr(zeroTile)
			got := o.floats(a.tiles * a.groups * groupCells)
			want := slices.Clone(got)
			a.c = ptr(got)
			f.run(&a)
			a.c = ptr(want)
			f.twin(&a)
			n := 6 * a.steps * tileDepth
			for i := range want {
				if !near(float64(got[i]), float64(want[i]), float64(n), n) {
					o.Fatalf("%d × %d parts, %+v: sum %d is %v, want %v", f.parts, k.parts, a, i, got[i], want[i])
				}
			}
		}
	})
}

// tiledBackend is a backend that multiplies in tiles, with the twins.
func tiledBackend(parts int) *Backend {
	r := portable
	r.tiles = portableTiles(parts)
	for f := kernels.F32; f.Valid(); f++ {
		unpack := unpacker{parts: 1}
		halves, _ := optest.HalfScales(f)
		switch {
		case f == kernels.IQ4_NL:
			unpack.parts = 2 // more than it needs
		case f.Affine() || len(halves) == 2:
			unpack.biased = true
		}
		if f.Affine() || f.BlockCols() == tileDepth {
			unpack.run = unpackBlocks(f, unpack.parts)
			r.formats[f].unpack = unpack
		}
	}
	return &Backend{table: &r, pool: newPool(1, &r)}
}

// unpackBlocks is what the routines for blocks of 32 columns compute, but for the middle,
// which GGUF's formats keep.
func unpackBlocks(f kernels.Format, parts int) func(*unpackArgs) {
	return func(a *unpackArgs) {
		for r := range a.rows {
			var q [tileDepth]float32
			src := unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(a.src), r*a.stride)), tileDepth/f.BlockCols()*f.BlockBytes())
			for i := range q {
				switch f {
				case kernels.Affine4:
					q[i] = float32(int(src[i/2]>>(i%2*4)&15) - 8)
				case kernels.Affine8:
					q[i] = float32(int(src[i]) - 128)
				}
			}
			if !f.Affine() {
				// With a scale of one and no bias weights are the integers.
				src = slices.Clone(src)
				halves, _ := optest.HalfScales(f)
				for i, to := range []*float32{a.scale, a.bias}[:len(halves)] {
					half := src[halves[i]:][:2]
					*at(to, r) = kernels.FromF16(binary.LittleEndian.Uint16(half))
					binary.LittleEndian.PutUint16(half, []uint16{0x3c00, 0}[i])
				}
				block := kernels.Matrix{Rows: 1, Cols: tileDepth, Format: f, Data: kernels.Whole(&buffer{mem: src})}
				block.ReadRow(q[:], 0)
			}
			split(parts)(&splitArgs{dst: (*uint16)(unsafe.Add(unsafe.Pointer(a.dst), 64*r)), x: &q[0], steps: 1, part: 4 * tileBytes})
		}
	}
}

// TestUnpack holds integers, scales and biases to the weights that they are.
func TestUnpack(t *testing.T) {
	test := func(o *operands, b *Backend) {
		o.eachMatrix(func(m *kernels.Matrix) {
			unpack := b.table.formats[m.Format].unpack
			if unpack.run == nil {
				return
			}
			s := &scratch{isaTable: b.table}
			unit := max(tileDepth, m.Format.BlockCols(), m.Group)
			first := o.IntN(m.Cols/unit) * unit
			from := o.IntN(m.Rows)
			n := 1 + o.IntN(m.Rows-from)
			a := tileArgs{groups: (n + groupRows - 1) / groupRows, steps: (m.Cols - first) / tileDepth}
			b.table.tiles.weights(s, &a, m, from, n, first/tileDepth)
			want := make([]float32, m.Cols)
			for i := range a.groups * groupRows {
				clear(want)
				if i < n {
					m.ReadRow(want, from+i)
				}
				for c, w := range want[first:] {
					step, col := c/tileDepth, c%tileDepth
					p := unsafe.Add(unsafe.Pointer(a.w), i/groupRows*a.wGroup+step*a.wStep+i%groupRows/tileRows*a.wTile+i%tileRows*a.wRow+2*col)
					q := 0.0
					for part := range unpack.parts {
						q += float64(math.Float32frombits(uint32(*(*uint16)(unsafe.Add(p, part*4*tileBytes))) << 16))
					}
					at32 := func(p *float32) float64 {
						return float64(*at(p, (i/groupRows*a.steps+step)*groupRows+i%groupRows))
					}
					got, bias := q*at32(a.scale), 0.0
					if unpack.biased {
						bias = at32(a.bias)
					}
					if off := math.Abs(got + bias - float64(w)); off > (math.Abs(got)+math.Abs(bias))/(1<<22) {
						o.Fatalf("%s, %d × %d, row %d, column %d: %v·%v + %v, want %v", m.Format, m.Rows, m.Cols, from+i, first+c, q, at32(a.scale), bias, w)
					}
				}
			}
		})
	}
	t.Run("twins", func(t *testing.T) { test(&operands{t, rand.New(rand.NewPCG(11, 11)), true}, tiledBackend(3)) })
	eachISA(t, func(o *operands, r *isaTable) {
		if r.tiles != nil {
			test(o, &Backend{table: r})
		}
	})
}

// product is one of many rows, and the root of the squares of the terms of each sum.
func (o *operands) product(b *Backend, m *kernels.Matrix, x []float32, rows int) (y, want, norm []float64) {
	got := o.floats(rows * m.Rows)
	p := newPass(b)
	p.linear(linear{y: got, x: x, rows: rows, w: projection{m: m}})
	w := make([]float32, m.Cols)
	y, want, norm = make([]float64, len(got)), make([]float64, len(got)), make([]float64, len(got))
	for i := range m.Rows {
		m.ReadRow(w, i)
		for r := range rows {
			at := r*m.Rows + i
			y[at] = float64(got[at])
			for c, v := range w {
				term := float64(v) * float64(x[r*m.Cols+c])
				want[at] += term
				norm[at] += term * term
			}
			norm[at] = math.Sqrt(norm[at])
		}
	}
	return y, want, norm
}

// TestTilePanels runs products in tiles over panels of all shapes.
func TestTilePanels(t *testing.T) {
	o := &operands{t, rand.New(rand.NewPCG(8, 8)), true}
	b := bestTiles(t)
	sizes := []int{96, tileDepth * (mostSteps + 4)} // columns at most: also of more than one panel
	if emulated(b) {
		sizes = []int{96}
	}
	for f := kernels.F32; f.Valid(); f++ {
		for i := range 2 * len(sizes) {
			rows, outs := kernels.ExactRows+1+o.IntN(40), 1+o.IntN(150)
			group := 32 << o.IntN(3)
			unit := f.BlockCols()
			if f.Affine() {
				unit = group
			}
			m := o.matrix(f, outs, unit*(1+o.IntN(max(1, sizes[i%len(sizes)]/unit))), group, kernels.F32+kernels.Format(o.IntN(3)))
			x := o.floats(rows * m.Cols)
			got, want, norm := o.product(b, m, x, rows)
			for i, g := range got {
				if !near(g, want[i], norm[i]*math.Sqrt(float64(m.Cols)), 6*m.Cols) {
					t.Fatalf("%s, %d × %d, row %d of %d, weights %d: got %v, want %v", f, outs, m.Cols, i/outs, rows, i%outs, g, want[i])
				}
			}
		}
	}
}

// TestTileErrors holds sums of many terms to what float32 allows: an error of at most
// 4·10⁻⁷ of their size in the mean, and of 5·10⁻⁶ at most.
func TestTileErrors(t *testing.T) {
	b := bestTiles(t)
	o := &operands{t, rand.New(rand.NewPCG(9, 9)), true}
	const rows, outs, cols = 17, 64, 3584
	x := o.floats(rows * cols)
	for f := kernels.F32; f.Valid(); f++ {
		if each := []kernels.Format{kernels.BF16, kernels.F16, kernels.F32, kernels.Q8_0, kernels.Q6_K, kernels.Q4_K}; emulated(b) && !slices.Contains(each, f) {
			continue // one for each routine
		}
		m := o.matrix(f, outs, cols, 64, kernels.F16)
		got, want, norm := o.product(b, m, x, rows)
		var mean, most float64
		for i, g := range got {
			off := math.Abs(g-want[i]) / norm[i]
			mean += off * off / float64(len(got))
			most = max(most, off)
		}
		mean = math.Sqrt(mean)
		t.Logf("%s: mean error %.2g, largest %.2g", f, mean, most)
		if !(mean <= 4e-7 && most <= 5e-6) {
			t.Errorf("%s: mean error %.2g, largest %.2g, want at most 4e-7 and 5e-6", f, mean, most)
		}
	}
}

// bestTiles is the machine's own backend, if it has tiles, or that of the twins.
func bestTiles(t *testing.T) *Backend {
	r := available()[0]
	if r.tiles == nil {
		return tiledBackend(3)
	}
	b := New(Options{Threads: 1, ISA: r.isa})
	t.Cleanup(func() { b.Close() })
	return b
}

// emulated reports whether b's processor is probably an emulated one, which takes
// half a millisecond for every product of tiles.
func emulated(b *Backend) bool { return testing.Short() && b.table.isa != Portable }

// TestTileCompany: with more rows panels are larger, and that changes no sum. A product
// for which there has been room before allocates nothing.
func TestTileCompany(t *testing.T) {
	o := &operands{t, rand.New(rand.NewPCG(12, 12)), true}
	b := bestTiles(t)
	const few, many, outs, cols = kernels.ExactRows + 1, 129, groupRows + 2, tileDepth * (mostSteps + 2)
	x := o.floats(many * cols)
	formats := []kernels.Format{kernels.BF16, kernels.F16, kernels.F32, kernels.Q8_0, kernels.Affine4}
	if emulated(b) {
		formats = []kernels.Format{kernels.BF16, kernels.Affine4}
	}
	for _, f := range formats {
		for _, off := range []int{0, 4} {
			if off > 0 && f != kernels.BF16 {
				continue // never used where they are
			}
			m := o.alignedTo(o.matrix(f, outs, cols, 64, kernels.F16), off)
			alone, together := o.floats(few*outs), o.floats(many*outs)
			p := newPass(b)
			p.linear(linear{y: together, x: x, rows: many, w: projection{m: m}})
			if n := testing.AllocsPerRun(1, func() { p.linear(linear{y: alone, x: x, rows: few, w: projection{m: m}}) }); n > 0 && (f.Float() || b.table.isa != Portable) { // the twins of unpackers allocate
				t.Errorf("%s: a product allocates %v times", f, n)
			}
			for i, v := range alone {
				if math.Float32bits(v) != math.Float32bits(together[i]) {
					t.Fatalf("%s, %d bytes behind a line: row %d, weights %d: %v alone, %v together", f, off, i/outs, i%outs, v, together[i])
				}
			}
		}
	}
}

// alignedTo is a copy of m whose first byte is so many behind a cache line's.
func (o *operands) alignedTo(m *kernels.Matrix, off int) *kernels.Matrix {
	mem := alignedBytes(off + m.Data.Len)[off:]
	copy(mem, m.Data.Bytes())
	moved := *m
	moved.Data = kernels.Whole(&buffer{mem: mem})
	return &moved
}

// TestTilesInCache states what cannot be timed where there are no tiles: how much goes
// through the cache together, and that no row of a tile crosses lines of it.
func TestTilesInCache(t *testing.T) {
	o := &operands{t, rand.New(rand.NewPCG(10, 10)), true}
	type call struct{ groups, steps, tiles int }
	for _, c := range []struct {
		format           kernels.Format
		rows, outs, cols int
		off              int // of the first weight in its cache line
		natural          int // calls with weights where the matrix has them
		calls            []call
	}{
		{kernels.BF16, 17, 128, 64, 0, 2, []call{{1, 2, 2}, {1, 2, 2}}},
		{kernels.BF16, 128, 128, 1280, 0, 2, []call{{1, 40, 8}, {1, 40, 8}}},
		{kernels.BF16, 129, 320, 1280, 0, 2, []call{{4, 40, 9}, {1, 40, 9}}},
		{kernels.BF16, 33, 128, 5120, 0, 4, []call{{2, 40, 3}, {2, 40, 3}, {2, 40, 3}, {2, 40, 3}}}, // the activations are as many
		{kernels.BF16, 17, 64, 1344, 0, 2, []call{{1, 40, 2}, {1, 2, 2}}},
		{kernels.BF16, 17, 64, 64, 2, 0, []call{{1, 2, 2}}},            // the matrix begins inside a line
		{kernels.BF16, 17, 64, 48, 0, 0, []call{{1, 2, 2}}},            // its rows do
		{kernels.BF16, 17, 80, 64, 0, 1, []call{{1, 2, 2}, {1, 2, 2}}}, // rows that it has not
		{kernels.F16, 17, 64, 1312, 0, 0, []call{{1, 40, 2}, {1, 1, 2}}},
		{kernels.F32, 129, 256, 1664, 0, 0, []call{{2, 26, 9}, {2, 26, 9}, {2, 26, 9}, {2, 26, 9}}},
		{kernels.Q8_0, 129, 320, 1312, 2, 0, []call{{4, 40, 9}, {4, 1, 9}, {1, 40, 9}, {1, 1, 9}}},
		{kernels.Affine4, 129, 256, 1344, 4, 0, []call{{4, 40, 9}, {4, 2, 9}}},
		{kernels.Q6_K, 209, 128, 1024, 2, 0, []call{{2, 24, 14}, {2, 8, 14}}},
	} {
		m := o.alignedTo(o.matrix(c.format, c.outs, c.cols, 64, kernels.F16), c.off)
		b := tiledBackend(3)
		var calls []call
		natural := 0
		spy := func(a *tileArgs) {
			calls = append(calls, call{a.groups, a.steps, a.tiles})
			begin := uintptr(unsafe.Pointer(&m.Data.Bytes()[0]))
			if w := uintptr(unsafe.Pointer(a.w)); w >= begin && w < begin+uintptr(m.Data.Len) {
				natural++
			}
			for what, v := range map[string]uintptr{
				"c": uintptr(unsafe.Pointer(a.c)), "x": uintptr(unsafe.Pointer(a.x)), "w": uintptr(unsafe.Pointer(a.w)),
				"block": uintptr(unsafe.Pointer(a.block)), "zeros": uintptr(unsafe.Pointer(a.zeros)), "xNext": uintptr(a.xNext),
				"wRow": uintptr(a.wRow), "wTile": uintptr(a.wTile), "wStep": uintptr(a.wStep), "wGroup": uintptr(a.wGroup),
			} {
				if v%64 != 0 {
					t.Errorf("%+v: %s is not of whole cache lines", c, what)
				}
			}
		}
		k := b.table.tiles
		k.sums, k.scaled, k.biased = [3]func(*tileArgs){spy, spy, spy}, [2]func(*tileArgs){spy, spy}, spy
		p := newPass(b)
		p.linear(linear{y: o.floats(c.rows * c.outs), x: o.floats(c.rows * c.cols), rows: c.rows, w: projection{m: m}})
		if !slices.Equal(calls, c.calls) {
			t.Errorf("%+v: got calls %v", c, calls)
		}
		if natural != c.natural {
			t.Errorf("%+v: got %d calls with weights where they are", c, natural)
		}
	}
}

//go:embed amx_amd64.s
var amxText string

// TestTileInstructions states what an inner loop of the generated routines is made of:
// four tiles of weights with one of activations. The configuration is loaded once for all
// of them, and no tile is zeroed by an instruction, for which a product would wait.
func TestTileInstructions(t *testing.T) {
	type loop struct{ products, loads, stores, prefetches, multiplyAdds int }
	want := map[string]loop{
		"tiles1x3AMX":       {12, 7, 0, 48, 0},
		"tiles2x3AMX":       {20, 11, 0, 48, 0},
		"tiles3x3AMX":       {24, 15, 0, 48, 0},
		"tilesScaled1x3AMX": {12, 7 + 4, 4, 48, 64},
		"tilesScaled2x3AMX": {20, 11 + 4, 4, 48, 64},
		"tilesBiased1x3AMX": {12, 7 + 4, 4, 48, 128},
		"tiles1x1AMX":       {4, 5, 0, 16, 0},
		"tiles2x1AMX":       {8, 9, 0, 16, 0},
		"tiles3x1AMX":       {12, 13, 0, 16, 0},
		"tilesScaled1x1AMX": {4, 5 + 4, 4, 16, 64},
		"tilesScaled2x1AMX": {8, 9 + 4, 4, 16, 64},
		"tilesBiased1x1AMX": {4, 5 + 4, 4, 16, 128},
	}
	routines := strings.Split(amxText, "\nTEXT ·")[1:]
	if len(routines) != len(want) {
		t.Errorf("%d routines, want %d", len(routines), len(want))
	}
	for _, text := range routines {
		name, _, _ := strings.Cut(text, "(")
		before, _, ok := strings.Cut(text, "\ntile:")
		if n := strings.Count(text, "LDTILECFG"); !ok || n != 1 || strings.Count(before, "LDTILECFG") != 1 || strings.Contains(text, "TILEZERO") {
			t.Errorf("%s: %d configurations, want one before the loops; %d tiles zeroed", name, n, strings.Count(text, "TILEZERO"))
		}
		_, body, _ := strings.Cut(text, "\nstep:")
		body, _, _ = strings.Cut(body, "JNE step")
		got := loop{
			strings.Count(body, "TDPBF16PS"), strings.Count(body, "TILELOADD"), strings.Count(body, "TILESTORED"),
			strings.Count(body, "PREFETCHT0"), strings.Count(body, "VFMADD231PS"),
		}
		if got != want[name] {
			t.Errorf("%s: got %+v, want %+v", name, got, want[name])
		}
	}
}
