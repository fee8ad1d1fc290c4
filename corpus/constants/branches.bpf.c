/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Branches decided by constants.
 *
 * Pins down (const_fold.c): eval_const_branch, each condition with each outcome; bpf_prune_dead_branches: 64
 * and 32 bits, immediate and register, the sign extension of each; constants that do not fit 32 bits, which
 * decide nothing. A decided branch is printed as `goto pc+1` or `goto pc+0`.
 */
#include "corpus.h"

#define TEST(condition) "if " condition " goto +1; r0 += 1;"

#define REG64                                                               \
	TEST("r1 == r2") TEST("r1 != r2") TEST("r1 > r2") TEST("r1 >= r2")  \
	TEST("r1 < r2") TEST("r1 <= r2") TEST("r1 s> r2") TEST("r1 s>= r2") \
	TEST("r1 s< r2") TEST("r1 s<= r2") TEST("r1 & r2")
#define REG32                                                               \
	TEST("w1 == w2") TEST("w1 != w2") TEST("w1 > w2") TEST("w1 >= w2")  \
	TEST("w1 < w2") TEST("w1 <= w2") TEST("w1 s> w2") TEST("w1 s>= w2") \
	TEST("w1 s< w2") TEST("w1 s<= w2") TEST("w1 & w2")
#define IMM64(k)                                                                    \
	TEST("r1 == " #k) TEST("r1 != " #k) TEST("r1 > " #k) TEST("r1 >= " #k)      \
	TEST("r1 < " #k) TEST("r1 <= " #k) TEST("r1 s> " #k) TEST("r1 s>= " #k)     \
	TEST("r1 s< " #k) TEST("r1 s<= " #k) TEST("r1 & " #k)
#define IMM32(k)                                                                    \
	TEST("w1 == " #k) TEST("w1 != " #k) TEST("w1 > " #k) TEST("w1 >= " #k)      \
	TEST("w1 < " #k) TEST("w1 <= " #k) TEST("w1 s> " #k) TEST("w1 s>= " #k)     \
	TEST("w1 s< " #k) TEST("w1 s<= " #k) TEST("w1 & " #k)

/* Every condition on 64 bits, register with register; 0xffffffff is positive here. */
PROG("socket", decided_register_64)
{
	ASM("r0 = 0;"
	    "r1 = 5; r2 = 5;" REG64
	    "r1 = 4; r2 = 5;" REG64
	    "r1 = 6; r2 = 1;" REG64
	    "w1 = -1; r2 = 1;" REG64
	    "r1 = 1; w2 = -1;" REG64
	    "r1 = 0; r2 = 0;" REG64
	    "exit;");
}

/* Every condition on 32 bits, register with register; 0xffffffff is negative, 0x80000000 the least. */
PROG("socket", decided_register_32)
{
	ASM("r0 = 0;"
	    "r1 = 5; r2 = 5;" REG32
	    "r1 = 4; r2 = 5;" REG32
	    "w1 = -1; r2 = 1;" REG32
	    "r1 = 1; w2 = -1;" REG32
	    "w1 = 0x80000000; w2 = 0x7fffffff;" REG32
	    "w1 = 0x7fffffff; w2 = 0x80000000;" REG32
	    "r1 = 6; r2 = 1;" REG32
	    "exit;");
}

/* Every condition on 64 bits with an immediate, which is sign-extended. */
PROG("socket", decided_immediate_64)
{
	ASM("r0 = 0;"
	    "r1 = 5;" IMM64(5) IMM64(6) IMM64(4) IMM64(-1)
	    "w1 = -1;" IMM64(-1) IMM64(1)
	    "w1 = 0x80000000;" IMM64(-2147483648) IMM64(2147483647)
	    "r1 = 0;" IMM64(0)
	    "exit;");
}

/* Every condition on 32 bits with an immediate. */
PROG("socket", decided_immediate_32)
{
	ASM("r0 = 0;"
	    "r1 = 5;" IMM32(5) IMM32(6) IMM32(4) IMM32(-1)
	    "w1 = -1;" IMM32(-1) IMM32(1)
	    "w1 = 0x80000000;" IMM32(-2147483648) IMM32(2147483647)
	    "r1 = 0;" IMM32(0)
	    "exit;");
}

/* 64-bit constants beyond 32 bits decide nothing, not even on 32 bits; one register known is not enough. */
PROG("socket", undecided)
{
	ASM("r0 = 0;"
	    "r3 = *(u32 *)(r1 + 0);"
	    "r1 = -1;" TEST("r1 == -1") TEST("w1 == -1")
	    "r1 = 0x100000000 ll;" TEST("r1 == 0") TEST("w1 == 0")
	    "r1 = 0xffffffff ll;" TEST("r1 == 0")
	    "r1 = 5;" TEST("r1 == r3") TEST("r3 == r1") TEST("w3 == 5") TEST("r10 == r1") TEST("r1 != r10")
	    "r2 = -5;" TEST("r1 > r2") TEST("r2 > r1") TEST("r2 s< 0") TEST("r1 == r1") TEST("r3 == r3")
	    "exit;");
}

/* A branch taken skips what would change the registers: only one pass is made, the join stays unknown. */
PROG("socket", decided_once)
{
	ASM("r1 = 0;"
	    "r2 = 1;"
	    "if r1 == 0 goto +1;"
	    "r2 = 2;"
	    "if r2 == 1 goto +1;"
	    "r0 = 3;"
	    "if r1 != 0 goto +1;"
	    "r0 = 4;" RET0);
}

/* Long jumps and negative offsets stay what they are; a decided branch may jump backwards. */
PROG("socket", decided_backwards)
{
	ASM("r1 = 0;"
	    "goto 2f;"
	    "1: r0 = 0;"
	    "exit;"
	    "2: if r1 == 0 goto 1b;"
	    "if r1 != 0 goto 1b;"
	    "r0 = 1;"
	    "exit;");
}

/* Dead code marks no stack: neither use nor def, no instance for its calls, no live registers. */
PROG("socket", dead_stack_access)
{
	ASM("r1 = 1;"
	    "r2 = r10;"
	    "if r1 == 1 goto 1f;"
	    "r3 = *(u64 *)(r2 - 8);"
	    "*(u64 *)(r10 - 16) = r3;"
	    "1: r3 = *(u64 *)(r2 - 24);" RET0);
}

LICENSE;
