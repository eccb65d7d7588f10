//go:build darwin || linux

#include "go_asm.h"
#include "textflag.h"

GLOBL ·sendAllABI0(SB), NOPTR|RODATA, $8
DATA ·sendAllABI0(SB)/8, $sendAll<>(SB)

// void sendAll(batch *b), seen in this file only (it must not be a C symbol of a program that links Go in),
// AAPCS64 calling convention, on a C stack.
//
// A struct above 16 bytes is passed as the address of the caller's copy: for two MTLSize the addresses of the message's
// own words. R18 (the platform's) and R28 (a C callee-saved register that Go calls g) are not touched.
TEXT sendAll<>(SB), NOSPLIT, $0
	SUB  $48, RSP
	MOVD R19, 0(RSP)
	MOVD R20, 8(RSP)
	MOVD R21, 16(RSP)
	MOVD R22, 24(RSP)
	MOVD R23, 32(RSP)
	MOVD R0, R19

	MOVD batch_push(R19), R9
	CBZ  R9, start
	CALL (R9)
	MOVD R0, R23

start:
	MOVD batch_msgs(R19), R20
	MOVD batch_count(R19), R21

next:
	CBZ  R21, done
	MOVD batch_obj(R19), R0
	MOVD Message_Sel(R20), R1
	MOVD Message_Flag(R20), R22
	TST  $const_flagSizes, R22
	BNE  sizes
	MOVD (Message_Args+0)(R20), R2
	MOVD (Message_Args+8)(R20), R3
	MOVD (Message_Args+16)(R20), R4
	MOVD (Message_Args+24)(R20), R5
	MOVD (Message_Args+32)(R20), R6
	MOVD (Message_Args+40)(R20), R7
	B    call

sizes:
	ADD $(Message_Args+0), R20, R2
	ADD $(Message_Args+24), R20, R3

call:
	MOVD batch_msgSend(R19), R9
	CALL (R9)
	TST  $const_FlagDouble, R22
	BEQ  integer
	FMOVD F0, R0

integer:
	MOVD R0, Message_Flag(R20)
	TST  $const_FlagRetain, R22
	BEQ  advance
	MOVD batch_retain(R19), R9
	CALL (R9)

advance:
	ADD $Message__size, R20, R20
	SUB $1, R21, R21
	B   next

done:
	MOVD batch_pop(R19), R9
	CBZ  R9, finish
	MOVD R23, R0
	CALL (R9)

finish:
	MOVD 0(RSP), R19
	MOVD 8(RSP), R20
	MOVD 16(RSP), R21
	MOVD 24(RSP), R22
	MOVD 32(RSP), R23
	ADD  $48, RSP
	MOVD ZR, R0
	RET
