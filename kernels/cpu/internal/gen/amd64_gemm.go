package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// tile is the part of C that a routine computes: as many sums as hide the latency
// of FMA and leave room for a row of B and an element of A.
type tile struct {
	isa  string
	rows int // at most
	cols int
	vec  func(*routine) reg.VecVirtual // as wide as half of cols
}

var (
	tileAVX2   = tile{"AVX2", 6, 16, func(r *routine) reg.VecVirtual { return r.YMM() }}
	tileAVX512 = tile{"AVX512", 12, 32, func(r *routine) reg.VecVirtual { return r.ZMM() }}
)

func avx2GEMM(ctx *build.Context) {
	for rows := 1; rows <= tileAVX2.rows; rows++ {
		gemm(ctx, tileAVX2, rows)
	}
	pack(ctx)
	prefetch(ctx)
}

// gemm emits C[rows][cols] (+)= A[rows][k] · B[k][cols]. A sum is one chain of
// additions whatever the number of rows: what a row gets must not depend on it.
func gemm(ctx *build.Context, t tile, rows int) {
	name := fmt.Sprintf("gemm%dx%d%s", rows, t.cols, t.isa)
	r := begin(ctx, name, fmt.Sprintf("%s multiplies %d rows of A with %d columns of B.", name, rows, t.cols))
	var acc [][2]reg.VecVirtual
	for range rows {
		zero := [2]reg.VecVirtual{t.vec(r), t.vec(r)}
		for _, v := range zero {
			r.VXORPS(v, v, v)
		}
		acc = append(acc, zero)
	}
	c, ldc, add := r.get(gemmC), r.get(gemmLDC), r.get(gemmAdd)
	begin := r.label("begin")
	r.CMPQ(add, operand.U8(2))
	r.JNE(operand.LabelRef(begin))
	// old does something with each vector of C.
	old := func(do func(m operand.Mem, v reg.VecVirtual)) {
		from := r.GP64()
		r.MOVQ(c, from)
		for i := range rows {
			for j, v := range acc[i] {
				do(at(from, 2*t.cols*j), v)
			}
			r.ADDQ(ldc, from)
		}
	}
	old(func(m operand.Mem, v reg.VecVirtual) { r.VMOVUPS(m, v) })
	r.Label(begin)
	lda, ldb := r.get(gemmLDA), r.get(gemmLDB)
	b := [2]reg.GPVirtual{r.get(gemmB), r.get(gemmHalf)}
	r.ADDQ(b[0], b[1])
	a := []reg.GPVirtual{r.get(gemmA)} // rows 0, 3, 6 …
	for i := 3; i < rows; i += 3 {
		next := r.GP64()
		r.LEAQ(operand.Mem{Base: lda, Index: lda, Scale: 2}, next)
		r.ADDQ(a[len(a)-1], next)
		a = append(a, next)
	}
	// Few rows of A wait for B, which attention reads from memory; more rows have
	// a panel in the cache.
	var ahead reg.GPVirtual
	if rows <= t.rows/2 {
		ahead = r.GP64()
		r.MOVQ(ldb, ahead)
		r.SHLQ(operand.U8(4), ahead)
	}
	step := func(k int) {
		if rows <= t.rows/2 {
			for line := range t.cols / 16 {
				r.PREFETCHT0(operand.Mem{Base: b[line], Index: ahead, Scale: 1})
			}
		}
		row := [2]reg.VecVirtual{t.vec(r), t.vec(r)}
		for j, v := range row {
			r.VMOVUPS(at(b[j], 0), v)
		}
		for i := range rows {
			m := at(a[i/3], 4*k)
			if i%3 > 0 {
				m.Index, m.Scale = lda, uint8(i%3)
			}
			v := t.vec(r)
			r.VBROADCASTSS(m, v)
			for j := range row {
				r.VFMADD231PS(v, row[j], acc[i][j])
			}
		}
		r.ADDQ(ldb, b[0])
		r.ADDQ(ldb, b[1])
	}
	steps := func(n int) {
		for k := range n {
			step(k)
		}
		for _, p := range a {
			r.ADDQ(operand.I32(4*n), p)
		}
	}
	n, rest := r.get(gemmK), r.get(gemmK)
	r.SHRQ(operand.U8(2), n)
	r.loop(n, func() { steps(4) })
	r.ANDQ(operand.I32(3), rest)
	r.loop(rest, func() { steps(1) })

	set := r.label("set")
	r.CMPQ(add, operand.U8(1))
	r.JNE(operand.LabelRef(set))
	old(func(m operand.Mem, v reg.VecVirtual) { r.VADDPS(m, v, v) })
	r.Label(set)
	for i := range rows {
		for j, v := range acc[i] {
			r.VMOVUPS(v, at(c, 2*t.cols*j))
		}
		r.ADDQ(ldc, c)
	}
	r.end()
}

// pack emits dst[k][16] = src[16][k], 8 × 8 elements at a time.
func pack(ctx *build.Context) {
	r := begin(ctx, "packAVX2", "packAVX2 transposes 16 rows.")
	stride := r.get(packStride)
	stride3, dst, n := r.GP64(), r.get(packDst), r.get(packN)
	r.LEAQ(operand.Mem{Base: stride, Index: stride, Scale: 2}, stride3)
	src := r.get(packSrc)
	r.SHRQ(operand.U8(3), n)
	r.loop(n, func() {
		row := r.GP64()
		r.MOVQ(src, row)
		for half := range 2 {
			// lo[i] is columns 0-3 of rows i and i+4, hi[i] columns 4-7.
			var lo, hi [4]reg.VecVirtual
			far := r.GP64()
			r.LEAQ(operand.Mem{Base: row, Index: stride, Scale: 4}, far)
			for i := range 4 {
				m, f := at(row, 0), at(far, 0)
				switch i {
				case 1, 2:
					m.Index, m.Scale, f.Index, f.Scale = stride, uint8(i), stride, uint8(i)
				case 3:
					m.Index, m.Scale, f.Index, f.Scale = stride3, 1, stride3, 1
				}
				lo[i], hi[i] = r.YMM(), r.YMM()
				r.VBROADCASTF128(m, lo[i])
				r.VINSERTF128(operand.U8(1), f, lo[i], lo[i])
				r.VBROADCASTF128(m.Offset(16), hi[i])
				r.VINSERTF128(operand.U8(1), f.Offset(16), hi[i], hi[i])
			}
			for q, v := range [][4]reg.VecVirtual{lo, hi} {
				for k, t := range r.transpose4(v) {
					r.VMOVUPS(t, at(dst, 64*(4*q+k)+32*half))
				}
			}
			r.LEAQ(operand.Mem{Base: far, Index: stride, Scale: 4}, row)
		}
		r.ADDQ(operand.I32(32), src)
		r.ADDQ(operand.I32(64*8), dst)
	})
	r.end()
}

// transpose4 transposes the 4 × 4 elements in both halves of four vectors.
func (r *routine) transpose4(v [4]reg.VecVirtual) [4]reg.VecVirtual {
	a, b, c, d := r.YMM(), r.YMM(), r.YMM(), r.YMM()
	r.VUNPCKLPS(v[1], v[0], a)
	r.VUNPCKHPS(v[1], v[0], b)
	r.VUNPCKLPS(v[3], v[2], c)
	r.VUNPCKHPS(v[3], v[2], d)
	out := [4]reg.VecVirtual{r.YMM(), r.YMM(), r.YMM(), r.YMM()}
	r.VSHUFPS(operand.U8(0x44), c, a, out[0])
	r.VSHUFPS(operand.U8(0xee), c, a, out[1])
	r.VSHUFPS(operand.U8(0x44), d, b, out[2])
	r.VSHUFPS(operand.U8(0xee), d, b, out[3])
	return out
}

// prefetch emits the prefetch of n bytes of each of 16 rows.
func prefetch(ctx *build.Context) {
	r := begin(ctx, "prefetchAVX2", "prefetchAVX2 asks for parts of 16 rows.")
	src, stride := r.get(packSrc), r.get(packStride)
	rows := r.GP64()
	r.MOVQ(operand.U32(16), rows)
	r.loop(rows, func() {
		line, lines := r.GP64(), r.get(packN)
		r.MOVQ(src, line)
		r.ADDQ(operand.I32(63), lines)
		r.SHRQ(operand.U8(6), lines)
		r.loop(lines, func() {
			r.PREFETCHT0(at(line, 0))
			r.ADDQ(operand.I32(64), line)
		})
		r.ADDQ(stride, src)
	})
	r.RET()
}
