/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The programs that the book tells of. Each shows one thing; some are not sensible, and some the verifier refuses later.
 *
 * scripts/corpus-build --include corpus/include book/examples
 */
#include "corpus.h"

/* Stores and loads of every size: which half-slots are written whole, and which are touched. */
PROG("socket", halves)
{
	ASM("*(u64 *)(r10 - 8) = 1;"
	    "*(u32 *)(r10 - 12) = 2;"
	    "*(u16 *)(r10 - 14) = 3;"
	    "r0 = *(u32 *)(r10 - 4);"
	    "r0 = *(u8 *)(r10 - 13);"
	    "r0 = *(u64 *)(r10 - 12);" RET0);
}

/* A pointer into the stack, moved, copied, and lost. */
PROG("socket", pointers)
{
	ASM("r6 = r10;"
	    "r6 += -16;"
	    "r7 = r6;"
	    "r7 += r1;"
	    "r0 = *(u64 *)(r6 + 8);"
	    "r0 = *(u8 *)(r7 + 0);"
	    "w6 = w6;" RET0);
}

/* A pointer to one of two places: both may be read, neither is certainly written. */
PROG("socket", two_places)
{
	ASM("r6 = r10;"
	    "r6 += -8;"
	    "if r1 == 0 goto +1;"
	    "r6 += -16;"
	    "*(u64 *)(r6 + 0) = 1;"
	    "r0 = *(u64 *)(r6 + 0);" RET0);
}

/* A pointer to the stack, or none: the one place may be read, and is not certainly written. */
PROG("socket", pointer_or_none)
{
	ASM("*(u64 *)(r10 - 8) = 1;"
	    "r6 = r10;"
	    "r6 += -8;"
	    "if r1 == 0 goto +1;"
	    "r6 = r1;"
	    "*(u64 *)(r6 + 0) = 2;"
	    "r0 = *(u64 *)(r10 - 8);" RET0);
}

/* A pointer that is spilled, and filled again. */
PROG("socket", spill_and_fill)
{
	ASM("r6 = r10;"
	    "r6 += -8;"
	    "*(u64 *)(r10 - 16) = r6;"
	    "r7 = *(u64 *)(r10 - 16);"
	    "r0 = *(u32 *)(r7 + 4);"
	    "*(u32 *)(r10 - 16) = r6;"
	    "r7 = *(u64 *)(r10 - 16);" RET0);
}

/* Helpers: a buffer that is written whole, one of a size that is not known, one that is read. */
PROG("kprobe", helpers)
{
	ASM("r6 = r1;"
	    "r1 = r10;"
	    "r1 += -16;"
	    "r2 = 16;"
	    "call 16;" /* bpf_get_current_comm */
	    "r1 = r10;"
	    "r1 += -32;"
	    "r2 = 8;"
	    "if r6 == 0 goto +1;"
	    "r2 = 16;"
	    "call 16;"
	    "r1 = r10;"
	    "r1 += -8;"
	    "r2 = 8;"
	    "call 6;" /* bpf_trace_printk */
	    RET0);
}

/* Reads what its first argument points to, and overwrites what its second does. */
SUB(read_one_write_other)
{
	ASM("r0 = *(u64 *)(r1 + 0);"
	    "*(u64 *)(r2 + 0) = 0;"
	    "exit;");
}

/* Two calls of one subprogram with other slots: two instances. */
PROG("socket", lend)
{
	ASM("*(u64 *)(r10 - 8) = 1;"
	    "*(u64 *)(r10 - 16) = 1;"
	    "r1 = r10;"
	    "r1 += -8;"
	    "r2 = r10;"
	    "r2 += -16;"
	    "call read_one_write_other;"
	    "r1 = r10;"
	    "r1 += -16;"
	    "r2 = r10;"
	    "r2 += -24;"
	    "call read_one_write_other;" RET0);
}

/* Reads its own frame only. */
SUB(own_frame)
{
	ASM("*(u64 *)(r10 - 8) = 2;"
	    "r0 = *(u64 *)(r10 - 8);"
	    "exit;");
}

/* Nothing of the caller's frame is lent. */
PROG("socket", lend_nothing)
{
	ASM("r1 = 0;"
	    "call own_frame;" RET0);
}

/* A branch that a constant decides, and what is behind it. */
PROG("socket", decided)
{
	ASM("r6 = 4;"
	    "if r6 > 3 goto +2;"
	    "r0 = *(u64 *)(r10 - 8);"
	    "goto +1;"
	    "r0 = *(u64 *)(r10 - 16);" RET0);
}

/* A loop: what is read at its beginning is live at its end. */
PROG("socket", loop)
{
	ASM("*(u64 *)(r10 - 8) = 0;"
	    "r6 = 10;"
	    "r0 = *(u64 *)(r10 - 8);"
	    "*(u64 *)(r10 - 8) = 1;"
	    "r6 += -1;"
	    "if r6 != 0 goto -4;" RET0);
}

/* Registers by halves. */
PROG("socket", registers)
{
	ASM("r2 = 1;"
	    "r3 = *(u32 *)(r1 + 0);"
	    "w2 += w3;"
	    "r0 = r2;"
	    "exit;");
}

LICENSE;
