/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Plain loads and stores through r10 and through one known offset.
 *
 * Pins down (liveness.c): record_stack_access_off: rounding of reads outwards and of writes inwards to
 * half-slots, both ends of the stack, fp+0 and beyond, below fp-512; record_load_store_access: the sign for
 * each class, the offset folded in, its overflow; fmt_spis_mask: half, single, pair and run.
 */
#include "corpus.h"

/* u64 at every alignment modulo 8: a write marks only half-slots wholly covered. */
PROG("socket", store_u64_all_alignments)
{
	ASM("r1 = 7;"
	    "*(u64 *)(r10 - 8) = r1;"
	    "*(u64 *)(r10 - 9) = r1;"
	    "*(u64 *)(r10 - 10) = r1;"
	    "*(u64 *)(r10 - 11) = r1;"
	    "*(u64 *)(r10 - 12) = r1;"
	    "*(u64 *)(r10 - 13) = r1;"
	    "*(u64 *)(r10 - 14) = r1;"
	    "*(u64 *)(r10 - 15) = r1;"
	    "*(u64 *)(r10 - 16) = r1;" RET0);
}

/* u32: one half-slot when aligned, none when not. */
PROG("socket", store_u32_all_alignments)
{
	ASM("r1 = 7;"
	    "*(u32 *)(r10 - 4) = r1;"
	    "*(u32 *)(r10 - 5) = r1;"
	    "*(u32 *)(r10 - 6) = r1;"
	    "*(u32 *)(r10 - 7) = r1;"
	    "*(u32 *)(r10 - 8) = r1;"
	    "*(u32 *)(r10 - 9) = r1;"
	    "*(u32 *)(r10 - 12) = r1;" RET0);
}

/* u16 and u8 never cover a half-slot: no def, whatever the alignment. */
PROG("socket", store_narrow_all_alignments)
{
	ASM("r1 = 7;"
	    "*(u16 *)(r10 - 2) = r1;"
	    "*(u16 *)(r10 - 3) = r1;"
	    "*(u16 *)(r10 - 4) = r1;"
	    "*(u16 *)(r10 - 5) = r1;"
	    "*(u8 *)(r10 - 1) = r1;"
	    "*(u8 *)(r10 - 2) = r1;"
	    "*(u8 *)(r10 - 3) = r1;"
	    "*(u8 *)(r10 - 4) = r1;"
	    "*(u8 *)(r10 - 5) = r1;" RET0);
}

/* Immediate stores (BPF_ST) mark exactly as register stores do. */
PROG("socket", store_immediate_sizes)
{
	ASM("*(u64 *)(r10 - 8) = 1;"
	    "*(u32 *)(r10 - 12) = 2;"
	    "*(u32 *)(r10 - 16) = -3;"
	    "*(u16 *)(r10 - 18) = 4;"
	    "*(u8 *)(r10 - 19) = 5;"
	    "*(u64 *)(r10 - 28) = 6;" RET0);
}

/* u64 reads mark every half-slot touched: two when aligned to 4, three when not. */
PROG("socket", load_u64_all_alignments)
{
	ASM("r1 = *(u64 *)(r10 - 8);"
	    "r1 = *(u64 *)(r10 - 9);"
	    "r1 = *(u64 *)(r10 - 10);"
	    "r1 = *(u64 *)(r10 - 11);"
	    "r1 = *(u64 *)(r10 - 12);"
	    "r1 = *(u64 *)(r10 - 13);"
	    "r1 = *(u64 *)(r10 - 15);"
	    "r1 = *(u64 *)(r10 - 16);" RET0);
}

/* u32 reads: one half-slot when aligned, two when not. */
PROG("socket", load_u32_all_alignments)
{
	ASM("r1 = *(u32 *)(r10 - 4);"
	    "r1 = *(u32 *)(r10 - 5);"
	    "r1 = *(u32 *)(r10 - 6);"
	    "r1 = *(u32 *)(r10 - 7);"
	    "r1 = *(u32 *)(r10 - 8);"
	    "r1 = *(u32 *)(r10 - 9);" RET0);
}

/* Narrow and sign-extending reads: which half-slot each byte belongs to. */
PROG("socket", load_narrow_all_alignments)
{
	ASM("r1 = *(u16 *)(r10 - 2);"
	    "r1 = *(u16 *)(r10 - 3);"
	    "r1 = *(u16 *)(r10 - 4);"
	    "r1 = *(u16 *)(r10 - 5);"
	    "r1 = *(u8 *)(r10 - 1);"
	    "r1 = *(u8 *)(r10 - 4);"
	    "r1 = *(u8 *)(r10 - 5);"
	    "r1 = *(u8 *)(r10 - 8);"
	    "r1 = *(u8 *)(r10 - 9);"
	    "r1 = *(s32 *)(r10 - 12);"
	    "r1 = *(s16 *)(r10 - 14);"
	    "r1 = *(s8 *)(r10 - 17);" RET0);
}

/* The last slots of the stack: fp-512 wholly in, what reaches below fp-512 cut off at half-slot 127. */
PROG("socket", bottom_of_stack)
{
	ASM("r1 = 0;"
	    "*(u64 *)(r10 - 512) = r1;"
	    "*(u32 *)(r10 - 512) = r1;"
	    "*(u32 *)(r10 - 508) = r1;"
	    "r2 = *(u64 *)(r10 - 512);"
	    "r2 = *(u32 *)(r10 - 512);"
	    "r2 = *(u8 *)(r10 - 512);" RET0);
}

/* Below fp-512: partly out, just out, far out. Rejected by the path walk, marked before it. */
PROG("socket", below_bottom_of_stack)
{
	ASM("r1 = 0;"
	    "*(u64 *)(r10 - 516) = r1;"
	    "*(u64 *)(r10 - 520) = r1;"
	    "*(u64 *)(r10 - 513) = r1;"
	    "*(u32 *)(r10 - 516) = r1;"
	    "r2 = *(u64 *)(r10 - 516);"
	    "r2 = *(u64 *)(r10 - 520);"
	    "r2 = *(u64 *)(r10 - 513);"
	    "r2 = *(u8 *)(r10 - 513);"
	    "r2 = *(u64 *)(r10 - 32768);" RET0);
}

/* fp+0 and above: no mark at all, for reads and writes. */
PROG("socket", above_top_of_stack)
{
	ASM("r1 = 0;"
	    "*(u64 *)(r10 + 0) = r1;"
	    "*(u64 *)(r10 + 8) = r1;"
	    "*(u8 *)(r10 + 32767) = 1;"
	    "r2 = *(u64 *)(r10 + 0);"
	    "r2 = *(u64 *)(r10 + 8);"
	    "r2 = *(u8 *)(r10 + 1);" RET0);
}

/* Accesses that begin below fp+0 and end above it: slot_lo must stop at 0. */
PROG("socket", across_top_of_stack)
{
	ASM("r1 = 0;"
	    "*(u64 *)(r10 - 4) = r1;"
	    "*(u64 *)(r10 - 1) = r1;"
	    "*(u32 *)(r10 - 2) = r1;"
	    "*(u64 *)(r10 - 7) = r1;"
	    "r2 = *(u64 *)(r10 - 4);"
	    "r2 = *(u64 *)(r10 - 1);"
	    "r2 = *(u32 *)(r10 - 2);"
	    "r2 = *(u64 *)(r10 - 7);" RET0);
}

/* The offset of the instruction is added to the pointer's: both signs, sum at the edges. */
PROG("socket", offset_folded_into_pointer)
{
	ASM("r2 = r10;"
	    "r2 += -64;"
	    "r1 = *(u64 *)(r2 + 0);"
	    "r1 = *(u64 *)(r2 - 8);"
	    "r1 = *(u64 *)(r2 + 56);"
	    "r1 = *(u64 *)(r2 + 60);"
	    "r1 = *(u64 *)(r2 + 64);"
	    "r1 = *(u32 *)(r2 - 448);"
	    "r1 = *(u32 *)(r2 - 452);"
	    "*(u64 *)(r2 + 8) = r1;"
	    "*(u32 *)(r2 + 20) = 9;" RET0);
}

/* The sum of pointer and instruction offset overflows 16 bits: a read uses the whole frame, a write nothing. */
PROG("socket", offset_overflow_in_access)
{
	ASM("r2 = r10;"
	    "r2 += -100;"
	    "r3 = r10;"
	    "r3 += 100;"
	    "r1 = *(u64 *)(r2 - 32768);"
	    "*(u64 *)(r2 - 32768) = 0;"
	    "*(u64 *)(r2 - 32768) = r1;"
	    "r1 = *(u64 *)(r3 + 32767);"
	    "*(u64 *)(r3 + 32767) = 0;"
	    "r1 = *(u8 *)(r3 - 32768);"
	    "r1 = *(u8 *)(r3 - 101);" RET0);
}

/* Reads and writes of one pointer are told apart by class; ST through a non-stack pointer marks nothing. */
PROG("tc", store_through_context)
{
	ASM("r2 = r10;"
	    "*(u64 *)(r10 - 8) = r1;"
	    "*(u64 *)(r10 - 16) = 3;"
	    "r3 = *(u32 *)(r1 + 8);"
	    "*(u32 *)(r1 + 8) = r3;"
	    "*(u32 *)(r1 + 8) = 5;"
	    "r4 = *(u64 *)(r10 - 16);"
	    "r4 = *(u64 *)(r2 - 8);"
	    "r5 = *(u32 *)(r4 + 0);" RET0);
}

LICENSE;
