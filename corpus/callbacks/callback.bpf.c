/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Helpers that call back into the program.
 *
 * Pins down (liveness.c): find_callback_subprog, each helper's registers, known and unknown callbacks;
 * analyze_subprog: context passed to the right register and nothing else, unknown callback with and without a
 * stack context, at depth 0 and 1; print and pull-back for callbacks; (const_fold.c) BPF_PSEUDO_FUNC, joins of
 * subprogram pointers; (cfg.c) the implicit loop in bpf_compute_scc; sort_subprogs_topo over BPF_PSEUDO_FUNC
 * and a callback that names itself; async callbacks (bpf_timer_set_callback), which are analysed alone.
 */
#include "corpus.h"

struct bpf_timer {
	__u64 opaque[2];
} __attribute__((aligned(8)));

struct timed {
	__u64 before;
	struct bpf_timer timer;
};

DEFINE_MAP(array, BPF_MAP_TYPE_ARRAY, 4, 24, 4);
DEFINE_RING(user_ring, BPF_MAP_TYPE_USER_RINGBUF, 4096);
struct {
	int (*type)[BPF_MAP_TYPE_ARRAY];
	int (*max_entries)[2];
	int *key;
	struct timed *value;
} timers SEC(".maps");

/* Context in r2 (bpf_loop, user_ringbuf_drain); other registers hold none. */
SUB(context_in_r2)
{
	ASM("r0 = *(u64 *)(r2 - 8);"
	    "*(u64 *)(r2 - 16) = 1;"
	    "r3 = r1; r4 = r3;"
	    "r0 = *(u64 *)(r10 - 8);" RET0);
}

/* Context in r4 (for_each_map_elem). */
SUB(context_in_r4)
{
	ASM("r0 = *(u64 *)(r4 - 8);"
	    "r5 = r2; r5 = r3;"
	    "*(u64 *)(r4 - 16) = 1;" RET0);
}

/* Context in r3 (find_vma). */
SUB(context_in_r3)
{
	ASM("r0 = *(u64 *)(r3 - 8);"
	    "r5 = r2; r5 = r4;"
	    "*(u64 *)(r3 - 16) = 1;" RET0);
}

/* A callback without interest in its context. */
SUB(no_context)
{
	ASM("*(u64 *)(r10 - 8) = 1;" RET0);
}

/* bpf_loop: r3 of the caller is r2 of the callback. */
PROG("socket", loop_with_context)
{
	ASM("*(u64 *)(r10 - 8) = 1;"
	    "r1 = 4;"
	    "r2 = context_in_r2 ll;"
	    "r3 = r10;"
	    "r4 = 0;"
	    CALL(loop)
	    "r0 = *(u64 *)(r10 - 16);" RET0);
}

/* The callback gets the context alone: pointers in the other argument registers do not reach it. */
PROG("socket", loop_passes_context_only)
{
	ASM("*(u64 *)(r10 - 8) = 1;"
	    "r1 = r10;"
	    "r2 = context_in_r2 ll;"
	    "r3 = r10; r3 += -32;"
	    "r4 = r10;"
	    "r5 = r10;"
	    STACK_ARG_STX(-8, 10)
	    CALL(loop) RET0);
}

/* No stack context: the callback is analysed on its own; the call is a loop of its own all the same. */
PROG("socket", loop_without_context)
{
	ASM("r1 = 4;"
	    "r2 = no_context ll;"
	    "r3 = 0;"
	    "r4 = 0;"
	    CALL(loop) RET0);
}

/* for_each_map_elem: r3 of the caller is r4 of the callback. */
PROG("socket", for_each_with_context)
{
	ASM("r1 = array ll;"
	    "r2 = context_in_r4 ll;"
	    "r3 = r10; r3 += -8;"
	    "r4 = 0;"
	    CALL(for_each_map_elem) RET0);
}

/* find_vma: the callback is r3, r4 of the caller is r3 of the callback. */
PROG("raw_tp", find_vma_with_context)
{
	ASM(CALL(get_current_task_btf)
	    "r1 = r0;"
	    "r2 = 0;"
	    "r3 = context_in_r3 ll;"
	    "r4 = r10; r4 += -8;"
	    "r5 = 0;"
	    CALL(find_vma) RET0);
}

/* user_ringbuf_drain: r3 of the caller is r2 of the callback. */
PROG("socket", user_ringbuf_with_context)
{
	ASM("r1 = user_ring ll;"
	    "r2 = context_in_r2 ll;"
	    "r3 = r10; r3 += -8;"
	    "r4 = 0;"
	    CALL(user_ringbuf_drain) RET0);
}

/* Two different callbacks merged, with a stack context: the call uses the whole frame. */
PROG("socket", unknown_callback_with_context)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r1 = 4;"
	    "r2 = context_in_r2 ll;"
	    "r3 = r10; r3 += -8;"
	    "r4 = 0;"
	    "if r6 == 0 goto +2;"
	    "r2 = no_context ll;"
	    CALL(loop)
	    "r0 = *(u64 *)(r10 - 64);" RET0);
}

/* Two different callbacks merged, no stack context: nothing used. */
PROG("socket", unknown_callback_without_context)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r1 = 4;"
	    "r2 = context_in_r2 ll;"
	    "r3 = 0;"
	    "r4 = 0;"
	    "if r6 == 0 goto +2;"
	    "r2 = no_context ll;"
	    CALL(loop) RET0);
}

/* The same callback loaded on both paths is known. */
PROG("socket", same_callback_on_both_paths)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r1 = 4;"
	    "r3 = r10; r3 += -8;"
	    "r4 = 0;"
	    "if r6 == 0 goto +3;"
	    "r2 = context_in_r2 ll;"
	    "goto +2;"
	    "r2 = context_in_r2 ll;"
	    CALL(loop) RET0);
}

/* A callback copied from register to register is known; after a call only in r6 to r9. */
PROG("socket", callback_through_registers)
{
	ASM("r6 = context_in_r2 ll;"
	    "r7 = r6;"
	    CALL(ktime_get_ns)
	    "r1 = 4;"
	    "r2 = r7;"
	    "r3 = r10;"
	    "r4 = 0;"
	    CALL(loop) RET0);
}

/* Changed by arithmetic, or spilled and filled: not known any more. */
PROG("socket", callback_lost)
{
	ASM("r6 = context_in_r2 ll;"
	    "*(u64 *)(r10 - 8) = r6;"
	    "r6 += 0;"
	    "r1 = 4; r2 = r6; r3 = r10; r4 = 0;"
	    CALL(loop)
	    "r6 = context_in_r2 ll;"
	    "r6 -= 0;"
	    "r1 = 4; r2 = r6; r3 = r10; r4 = 0;"
	    CALL(loop)
	    "r6 = context_in_r2 ll;"
	    "w6 = w6;"
	    "r1 = 4; r2 = r6; r3 = r10; r4 = 0;"
	    CALL(loop)
	    "r2 = *(u64 *)(r10 - 8);"
	    "r1 = 4; r3 = r10; r4 = 0;"
	    CALL(loop)
	    "r2 = 5;"
	    "r1 = 4; r3 = r10; r4 = 0;"
	    CALL(loop) RET0);
}

/* Takes the callback as an argument: not known, so every frame up to this one is used. */
SUB(loop_over_argument)
{
	ASM("r6 = r1;"
	    "r1 = 4;"
	    "r3 = r6;"
	    "r4 = 0;"
	    CALL(loop)
	    "r1 = 4;"
	    "r2 = r7;"
	    "r3 = 0;"
	    "r4 = 0;"
	    CALL(loop) RET0);
}

/* Constants do not cross calls, subprogram pointers neither. */
PROG("socket", callback_as_argument)
{
	ASM("r1 = r10;"
	    "r2 = context_in_r2 ll;"
	    "call loop_over_argument;" RET0);
}

/* A callback that loops itself, passing its context and its own frame on; its callee lies before it. */
SUB(nested)
{
	ASM("r6 = r2;"
	    "*(u64 *)(r10 - 8) = r2;"
	    "r1 = 2;"
	    "r2 = context_in_r2 ll;"
	    "r3 = r6;"
	    "r4 = 0;"
	    CALL(loop)
	    "r1 = array ll;"
	    "r2 = context_in_r4 ll;"
	    "r3 = r10; r3 += -8;"
	    "r4 = 0;"
	    CALL(for_each_map_elem) RET0);
}

/* Callbacks in callbacks: contexts of two frames; a pseudo func load that points backwards. */
PROG("socket", nested_callbacks)
{
	ASM("r1 = 1;"
	    "r2 = context_in_r2 ll;"
	    "r3 = r10;"
	    "r4 = 0;"
	    CALL(loop)
	    "r1 = 2;"
	    "r2 = nested ll;"
	    "r3 = r10;"
	    "r4 = 0;"
	    CALL(loop) RET0);
}

/* A callback that names itself, without a stack context: no recursion for the order, nor for liveness. */
SUB(names_itself)
{
	ASM("*(u64 *)(r10 - 8) = 1;"
	    "r1 = 2;"
	    "r2 = names_itself ll;"
	    "r3 = 0;"
	    "r4 = 0;"
	    CALL(loop) RET0);
}

PROG("socket", callback_names_itself)
{
	ASM("r1 = 2;"
	    "r2 = names_itself ll;"
	    "r3 = r10;"
	    "r4 = 0;"
	    CALL(loop) RET0);
}

/* The same with a stack context: each level is analysed, down to the limit of frames, and liveness fails. */
SUB(passes_itself_down)
{
	ASM("r3 = r2;"
	    "r1 = 2;"
	    "r2 = passes_itself_down ll;"
	    "r4 = 0;"
	    CALL(loop) RET0);
}

PROG("socket", callback_recursion_reaches_frame_limit)
{
	ASM("r1 = 2;"
	    "r2 = passes_itself_down ll;"
	    "r3 = r10;"
	    "r4 = 0;"
	    CALL(loop) RET0);
}

/* A callback that is also called as a plain function, with the context in another register. */
PROG("socket", callback_called_too)
{
	ASM("r1 = r10; r1 += -64;"
	    "r2 = r10; r2 += -128;"
	    "call context_in_r2;"
	    "r1 = 1;"
	    "r2 = context_in_r2 ll;"
	    "r3 = r10;"
	    "r4 = 0;"
	    CALL(loop) RET0);
}

/* An imprecise context. */
PROG("socket", callback_with_imprecise_context)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r1 = 2;"
	    "r2 = context_in_r2 ll;"
	    "r3 = r10; r3 += r6;"
	    "r7 = *(u64 *)(r3 - 8);"
	    "r4 = 0;"
	    CALL(loop)
	    "r1 = 2;"
	    "r2 = context_in_r2 ll;"
	    "r3 = r7;"
	    "r4 = 0;"
	    CALL(loop) RET0);
}

/* Fills through the context see the slots at the callback's call site. */
SUB(fill_from_context)
{
	ASM("r6 = *(u64 *)(r2 - 8);"
	    "*(u64 *)(r6 + 0) = 1;"
	    "r0 = *(u64 *)(r6 + 0);" RET0);
}

PROG("socket", callback_fills_from_parent)
{
	ASM("r6 = r10; r6 += -64;"
	    "*(u64 *)(r10 - 8) = r6;"
	    "r1 = 2;"
	    "r2 = fill_from_context ll;"
	    "r3 = r10;"
	    "r4 = 0;"
	    CALL(loop) RET0);
}

/* Fires later, with a stack of its own. */
SUB(on_timer)
{
	ASM("r0 = *(u64 *)(r3 + 0);"
	    "*(u64 *)(r10 - 8) = r3;"
	    "r0 = *(u64 *)(r10 - 8);" RET0);
}

/* An async callback: no instance from the call, no implicit loop, analysed alone. */
PROG("tc", timer_callback)
{
	ASM("*(u32 *)(r10 - 4) = 0;"
	    "r1 = timers ll;"
	    "r2 = r10; r2 += -4;"
	    CALL(map_lookup_elem)
	    "if r0 == 0 goto 1f;"
	    "r1 = r0;"
	    "r1 += 8;"
	    "r2 = on_timer ll;"
	    CALL(timer_set_callback)
	    "1: r0 = 0; exit;");
}

/* The timer itself on the stack: an argument of unknown size. */
PROG("tc", timer_on_stack)
{
	ASM("r1 = r10; r1 += -16;"
	    "r2 = on_timer ll;"
	    CALL(timer_set_callback)
	    "r1 = r10; r1 += -16;"
	    "r2 = timers ll;"
	    "r3 = 7;"
	    CALL(timer_init) RET0);
}

LICENSE;
