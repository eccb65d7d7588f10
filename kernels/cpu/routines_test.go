//go:build unix

package cpu

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/go-openelm/go-openelm/internal/testing/optest"
	"github.com/go-openelm/go-openelm/kernels"
	"golang.org/x/sys/unix"
)

// guarded is n bytes between pages that may not be touched: the last byte is
// the last of its page, or the first is the first.
func guarded(t testing.TB, n int, atEnd bool) []byte {
	t.Helper()
	page := unix.Getpagesize()
	size := (n + page - 1) / page * page
	mem, err := unix.Mmap(-1, 0, size+2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(mem) })
	for _, guard := range [][]byte{mem[:page], mem[page+size:]} {
		if err := unix.Mprotect(guard, unix.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	if atEnd {
		return mem[page+size-n : page+size : page+size]
	}
	return mem[page : page+n : page+n]
}

// operands makes guarded operands with random contents.
type operands struct {
	testing.TB
	*rand.Rand
	atEnd bool
}

func (o *operands) floats(n int) []float32 {
	s := unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(guarded(o, 4*n, o.atEnd)))), n)
	for i := range s {
		s[i] = float32(o.NormFloat64())
	}
	return s
}

// matrix has random weights; where halves are floats they are of moderate size.
func (o *operands) matrix(f kernels.Format, rows, cols, group int, scales kernels.Format) *kernels.Matrix {
	m := &kernels.Matrix{Rows: rows, Cols: cols, Format: f}
	fill := func(n int, f kernels.Format) kernels.View {
		b := guarded(o, n, o.atEnd)
		for i := range b {
			b[i] = byte(o.Uint32())
		}
		for i := 0; f.Float() && i < n; i += f.BlockBytes() {
			switch v := float32(o.NormFloat64()); f {
			case kernels.F32:
				binary.LittleEndian.PutUint32(b[i:], math.Float32bits(v))
			case kernels.BF16:
				binary.LittleEndian.PutUint16(b[i:], uint16(math.Float32bits(v)>>16))
			default:
				binary.LittleEndian.PutUint16(b[i:], uint16(o.Uint32())&0xbfff) // |v| < 2, some subnormal
			}
		}
		return kernels.Whole(&buffer{mem: b})
	}
	if f.Affine() {
		m.Group, m.ScaleFormat = group, scales
		n := rows * cols / group * scales.BlockBytes()
		m.Scales, m.Biases = fill(n, scales), fill(n, scales)
	}
	m.Data = fill(rows*m.RowBytes(), f)
	halves, _ := optest.HalfScales(f)
	for b := 0; len(halves) > 0 && b < m.Data.Len; b += f.BlockBytes() {
		for _, at := range halves {
			m.Data.Bytes()[b+at+1] &= 0xbf // an f16 below 2
		}
	}
	if err := m.Validate(); err != nil {
		o.Fatal(err)
	}
	return m
}

// near reports whether got is want, give or take the rounding of a sum of n
// terms of size abs.
func near(got, want, abs float64, n int) bool {
	return math.Abs(got-want) <= (2*math.Sqrt(float64(n))+24)*abs/(1<<24)
}

// eachISA runs test for every instruction set of the machine but the portable
// one, with operands before and behind forbidden pages.
func eachISA(t *testing.T, test func(o *operands, r *isaTable)) {
	for _, r := range available() {
		if r == &portable {
			continue
		}
		for _, atEnd := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/end=%v", r.isa, atEnd), func(t *testing.T) {
				test(&operands{t, rand.New(rand.NewPCG(7, 7)), atEnd}, r)
			})
		}
	}
}

// eachMatrix runs test for random matrices of all formats.
func (o *operands) eachMatrix(test func(m *kernels.Matrix)) {
	for f := kernels.F32; f.Valid(); f++ {
		for range 24 {
			group := 32 << o.IntN(3)
			unit := f.BlockCols()
			if f.Affine() {
				unit = group
			}
			test(o.matrix(f, 1+o.IntN(9), unit*(1+o.IntN(max(2, 150/unit))), group, kernels.F32+kernels.Format(o.IntN(3))))
		}
	}
}

func TestMul(t *testing.T) {
	eachISA(t, func(o *operands, r *isaTable) {
		b := New(Options{Threads: 1, ISA: r.isa})
		defer b.Close()
		p := newPass(b)
		o.eachMatrix(func(m *kernels.Matrix) {
			rows := 1 + o.IntN(8)
			x := o.floats(rows * m.Cols)
			got := o.floats(rows * m.Rows)
			p.scratch.mul(got, m.Rows, m, 0, m.Rows, p.layOut(m, &p.laidOut[0], x, rows), rows)
			want := make([]float32, len(got))
			s := scratch{isaTable: &portable}
			s.mul(want, m.Rows, m, 0, m.Rows, activations{x: x, stride: m.Cols}, rows)
			w := make([]float32, m.Cols)
			for i := range m.Rows {
				m.ReadRow(w, i)
				for k := range rows {
					abs := 0.0
					for c, v := range w {
						abs += math.Abs(float64(v) * float64(x[k*m.Cols+c]))
					}
					if g, w := got[k*m.Rows+i], want[k*m.Rows+i]; !near(float64(g), float64(w), abs, m.Cols) {
						o.Fatalf("%s, %d × %d, row %d of %d, weights %d: got %v, want %v", m.Format, m.Rows, m.Cols, k, rows, i, g, w)
					}
				}
			}
		})
	})
}

func TestWiden(t *testing.T) {
	eachISA(t, func(o *operands, r *isaTable) {
		o.eachMatrix(func(m *kernels.Matrix) {
			s := scratch{isaTable: r}
			want := make([]float32, m.Cols)
			for row := range m.Rows {
				m.ReadRow(want, row)
				unit := max(m.Format.BlockCols(), m.Group)
				first := unit * o.IntN(m.Cols/unit)
				got := o.floats(m.Cols - first)
				s.widenRow(got, m, row, first)
				for c, g := range got {
					// One rounding more than the definition has, for float32 scales.
					if w := want[first+c]; math.Abs(float64(g-w)) > math.Abs(float64(w))/(1<<23) {
						o.Fatalf("%s, %d × %d, row %d, column %d: got %v, want %v", m.Format, m.Rows, m.Cols, row, first+c, g, w)
					}
				}
			}
		})
	})
}

func TestGEMM(t *testing.T) {
	eachISA(t, func(o *operands, r *isaTable) {
		for range 200 {
			rows, k := 1+o.IntN(len(r.gemm)), 1+o.IntN(70)
			lda, ldc := k+o.IntN(3), r.tileCols+o.IntN(3)
			// B as it is in memory, or in two parts as a panel has it.
			half := r.tileCols / 2
			ldb, second := r.tileCols+o.IntN(3), half
			if r.tileCols > packRows && o.IntN(2) == 0 {
				ldb, second = half, k*half
			}
			a, b, c := o.floats((rows-1)*lda+k), o.floats((k-1)*ldb+second+half), o.floats((rows-1)*ldc+r.tileCols)
			before := append([]float32(nil), c...)
			add := o.IntN(3)
			args := gemmArgs{c: ptr(c), a: ptr(a), b: ptr(b), ldc: 4 * ldc, lda: 4 * lda, ldb: 4 * ldb, k: k, add: add, half: 4 * second}
			r.gemm[rows-1](&args)
			for i := range c {
				row, col := i/ldc, i%ldc
				want, abs := float64(before[i]), math.Abs(float64(before[i]))
				if col < r.tileCols {
					if add == 0 {
						want, abs = 0, 0
					}
					for j := range k {
						v := float64(a[row*lda+j]) * float64(b[j*ldb+col/half*second+col%half])
						want, abs = want+v, abs+math.Abs(v)
					}
				}
				if !near(float64(c[i]), want, abs, k) {
					o.Fatalf("%d rows, k = %d, add = %d: element %d, %d is %v, want %v", rows, k, add, row, col, c[i], want)
				}
			}
			if add == 1 || k == 1 {
				continue
			}
			// In two parts, the second of which goes on for some of the rows: the same sums.
			whole := slices.Clone(c)
			copy(c, before)
			first, from := 1+o.IntN(k-1), o.IntN(rows)
			args.k = first
			r.gemm[rows-1](&args)
			rest := gemmArgs{c: &c[from*ldc], a: &a[from*lda+first], b: &b[first*ldb], ldc: 4 * ldc, lda: 4 * lda, ldb: 4 * ldb, k: k - first, add: 2, half: 4 * second}
			r.gemm[rows-from-1](&rest)
			if !slices.Equal(c[from*ldc:], whole[from*ldc:]) {
				o.Fatalf("%d rows, k = %d: sums in two parts differ", rows, k)
			}
		}
	})
}

func TestPack(t *testing.T) {
	eachISA(t, func(o *operands, r *isaTable) {
		for n := lanes; n < 70; n += lanes {
			stride := n + o.IntN(4)
			src, got, want := o.floats(15*stride+n), o.floats(packRows*n), make([]float32, packRows*n)
			r.pack(&packArgs{dst: ptr(got), src: ptr(src), stride: 4 * stride, n: n})
			pack(&packArgs{dst: ptr(want), src: ptr(src), stride: 4 * stride, n: n})
			for i := range want {
				if got[i] != want[i] {
					o.Fatalf("%d columns, element %d: got %v, want %v", n, i, got[i], want[i])
				}
			}
		}
	})
}

// TestVectors holds the routines over vectors to their twins.
func TestVectors(t *testing.T) {
	type op struct {
		name      string
		run, twin func(*vectorArgs)
		tolerance float64 // relative to the twin's result, or to 1 if that is smaller
	}
	eachISA(t, func(o *operands, r *isaTable) {
		for _, op := range []op{
			{"rmsNorm", r.rmsNorm, rmsNorm, 1e-6},
			{"softmax", r.softmax, softmax, 1e-6},
			{"swiglu", r.swiglu, swiglu, 1e-6},
			{"scale", r.scale, scale, 0},
			{"fold", r.fold, fold, 1e-6},
		} {
			for n := lanes; n <= 120; n += lanes {
				x, w := o.floats(n), o.floats(n)
				got, want, count := o.floats(n), make([]float32, n), n
				for i := range got {
					got[i] *= 10
				}
				switch op.name {
				case "softmax":
					copy(got, []float32{-200, -90, -87, -3, -1e-30, 0, 1e-30, 3})
					got[o.IntN(n)] += 10 // the largest, anywhere
					count -= o.IntN(lanes)
				case "swiglu":
					copy(got, []float32{-200, -90, -87, 80, -1e-30, 0, 1e-30, 3})
				}
				copy(want, got)
				g := vectorArgs{dst: ptr(got), x: ptr(x), w: ptr(w), n: count, scalar: 0.25}
				e := g
				e.dst = ptr(want)
				op.run(&g)
				op.twin(&e)
				check := func(what string, got, want float32) {
					if d := math.Abs(float64(got) - float64(want)); !(d <= op.tolerance*max(1, math.Abs(float64(want)))) {
						o.Errorf("%s of %d: %s is %v, want %v", op.name, n, what, got, want)
					}
				}
				for i := range count {
					check(fmt.Sprintf("element %d", i), got[i], want[i])
				}
				check("scalar", g.scalar, e.scalar)
				check("sum", g.sum, e.sum)
			}
		}
	})
}

// TestRound holds the rounding to bfloat16 to its twin, bit by bit.
func TestRound(t *testing.T) {
	eachISA(t, func(o *operands, r *isaTable) {
		for n := lanes; n <= 64; n += lanes {
			x, got, want := o.floats(n), o.floats(n), make([]float32, n)
			for i := range x {
				switch bits := o.Uint32(); o.IntN(3) {
				case 0:
					x[i] = math.Float32frombits(bits) // among them those that are no number
				case 1:
					x[i] = math.Float32frombits(bits&0xffff0000 | 0x7fff + bits%3) // around a half
				}
			}
			copy(x, []float32{float32(math.NaN()), math.Float32frombits(0x7f800001), math.Float32frombits(0xffffffff), float32(math.Inf(1)), math.MaxFloat32, 1e-45, 0})
			r.round(&vectorArgs{dst: ptr(got), x: ptr(x), n: n})
			round(&vectorArgs{dst: ptr(want), x: ptr(x), n: n})
			for i, w := range want {
				if math.Float32bits(got[i]) != math.Float32bits(w) {
					o.Fatalf("%v (%#x) became %#x, want %#x", x[i], math.Float32bits(x[i]), math.Float32bits(got[i]), math.Float32bits(w))
				}
			}
		}
	})
}

// TestToF16 holds the rounding to float16 to its twin, bit by bit.
func TestToF16(t *testing.T) {
	eachISA(t, func(o *operands, r *isaTable) {
		for n := lanes; n <= 64; n += lanes {
			x, got, want := o.floats(n), o.floats(n/2), make([]float32, n/2)
			for i := range x {
				switch bits := o.Uint32(); o.IntN(3) {
				case 0:
					x[i] = math.Float32frombits(0x38000000 + bits%0x10000000) // around the smallest and the largest
				case 1:
					x[i] = math.Float32frombits(math.Float32bits(x[i])&^0x1fff | 0xfff + bits%3) // around a half
				}
			}
			copy(x, []float32{float32(math.Inf(-1)), 65519.996, 65520, 0x1p-24, 0x1p-25, -0x1.8p-25, 1e-45})
			r.toF16(&vectorArgs{dst: ptr(got), x: ptr(x), n: n})
			toF16(&vectorArgs{dst: ptr(want), x: ptr(x), n: n})
			for i, w := range want {
				if math.Float32bits(got[i]) != math.Float32bits(w) {
					o.Fatalf("%v and %v became %#x, want %#x", x[2*i], x[2*i+1], math.Float32bits(got[i]), math.Float32bits(w))
				}
			}
		}
	})
}

// TestExp2 holds the exponential to float64 over all that softmax uses.
func TestExp2(t *testing.T) {
	eachISA(t, func(o *operands, r *isaTable) {
		x := o.floats(lanes)
		for v := float32(-125.4); v < -0.0371*lanes; v += 0.0371 * lanes {
			for i := range x {
				x[i] = v + 0.0371*float32(i)
			}
			in := slices.Clone(x)
			r.softmax(&vectorArgs{dst: ptr(x), n: lanes})
			for i, e := range x {
				if want := math.Exp2(float64(in[i])); math.Abs(float64(e)-want) > 1.2e-7*want {
					o.Fatalf("2^%v = %v, want %v", in[i], e, want)
				}
			}
		}
		copy(x, []float32{float32(math.Inf(-1)), -127, 0, -126, -1, -2, -3, -4})
		r.softmax(&vectorArgs{dst: ptr(x), n: lanes})
		if x[0] != 0 || x[1] > 0x1p-126 || x[2] != 1 || x[3] > 0x1p-126 || x[4] != 0.5 {
			o.Errorf("2 to −∞, −127, 0, −126 and −1: %v", x[:5])
		}
		for _, nan := range []uint32{0x7fc00000, 0x7fc00001, 0x7f800001, 0xffc000ff, 0xffffffff} { // whatever its bits
			for i := range x {
				x[i] = float32(i)
			}
			x[o.IntN(len(x))] = math.Float32frombits(nan)
			a := vectorArgs{dst: ptr(x), n: lanes}
			if r.softmax(&a); a.sum == a.sum {
				o.Errorf("with a NaN %#x the sum is %v", nan, a.sum)
			}
		}
	})
}

// TestRotate holds heads with norm and rotation to their twin.
func TestRotate(t *testing.T) {
	eachISA(t, func(o *operands, r *isaTable) {
		for n := lanes; n <= 80; n += lanes {
			heads, norm := 1+o.IntN(4), o.IntN(2)
			x, w, angle := o.floats(2*n*heads), o.floats(2*n), o.floats(2*n)
			got, want := o.floats(len(x)), make([]float32, len(x))
			if o.IntN(2) == 0 {
				copy(got, x)
				x = got
			}
			a := rotateArgs{dst: ptr(want), x: ptr(x), w: ptr(w), angle: ptr(angle), heads: heads, n: n, norm: norm, factor: 0.3, eps: 1e-3}
			rotateHeads(&a)
			a.dst = ptr(got)
			r.rotate(&a)
			for i := range want {
				if math.Abs(float64(got[i]-want[i])) > 1e-6*math.Max(1, math.Abs(float64(want[i]))) {
					o.Fatalf("%d heads of %d, norm %d: element %d is %v, want %v", heads, 2*n, norm, i, got[i], want[i])
				}
			}
		}
	})
}

func TestArrange(t *testing.T) {
	eachISA(t, func(o *operands, r *isaTable) {
		for f := range r.formats {
			layout := r.formats[f].layout
			if layout == nil || layout.int8x3 {
				continue
			}
			for n := 32; n < 200; n += 32 {
				x, got, sums := o.floats(n), o.floats(n), o.floats(n/32)
				want, wantSums := make([]float32, n), make([]float32, n/32)
				a := permuteArgs{dst: ptr(got), x: ptr(x), sums: ptr(sums), index: &layout.index[0], scale: &layout.scale[0], n: n, factor: layout.factor}
				r.permute(&a)
				a.dst, a.sums = ptr(want), ptr(wantSums)
				permute(&a)
				for i := range want {
					if got[i] != want[i] {
						o.Fatalf("%s: element %d of %d is %v, want %v", kernels.Format(f), i, n, got[i], want[i])
					}
				}
				for i := range wantSums {
					if !near(float64(sums[i]), float64(wantSums[i]), 32, 32) {
						o.Fatalf("%s: sum %d of %d is %v, want %v", kernels.Format(f), i, n, sums[i], wantSums[i])
					}
				}
			}
		}
	})
}

// TestDigits holds records to their definition, bit by bit.
func TestDigits(t *testing.T) {
	eachISA(t, func(o *operands, r *isaTable) {
		if r.int8x3 == nil {
			return
		}
		for f := range r.formats {
			layout := r.formats[f].layout
			if layout == nil || !layout.int8x3 {
				continue
			}
			for blocks := 1; blocks < 12; blocks++ {
				x, got, want := o.floats(32*blocks), o.floats(records(32*blocks)*recordFloats), make([]float32, records(32*blocks)*recordFloats)
				for i := range x {
					x[i] *= float32(math.Ldexp(1, o.IntN(60)-30)) // blocks with few large elements
				}
				switch special := o.IntN(12); special {
				case 0:
					clear(x)
				case 1, 2, 3:
					x[o.IntN(len(x))] = []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))}[special-1]
				case 4, 5:
					for i := range x {
						x[i] *= []float32{1e-38, 1e-28}[special-4]
					}
				}
				a := int8x3Args{dst: ptr(got), x: ptr(x), index: &layout.index[0], blocks: blocks, factor: layout.factor, flat: layout.flat}
				r.int8x3(&a)
				a.dst = ptr(want)
				int8x3(&a)
				for i := range records(32 * blocks) {
					g, w := (*record)(unsafe.Pointer(&got[i*recordFloats])), (*record)(unsafe.Pointer(&want[i*recordFloats]))
					if g.unit != g.unit && w.unit != w.unit {
						continue
					}
					if g.digits != w.digits || g.sums != w.sums || g.unit != w.unit {
						o.Fatalf("%s, record %d of %d blocks: got %v, want %v", kernels.Format(f), i, blocks, g, w)
					}
				}
			}
		}
	})
}

// TestRecord holds the definition of records to what they stand for.
func TestRecord(t *testing.T) {
	// Numbers around the largest that three digits hold have a unit of their own.
	for _, bits := range []uint32{0x3f7efefe, 0x3f7efeff, 0x3f7f7f7f, 0x3f7fffff, 0x3f800000, 1, 0x7f7fffff} {
		var r record
		x := [32]float32{math.Float32frombits(bits), -math.Float32frombits(bits)}
		int8x3(&int8x3Args{dst: (*float32)(unsafe.Pointer(&r)), x: &x[0], index: &natural.index[0], blocks: 1, factor: 1})
		for i, v := range x[:2] {
			d := [3]float64{float64(r.digits[0][0][i]), float64(r.digits[1][0][i]), float64(r.digits[2][0][i])}
			if got := (d[0]*65536 + d[1]*256 + d[2]) * float64(r.unit); math.Abs(got-float64(v)) > float64(r.unit)/2 {
				t.Errorf("%v is %v·%v", v, d, r.unit)
			}
		}
	}
	rng := rand.New(rand.NewPCG(3, 3))
	for _, size := range []float64{1e-40, 1e-36, 1e-25, 1, 1e30} {
		var x [128]float32
		for i := range x {
			x[i] = float32(rng.NormFloat64() * size)
		}
		var r record
		int8x3(&int8x3Args{dst: (*float32)(unsafe.Pointer(&r)), x: &x[0], index: &natural.index[0], blocks: 4, factor: 1})
		for i, v := range x {
			at := 16*(i/32) + i%16
			d := [3]float64{}
			for k := range d {
				d[k] = float64(r.digits[k][i%32/16][at])
			}
			got := (d[0]*65536 + d[1]*256 + d[2]) * float64(r.unit)
			if math.Abs(got-float64(v)) > float64(r.unit)/2 {
				t.Errorf("element %d is %v, want %v ± %v", i, got, v, r.unit/2)
			}
		}
	}
}

// pairsTwin is what products of pairs compute, with a panel of pack's.
var pairsTwin = bf16Kernels{
	gemm: []func(*gemmArgs){gemmPairs(1), gemmPairs(2), gemmPairs(3)}, pack: pack,
	scaled: []func(*scaledArgs){scaledPairs(1), scaledPairs(2), scaledPairs(3)}, tiles: portableTiles(1),
}

func scaledPairs(rows int) func(*scaledArgs) {
	return func(a *scaledArgs) {
		block := make([]float32, packRows)
		for r := range rows {
			c := unsafe.Slice(at(a.c, r*a.ldc/4), scaledCols)
			if a.add == 0 {
				clear(c)
			}
			for i := range a.blocks {
				for j := range c {
					if j%packRows == 0 {
						b := at(a.b, j/packRows*a.half/4+i*packRows*tileDepth/2)
						gemmPairs(1)(&gemmArgs{c: ptr(block), a: at(a.a, r*a.lda/4+i*tileDepth/2), b: b, k: tileDepth / 2})
					}
					c[j] += *at(a.scale, i*groupRows+j) * block[j%packRows]
					if a.bias != nil {
						c[j] += *at(a.bias, i*groupRows+j) * *at(a.sums, i*scaledRows+r)
					}
				}
			}
		}
	}
}

func gemmPairs(rows int) func(*gemmArgs) {
	return func(a *gemmArgs) {
		for r := range rows {
			c := unsafe.Slice(at(a.c, r*a.ldc/4), packRows)
			if a.add == 0 {
				clear(c)
			}
			for k := range a.k {
				x := math.Float32bits(*at(a.a, r*a.lda/4+k))
				for j := range c {
					w := math.Float32bits(*at(a.b, k*packRows+j))
					c[j] += math.Float32frombits(x<<16) * math.Float32frombits(w<<16)
					c[j] += math.Float32frombits(x&0xffff0000) * math.Float32frombits(w&0xffff0000)
				}
			}
		}
	}
}

// eachPairs runs test for each of the machine's tables that multiplies pairs, and for
// the twin.
func eachPairs(t *testing.T, test func(o *operands, r *isaTable)) {
	twin := *tiledBackend(1).table
	twin.tiles, twin.bf16 = nil, pairsTwin
	tables := available()
	if !testing.Short() { // an emulated processor's own; it runs on the machine itself
		tables = append(tables, &twin)
	}
	for _, r := range tables {
		for _, atEnd := range []bool{false, true} {
			if r.bf16.gemm != nil {
				t.Run(fmt.Sprintf("%s/end=%v", r.isa, atEnd), func(t *testing.T) {
					test(&operands{t, rand.New(rand.NewPCG(9, 9)), atEnd}, r)
				})
			}
		}
	}
}

// TestPairs holds products of pairs of bfloat16 to float64. Rounding to odd is up to
// twice as far off.
func TestPairs(t *testing.T) {
	eachPairs(t, func(o *operands, r *isaTable) {
		for range 60 {
			rows, k := 1+o.IntN(len(r.bf16.gemm)), lanes*(1+o.IntN(9))
			w := o.matrix(kernels.BF16, r.tileCols, 2*k, 0, 0)
			packed := o.floats(r.tileCols * k)
			s := scratch{isaTable: r}
			s.packPanel(r.bf16.pack, packed, unsafe.Pointer(unsafe.SliceData(w.Data.Bytes())), w.RowBytes(), k)
			x := o.floats(2 * rows * k)
			r.round(&vectorArgs{dst: ptr(x), x: ptr(x), n: len(x)})
			lda, ldc := k+o.IntN(3), r.tileCols+o.IntN(3)
			a, c := o.floats((rows-1)*lda+k), o.floats((rows-1)*ldc+r.tileCols)
			for i := range rows {
				r.halves(&vectorArgs{dst: &a[i*lda], x: &x[2*i*k], n: 2 * k})
			}
			before := slices.Clone(c)
			args := gemmArgs{c: ptr(c), a: ptr(a), b: ptr(packed), ldc: 4 * ldc, lda: 4 * lda, ldb: 4 * packRows, k: k, add: o.IntN(2), half: 4 * packRows * k}
			r.bf16.gemm[rows-1](&args)
			row := make([]float32, 2*k)
			for i := range rows {
				for j := range ldc {
					at := i*ldc + j
					if at >= len(c) {
						break
					}
					if j >= r.tileCols {
						if c[at] != before[at] {
							o.Fatalf("%d rows: wrote element %d, %d", rows, i, j)
						}
						continue
					}
					w.ReadRow(row, j)
					want := float64(before[at]) * float64(args.add)
					abs := math.Abs(want)
					for n, v := range row {
						p := float64(v) * float64(x[2*i*k+n])
						want, abs = want+p, abs+math.Abs(p)
					}
					if !near(float64(c[at]), want, 2*abs, 2*k) {
						o.Fatalf("%d rows, k = %d, add = %d: element %d, %d is %v, want %v", rows, k, args.add, i, j, c[at], want)
					}
				}
			}
		}
	})
}

// TestHalves holds narrowing to its twin.
func TestHalves(t *testing.T) {
	eachISA(t, func(o *operands, r *isaTable) {
		for n := lanes; n < 70; n += lanes {
			x, got, want := o.floats(n), o.floats(n/2), make([]float32, n/2)
			r.halves(&vectorArgs{dst: ptr(got), x: ptr(x), n: n})
			halves(&vectorArgs{dst: ptr(want), x: ptr(x), n: n})
			for i := range want {
				if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
					o.Fatalf("%d elements: pair %d is %#x, want %#x", n, i, math.Float32bits(got[i]), math.Float32bits(want[i]))
				}
			}
		}
	})
}

// TestScaled holds products of blocks with scales, and of some with biases, to their
// twin.
func TestScaled(t *testing.T) {
	eachPairs(t, func(o *operands, r *isaTable) {
		for i := range 30 * len(r.bf16.scaled) {
			rows, blocks := 1+i%len(r.bf16.scaled), 1+o.IntN(5)
			depth := blocks * tileDepth / 2
			lda, ldc := depth+o.IntN(3), scaledCols+o.IntN(3)
			got := o.floats((rows-1)*ldc + scaledCols)
			want := slices.Clone(got)
			a := scaledArgs{
				c: ptr(got), a: ptr(o.bfloat((rows-1)*lda + depth)), b: ptr(o.bfloat(scaledCols * depth)), ldc: 4 * ldc, lda: 4 * lda,
				half: 4 * packRows * depth, blocks: blocks, add: o.IntN(2), scale: ptr(o.floats((blocks-1)*groupRows + scaledCols)),
			}
			if o.IntN(2) == 0 {
				a.bias, a.sums = ptr(o.floats((blocks-1)*groupRows+scaledCols)), ptr(o.floats((blocks-1)*scaledRows+rows))
			}
			r.bf16.scaled[rows-1](&a)
			a.c = ptr(want)
			scaledPairs(rows)(&a)
			for i := range want {
				if n := 2 * depth; !near(float64(got[i]), float64(want[i]), 4*float64(n), n) {
					o.Fatalf("%d rows, %+v: element %d is %v, want %v", rows, a, i, got[i], want[i])
				}
			}
		}
	})
}

// TestRoundedPanels runs rounded prompts in panels of pairs: panels that m does not
// fill, columns beyond a panel's depth.
func TestRoundedPanels(t *testing.T) {
	eachPairs(t, func(o *operands, r *isaTable) {
		if r.tiles != nil {
			return // prompts are in tiles
		}
		p := newPass(&Backend{table: r, pool: newPool(1, r), rounds: true})
		for f := kernels.F32; f.Valid(); f++ {
			if _, scaled := r.paired(&kernels.Matrix{Format: f}, nil); !scaled && f != kernels.BF16 {
				continue
			}
			for _, cols := range []int{16, 48, 256, 2 * r.depth, 2*r.depth + 16, 2*r.depth + 256} {
				group := 32 << o.IntN(3)
				unit := f.BlockCols()
				if f.Affine() {
					unit = group
				}
				if cols%unit != 0 {
					continue
				}
				rows, outs := 17+o.IntN(20), 1+o.IntN(100)
				m := o.matrix(f, outs, cols, group, kernels.F16)
				x, got := o.floats(rows*cols), o.floats(rows*outs)
				r.round(&vectorArgs{dst: ptr(x), x: ptr(x), n: len(x)})
				p.linear(linear{y: got, x: x, rows: rows, w: projection{m: m}})
				w := make([]float32, cols)
				for i := range outs {
					m.ReadRow(w, i)
					for k := range rows {
						want, abs := 0.0, 0.0
						for c, v := range w {
							p := float64(v) * float64(x[k*cols+c])
							want, abs = want+p, abs+math.Abs(p)
						}
						if g := float64(got[k*outs+i]); !near(g, want, 4*abs, cols) {
							t.Fatalf("%s, %d × %d, row %d of %d, weights %d: got %v, want %v", f, outs, cols, k, rows, i, g, want)
						}
					}
				}
			}
		}
	})
}
