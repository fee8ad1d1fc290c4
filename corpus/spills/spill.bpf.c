/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Spills and fills of frame pointers on the own frame.
 *
 * Pins down (liveness.c): spill_to_stack, fill_from_stack, clear_overlapping_stack_slots,
 * clear_stack_for_all_offs, fp_off_to_slot, can_be_local_fp; arg_track_log for slots;
 * print_subprog_arg_access for spilled pointers (LDX, STX and calls only). Parents' frames: frames/.
 */
#include "corpus.h"

/* Spill and fill through r10: the pointer comes back exactly, at the first and the last slot. */
PROG("socket", spill_fill_r10)
{
	ASM("r2 = r10;"
	    "r2 += -24;"
	    "*(u64 *)(r10 - 8) = r2;"
	    "*(u64 *)(r10 - 512) = r10;"
	    "r3 = *(u64 *)(r10 - 8);"
	    "r4 = *(u64 *)(r10 - 512);"
	    "r5 = *(u64 *)(r10 - 16);"
	    "*(u64 *)(r3 + 0) = 1;" RET0);
}

/* Fill through a pointer with one offset: the slot is joined with none, unlike through r10. */
PROG("socket", fill_through_one_offset)
{
	ASM("r2 = r10;"
	    "r2 += -24;"
	    "*(u64 *)(r10 - 8) = r2;"
	    "r3 = r10;"
	    "r3 += -16;"
	    "r4 = *(u64 *)(r3 + 8);"
	    "r5 = *(u64 *)(r3 + 0);"
	    "*(u64 *)(r4 + 0) = 1;"
	    "r6 = *(u64 *)(r4 + 0);" RET0);
}

/* Spill through a pointer with one offset: a strong update. */
PROG("socket", spill_through_one_offset)
{
	ASM("r2 = r10;"
	    "r3 = r10;"
	    "r3 += -16;"
	    "*(u64 *)(r3 + 8) = r2;"
	    "*(u64 *)(r3 + 0) = r3;"
	    "r2 = 1;"
	    "*(u64 *)(r3 + 8) = r2;"
	    "r4 = *(u64 *)(r10 - 8);"
	    "r4 = *(u64 *)(r10 - 16);" RET0);
}

/* Spill through two offsets: weak updates, old values stay in the join. */
PROG("socket", spill_through_two_offsets)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r3 = r10;"
	    "r3 += -8;"
	    "if r6 == 0 goto +1;"
	    "r3 += -8;"
	    "r4 = r10;"
	    "r4 += -64;"
	    "*(u64 *)(r10 - 8) = r4;"
	    "r4 += -8;"
	    "*(u64 *)(r3 + 0) = r4;"
	    "*(u64 *)(r3 + 0) = r6;"
	    "*(u32 *)(r3 + 0) = r6;"
	    "r5 = *(u64 *)(r10 - 8);"
	    "r7 = *(u64 *)(r10 - 16);" RET0);
}

/* Fill through two offsets: the join of both slots, and of several offsets with an empty one. */
PROG("socket", fill_through_two_offsets)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r3 = r10;"
	    "r3 += -8;"
	    "if r6 == 0 goto +1;"
	    "r3 += -8;"
	    "r4 = r10;"
	    "r4 += -64;"
	    "*(u64 *)(r10 - 8) = r4;"
	    "r4 += -8;"
	    "*(u64 *)(r10 - 16) = r4;"
	    "r5 = *(u64 *)(r3 + 0);"
	    "r7 = *(u64 *)(r3 - 8);"
	    "r8 = *(u64 *)(r3 - 64);"
	    "r0 = *(u8 *)(r5 + 0);" RET0);
}

/* Spill through an unknown offset: every slot is joined with the value. */
PROG("socket", spill_through_unknown_offset)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r3 = r10;"
	    "r3 += r6;"
	    "r4 = r10;"
	    "r4 += -64;"
	    "*(u64 *)(r10 - 8) = r4;"
	    "*(u64 *)(r3 - 8) = r6;"
	    "r5 = *(u64 *)(r10 - 8);"
	    "*(u64 *)(r3 - 8) = r4;"
	    "r7 = *(u64 *)(r10 - 504);" RET0);
}

/* Fill through an unknown offset: imprecise, with the frames from 0 to this one. */
PROG("socket", fill_through_unknown_offset)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r3 = r10;"
	    "r3 += r6;"
	    "*(u64 *)(r10 - 8) = r10;"
	    "r4 = *(u64 *)(r3 - 8);"
	    "*(u64 *)(r4 - 8) = 1;"
	    "r5 = *(u64 *)(r4 - 8);"
	    "r5 = *(u32 *)(r4 - 8);"
	    "r5 = *(s32 *)(r4 - 8);" RET0);
}

/* Stores through an imprecise pointer reach every slot of this frame. */
PROG("socket", spill_through_imprecise)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r3 = r10;"
	    "r3 += r6;"
	    "r4 = *(u64 *)(r3 - 8);"
	    "*(u64 *)(r10 - 16) = r10;"
	    "*(u64 *)(r4 - 8) = r10;"
	    "*(u64 *)(r4 - 8) = 0;"
	    "r5 = *(u64 *)(r10 - 16);" RET0);
}

/* Fills that miss the slots: unaligned, at fp+0, below fp-512, offset overflow: imprecise through any base. */
PROG("socket", fill_outside_slots)
{
	ASM("*(u64 *)(r10 - 8) = r10;"
	    "r2 = *(u64 *)(r10 - 12);"
	    "r3 = *(u64 *)(r10 + 0);"
	    "r4 = *(u64 *)(r10 - 520);"
	    "r5 = r10;"
	    "r5 += -8;"
	    "r6 = *(u64 *)(r5 - 4);"
	    "r7 = *(u64 *)(r5 + 8);"
	    "r8 = *(u64 *)(r5 - 32768);"
	    "r9 = *(u64 *)(r10 - 516);"
	    "r9 = *(u64 *)(r5 - 512);" RET0);
}

/* Spills that miss the slots change nothing, through any base; with unaligned offsets neither. */
PROG("socket", spill_outside_slots)
{
	ASM("r5 = r10;"
	    "r5 += -8;"
	    "*(u64 *)(r10 - 12) = r5;"
	    "*(u64 *)(r10 + 0) = r5;"
	    "*(u64 *)(r10 - 520) = r5;"
	    "*(u64 *)(r5 - 4) = r5;"
	    "*(u64 *)(r5 + 8) = r5;"
	    "*(u64 *)(r5 - 32768) = r5;"
	    "*(u64 *)(r5 - 512) = r5;"
	    "r6 = *(u64 *)(r10 - 8);" RET0);
}

/* Narrow register stores at the start of a slot clear it; elsewhere in the slot they do not. */
PROG("socket", narrow_stores_over_spill)
{
	ASM("r2 = 1;"
	    "*(u64 *)(r10 - 8) = r10;"
	    "*(u32 *)(r10 - 4) = r2;"
	    "*(u16 *)(r10 - 6) = r2;"
	    "*(u8 *)(r10 - 7) = r2;"
	    "r3 = *(u64 *)(r10 - 8);"
	    "*(u8 *)(r10 - 8) = r2;"
	    "r3 = *(u64 *)(r10 - 8);"
	    "*(u64 *)(r10 - 8) = r10;"
	    "*(u32 *)(r10 - 8) = r2;"
	    "*(u64 *)(r10 - 8) = r10;"
	    "*(u16 *)(r10 - 8) = r10;"
	    "r3 = *(u64 *)(r10 - 8);" RET0);
}

/* The lower half of a pointer is no pointer, whether it is stored through r10, one offset, or two. */
PROG("socket", spill_half)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r2 = r10;"
	    "r2 += -24;"
	    "*(u32 *)(r10 - 8) = r2;"
	    "r3 = *(u64 *)(r10 - 8);"
	    "r4 = r10;"
	    "r4 += -16;"
	    "*(u32 *)(r4 + 0) = r2;"
	    "r3 = *(u64 *)(r10 - 16);"
	    "*(u64 *)(r10 - 16) = r2;"
	    "*(u32 *)(r4 + 0) = r2;"
	    "r3 = *(u64 *)(r10 - 16);"
	    "if r6 == 0 goto +1;"
	    "r4 += -8;"
	    "*(u32 *)(r4 + 0) = r2;"
	    "r3 = *(u64 *)(r10 - 24);"
	    "*(u64 *)(r3 + 0) = 1;" RET0);
}

/* A 64-bit register store across two slots clears neither. */
PROG("socket", unaligned_store_over_spill)
{
	ASM("r2 = 1;"
	    "*(u64 *)(r10 - 8) = r10;"
	    "*(u64 *)(r10 - 16) = r10;"
	    "*(u64 *)(r10 - 12) = r2;"
	    "r3 = *(u64 *)(r10 - 8);"
	    "r3 = *(u64 *)(r10 - 16);" RET0);
}

/* Immediate stores clear every slot that they overlap, of any size and alignment. */
PROG("socket", immediate_stores_over_spill)
{
	ASM("*(u64 *)(r10 - 8) = r10;"
	    "*(u64 *)(r10 - 16) = r10;"
	    "*(u64 *)(r10 - 24) = r10;"
	    "*(u8 *)(r10 - 1) = 0;"
	    "*(u64 *)(r10 - 20) = 0;"
	    "*(u64 *)(r10 - 8) = r10;"
	    "*(u64 *)(r10 - 16) = r10;"
	    "*(u32 *)(r10 - 10) = 0;"
	    "*(u64 *)(r10 - 8) = r10;"
	    "*(u64 *)(r10 - 16) = r10;"
	    "*(u64 *)(r10 - 16) = 0;"
	    "*(u64 *)(r10 - 16) = r10;"
	    "*(u8 *)(r10 - 9) = 0;"
	    "*(u64 *)(r10 - 512) = r10;"
	    "*(u64 *)(r10 - 516) = 0;" RET0);
}

/* Immediate stores through one offset, several, unknown: strong, weak, every slot. */
PROG("socket", immediate_stores_through_pointer)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r3 = r10;"
	    "r3 += -8;"
	    "*(u64 *)(r10 - 8) = r3;"
	    "*(u64 *)(r10 - 16) = r3;"
	    "*(u64 *)(r10 - 24) = r3;"
	    "*(u32 *)(r3 + 4) = 0;"
	    "*(u64 *)(r10 - 8) = r3;"
	    "if r6 == 0 goto +1;"
	    "r3 += -8;"
	    "*(u64 *)(r3 + 0) = 0;"
	    "r4 = r10;"
	    "r4 += r6;"
	    "*(u8 *)(r4 + 0) = 0;"
	    "r5 = *(u64 *)(r10 - 24);" RET0);
}

/* An immediate store whose offset overflows clears every slot weakly; a register store nothing. */
PROG("socket", store_overflow_over_spill)
{
	ASM("r3 = r10;"
	    "r3 += -8;"
	    "*(u64 *)(r10 - 8) = r3;"
	    "*(u64 *)(r10 - 512) = r3;"
	    "*(u64 *)(r3 - 32768) = r3;"
	    "*(u64 *)(r3 - 32768) = 0;"
	    "r4 = *(u64 *)(r10 - 8);" RET0);
}

/* Narrow and sign-extending loads of a spilled pointer give no pointer. */
PROG("socket", narrow_fills)
{
	ASM("*(u64 *)(r10 - 8) = r10;"
	    "r2 = r10; r2 = *(u32 *)(r10 - 8);"
	    "r3 = r10; r3 = *(u16 *)(r10 - 8);"
	    "r4 = r10; r4 = *(u8 *)(r10 - 8);"
	    "r5 = r10; r5 = *(s32 *)(r10 - 8);"
	    "r6 = r10; r6 = *(u64 *)(r1 + 0);"
	    "r7 = *(u64 *)(r10 - 8);" RET0);
}

/* Slots survive helper calls; r0 to r5 do not; r6 to r9 do. */
PROG("socket", spill_across_helper)
{
	ASM("r6 = r10;"
	    "r7 = r10;"
	    "r7 += -8;"
	    "r1 = r10;"
	    "r2 = r10;"
	    "r3 = r10;"
	    "r4 = r10;"
	    "r5 = r10;"
	    "r0 = r10;"
	    "*(u64 *)(r10 - 8) = r6;"
	    CALL(ktime_get_ns)
	    "r2 = *(u64 *)(r10 - 8);"
	    "*(u64 *)(r7 + 0) = r0;"
	    "r2 = *(u64 *)(r10 - 8);" RET0);
}

LICENSE;
