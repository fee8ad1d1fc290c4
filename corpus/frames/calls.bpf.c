/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Subprograms that get pointers to their callers' frames.
 *
 * Pins down (liveness.c): analyze_subprog: arguments r1 to r5 of each call site, has_fp_args, one instance for
 * each (callsite, depth), re-analysis, pull-back of live_before to the call site; merge_instances, each of its
 * three cases; bpf_compute_subprog_arg_access: order, what is analysed on its own, global subprograms again;
 * update_instance: loops, must_write; print_instances: order by callsite, then depth; several frames in a line.
 */
#include "corpus.h"

/* Reads through r1, r3 and r5, writes through r2 and r4. */
SUB(five_args)
{
	ASM("r0 = *(u64 *)(r1 + 0);"
	    "*(u64 *)(r2 + 0) = 1;"
	    "r0 = *(u32 *)(r3 + 0);"
	    "*(u32 *)(r4 + 4) = 1;"
	    "r0 = *(u8 *)(r5 + 0);" RET0);
}

/* All five argument registers reach the callee, each with its own offset; the call site uses what it reads. */
PROG("socket", pass_five_args)
{
	ASM("r1 = r10; r1 += -8;"
	    "r2 = r10; r2 += -16;"
	    "r3 = r10; r3 += -24;"
	    "r4 = r10; r4 += -32;"
	    "r5 = r10; r5 += -40;"
	    "call five_args;" RET0);
}

/* Pointers in the callee's r0 and r6 to r9 are its own, not the caller's. */
SUB(other_registers)
{
	ASM("r2 = *(u64 *)(r1 + 0);"
	    "r6 += 8;"
	    "r3 = r6;" RET0);
}

/* Pointers in r0 and r6 to r9 do not reach the callee; r6 to r9 survive the call, r0 to r5 do not. */
PROG("socket", pass_no_other_registers)
{
	ASM("r0 = r10; r6 = r10; r7 = r10; r8 = r10; r9 = r10;"
	    "r1 = r10; r1 += -8;"
	    "r2 = r10; r3 = r10; r4 = r10; r5 = r10;"
	    "call other_registers;"
	    "r1 = *(u64 *)(r6 - 16);"
	    "r9 = *(u64 *)(r9 - 24);" RET0);
}

/* Touches its own frame only. */
SUB(own_frame)
{
	ASM("*(u64 *)(r10 - 8) = r1;"
	    "r0 = *(u64 *)(r10 - 8);"
	    "exit;");
}

/* A callee without frame pointers is analysed on its own, at depth 0, and not from its caller. */
PROG("socket", callee_without_pointer)
{
	ASM("r6 = r1;"
	    "*(u64 *)(r10 - 8) = 1;"
	    "call own_frame;" RET0);
}

/* Called with and without a pointer: analysed from the call with one, and then not again on its own. */
PROG("socket", callee_with_and_without_pointer)
{
	ASM("r6 = r10;"
	    "call own_frame;"
	    "r1 = r6;"
	    "call own_frame;"
	    "r1 = 0;"
	    "call own_frame;" RET0);
}

/* Writes, then reads: not live at entry. Reads another slot, then writes it: live. */
SUB(write_then_read)
{
	ASM("*(u64 *)(r1 - 8) = 1;"
	    "r0 = *(u64 *)(r1 - 8);"
	    "r0 = *(u64 *)(r1 - 16);"
	    "*(u64 *)(r1 - 16) = 1;"
	    "*(u32 *)(r1 - 24) = 1;"
	    "r0 = *(u64 *)(r1 - 24);" RET0);
}

/* A write kills liveness towards the call site, half-slot by half-slot. */
PROG("socket", write_kills_liveness)
{
	ASM("r1 = r10;"
	    "call write_then_read;" RET0);
}

/* Writes on one path only. */
SUB(write_on_one_path)
{
	ASM("r2 = *(u32 *)(r1 - 4);"
	    "if r2 == 0 goto +2;"
	    "*(u64 *)(r1 - 16) = 1;"
	    "*(u64 *)(r1 - 24) = 1;"
	    "if r2 != 0 goto +1;"
	    "*(u64 *)(r1 - 24) = 1;"
	    "r0 = *(u64 *)(r1 - 16);"
	    "r0 = *(u64 *)(r1 - 24);" RET0);
}

/* What is written on one path only stays live, and is no must-write after the paths meet. */
PROG("socket", write_on_one_path_stays_live)
{
	ASM("r1 = r10;"
	    "call write_on_one_path;" RET0);
}

/* A loop whose read is reached from its end: the fixed point needs a second pass. */
SUB(read_late_in_loop)
{
	ASM("r2 = 4;"
	    "goto +2;"
	    "r3 = *(u64 *)(r1 - 8);"
	    "*(u64 *)(r1 - 16) = 1;"
	    "r2 -= 1;"
	    "r4 = *(u32 *)(r1 - 32);"
	    "if r2 != 0 goto -5;"
	    "r3 = *(u64 *)(r1 - 16);" RET0);
}

/* Liveness goes round a loop and out to the call site. */
PROG("socket", liveness_through_loop)
{
	ASM("r1 = r10;"
	    "call read_late_in_loop;" RET0);
}

/*
 * A loop with two entries. The read is visited before the place from where it is reached without a write: live
 * at entry only after a second pass.
 */
SUB(read_by_way_of_second_entry)
{
	ASM("if r2 == 0 goto 1f;"
	    "r3 = 0;"
	    "goto 3f;"
	    "1: *(u64 *)(r1 - 8) = 1;"
	    "2: r3 = *(u64 *)(r1 - 8);"
	    "if r3 == 0 goto 4f;"
	    "3: r2 = 0;"
	    "goto 2b;"
	    "4: r0 = 0; exit;");
}

/* Liveness of a slot that needs a second pass to reach the call site. */
PROG("socket", liveness_needs_second_pass)
{
	ASM("r1 = r10;"
	    "r2 = 0;"
	    "call read_by_way_of_second_entry;" RET0);
}

/* Reads through r1, writes through r2. */
SUB(read_write)
{
	ASM("r0 = *(u64 *)(r1 + 0);"
	    "*(u64 *)(r2 + 0) = 1;"
	    "r0 = *(u64 *)(r10 - 8);"
	    "*(u64 *)(r10 - 8) = 1;" RET0);
}

/* One callee from two call sites: two instances, printed in the order of their call sites. */
PROG("socket", two_call_sites)
{
	ASM("r1 = r10; r1 += -8;"
	    "r2 = r10; r2 += -16;"
	    "call read_write;"
	    "r1 = r10; r1 += -24;"
	    "r2 = r10; r2 += -32;"
	    "call read_write;" RET0);
}

/* Passes its arguments on. */
SUB(pass_on)
{
	ASM("call read_write;" RET0);
}

/* One call site reached by two chains: reads are united, writes intersected to nothing. */
PROG("socket", merge_different_offsets)
{
	ASM("r1 = r10; r1 += -8;"
	    "r2 = r10; r2 += -16;"
	    "call pass_on;"
	    "r1 = r10; r1 += -24;"
	    "r2 = r10; r2 += -32;"
	    "call pass_on;" RET0);
}

/* The same write on both chains stays a must-write; live_before of the merged instance goes to both callers. */
PROG("socket", merge_same_offsets)
{
	ASM("r1 = r10; r1 += -8;"
	    "r2 = r10; r2 += -16;"
	    "call pass_on;"
	    "r1 = r10; r1 += -24;"
	    "r2 = r10; r2 += -16;"
	    "call pass_on;"
	    "r1 = r10; r1 += -40;"
	    "r2 = r10; r2 += -16;"
	    "call pass_on;" RET0);
}

/* Passes a pointer to its own frame, or what it was given. */
SUB(pass_own_or_given)
{
	ASM("r6 = r1;"
	    "r1 = r6;"
	    "r2 = r10; r2 += -16;"
	    "call read_write;" RET0);
}

/* Two chains where the second does not touch frame 0: its writes there are no must-writes any more. */
PROG("socket", merge_frame_missing_in_second)
{
	ASM("r1 = r10; r1 += -8;"
	    "r2 = r10; r2 += -16;"
	    "call pass_on;"
	    "r1 = 0;"
	    "r2 = r10; r2 += -520;"
	    "r2 += 512;"
	    "call pass_on;"
	    "r1 = r10; r1 += -8;"
	    "call pass_own_or_given;" RET0);
}

/* Gives to read_write, at one call site, pointers to frame 0 or frame 1. */
SUB(choose_frame)
{
	ASM("if r3 != 0 goto +4;"
	    "r1 = r10; r1 += -8;"
	    "r2 = r10; r2 += -16;"
	    "call read_write;" RET0);
}

/* A third level, so that read_write is at depth 2 with pointers of frame 0 alone or of frame 1 alone. */
SUB(call_with_own)
{
	ASM("r6 = *(u64 *)(r10 - 24);"
	    "r3 = r1;"
	    "r1 = r10; r1 += -8;"
	    "r2 = r3;"
	    "call read_write;" RET0);
}

/* Merges where a frame is touched in only one pass, first or second. */
PROG("socket", merge_frame_in_one_pass_only)
{
	ASM("r1 = r10; r1 += -16;"
	    "call call_with_own;"
	    "r1 = r10; r1 += 8;"
	    "call call_with_own;"
	    "r1 = r10; r2 = 0; r3 = 0;"
	    "call choose_frame;" RET0);
}

/* Touches frame 0 only when given a pointer to it, and frame 1 only then. */
SUB(touch_one)
{
	ASM("*(u64 *)(r1 - 8) = 1;"
	    "r0 = *(u64 *)(r1 - 16);" RET0);
}

/* Calls touch_one at one site with r1 as it comes. */
SUB(call_touch_one)
{
	ASM("call touch_one;" RET0);
}

/* Passes r10 of depth 1. */
SUB(call_touch_one_with_own)
{
	ASM("r1 = r10;"
	    "call call_touch_one;" RET0);
}

/* Passes on what it was given, so that both chains have the same depth. */
SUB(call_touch_one_with_given)
{
	ASM("call call_touch_one;" RET0);
}

/* touch_one at depth 3 by two chains: frame 0 only in the first pass, frame 1 only in the second. */
PROG("socket", merge_disjoint_frames)
{
	ASM("r1 = r10;"
	    "call call_touch_one_with_given;"
	    "r1 = r10;"
	    "call call_touch_one_with_own;" RET0);
}

/* Stores through its own frame or what it was given: a mask of frames, or two offsets of its own. */
SUB(store_own_or_given)
{
	ASM("r2 = r10; r2 += -8;"
	    "if r3 == 0 goto +1;"
	    "r2 = r1;"
	    "*(u64 *)(r2 + 0) = 1;"
	    "r0 = *(u64 *)(r4 - 64);" RET0);
}

SUB(call_store_own_or_given)
{
	ASM("call store_own_or_given;" RET0);
}

/* Two chains that differ in what they do to the callee's own frame: that frame is merged as well. */
PROG("socket", merge_own_frame)
{
	ASM("r1 = r10; r1 += -8; r3 = 0; r4 = r10;"
	    "call call_store_own_or_given;"
	    "r1 = 0; r3 = 0; r4 = r10;"
	    "call call_store_own_or_given;" RET0);
}

/* The same two chains the other way round. */
PROG("socket", merge_own_frame_reversed)
{
	ASM("r1 = 0; r3 = 0; r4 = r10;"
	    "call call_store_own_or_given;"
	    "r1 = r10; r1 += -8; r3 = 0; r4 = r10;"
	    "call call_store_own_or_given;" RET0);
}

/* The same call site at depths 1, 2 and 3: three instances, printed in the order of their depths. */
SUB(one_deeper)
{
	ASM("r2 = r10;"
	    "call read_write;" RET0);
}

SUB(two_deeper)
{
	ASM("call one_deeper;" RET0);
}

SUB(three_deeper)
{
	ASM("call two_deeper;" RET0);
}

PROG("socket", same_call_site_at_three_depths)
{
	ASM("r1 = r10; r1 += -8;"
	    "call three_deeper;"
	    "r1 = r10; r1 += -16;"
	    "call one_deeper;"
	    "r1 = r10; r1 += -24;"
	    "call two_deeper;" RET0);
}

/* A branch that is reached with one argument and pruned with none: marks differ by pass. */
SUB(read_or_write)
{
	ASM("if r2 == 0 goto +2;"
	    "r0 = *(u64 *)(r1 - 8);"
	    "exit;"
	    "*(u64 *)(r1 - 8) = 1;"
	    "r0 = *(u64 *)(r1 - 8);"
	    "exit;");
}

SUB(call_read_or_write)
{
	ASM("call read_or_write;"
	    "exit;");
}

/* The result of a re-analysis must not keep stale marks: offsets move between the passes. */
PROG("socket", reanalysis_moves_offsets)
{
	ASM("r1 = r10; r2 = 0;"
	    "call call_read_or_write;"
	    "r1 = r10; r1 += -32; r2 = 1;"
	    "call call_read_or_write;"
	    "r1 = 0; r2 = r10;"
	    "call call_read_or_write;" RET0);
}

/* A global subprogram is analysed from its caller with the pointer, and again on its own without. */
GLOBAL(global_reader)
{
	ASM("r0 = *(u64 *)(r1 - 8);"
	    "*(u64 *)(r10 - 8) = 1;" RET0);
}

/* Global, called without pointers by a static one. */
GLOBAL(global_plain)
{
	ASM("r0 = *(u64 *)(r10 - 16);" RET0);
}

SUB(call_global)
{
	ASM("r6 = r1;"
	    "call global_reader;"
	    "r1 = 0;"
	    "call global_plain;" RET0);
}

/* Global subprograms, directly and through a static one. */
PROG("socket", global_subprograms)
{
	ASM("r6 = r10;"
	    "r1 = r6;"
	    "call global_reader;"
	    "r1 = r6;"
	    "call call_global;"
	    "call global_plain;" RET0);
}

/* An unknown offset and a wholly imprecise pointer are arguments as good as any. */
PROG("socket", pass_imprecise)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r1 = r10; r1 += r6;"
	    "r7 = *(u64 *)(r1 - 8);"
	    "r2 = r10; r2 += -8;"
	    "call read_write;"
	    "r1 = r7;"
	    "r2 = r7;"
	    "call read_write;"
	    "r1 = 0;"
	    "r2 = 0;"
	    "r3 = r7;"
	    "call read_write;" RET0);
}

/* A call site on a branch that is never taken is neither analysed nor in the order of its caller. */
PROG("socket", call_in_dead_code)
{
	ASM("r1 = r10;"
	    "r2 = 0;"
	    "if r2 != 0 goto +2;"
	    "r0 = *(u64 *)(r1 - 8);"
	    "goto +1;"
	    "call own_frame;" RET0);
}

/* Fills of its own spilled pointers are not disturbed by a callee that gets a pointer to the slot. */
SUB(overwrite_slot)
{
	ASM("*(u64 *)(r1 + 0) = 0;"
	    "*(u64 *)(r1 + 0) = r1;"
	    "*(u64 *)(r1 + 0) = r10;"
	    "r2 = *(u64 *)(r1 + 0);" RET0);
}

/* A callee's stores to the caller's slots are not tracked: the fill after the call gives the old pointer. */
PROG("socket", callee_overwrites_spill)
{
	ASM("r6 = r10; r6 += -64;"
	    "*(u64 *)(r10 - 8) = r6;"
	    "r1 = r10; r1 += -8;"
	    "call overwrite_slot;"
	    "r2 = *(u64 *)(r10 - 8);"
	    "*(u64 *)(r2 + 0) = 1;" RET0);
}

LICENSE;
