/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Limits of the analysis and of its output.
 *
 * Pins down (liveness.c): analyze_subprog's limit of 10,000 analyses; fmt_spis_mask and fmt_subprog at the end of
 * their buffer of 320 bytes; (verifier.c) sort_subprogs_topo: recursion, and none through dead code. The limit of
 * frames is in frames/parents.bpf.c and callbacks/callback.bpf.c.
 */
#include "corpus.h"

#define TIMES(count, text) ".rept " #count ";" text ".endr;"

/* Nothing but an exit: the cheapest analysis. */
SUB(leaf)
{
	ASM("exit;");
}

/* A stack argument outlives the calls, so that each call passes a pointer. */
SUB(hundred_leaves)
{
	ASM(STACK_ARG_STX(-8, 10)
	    TIMES(100, "call leaf;")
	    "exit;");
}

/* 1 + 99 * (1 + 100) + 1 = 10,001 analyses: one too many. The message carries the number. */
PROG("socket", analyses_10001)
{
	ASM(STACK_ARG_STX(-8, 10)
	    TIMES(99, "call hundred_leaves;")
	    "call leaf;" RET0);
}

/* Reads every other half-slot of the caller's frame. */
SUB(alternating_halves)
{
	ASM(".set off, 4;"
	    TIMES(64, INSN(LDX_W, 2, 1, -off, 0) ".set off, off + 8;")
	    "*(u64 *)(r10 - 8) = 1;" RET0);
}

/* The list of slots at the call site is longer than 319 characters: it is cut. */
PROG("socket", list_cut_upper_halves)
{
	ASM("r1 = r10;"
	    "call alternating_halves;" RET0);
}

/* The other halves, with the lists of two frames: each has a buffer of its own. */
SUB(lists_of_two_frames)
{
	ASM("r6 = r1;"
	    "r1 = r10; r1 += -4;"
	    "call alternating_halves;"
	    "r1 = r6; r1 += -4;"
	    "call alternating_halves;" RET0);
}

SUB(pass_both)
{
	ASM("r2 = r10;"
	    "r2 += -8;"
	    "r1 += -4;"
	    "call halves_of_both;" RET0);
}

/* Reads half-slots of both frames in turn, so that one call site uses both. */
SUB(halves_of_both)
{
	ASM(".set off, 4;"
	    TIMES(62, INSN(LDX_W, 3, 1, -off, 0) INSN(LDX_W, 3, 2, -off, 0) ".set off, off + 8;")
	    "r3 = *(u64 *)(r2 - 480);" RET0);
}

/* Two long lists in one line. */
PROG("socket", lists_cut_in_two_frames)
{
	ASM("r1 = r10;"
	    "call pass_both;"
	    "r1 = r10;"
	    "call lists_of_two_frames;" RET0);
}

/* Pairs and single slots, runs and halves mixed; 24 bytes make a run, 16 do not. */
SUB(mixed_lists)
{
	ASM("r2 = *(u64 *)(r1 - 8);"
	    "r2 = *(u64 *)(r1 - 16);"
	    "r2 = *(u32 *)(r1 - 20);"
	    "r2 = *(u64 *)(r1 - 32);"
	    "r2 = *(u64 *)(r1 - 40);"
	    "r2 = *(u64 *)(r1 - 48);"
	    "r2 = *(u32 *)(r1 - 56);"
	    "r2 = *(u64 *)(r1 - 64);"
	    "r2 = *(u32 *)(r1 - 72);"
	    "r2 = *(u32 *)(r1 - 76);"
	    "r2 = *(u64 *)(r1 - 80);"
	    "r2 = *(u64 *)(r1 - 488);"
	    "r2 = *(u64 *)(r1 - 496);"
	    "r2 = *(u64 *)(r1 - 504);"
	    "r2 = *(u64 *)(r1 - 512);"
	    "r2 = *(u64 *)(r1 - 456);"
	    "r2 = *(u64 *)(r1 - 464);" RET0);
}

/* Only the last two slots: no run at the end of the stack. */
SUB(last_two_slots)
{
	ASM("r2 = *(u64 *)(r1 - 504);"
	    "r2 = *(u64 *)(r1 - 512);" RET0);
}

/* Only the last three: a run that ends with the stack. */
SUB(last_three_slots)
{
	ASM("r2 = *(u64 *)(r1 - 496);"
	    "r2 = *(u64 *)(r1 - 504);"
	    "r2 = *(u64 *)(r1 - 512);" RET0);
}

PROG("socket", list_of_mixed_slots)
{
	ASM("r1 = r10;"
	    "call mixed_lists;"
	    "r1 = r10;"
	    "call last_two_slots;"
	    "r1 = r10;"
	    "call last_three_slots;" RET0);
}

/* A name of more than 319 characters. */
SUB(a_subprogram_whose_name_is_longer_than_the_buffer_and_longer_00_and_longer_01_and_longer_02_and_longer_03_and_longer_04_and_longer_05_and_longer_06_and_longer_07_and_longer_08_and_longer_09_and_longer_10_and_longer_11_and_longer_12_and_longer_13_and_longer_14_and_longer_15_and_longer_16_and_longer_17_and_longer_18_and_longer_19_end)
{
	ASM("r0 = *(u64 *)(r1 - 8);" RET0);
}

/* The long name is cut where a subprogram is named by number and name, and whole in the order. */
PROG("socket", long_subprogram_name)
{
	ASM("r1 = r10;"
	    "call a_subprogram_whose_name_is_longer_than_the_buffer_and_longer_00_and_longer_01_and_longer_02_and_longer_03_and_longer_04_and_longer_05_and_longer_06_and_longer_07_and_longer_08_and_longer_09_and_longer_10_and_longer_11_and_longer_12_and_longer_13_and_longer_14_and_longer_15_and_longer_16_and_longer_17_and_longer_18_and_longer_19_end;" RET0);
}

/* Calls itself. */
SUB(recursive)
{
	ASM("r1 = r10;"
	    "call recursive;" RET0);
}

/* Recursion is refused when subprograms are put in order. */
PROG("socket", direct_recursion)
{
	ASM("r1 = 0;"
	    "call recursive;" RET0);
}

static int ping(void);

SUB(pong)
{
	ASM("call ping;" RET0);
}

SUB(ping)
{
	ASM("r6 = r1;"
	    "call pong;" RET0);
}

/* Recursion by way of another. */
PROG("socket", mutual_recursion)
{
	ASM("call ping;" RET0);
}

/* Recursion in dead code only. */
SUB(recursive_if_zero)
{
	ASM("r2 = 1;"
	    "r0 = *(u64 *)(r1 - 8);"
	    "if r2 != 0 goto 1f;"
	    "r1 = r10;"
	    "call recursive_if_zero;"
	    "1: r0 = 0; exit;");
}

/* Dead code is not followed: no recursion. */
PROG("socket", recursion_in_dead_code)
{
	ASM("r1 = r10;"
	    "call recursive_if_zero;" RET0);
}

/* More than a thousand instructions: numbers of four digits widen the lines. */
PROG("socket", four_digit_numbers)
{
	ASM("r1 = r10;"
	    "r6 = 0;"
	    TIMES(993, "r6 += 1;")
	    "r2 = *(u64 *)(r1 - 8);"
	    "*(u64 *)(r1 - 16) = r2;"
	    "r2 = *(u64 *)(r1 - 24);"
	    "*(u64 *)(r1 - 16) = r1;"
	    "r2 = *(u64 *)(r10 - 16);"
	    "r3 = *(u64 *)(r2 - 8);"
	    "if r6 == 0 goto +1;"
	    "r1 += -8;"
	    "*(u64 *)(r1 - 24) = r2;" RET0);
}

LICENSE;
