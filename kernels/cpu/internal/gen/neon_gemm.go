package main

import "fmt"

// neonTileRows × 16 sums are 24 of the 32 registers.
const neonTileRows = 6

// neonMatrix writes all that a product of many rows needs.
func neonMatrix(n *neon) {
	for rows := 1; rows <= neonTileRows; rows++ {
		neonGEMM(n, rows)
	}
	neonPack(n)
	neonPrefetch(n)
}

// neonGEMM: R1 C, R3 B, R4 … R6 the strides of C, A and B, R8 the columns left,
// R10 … R15 rows of A. V0 … V23 are C, V24 … V29 four elements of each row of A,
// V30 and V31 half a row of B. A sum is one chain of additions whatever the number
// of rows: what a row gets must not depend on it.
func neonGEMM(n *neon, rows int) {
	acc := func(row, j int) int { return 4*row + j }
	n.text(fmt.Sprintf("gemm%dx16NEON", rows), fmt.Sprintf("%d rows of A with 16 columns of B.", rows))
	for _, f := range [][2]int{{gemmC, 1}, {gemmB, 3}, {gemmLDC, 4}, {gemmLDA, 5}, {gemmLDB, 6}, {gemmAdd, 7}, {gemmK, 8}, {gemmA, 10}} {
		n.get(f[0], f[1])
	}
	for i := range 4 * rows {
		n.clear(i)
	}
	n.op("CMP $2, R7")
	n.op("BNE begin")
	n.op("MOVD R1, R2")
	for row := range rows {
		n.op("VLD1 (R2), [V%d.S4, V%d.S4, V%d.S4, V%d.S4]", acc(row, 0), acc(row, 1), acc(row, 2), acc(row, 3))
		n.op("ADD R4, R2")
	}
	n.label("begin")
	for row := 1; row < rows; row++ {
		n.op("ADD R5, R%d, R%d", 9+row, 10+row)
	}
	column := func(k int) {
		for half := range 2 {
			n.op("FLDPQ %d(R3), (F30, F31)", 32*half)
			for row := range rows {
				for j := range 2 {
					n.fmlaLane(30+j, 24+row, k, acc(row, 2*half+j))
				}
			}
		}
		n.op("ADD R6, R3")
	}
	n.op("AND $3, R8, R9")
	n.op("LSR $2, R8")
	n.loop("columns", 8, func() {
		for row := range rows {
			n.op("VLD1.P 16(R%d), [V%d.S4]", 10+row, 24+row)
		}
		for k := range 4 {
			column(k)
		}
	})
	n.loop("rest", 9, func() {
		for row := range rows {
			n.op("FMOVS.P 4(R%d), F%d", 10+row, 24+row)
		}
		column(0)
	})
	n.op("AND $1, R7")
	for row := range rows {
		n.op("CBZ R7, store%d", row)
		n.op("VLD1 (R1), [V24.S4, V25.S4, V26.S4, V27.S4]")
		for j := range 4 {
			n.fadd(acc(row, j), acc(row, j), 24+j)
		}
		n.label(fmt.Sprintf("store%d", row))
		n.op("VST1 [V%d.S4, V%d.S4, V%d.S4, V%d.S4], (R1)", acc(row, 0), acc(row, 1), acc(row, 2), acc(row, 3))
		n.op("ADD R4, R1")
	}
	n.op("RET")
}

// neonPack: R1 … R4 four rows, R5 their stride, R6 where they go, R7 the columns
// left, by four, R8 the fours of rows left.
func neonPack(n *neon) {
	n.text("packNEON", "Transposes 16 rows.")
	n.get(packSrc, 1)
	n.get(packStride, 5)
	n.op("MOVD $4, R8")
	n.get(packDst, 10)
	n.loop("rows", 8, func() {
		for i := range 3 {
			n.op("ADD R5, R%d, R%d", 1+i, 2+i)
		}
		n.op("ADD R5, R4, R9")
		n.op("MOVD R10, R6")
		n.get(packN, 7)
		n.op("LSR $2, R7")
		n.loop("columns", 7, func() {
			for i := range 4 {
				n.op("FMOVQ.P 16(R%d), F%d", 1+i, i)
			}
			for i := range 2 { // V4 … V7: columns 0, 2 and 1, 3 of rows 0, 1 and 2, 3
				n.op("VTRN1 V%d.S4, V%d.S4, V%d.S4", 2*i+1, 2*i, 4+i)
				n.op("VTRN2 V%d.S4, V%d.S4, V%d.S4", 2*i+1, 2*i, 6+i)
			}
			for i := range 2 {
				n.op("VTRN1 V%d.D2, V%d.D2, V%d.D2", 5+2*i, 4+2*i, i)
				n.op("VTRN2 V%d.D2, V%d.D2, V%d.D2", 5+2*i, 4+2*i, 2+i)
			}
			for i := range 4 {
				n.op("FMOVQ F%d, %d(R6)", i, 64*i)
			}
			n.add(4*64, 6)
		})
		n.op("MOVD R9, R1")
		n.add(16, 10)
	})
	n.op("RET")
}

// neonPrefetch: R1 the row, R2 the stride, R3 the rows left, R4 the line, R5 the
// lines left.
func neonPrefetch(n *neon) {
	n.text("prefetchNEON", "Asks for parts of 16 rows.")
	n.get(packSrc, 1)
	n.get(packStride, 2)
	n.op("MOVD $16, R3")
	n.loop("row", 3, func() {
		n.op("MOVD R1, R4")
		n.get(packN, 5)
		n.label("line")
		n.op("PRFM (R4), PLDL2KEEP")
		n.op("ADD $64, R4")
		n.op("SUBS $64, R5")
		n.op("BGT line")
		n.op("ADD R2, R1")
	})
	n.op("RET")
}
