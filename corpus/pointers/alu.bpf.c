/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Arithmetic on frame pointers.
 *
 * Pins down (liveness.c): arg_track_xfer for ALU64 with immediate and register, ALU, LD_IMM64; arg_padd and
 * arg_add (16-bit limits); arg_track_alu64, every case but those that need two frames (frames/).
 */
#include "corpus.h"

/* add and sub of constants move one offset; sub must negate. */
PROG("socket", add_sub_constants)
{
	ASM("r1 = r10;"
	    "r1 += -64;"
	    "r2 = *(u64 *)(r1 + 0);"
	    "r1 -= 8;"
	    "r2 = *(u64 *)(r1 + 0);"
	    "r1 -= -16;"
	    "r2 = *(u64 *)(r1 + 0);"
	    "r1 += 0;"
	    "r1 += 48;"
	    "r2 = *(u64 *)(r1 + 0);" RET0);
}

/* Constants at the limits of 16 bits: 32767 and -32768 keep the offset, one more loses it. */
PROG("socket", constant_out_of_s16)
{
	ASM("r1 = r10;"
	    "r1 += 32767;"
	    "r2 = r10;"
	    "r2 += 32768;"
	    "r3 = r10;"
	    "r3 += -32768;"
	    "r4 = r10;"
	    "r4 += -32769;"
	    "r5 = r10;"
	    "r5 -= -32768;"
	    "r6 = r10;"
	    "r6 -= 32768;"
	    "r7 = r10;"
	    "r7 -= 32769;"
	    "r8 = r10;"
	    "r8 += 65536;"
	    "r9 = r10;"
	    "r9 -= -2147483648;" RET0);
}

/* The running sum overflows 16 bits upwards and downwards; once lost, add does not bring it back. */
PROG("socket", sum_overflows_s16)
{
	ASM("r1 = r10;"
	    "r1 += 32760;"
	    "r1 += 7;"
	    "r2 = r1;"
	    "r2 += 1;"
	    "r2 -= 32768;"
	    "r3 = r10;"
	    "r3 += -32760;"
	    "r3 += -8;"
	    "r4 = r3;"
	    "r4 += -1;"
	    "r5 = r3;"
	    "r5 -= 1;"
	    "r0 = *(u64 *)(r4 + 0);"
	    "*(u64 *)(r4 + 0) = 0;" RET0);
}

/* Every other 64-bit operation with an immediate: frame kept, offset lost. */
PROG("socket", other_alu64_immediate)
{
	ASM("r1 = r10; r1 &= -8;"
	    "r2 = r10; r2 |= 1;"
	    "r3 = r10; r3 ^= 1;"
	    "r4 = r10; r4 *= 2;"
	    "r5 = r10; r5 /= 2;"
	    "r6 = r10; r6 %%= 2;"
	    "r7 = r10; r7 <<= 1;"
	    "r8 = r10; r8 >>= 1;"
	    "r9 = r10; r9 s>>= 1;"
	    "r1 = r10; r1 s/= 2;"
	    "r2 = r10; r2 s%%= 2;"
	    "r3 = r10; r3 = -r3;"
	    "r4 = r10; r4 = bswap64 r4;"
	    "r0 = *(u64 *)(r9 + 0);"
	    "*(u64 *)(r9 + 0) = 0;" RET0
	    :);
}

/* MOV with an immediate, and every 64-bit immediate load, ends the tracking. */
PROG("socket", mov_immediate_kills)
{
	ASM("r1 = r10; r1 = 5;"
	    "r2 = r10; r2 = 0x1122334455667788 ll;"
	    "r3 = r10; w3 = 5;"
	    "r4 = r10; r4 = r1;" RET0);
}

/* Every 32-bit operation ends the tracking of its destination; its source keeps its own. */
PROG("socket", alu32_kills)
{
	ASM("r1 = r10; w1 += 1;"
	    "r2 = r10; w2 = w2;"
	    "r3 = r10; w3 = -w3;"
	    "r4 = r10; r4 = be64 r4;"
	    "r5 = r10; r5 = le32 r5;"
	    "r6 = r10; r7 = 1; w7 += w6;"
	    "r8 = r10; w8 -= w6;"
	    "r9 = r10; w9 = w6;"
	    "w6 = (s8)w6;" RET0);
}

/* A register whose value is unknown, or another offset of the same frame: frame kept, offset lost. */
PROG("socket", register_operand)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r1 = r10; r1 += r6;"
	    "r2 = r10; r2 -= r6;"
	    "r3 = r10; r3 += r10;"
	    "r4 = r10; r4 += -8; r5 = r10; r5 -= r4;"
	    "r7 = r6; r7 += r10;"
	    "r8 = 8; r8 += r4;"
	    "r9 = r6; r9 &= r4;"
	    "r0 = *(u64 *)(r7 + 0);"
	    "r6 += r6;"
	    "*(u64 *)(r8 + 0) = r6;" RET0);
}

/* Register forms of the other 64-bit operations go the same way as add. */
PROG("socket", other_alu64_register)
{
	ASM("r6 = 3;"
	    "r1 = r10; r1 &= r6;"
	    "r2 = r10; r2 |= r6;"
	    "r3 = r10; r3 ^= r6;"
	    "r4 = r10; r4 *= r6;"
	    "r5 = r10; r5 /= r6;"
	    "r7 = r10; r7 <<= r6;"
	    "r8 = r10; r8 >>= r6;"
	    "r9 = r10; r9 s>>= r6;"
	    "r1 = r10; r1 %%= r6;"
	    "r2 = r10; r2 s/= r6;" RET0
	    :);
}

/* 64-bit moves that sign-extend are no copies of a pointer. */
PROG("socket", movsx_kills)
{
	ASM("r1 = r10; r2 = r1;"
	    "r2 = (s8)r1;"
	    "r3 = r10; r3 = (s16)r1;"
	    "r4 = r10; r4 = (s32)r1;"
	    "r5 = r10; w5 = (s16)w1;" RET0);
}

/* addr_space_cast in both directions ends the tracking, and prints both spaces. */
PROG("socket", addr_space_cast_kills)
{
	ASM("r1 = r10; r2 = r10;" ADDR_SPACE_CAST(2, 1, 1)
	    "r3 = r10;" ADDR_SPACE_CAST(3, 1, 0x10000) RET0);
}

/* Several offsets move together, and all are lost when one overflows. */
PROG("socket", several_offsets_move_together)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r2 = r10; r2 += -16;"
	    "if r6 == 0 goto +1;"
	    "r2 += -48;"
	    "r2 -= 8;"
	    "r3 = *(u64 *)(r2 + 0);"
	    "r2 += 16;"
	    "*(u64 *)(r2 + 0) = r6;"
	    "r2 += -32700;"
	    "r2 += -20;"
	    "r3 = *(u64 *)(r2 + 0);" RET0);
}

LICENSE;
