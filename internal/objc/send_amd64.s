//go:build darwin || linux

#include "go_asm.h"
#include "textflag.h"

GLOBL ·sendAllABI0(SB), NOPTR|RODATA, $8
DATA ·sendAllABI0(SB)/8, $sendAll<>(SB)

// void sendAll(batch *b), seen in this file only (it must not be a C symbol of a program that links Go in),
// System V calling convention, on a C stack.
//
// 0..47(SP) are the stack words of an outgoing call. A message's six words are loaded into the argument registers and
// copied there too: a method taking two MTLSize by value finds them on the stack, every other one in registers.
// The frame is a multiple of 16 (Go's assembler adds BP), which keeps SP aligned at calls.
TEXT sendAll<>(SB), NOSPLIT, $96
	MOVQ BX, 48(SP)
	MOVQ R12, 56(SP)
	MOVQ R13, 64(SP)
	MOVQ R14, 72(SP)
	MOVQ DI, R12

	MOVQ batch_push(R12), AX
	TESTQ AX, AX
	JZ   start
	CALL AX
	MOVQ AX, 80(SP)

start:
	MOVQ batch_msgs(R12), BX
	MOVQ batch_count(R12), R13

next:
	TESTQ R13, R13
	JZ    done
	MOVQ  batch_obj(R12), DI
	MOVQ  Message_Sel(BX), SI
	MOVQ  (Message_Args+0)(BX), DX
	MOVQ  (Message_Args+8)(BX), CX
	MOVQ  (Message_Args+16)(BX), R8
	MOVQ  (Message_Args+24)(BX), R9
	MOVQ  (Message_Args+32)(BX), R10
	MOVQ  (Message_Args+40)(BX), R11
	MOVQ  DX, 0(SP)
	MOVQ  CX, 8(SP)
	MOVQ  R8, 16(SP)
	MOVQ  R9, 24(SP)
	MOVQ  R10, 32(SP)
	MOVQ  R11, 40(SP)
	MOVQ  batch_msgSend(R12), R10
	XORL  AX, AX
	CALL  R10
	MOVQ  Message_Flag(BX), R14
	TESTQ $const_FlagDouble, R14
	JZ    integer
	MOVQ  X0, AX

integer:
	MOVQ  AX, Message_Flag(BX)
	TESTQ $const_FlagRetain, R14
	JZ    advance
	MOVQ  AX, DI
	MOVQ  batch_retain(R12), R10
	CALL  R10

advance:
	ADDQ $Message__size, BX
	DECQ R13
	JMP  next

done:
	MOVQ batch_pop(R12), AX
	TESTQ AX, AX
	JZ   finish
	MOVQ 80(SP), DI
	CALL AX

finish:
	MOVQ 48(SP), BX
	MOVQ 56(SP), R12
	MOVQ 64(SP), R13
	MOVQ 72(SP), R14
	XORL AX, AX
	RET
