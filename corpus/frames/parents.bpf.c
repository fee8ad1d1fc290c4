/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pointers of several frames in one subprogram.
 *
 * Pins down (liveness.c): fills from a parent's and a grandparent's frame (callsite_at_stack of the right call
 * site), the masks of failed fills; joins and arithmetic of pointers of different frames; loads and stores
 * through imprecise masks with and without the own frame; record_imprecise; stores to a parent's frame that
 * leave the own slots alone; MAX_CALL_FRAMES.
 */
#include "corpus.h"

/* Fills through one offset of the parent's frame. */
SUB(fill_parent)
{
	ASM("r2 = *(u64 *)(r1 + 0);"
	    "r3 = *(u64 *)(r1 - 8);"
	    "r4 = *(u64 *)(r1 - 16);"
	    "r5 = *(u32 *)(r1 + 0);"
	    "*(u64 *)(r2 + 0) = 1;"
	    "r0 = *(u64 *)(r3 + 0);" RET0);
}

/* The parent's spills are visible in its callee, joined with none; narrow loads give none. */
PROG("socket", fill_from_parent)
{
	ASM("r6 = r10; r6 += -64;"
	    "*(u64 *)(r10 - 8) = r6;"
	    "*(u64 *)(r10 - 16) = r10;"
	    "r1 = r10; r1 += -8;"
	    "call fill_parent;" RET0);
}

/* Two call sites with other spills at each: each sees the slots of its own call site. */
PROG("socket", fill_from_parent_two_sites)
{
	ASM("r6 = r10; r6 += -64;"
	    "*(u64 *)(r10 - 8) = r6;"
	    "r1 = r10; r1 += -8;"
	    "call fill_parent;"
	    "*(u64 *)(r10 - 8) = 0;"
	    "r6 += -8;"
	    "*(u64 *)(r10 - 16) = r6;"
	    "r1 = r10; r1 += -8;"
	    "call fill_parent;" RET0);
}

/* Fills that miss the parent's slots: a mask of the frames up to the parent's. */
SUB(fill_parent_badly)
{
	ASM("r2 = *(u64 *)(r1 - 4);"
	    "r3 = *(u64 *)(r1 + 8);"
	    "r4 = *(u64 *)(r1 - 32768);"
	    "r5 = *(u64 *)(r1 - 512);"
	    "r1 += r0;"
	    "r6 = *(u64 *)(r1 + 0);"
	    "r7 = *(u64 *)(r2 + 0);"
	    "r7 = *(u32 *)(r2 + 0);"
	    "r7 = *(s16 *)(r2 + 0);"
	    "*(u64 *)(r2 + 0) = r7;"
	    "*(u64 *)(r10 - 8) = r10;"
	    "*(u64 *)(r2 + 0) = 0;" RET0);
}

/* Unaligned, at fp+0, overflowing, below the stack, unknown. */
PROG("socket", fill_from_parent_fails)
{
	ASM("*(u64 *)(r10 - 8) = r10;"
	    "r1 = r10; r1 += -8;"
	    "call fill_parent_badly;" RET0);
}

/* Depth 2: fills from frame 0 and frame 1, good and bad, with the spills of either. */
SUB(fill_grandparent)
{
	ASM("r6 = *(u64 *)(r1 - 8);"
	    "r7 = *(u64 *)(r2 - 8);"
	    "r8 = *(u64 *)(r1 - 4);"
	    "r9 = *(u64 *)(r2 - 4);"
	    "*(u64 *)(r10 - 8) = r10;"
	    "r3 = *(u64 *)(r10 - 8);"
	    "r4 = *(u64 *)(r10 - 4);"
	    "*(u64 *)(r6 + 0) = 1;"
	    "*(u64 *)(r7 + 0) = 1;" RET0);
}

SUB(between)
{
	ASM("r6 = r10; r6 += -128;"
	    "*(u64 *)(r10 - 8) = r6;"
	    "r2 = r10;"
	    "call fill_grandparent;" RET0);
}

/* Which call site's slots: frame 0 as it was at the call of between, frame 1 at the call of the leaf. */
PROG("socket", fill_from_grandparent)
{
	ASM("r6 = r10; r6 += -256;"
	    "*(u64 *)(r10 - 8) = r6;"
	    "r1 = r10;"
	    "call between;"
	    "*(u64 *)(r10 - 8) = r10;" RET0);
}

/* Spills what it is given, and lets a callee fill it. */
SUB(fill_given)
{
	ASM("r2 = *(u64 *)(r1 - 8);"
	    "*(u64 *)(r2 + 0) = 1;"
	    "r0 = *(u64 *)(r2 - 8);" RET0);
}

SUB(spill_given)
{
	ASM("*(u64 *)(r10 - 8) = r1;"
	    "r1 = r10;"
	    "call fill_given;" RET0);
}

/* The slots at a call site are those of the analysis at work, not those of an earlier one. */
PROG("socket", fill_from_parent_analysed_again)
{
	ASM("r1 = r10; r1 += -32;"
	    "call spill_given;"
	    "r1 = r10; r1 += -64;"
	    "call spill_given;"
	    "r1 = 0; r2 = r10;"
	    "call spill_given;" RET0);
}

/* Fills through two offsets of the parent's frame, and a spilled pointer to the parent's parent. */
SUB(fill_two_offsets)
{
	ASM("r2 = *(u64 *)(r1 + 0);"
	    "r3 = *(u64 *)(r1 - 16);"
	    "r0 = *(u8 *)(r2 - 1);"
	    "r0 = *(u8 *)(r3 - 1);" RET0);
}

SUB(give_two_offsets)
{
	ASM("r6 = r1;"
	    "r7 = *(u32 *)(r1 - 64);"
	    "*(u64 *)(r10 - 8) = r1;"
	    "r2 = r10; r2 += -64;"
	    "*(u64 *)(r10 - 16) = r2;"
	    "r2 += -8;"
	    "*(u64 *)(r10 - 24) = r2;"
	    "r1 = r10; r1 += -8;"
	    "if r7 == 0 goto +1;"
	    "r1 += -8;"
	    "call fill_two_offsets;" RET0);
}

/* A join of spilled pointers to two frames, made by the fill itself. */
PROG("socket", fill_joins_frames)
{
	ASM("r1 = r10;"
	    "call give_two_offsets;" RET0);
}

/* Joins own frame and parent's frame, in both orders and with each kind of partner. */
SUB(join_frames)
{
	ASM("r6 = *(u32 *)(r1 - 64);"
	    "r2 = r1;"
	    "r3 = r10;"
	    "r4 = r1;"
	    "r5 = r10;"
	    "if r6 == 0 goto +4;"
	    "r2 = r10;"
	    "r3 = r1;"
	    "r4 = 0;"
	    "r5 = r1;"
	    "r0 = *(u8 *)(r2 - 1);"
	    "r0 = *(u64 *)(r3 - 8);"
	    "r0 = *(u64 *)(r4 - 8);"
	    "*(u64 *)(r5 - 8) = r1;"
	    "*(u64 *)(r5 - 8) = 0;"
	    "r7 = *(u64 *)(r10 - 16);"
	    "*(u64 *)(r10 - 24) = r5;"
	    "r8 = *(u64 *)(r10 - 24);"
	    "if r6 == 1 goto +1;"
	    "r8 = 0;"
	    "r0 = *(u8 *)(r8 - 1);"
	    "if r6 == 2 goto +1;"
	    "r8 = r10;"
	    "r0 = *(u8 *)(r8 - 1);" RET0);
}

/* Different frames give a mask; loads and stores through it reach both. */
PROG("socket", join_of_frames)
{
	ASM("r1 = r10;"
	    "call join_frames;" RET0);
}

/* Arithmetic with pointers of two frames. */
SUB(alu_frames)
{
	ASM("r2 = r10; r2 += r1;"
	    "r3 = r1; r3 += r10;"
	    "r4 = r1; r4 -= r10;"
	    "r5 = r2; r5 += r1;"
	    "r6 = 0; r6 += r2;"
	    "r7 = r1; r7 &= r2;"
	    "r8 = r2; r8 += r2;"
	    "r9 = r1; r9 += r1;"
	    "r2 += 8;"
	    "r2 |= 7;"
	    "r0 = *(u8 *)(r2 - 1);"
	    "w2 += 1;" RET0);
}

/* Sums of pointers of different frames: a mask; of the same frame: an unknown offset. */
PROG("socket", alu_of_frames)
{
	ASM("r1 = r10;"
	    "call alu_frames;" RET0);
}

/* Depth 2 with a mask of frames 0 and 1: loads pass it on, stores are not the own frame's. */
SUB(parents_only_mask)
{
	ASM("r3 = r1;"
	    "r3 += r2;"
	    "*(u64 *)(r10 - 8) = r10;"
	    "r4 = *(u64 *)(r3 - 8);"
	    "r5 = *(u32 *)(r3 - 8);"
	    "*(u64 *)(r3 - 8) = r3;"
	    "*(u64 *)(r3 - 8) = 0;"
	    "r6 = *(u64 *)(r10 - 8);"
	    "r6 += r3;"
	    "r7 = *(u64 *)(r6 - 8);"
	    "*(u64 *)(r6 - 8) = r10;"
	    "r8 = *(u64 *)(r10 - 16);" RET0);
}

SUB(make_mask)
{
	ASM("r2 = r10;"
	    "call parents_only_mask;" RET0);
}

/* The mask of both parents, then with the own frame added. */
PROG("socket", mask_of_parents)
{
	ASM("r1 = r10;"
	    "call make_mask;" RET0);
}

/* Stores through the parent's pointer change no own slot; atomics neither. */
SUB(store_to_parent)
{
	ASM("*(u64 *)(r10 - 8) = r10;"
	    "*(u64 *)(r1 - 8) = r1;"
	    "*(u64 *)(r1 - 8) = 0;"
	    "*(u32 *)(r1 - 16) = r1;"
	    INSN(ATOMIC_DW, 1, 2, -8, A_ADD | A_FETCH)
	    INSN(ATOMIC_DW, 1, 2, -8, A_STORE_REL)
	    INSN(ATOMIC_DW, 3, 1, -8, A_LOAD_ACQ)
	    INSN(ATOMIC_DW, 1, 1, -24, A_XCHG)
	    "r4 = *(u64 *)(r10 - 8);" RET0);
}

/* Accesses of each class to frame 0 from depth 1. */
PROG("socket", stores_to_parent)
{
	ASM("*(u64 *)(r10 - 8) = r10;"
	    "r1 = r10;"
	    "r2 = r10;"
	    "call store_to_parent;"
	    "r1 = *(u64 *)(r10 - 8);" RET0);
}

/*
 * A chain of subprograms. Each reads through the pointer of the first frame, through that of its caller, and
 * passes both on; r3 collects a mask of all frames.
 */
#define LINK(name, next)                      \
	SUB(name)                             \
	{                                     \
		ASM("*(u64 *)(r10 - 8) = r2;" \
		    "r0 = *(u64 *)(r1 - 8);"  \
		    "r0 = *(u64 *)(r2 - 16);" \
		    "r2 = r10;"               \
		    "r3 += r10;"              \
		    "call " #next ";" RET0);  \
	}

SUB(link15)
{
	ASM("r0 = *(u64 *)(r1 - 8);"
	    "r0 = *(u64 *)(r2 - 8);"
	    "r4 = *(u64 *)(r0 - 8);"
	    "r3 += r10;"
	    "r0 = *(u8 *)(r3 - 1);"
	    "r5 = *(u64 *)(r10 - 4);"
	    "*(u64 *)(r10 - 512) = 1;" RET0);
}
LINK(link14, link15)
LINK(link13, link14)
LINK(link12, link13)
LINK(link11, link12)
LINK(link10, link11)
LINK(link9, link10)
LINK(link8, link9)
LINK(link7, link8)
LINK(link6, link7)
LINK(link5, link6)
LINK(link4, link5)
LINK(link3, link4)
LINK(link2, link3)
LINK(link1, link2)

/* Sixteen frames: the limit. */
PROG("socket", chain_of_sixteen_frames)
{
	ASM("r1 = r10; r2 = r10; r3 = r10;"
	    "call link1;" RET0);
}

LINK(link0, link1)

/* Seventeen frames: liveness fails without a word. */
PROG("socket", chain_of_seventeen_frames)
{
	ASM("r1 = r10; r2 = r10; r3 = r10;"
	    "call link0;" RET0);
}

/* The same depth without pointers is no matter for liveness: each is analysed on its own. */
#define BARE(name, next)             \
	SUB(name)                    \
	{                            \
		ASM("r1 = 0;"        \
		    "call " #next ";" RET0); \
	}
SUB(bare16)
{
	ASM("*(u64 *)(r10 - 8) = 1;" RET0);
}
BARE(bare15, bare16)
BARE(bare14, bare15)
BARE(bare13, bare14)
BARE(bare12, bare13)
BARE(bare11, bare12)
BARE(bare10, bare11)
BARE(bare9, bare10)
BARE(bare8, bare9)
BARE(bare7, bare8)
BARE(bare6, bare7)
BARE(bare5, bare6)
BARE(bare4, bare5)
BARE(bare3, bare4)
BARE(bare2, bare3)
BARE(bare1, bare2)

PROG("socket", seventeen_frames_without_pointers)
{
	ASM("call bare1;" RET0);
}

LICENSE;
