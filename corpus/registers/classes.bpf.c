/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The table of live registers, one instruction class after another.
 *
 * Pins down (liveness.c): compute_insn_live_regs, each case: after each instruction r1 (its destination) is
 * stored and r2 (its source) is set, so that the line before shows what is used and what is defined;
 * (disasm.c) the text of every form.
 */
#include "corpus.h"

/* Stores r1 and sets r2, so that each test is apart from the next. */
#define AFTER "*(u64 *)(r10 - 8) = r1; r2 = 2;"
#define T(insn) insn ";" AFTER

/* ALU64 with immediate. */
PROG("socket", alu64_immediate)
{
	ASM("r1 = 1; r2 = 2;"
	    T("r1 = 5") T("r1 += 5") T("r1 -= -5") T("r1 *= 5") T("r1 /= 5") T("r1 |= 5") T("r1 &= 5")
	    T("r1 <<= 5") T("r1 >>= 5") T("r1 %%= 5") T("r1 ^= 5") T("r1 s>>= 5") T("r1 s/= 5") T("r1 s%%= 5")
	    T("r1 = -r1") T("r1 = 2147483647") T("r1 = -2147483648") RET0
	    :);
}

/* ALU64 with register. */
PROG("socket", alu64_register)
{
	ASM("r1 = 1; r2 = 2;"
	    T("r1 = r2") T("r1 += r2") T("r1 -= r2") T("r1 *= r2") T("r1 /= r2") T("r1 |= r2") T("r1 &= r2")
	    T("r1 <<= r2") T("r1 >>= r2") T("r1 %%= r2") T("r1 ^= r2") T("r1 s>>= r2") T("r1 s/= r2")
	    T("r1 s%%= r2") T("r1 = (s8)r2") T("r1 = (s16)r2") T("r1 = (s32)r2") RET0
	    :);
}

/* ALU with immediate. */
PROG("socket", alu32_immediate)
{
	ASM("r1 = 1; r2 = 2;"
	    T("w1 = 5") T("w1 += 5") T("w1 -= -5") T("w1 *= 5") T("w1 /= 5") T("w1 |= 5") T("w1 &= 5")
	    T("w1 <<= 5") T("w1 >>= 5") T("w1 %%= 5") T("w1 ^= 5") T("w1 s>>= 5") T("w1 s/= 5") T("w1 s%%= 5")
	    T("w1 = -w1") RET0
	    :);
}

/* ALU with register. */
PROG("socket", alu32_register)
{
	ASM("r1 = 1; r2 = 2;"
	    T("w1 = w2") T("w1 += w2") T("w1 -= w2") T("w1 *= w2") T("w1 /= w2") T("w1 |= w2") T("w1 &= w2")
	    T("w1 <<= w2") T("w1 >>= w2") T("w1 %%= w2") T("w1 ^= w2") T("w1 s>>= w2") T("w1 s/= w2")
	    T("w1 s%%= w2") T("w1 = (s8)w2") T("w1 = (s16)w2") RET0
	    :);
}

/* Byte swaps, addr_space_cast, 64-bit immediates. */
PROG("socket", swaps_and_immediates)
{
	ASM("r1 = 1; r2 = 2;"
	    T("r1 = be16 r1") T("r1 = be32 r1") T("r1 = be64 r1") T("r1 = le16 r1") T("r1 = le32 r1")
	    T("r1 = le64 r1") T("r1 = bswap16 r1") T("r1 = bswap32 r1") T("r1 = bswap64 r1")
	    ADDR_SPACE_CAST(1, 2, 1) AFTER ADDR_SPACE_CAST(1, 2, 0x10000) AFTER
	    T("r1 = 0x1122334455667788 ll") T("r1 = 0 ll") T("r1 = -1 ll") T("r1 = 0x80000000 ll") RET0);
}

/* Loads and stores of every size. r1 is the base as well, in turn. */
PROG("socket", loads_and_stores)
{
	ASM("r1 = 1; r2 = r10;"
	    T("r1 = *(u8 *)(r2 + 0)") T("r1 = *(u16 *)(r2 + 0)") T("r1 = *(u32 *)(r2 + 0)")
	    T("r1 = *(u64 *)(r2 + 0)") T("r1 = *(s8 *)(r2 + 0)") T("r1 = *(s16 *)(r2 + 0)")
	    T("r1 = *(s32 *)(r2 + 0)") T("*(u8 *)(r1 + 0) = r2") T("*(u16 *)(r1 + 0) = r2")
	    T("*(u32 *)(r1 + 0) = r2") T("*(u64 *)(r1 + 0) = r2") T("*(u8 *)(r1 - 1) = 5")
	    T("*(u16 *)(r1 - 2) = -5") T("*(u32 *)(r1 + 32767) = 5") T("*(u64 *)(r1 - 32768) = 5") RET0);
}

/* Conditional jumps of every kind, 64 bits: both operands used, nothing defined. */
PROG("socket", jumps_64)
{
	ASM("r1 = *(u32 *)(r1 + 0); r2 = 2;"
	    T("if r1 == r2 goto +0") T("if r1 != r2 goto +0") T("if r1 > r2 goto +0") T("if r1 >= r2 goto +0")
	    T("if r1 < r2 goto +0") T("if r1 <= r2 goto +0") T("if r1 s> r2 goto +0") T("if r1 s>= r2 goto +0")
	    T("if r1 s< r2 goto +0") T("if r1 s<= r2 goto +0") T("if r1 & r2 goto +0")
	    T("if r1 == 5 goto +0") T("if r1 != 5 goto +0") T("if r1 > -5 goto +0") T("if r1 >= 5 goto +0")
	    T("if r1 < 5 goto +0") T("if r1 <= 5 goto +0") T("if r1 s> -1 goto +0") T("if r1 s>= 5 goto +0")
	    T("if r1 s< 5 goto +0") T("if r1 s<= 5 goto +0") T("if r1 & 5 goto +0") RET0);
}

/* The same in 32 bits. */
PROG("socket", jumps_32)
{
	ASM("r1 = *(u32 *)(r1 + 0); r2 = 2;"
	    T("if w1 == w2 goto +0") T("if w1 != w2 goto +0") T("if w1 > w2 goto +0") T("if w1 >= w2 goto +0")
	    T("if w1 < w2 goto +0") T("if w1 <= w2 goto +0") T("if w1 s> w2 goto +0") T("if w1 s>= w2 goto +0")
	    T("if w1 s< w2 goto +0") T("if w1 s<= w2 goto +0") T("if w1 & w2 goto +0")
	    T("if w1 == 5 goto +0") T("if w1 != 5 goto +0") T("if w1 > -5 goto +0") T("if w1 >= 5 goto +0")
	    T("if w1 < 5 goto +0") T("if w1 <= 5 goto +0") T("if w1 s> -1 goto +0") T("if w1 s>= 5 goto +0")
	    T("if w1 s< 5 goto +0") T("if w1 s<= 5 goto +0") T("if w1 & 5 goto +0") RET0);
}

/* Atomics: destination, source and r0. */
PROG("socket", atomics)
{
	ASM("r0 = 0; r1 = r10; r2 = 2;"
	    INSN(ATOMIC_DW, 1, 2, -8, A_ADD) AFTER
	    INSN(ATOMIC_W, 1, 2, -8, A_XOR | A_FETCH) "r3 = r2;" AFTER
	    INSN(ATOMIC_DW, 1, 2, -8, A_XCHG) "r3 = r2;" AFTER
	    INSN(ATOMIC_DW, 1, 2, -8, A_CMPXCHG) "r3 = r0;" AFTER
	    "r0 = 0;"
	    INSN(ATOMIC_DW, 1, 2, -8, A_LOAD_ACQ) AFTER
	    INSN(ATOMIC_DW, 1, 2, -8, A_STORE_REL) AFTER RET0);
}

/* Five registers to give away, and r6 to r9 kept. */
SUB(five)
{
	ASM("r0 = r1; r0 += r2; exit;");
}

#define SET "r1 = 1; r2 = 2; r3 = 3; r4 = 4; r5 = 5;"

/* Calls: as many registers as the helper has parameters; five for a subprogram and for an unknown helper. */
PROG("socket", calls)
{
	ASM("r6 = 6; r7 = 7; r8 = 8; r9 = 9;"
	    SET CALL(get_prandom_u32)
	    SET CALL(spin_lock)
	    SET CALL(map_lookup_elem)
	    SET CALL(map_push_elem)
	    SET CALL(map_update_elem)
	    SET CALL(dynptr_read)
	    SET CALL(override_return)
	    SET INSN(CALL_CODE, 0, 0, 0, 9999)
	    SET "call five;"
	    "r0 += r1; r0 += r5; r0 += r6; r0 += r7; r0 += r8; r0 += r9;"
	    "exit;");
}

/* Jumps that use nothing, exit that uses r0, in several places. */
PROG("socket", plain_jumps)
{
	ASM("r0 = 0;"
	    "r1 = r0;"
	    "goto +0;"
	    "gotol +0;" MAY_GOTO(0)
	    "if r1 == 1 goto +2;"
	    "r0 = 1;"
	    "exit;"
	    "r0 = 2;"
	    "exit;");
}

/* r10 is in the tables of use, but not in the table printed. */
PROG("socket", frame_pointer_not_shown)
{
	ASM("r1 = r10;"
	    "r2 = *(u64 *)(r10 - 8);"
	    "*(u64 *)(r10 - 16) = r10;"
	    "if r10 == r1 goto +0;"
	    "r3 += r10;" RET0);
}

LICENSE;
