/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Joins of tracked registers where paths meet.
 *
 * Pins down (liveness.c): __arg_track_join, every pair of lattice levels in both orders; arg_merge_offsets:
 * order, duplicates, the limit of four in each of its three loops; arg_join_imprecise; arg_track_join: what is
 * printed, and that a first visit is not; compute_subprog_args: repetition until nothing changes, in loops.
 * Joins of different frames need callees: frames/.
 */
#include "corpus.h"

/* Equal offsets on both paths: nothing printed, a write stays a def. */
PROG("socket", join_equal)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "if r6 == 0 goto +3;"
	    "r2 = r10;"
	    "r2 += -8;"
	    "goto +2;"
	    "r2 = r10;"
	    "r2 += -8;"
	    "*(u64 *)(r2 + 0) = 1;"
	    "r3 = *(u64 *)(r2 + 0);" RET0);
}

/* Two offsets: sorted ascending whatever the order of arrival; a write is no def, a read uses both. */
PROG("socket", join_two_offsets)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r2 = r10;"
	    "r2 += -8;"
	    "r3 = r10;"
	    "r3 += -32;"
	    "r4 = r2;"
	    "r5 = r3;"
	    "if r6 == 0 goto +2;"
	    "r4 = r3;"
	    "r5 = r2;"
	    "*(u64 *)(r4 + 0) = 1;"
	    "r7 = *(u64 *)(r4 + 0);"
	    "r7 = *(u32 *)(r5 + 4);" RET0);
}

/* Three and four offsets are kept; the fourth arrives between the others. */
PROG("socket", join_four_offsets)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r2 = r10;"
	    "r2 += -32;"
	    "if r6 == 0 goto +6;"
	    "r2 += -32;"
	    "if r6 == 1 goto +4;"
	    "r2 += 48;"
	    "if r6 == 2 goto +2;"
	    "r2 += -8;"
	    "goto +0;"
	    "r3 = *(u32 *)(r2 + 0);"
	    "*(u64 *)(r2 + 0) = r3;"
	    "r2 += 4;"
	    "r3 = *(u32 *)(r2 + 0);" RET0);
}

/* A fifth offset loses them all: the frame is kept, every slot is used. */
PROG("socket", join_five_offsets)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r2 = r10;"
	    "r2 += -8;"
	    "if r6 == 0 goto +7;"
	    "r2 += -8;"
	    "if r6 == 1 goto +5;"
	    "r2 += -8;"
	    "if r6 == 2 goto +3;"
	    "r2 += -8;"
	    "if r6 == 3 goto +1;"
	    "r2 += -8;"
	    "r3 = *(u32 *)(r2 + 0);"
	    "*(u64 *)(r2 + 0) = r3;" RET0);
}

/* Sets of two and of three with one in common give four; the duplicate is dropped. */
PROG("socket", join_sets_with_duplicate)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r2 = r10;"
	    "r2 += -16;"
	    "if r6 == 0 goto 1f;"
	    /* {-24, -16} */
	    "if r6 == 1 goto 3f;"
	    "r2 += -8;"
	    "goto 3f;"
	    /* {-48, -40, -16} */
	    "1: if r6 == 2 goto 2f;"
	    "r2 += -24;"
	    "if r6 == 3 goto 2f;"
	    "r2 += -8;"
	    "2: r3 = 0;"
	    "3: r3 = *(u32 *)(r2 + 0);" RET0);
}

/* Sets of four and four that overlap wholly: still four, no JOIN line. */
PROG("socket", join_same_sets)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r2 = r10;"
	    "r2 += -8;"
	    "if r6 == 0 goto +5;"
	    "r2 += -8;"
	    "if r6 == 1 goto +3;"
	    "r2 += -8;"
	    "if r6 == 2 goto +1;"
	    "r2 += -8;"
	    "r3 = *(u32 *)(r2 + 0);"
	    "if r3 == 0 goto +1;"
	    "r3 = 1;"
	    "r3 = *(u64 *)(r2 + 0);" RET0);
}

/* Two sets of three, disjoint and interleaved: the limit is met while both still have elements. */
PROG("socket", join_disjoint_sets_overflow)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r2 = r10;"
	    "if r6 == 0 goto 1f;"
	    /* {-40, -24, -8} */
	    "r2 += -8;"
	    "if r6 == 1 goto 3f;"
	    "r2 += -16;"
	    "if r6 == 2 goto 3f;"
	    "r2 += -16;"
	    "goto 3f;"
	    /* {-48, -32, -16} */
	    "1: r2 += -16;"
	    "if r6 == 3 goto 2f;"
	    "r2 += -16;"
	    "if r6 == 4 goto 2f;"
	    "r2 += -16;"
	    "2: r4 = r2;"
	    "3: r3 = *(u32 *)(r2 + 0);" RET0);
}

/* Five offsets where the limit is met when only one of the sets has elements left, each in its turn. */
PROG("socket", join_tail_overflow)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r2 = r10;"
	    "r3 = r10;"
	    "r3 += -64;"
	    "if r6 == 0 goto 1f;"
	    "r2 += -8;"
	    "r3 += -8;"
	    "if r6 == 1 goto 1f;"
	    "r2 += -8;"
	    "r3 += -8;"
	    "if r6 == 2 goto 1f;"
	    "r2 += -8;"
	    "r3 += -8;"
	    "1: r4 = r2;"
	    "r5 = r3;"
	    "r7 = r2;"
	    "if r6 == 4 goto 2f;"
	    "r4 = r10; r4 += -256;"
	    "r5 = r10; r5 += 8;"
	    "r7 = r10; r7 += -12;"
	    "2: r0 = *(u8 *)(r4 - 1);"
	    "r0 = *(u8 *)(r5 - 1);"
	    "r0 = *(u8 *)(r7 - 1);" RET0);
}

/* One offset joined with a value that is no pointer: fp+0 is added, so that a write is no def. */
PROG("socket", join_one_offset_with_none)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r2 = r10;"
	    "r2 += -8;"
	    "r3 = 0;"
	    "if r6 == 0 goto +2;"
	    "r2 = 0;"
	    "r3 = r10;"
	    "r3 += -16;"
	    "r4 = *(u32 *)(r2 + 0);"
	    "*(u64 *)(r2 + 0) = 1;"
	    "*(u64 *)(r3 + 0) = 1;"
	    "r2 += -8;"
	    "*(u64 *)(r2 + 0) = 1;"
	    "r4 = *(u32 *)(r2 + 0);" RET0);
}

/* fp+0 joined with none stays one offset: the one added is the same. */
PROG("socket", join_frame_pointer_with_none)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r2 = r10;"
	    "r3 = 0;"
	    "if r6 == 0 goto +2;"
	    "r2 = 0;"
	    "r3 = r10;"
	    "*(u64 *)(r2 - 8) = 1;"
	    "r4 = *(u64 *)(r3 - 16);" RET0);
}

/* Several offsets joined with none: unchanged, in both orders. */
PROG("socket", join_several_offsets_with_none)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r2 = r10;"
	    "r2 += -8;"
	    "if r6 == 1 goto +1;"
	    "r2 += -8;"
	    "r3 = 0;"
	    "if r6 == 2 goto +2;"
	    "r3 = r2;"
	    "r2 = 0;"
	    "r4 = *(u32 *)(r2 + 0);"
	    "r4 = *(u32 *)(r3 + 0);"
	    "*(u64 *)(r3 + 0) = 1;" RET0);
}

/* An unknown offset joined with a known one, several, none: unknown, in both orders. */
PROG("socket", join_unknown_offset)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r7 = r10;"
	    "r7 += r6;"
	    "r2 = r7;"
	    "r3 = r10;"
	    "r3 += -8;"
	    "r4 = r7;"
	    "r5 = 0;"
	    "r8 = r7;"
	    "if r6 == 1 goto +5;"
	    "r2 = r3;"
	    "r3 = r7;"
	    "r4 = 0;"
	    "r5 = r7;"
	    "r8 = r7;"
	    "r0 = *(u8 *)(r2 - 1);"
	    "r0 = *(u8 *)(r3 - 1);"
	    "r0 = *(u8 *)(r4 - 1);"
	    "r0 = *(u8 *)(r5 - 1);"
	    "*(u8 *)(r8 - 1) = 1;" RET0);
}

/* A wholly imprecise pointer joined with none, with a pointer, with itself: its mask, in both orders. */
PROG("socket", join_imprecise)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r7 = r10;"
	    "r7 += r6;"
	    "r7 = *(u64 *)(r7 - 8);"
	    "r2 = r7;"
	    "r3 = 0;"
	    "r4 = r7;"
	    "r5 = r10;"
	    "r8 = r7;"
	    "if r6 == 1 goto +5;"
	    "r2 = 0;"
	    "r3 = r7;"
	    "r4 = r10;"
	    "r5 = r7;"
	    "r8 = r7;"
	    "r0 = *(u8 *)(r2 - 1);"
	    "*(u64 *)(r3 - 8) = 1;"
	    "r0 = *(u8 *)(r4 - 1);"
	    "r0 = *(u8 *)(r5 - 1);"
	    "r8 += 8;"
	    "r8 &= 1;"
	    "r8 += r6;"
	    "r6 += r8;"
	    "r0 = *(u8 *)(r6 - 1);" RET0);
}

/* A loop that moves a pointer: 1, 2, 3, 4 offsets, then unknown, one pass each. */
PROG("socket", join_in_loop_until_unknown)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r2 = r10;"
	    "r6 &= 7;"
	    "*(u64 *)(r2 - 8) = 1;"
	    "r2 += -8;"
	    "r6 -= 1;"
	    "if r6 > 3 goto -4;"
	    "r3 = *(u64 *)(r2 + 0);" RET0);
}

/* A loop that toggles between two pointers settles at two offsets; in the loop a write is no def. */
PROG("socket", join_in_loop_settles)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r2 = r10;"
	    "r2 += -8;"
	    "r3 = r10;"
	    "r3 += -16;"
	    "r6 = 3;"
	    "*(u64 *)(r2 + 0) = 0;"
	    "r4 = r2;"
	    "r2 = r3;"
	    "r3 = r4;"
	    "r6 -= 1;"
	    "if r6 != 0 goto -6;"
	    "r0 = *(u64 *)(r2 + 0);" RET0);
}

/* Stack slots are joined as registers are: their JOIN lines carry fp offsets. */
PROG("socket", join_of_slots)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r2 = r10;"
	    "r2 += -64;"
	    "*(u64 *)(r10 - 8) = r2;"
	    "*(u64 *)(r10 - 512) = r2;"
	    "if r6 == 0 goto +4;"
	    "*(u64 *)(r10 - 8) = r10;"
	    "*(u64 *)(r10 - 16) = r2;"
	    "*(u64 *)(r10 - 512) = r6;"
	    "goto +1;"
	    "*(u64 *)(r10 - 24) = r10;"
	    "r3 = *(u64 *)(r10 - 8);"
	    "r4 = *(u64 *)(r10 - 16);"
	    "r5 = *(u64 *)(r10 - 24);"
	    "r7 = *(u64 *)(r10 - 512);"
	    "r0 = *(u8 *)(r3 - 1);" RET0);
}

/* A conditional jump to the next instruction joins a state with itself: no line. */
PROG("socket", join_with_itself)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r2 = r10;"
	    "if r6 == 0 goto +0;"
	    "r3 = *(u64 *)(r2 - 8);" RET0);
}

LICENSE;
