package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// maxTileRows × 16 sums are twelve of the sixteen registers: enough to hide the
// latency of FMA, with room for two vectors of B and one of A.
const maxTileRows = 6

func gemmRoutines(ctx *build.Context) {
	for rows := 1; rows <= maxTileRows; rows++ {
		gemm(ctx, rows)
	}
	pack(ctx)
	prefetch(ctx)
}

// gemm emits C[rows][16] (+)= A[rows][k] · B[k][16].
func gemm(ctx *build.Context, rows int) {
	r := begin(ctx, fmt.Sprintf("gemm%dx16AVX2", rows), fmt.Sprintf("gemm%dx16AVX2 multiplies %d rows of A with 16 columns of B.", rows, rows))
	var acc [maxTileRows][2]reg.VecVirtual
	for i := range rows {
		acc[i] = [2]reg.VecVirtual{r.zero(), r.zero()}
	}
	a, b, lda, ldb := r.get(gemmA), r.get(gemmB), r.get(gemmLDA), r.get(gemmLDB)
	a3 := r.GP64() // row 3
	r.LEAQ(operand.Mem{Base: lda, Index: lda, Scale: 2}, a3)
	r.ADDQ(a, a3)
	step := func(k int) {
		b0, b1 := r.YMM(), r.YMM()
		r.VMOVUPS(at(b, 0), b0)
		r.VMOVUPS(at(b, 32), b1)
		for i := range rows {
			m := at(a, 4*k)
			if i >= 3 {
				m.Base = a3
			}
			if i%3 > 0 {
				m.Index, m.Scale = lda, uint8(i%3)
			}
			v := r.YMM()
			r.VBROADCASTSS(m, v)
			r.VFMADD231PS(v, b0, acc[i][0])
			r.VFMADD231PS(v, b1, acc[i][1])
		}
		r.ADDQ(ldb, b)
	}
	steps := func(n int) {
		for k := range n {
			step(k)
		}
		r.ADDQ(operand.I32(4*n), a)
		r.ADDQ(operand.I32(4*n), a3)
	}
	n, rest := r.get(gemmK), r.get(gemmK)
	r.SHRQ(operand.U8(2), n)
	r.loop(n, func() { steps(4) })
	r.ANDQ(operand.I32(3), rest)
	r.loop(rest, func() { steps(1) })

	c, ldc := r.get(gemmC), r.get(gemmLDC)
	set := r.label("set")
	add := r.get(gemmAdd)
	r.TESTQ(add, add)
	r.JZ(operand.LabelRef(set))
	from := r.GP64()
	r.MOVQ(c, from)
	for i := range rows {
		r.VADDPS(at(from, 0), acc[i][0], acc[i][0])
		r.VADDPS(at(from, 32), acc[i][1], acc[i][1])
		r.ADDQ(ldc, from)
	}
	r.Label(set)
	for i := range rows {
		r.VMOVUPS(acc[i][0], at(c, 0))
		r.VMOVUPS(acc[i][1], at(c, 32))
		r.ADDQ(ldc, c)
	}
	r.end()
}

// pack emits dst[k][16] = src[16][k], 8 × 8 elements at a time.
func pack(ctx *build.Context) {
	r := begin(ctx, "packAVX2", "packAVX2 transposes 16 rows.")
	stride := r.get(packStride)
	stride3, dst, n := r.GP64(), r.get(packDst), r.get(packK)
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

// prefetch asks for the lines of n bytes of each of 16 rows.
func prefetch(ctx *build.Context) {
	r := begin(ctx, "prefetchAVX2", "prefetchAVX2 asks for parts of 16 rows.")
	src, stride := r.get(packSrc), r.get(packStride)
	rows := r.GP64()
	r.MOVQ(operand.U32(16), rows)
	r.loop(rows, func() {
		line, lines := r.GP64(), r.get(packK)
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
