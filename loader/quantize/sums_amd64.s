#include "go_asm.h"
#include "textflag.h"

DATA anchors<>+0(SB)/8, $0x4338000000000000
GLOBL anchors<>(SB), RODATA|NOPTR, $8

// func addAVX(of *group, inverse, minimum float64) products
//
// What addPortable does, four columns at a time.
TEXT ·addAVX(SB), NOSPLIT, $0-48
	MOVQ         of+0(FP), DX
	VBROADCASTSD inverse+8(FP), Y0
	VBROADCASTSD minimum+16(FP), Y1
	VBROADCASTSD group_low(DX), Y2
	VBROADCASTSD group_high(DX), Y3
	VBROADCASTSD anchors<>(SB), Y4
	MOVQ         group_x(DX), SI
	MOVQ         (group_x+8)(DX), CX
	MOVQ         group_w(DX), DI
	MOVQ         group_wx(DX), BX
	VXORPD       X5, X5, X5              // q
	VXORPD       X6, X6, X6              // qq
	VXORPD       X7, X7, X7              // xq

columns:
	VADDPD (SI), Y1, Y8
	VMULPD Y0, Y8, Y8
	VADDPD Y4, Y8, Y8
	VSUBPD Y4, Y8, Y8
	VMAXPD Y2, Y8, Y8
	VMINPD Y3, Y8, Y8
	VMULPD (DI), Y8, Y9
	VADDPD Y9, Y5, Y5
	VMULPD Y8, Y9, Y9
	VADDPD Y9, Y6, Y6
	VMULPD (BX), Y8, Y8
	VADDPD Y8, Y7, Y7
	ADDQ   $32, SI
	ADDQ   $32, DI
	ADDQ   $32, BX
	SUBQ   $4, CX
	JG     columns

	// Lanes 0 and 2, 1 and 3, then both.
	VEXTRACTF128 $1, Y5, X8
	VEXTRACTF128 $1, Y6, X9
	VEXTRACTF128 $1, Y7, X10
	VADDPD       X8, X5, X5
	VADDPD       X9, X6, X6
	VADDPD       X10, X7, X7
	VHADDPD      X6, X5, X5
	VHADDPD      X7, X7, X7
	VMOVLPD      X5, ret_q+24(FP)
	VMOVHPD      X5, ret_qq+32(FP)
	VMOVSD       X7, ret_xq+40(FP)
	VZEROUPPER
	RET
