package main

import "fmt"

// The products of FEAT_BF16: BFMMLA multiplies two rows of four activations with two
// rows of four weights, all bfloat16, and adds to four float32.

func neonBF16(n *neon) {
	for rows := 1; rows <= neonTileRows; rows++ {
		neonBF16GEMM(n, rows)
	}
	neonPackBF16(n)
}

// bfmmla: acc[2·i+j] += the sum of a[4·i+k]·b[4·j+k] over k.
func (n *neon) bfmmla(a, b, acc int) {
	n.arm(0x6e40ec00|uint32(b)<<16|uint32(a)<<5|uint32(acc), "BFMMLA V%d.4S, V%d.8H, V%d.8H", acc, a, b)
}

// neonBF16GEMM: registers as in neonGEMM, but for V0 … V23, in which row i and the
// next one have the sums of outputs 2·j and 2·j+1 in V(4·i+j), and V24 … V29, two
// times four activations of two rows each. Without a second row the last one is
// multiplied twice.
func neonBF16GEMM(n *neon, rows int) {
	n.text(fmt.Sprintf("gemm%dx16NEONBF16", rows), fmt.Sprintf("%d rows of A with 16 columns of B, in bfloat16.", rows))
	for _, f := range [][2]int{{gemmC, 1}, {gemmB, 3}, {gemmLDC, 4}, {gemmLDA, 5}, {gemmAdd, 7}, {gemmK, 8}, {gemmA, 10}} {
		n.get(f[0], f[1])
	}
	both := (rows + 1) &^ 1
	for i := range 4 * both {
		n.clear(i)
	}
	for row := 1; row < rows; row++ {
		n.op("ADD R5, R%d, R%d", 9+row, 10+row)
	}
	if both > rows {
		n.op("MOVD R%d, R%d", 9+rows, 10+rows)
	}
	n.op("LSR $2, R8")
	n.loop("pairs", 8, func() {
		for row := range both {
			n.op("FMOVQ.P 16(R%d), F%d", 10+row, 24+row)
		}
		for row := 0; row < both; row += 2 {
			n.op("VZIP1 V%d.D2, V%d.D2, V30.D2", 25+row, 24+row)
			n.op("VZIP2 V%d.D2, V%d.D2, V%[1]d.D2", 25+row, 24+row)
			n.move(24+row, 30)
		}
		for step := range 2 {
			for j := 0; j < 8; j += 2 {
				n.op("FLDPQ.P 32(R3), (F30, F31)")
				for row := 0; row < both; row += 2 {
					for i := range 2 {
						n.bfmmla(24+row+step, 30+i, 4*row+j+i)
					}
				}
			}
		}
	})
	for row := 0; row < rows; row += 2 {
		for i := range 4 {
			n.op("VZIP1 V%d.D2, V%d.D2, V%d.D2", 4*row+2*i+1, 4*row+2*i, 24+i)
			n.op("VZIP2 V%d.D2, V%d.D2, V%d.D2", 4*row+2*i+1, 4*row+2*i, 28+i)
		}
		for half := range min(2, rows-row) {
			v := 24 + 4*half
			n.op("CBZ R7, store%d", row+half)
			n.op("VLD1 (R1), [V%d.S4, V%d.S4, V%d.S4, V%d.S4]", 4*row, 4*row+1, 4*row+2, 4*row+3)
			for i := range 4 {
				n.fadd(v+i, v+i, 4*row+i)
			}
			n.label(fmt.Sprintf("store%d", row+half))
			n.op("VST1 [V%d.S4, V%d.S4, V%d.S4, V%d.S4], (R1)", v, v+1, v+2, v+3)
			n.op("ADD R4, R1")
		}
	}
	n.op("RET")
}

// neonPackBF16: R1 and R2 two rows, R5 their stride, R6 where they go, R7 the columns
// left, by eight, R8 the twos of rows left.
func neonPackBF16(n *neon) {
	n.text("packNEONBF16", "Brings 16 rows of bfloat16 into the order of BFMMLA.")
	n.get(packSrc, 1)
	n.get(packStride, 5)
	n.op("MOVD $8, R8")
	n.get(packDst, 10)
	n.loop("rows", 8, func() {
		n.op("ADD R5, R1, R2")
		n.op("ADD R5, R2, R9")
		n.op("MOVD R10, R6")
		n.get(packN, 7)
		n.op("LSR $2, R7")
		n.loop("columns", 7, func() {
			n.op("FMOVQ.P 16(R1), F0")
			n.op("FMOVQ.P 16(R2), F1")
			n.op("VZIP1 V1.D2, V0.D2, V2.D2")
			n.op("VZIP2 V1.D2, V0.D2, V3.D2")
			n.op("FMOVQ F2, (R6)")
			n.op("FMOVQ F3, 128(R6)")
			n.add(256, 6)
		})
		n.op("MOVD R9, R1")
		n.add(16, 10)
	})
	n.op("RET")
}
