/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shapes of control flow.
 *
 * Pins down (cfg.c): bpf_compute_postorder: the order of successors, that a node discovered is not pushed
 * again; bpf_compute_scc: numbers of loops, self loops, irreducible loops, over subprograms; visit_insn for
 * gotol, may_goto, exits; hidden exits of tail calls and packet loads; (liveness.c) bpf_insn_successors;
 * (verifier.c) add_subprog_and_kfunc, check_subprogs (the last exit counts), sort_subprogs_topo.
 * The order of the transfer lines shows the order of the passes: r9 is moved at every step for that.
 */
#include "corpus.h"

DEFINE_MAP(programs, BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2);

/* A diamond: the branch is explored before the fall-through. */
PROG("socket", diamond)
{
	ASM("r9 = r10;"
	    "r9 += -8;"
	    "if r1 == 0 goto 1f;"
	    "r9 += -8;"
	    "goto 2f;"
	    "1: r9 += -16;"
	    "2: r9 += -32;"
	    "r0 = *(u8 *)(r9 + 0);" RET0);
}

/* Both successors are pushed before either is explored: a node may come before its predecessor. */
PROG("socket", pushed_before_explored)
{
	ASM("r9 = r10;"
	    "if r1 == 0 goto 2f;"
	    "1: r9 += -8;"
	    "r0 = *(u8 *)(r9 + 0);" RET0
	    "2: r9 += -16;"
	    "if r1 == 1 goto 1b;"
	    "r9 += -32;"
	    "goto 1b;");
}

/* A conditional jump to the next instruction has it twice as successor. */
PROG("socket", jump_to_next)
{
	ASM("r9 = r10;"
	    "if r1 == 0 goto +0;"
	    "goto +0;"
	    "r9 += -8;" RET0);
}

/* Two loops after each other, one in the other, and a tail: numbers in the order of completion. */
PROG("socket", loops)
{
	ASM("r6 = 0;"
	    "1: r6 += 1;"
	    "if r6 < 5 goto 1b;"
	    "r7 = 0;"
	    "2: r7 += 1;"
	    "r8 = 0;"
	    "3: r8 += 1;"
	    "if r8 < 3 goto 3b;"
	    "if r7 < 3 goto 2b;"
	    "r9 = 0;"
	    "4: r9 += 1;"
	    "if r9 < 3 goto 4b;" RET0);
}

/* A jump to itself is a loop; reached only by a branch, so that the exit is reachable too. */
PROG("socket", self_loops)
{
	ASM("if r1 == 0 goto 1f;"
	    "2: if r1 == 1 goto 2b;" RET0
	    "1: goto 1b;");
}

/* An irreducible loop: two entries. */
PROG("socket", irreducible_loop)
{
	ASM("r9 = r10;"
	    "r6 = 0;"
	    "if r1 == 0 goto 2f;"
	    "1: r6 += 1;"
	    "r9 += -8;"
	    "2: r6 += 2;"
	    "if r6 < 10 goto 1b;"
	    "r0 = *(u8 *)(r9 - 1);" RET0);
}

/* Loops that share a node, entered from two sides; one component. */
PROG("socket", loops_with_shared_node)
{
	ASM("r6 = 0;"
	    "r7 = 0;"
	    "1: r6 += 1;"
	    "if r6 == 3 goto 2f;"
	    "r7 += 1;"
	    "if r7 < 9 goto 1b;"
	    "goto 3f;"
	    "2: r7 += 2;"
	    "if r7 < 9 goto 1b;"
	    "3: r8 = 0;" RET0);
}

/* gotol, forward and backward. */
PROG("socket", long_jumps)
{
	ASM("r6 = 0;"
	    "gotol 2f;"
	    "1: r6 += 1;"
	    "if r6 > 3 goto 3f;"
	    "2: r6 += 1;"
	    "gotol 1b;"
	    "3: r0 = 0; exit;");
}

/* Ends in a long jump backwards. */
SUB(ends_in_long_jump)
{
	ASM("r0 = 0;"
	    "if r1 == 0 goto 2f;"
	    "1: exit;"
	    "2: r0 = 1;"
	    "gotol 1b;");
}

/* Ends in a short one. */
SUB(ends_in_short_jump)
{
	ASM("r0 = 0;"
	    "if r1 == 0 goto 2f;"
	    "1: exit;"
	    "2: r0 = 1;"
	    "goto 1b;");
}

/* Subprograms may end in a jump. */
PROG("socket", subprograms_ending_in_jumps)
{
	ASM("r1 = 0;"
	    "call ends_in_long_jump;"
	    "r1 = 0;"
	    "call ends_in_short_jump;"
	    "r1 = 0;"
	    "goto 2f;"
	    "1: r0 = 0; exit;"
	    "2: gotol 1b;");
}

/* may_goto: two successors, uses no register, never decided though r0 is known. */
PROG("socket", may_goto)
{
	ASM("r0 = 0;"
	    "r9 = r10;"
	    "1: " MAY_GOTO(2)
	    "r9 += -8;"
	    "goto 1b;"
	    "r0 = *(u8 *)(r9 - 1);" MAY_GOTO(0) MAY_GOTO(1) "r0 = 0;"
	    "exit;");
}

/* A may_goto that jumps backwards. */
PROG("socket", may_goto_backwards)
{
	ASM("r6 = 0;"
	    "r6 += 1;" MAY_GOTO(-2) RET0);
}

/* Several exits. */
PROG("socket", several_exits)
{
	ASM("r0 = 0;"
	    "if r1 == 0 goto +1;"
	    "exit;"
	    "if r1 == 1 goto +1;"
	    "exit;"
	    "r0 = 1;"
	    "exit;");
}

/* A tail call may leave: its hidden exit is the last exit of the subprogram, joined there. */
PROG("socket", tail_call_hidden_exit)
{
	ASM("r6 = r10; r6 += -8;"
	    "r8 = 1;"
	    "r2 = programs ll;"
	    "r3 = 0;"
	    CALL(tail_call)
	    "if r8 == 1 goto 1f;"
	    "r6 = 0;"
	    "r0 = 0;"
	    "exit;"
	    "1: r6 = r10; r6 += -16;"
	    "r8 = 2;"
	    "r0 = 0;"
	    "exit;");
}

/* The exit at the end is not the last in order of execution, but the last in order of instructions. */
PROG("socket", tail_call_two_exits)
{
	ASM("r6 = r10; r6 += -8;"
	    "r7 = *(u32 *)(r1 + 0);"
	    "if r7 == 0 goto 1f;"
	    "r2 = programs ll;"
	    "r3 = 0;"
	    CALL(tail_call)
	    "r0 = 0;"
	    "exit;"
	    "1: r6 = 0;"
	    "r0 = 0;"
	    "exit;");
}

/* No exit at all: the hidden exit is instruction 0, so that the tail call is in a loop with it. */
PROG("socket", tail_call_without_exit)
{
	ASM("r6 = r1;"
	    "r7 = r10;"
	    "1: r1 = r6;"
	    "r2 = programs ll;"
	    "r3 = 0;"
	    CALL(tail_call)
	    "r7 += -8;"
	    /* not readable after the call: the path walk ends here, on its first round */
	    "r4 = r3;"
	    "goto 1b;");
}

/* Without an exit, and no stack use: the hidden exit leaves the subprogram. */
SUB(tail_call_forever)
{
	ASM("r6 = r1;"
	    "r9 = 5;"
	    "1: r1 = r6;"
	    "r2 = programs ll;"
	    "r3 = 0;"
	    CALL(tail_call)
	    "goto 1b;");
}

/*
 * A subprogram without an exit that makes tail calls: live registers of instruction 0 come in, and its constants
 * do not go out, since the program begins with none.
 */
PROG("socket", tail_call_in_endless_subprogram)
{
	ASM("if r9 == 5 goto +0;"
	    "r6 = r1;"
	    "if r3 == 0 goto +1;"
	    "call tail_call_forever;" RET0);
}

/* Tail calls in subprograms. */
SUB(tail_caller)
{
	ASM("r7 = r1;"
	    "*(u64 *)(r7 - 8) = 1;"
	    "r1 = r2;"
	    "r2 = programs ll;"
	    "r3 = 0;"
	    CALL(tail_call)
	    "r0 = *(u64 *)(r7 - 8);"
	    "r0 = *(u64 *)(r7 - 16);"
	    "r7 = r10;" RET0);
}

PROG("tc", tail_call_in_subprogram)
{
	ASM("r2 = r1;"
	    "r1 = r10;"
	    "call tail_caller;" RET0);
}

/* Packet loads: hidden exit, all registers used, r0 to r5 lost to constants but not to the tracking. */
PROG("socket", packet_loads)
{
	ASM("r6 = r1;"
	    "r7 = r10; r7 += -8;"
	    "r2 = r10; r2 += -16;"
	    "r1 = 0;"
	    "r8 = 0;"
	    "r0 = *(u8 *)skb[14];"
	    "if r1 == 0 goto +1;"
	    "r8 = r10;"
	    "if r8 == 0 goto +1;"
	    "r7 = 0;"
	    INSN(LD_IND_H, 0, 0, 0, 2)
	    INSN(LD_IND_W, 0, 7, 0, -2)
	    INSN(LD_IND_B, 0, 8, 0, 0)
	    "r0 = *(u32 *)skb[0];"
	    "r3 = *(u8 *)(r2 + 0);"
	    "exit;");
}

/* A packet load sets r0, but the tracking leaves the pointer there. */
PROG("socket", packet_load_keeps_pointer)
{
	ASM("r6 = r1;"
	    "r0 = r10;"
	    "r0 = *(u8 *)skb[0];"
	    "r2 = *(u64 *)(r0 - 8);"
	    "r3 = r10;"
	    INSN(LD_IND_B, 0, 6, 0, 4)
	    "r2 = *(u64 *)(r3 - 16);" RET0);
}

/* Packet loads in a subprogram that has pointers. */
SUB(packet_loader)
{
	ASM("r6 = r2;"
	    "r7 = r1;"
	    "*(u64 *)(r7 - 8) = 1;"
	    "r0 = *(u32 *)skb[8];"
	    "r0 = *(u64 *)(r7 - 8);"
	    "r7 = 0;"
	    "exit;");
}

PROG("socket", packet_load_in_subprogram)
{
	ASM("r2 = r1;"
	    "r1 = r10;"
	    "call packet_loader;" RET0);
}

/* Leaves of the call graph below. */
SUB(leaf_a)
{
	ASM("r0 = 1; exit;");
}

SUB(leaf_b)
{
	ASM("r0 = 2; exit;");
}

SUB(leaf_c)
{
	ASM("r6 = 0;"
	    "1: r6 += 1;"
	    "if r6 < 3 goto 1b;" RET0);
}

SUB(branching)
{
	ASM("r6 = r1;"
	    "if r6 == 0 goto 1f;"
	    "call leaf_a;"
	    "exit;"
	    "1: call leaf_b;"
	    "call leaf_c;"
	    "exit;");
}

/* The order of subprograms: depth first in postorder of the calls, not in their order in the program. */
PROG("socket", order_of_subprograms)
{
	ASM("r6 = r1;"
	    "if r6 == 0 goto 1f;"
	    "call leaf_c;"
	    "r1 = 0;"
	    "call branching;"
	    "goto 2f;"
	    "1: r7 = leaf_b ll;"
	    "call leaf_a;"
	    "2: r1 = r6;"
	    "call branching;" RET0);
}

/* A call in dead code: the subprogram is still there, ordered by its number. */
PROG("socket", order_with_dead_call)
{
	ASM("r6 = 0;"
	    "if r6 == 0 goto 1f;"
	    "call leaf_a;"
	    "1: call leaf_b;"
	    "if r6 != 0 goto 2f;"
	    "call leaf_c;"
	    "2: r0 = 0; exit;");
}

/* An endless loop, with the exit cut off by a decided branch: everything behind it is dead. */
PROG("socket", exit_becomes_unreachable)
{
	ASM("r6 = 0;"
	    "r7 = r10;"
	    "1: r8 = *(u64 *)(r7 - 8);"
	    "if r6 == 0 goto 1b;"
	    "r8 = *(u64 *)(r7 - 16);"
	    "call leaf_c;" RET0);
}

/* A loop whose jump back is decided against is none; one decided for is one, without its way out. */
PROG("socket", loops_cut_by_constants)
{
	ASM("r6 = 0;"
	    "r7 = 0;"
	    "1: r7 += 1;"
	    "if r6 != 0 goto 1b;"
	    "2: r7 += 2;"
	    "if r1 == 0 goto 3f;"
	    "if r6 == 0 goto 2b;"
	    "3: r0 = 0; exit;");
}

/* A loop in dead code has a number all the same, a later one than what is reached first. */
PROG("socket", loop_in_dead_code)
{
	ASM("r6 = 0;"
	    "r7 = 0;"
	    "if r6 == 0 goto 2f;"
	    "1: r7 += 1;"
	    "if r7 < 3 goto 1b;"
	    "2: r8 = 0;"
	    "3: r8 += 1;"
	    "if r8 < 3 goto 3b;" RET0);
}

/* Liveness of registers through loops and branches. */
PROG("socket", registers_through_loops)
{
	ASM("r2 = 1; r3 = 2; r4 = 3; r5 = 4; r6 = 5; r7 = 6; r8 = 7; r9 = 8;"
	    "r0 = 0;"
	    "1: if r2 == 0 goto 2f;"
	    "r0 += r3;"
	    "r3 = r4;"
	    "r2 -= 1;"
	    "if r5 == 9 goto 1b;"
	    "r4 += r6;"
	    "goto 1b;"
	    "2: if r7 > r0 goto 3f;"
	    "r0 = r8;"
	    "exit;"
	    "3: r0 = r9;"
	    "exit;");
}

/* Jumps back to the first instruction of the program, and of a subprogram. */
SUB(loops_to_its_start)
{
	ASM("r1 -= 1;"
	    "if r1 != 0 goto -2;"
	    RET0);
}

PROG("socket", jumps_to_first_instruction)
{
	ASM("r2 = *(u32 *)(r1 + 0);"
	    "if r2 == 5 goto -2;"
	    "r1 = 3;"
	    "call %[sub];"
	    RET0 :: [sub]"i"(loops_to_its_start));
}

LICENSE;
