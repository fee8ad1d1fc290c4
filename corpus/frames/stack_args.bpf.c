/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Arguments passed on the stack, based on r11.
 *
 * Pins down (liveness.c): stack_arg_off_to_slot and its limit; arg_track_xfer for stack argument stores and
 * loads; the sa0.. lines of transfers, joins and listings; has_fp_args; the outgoing slots of each level;
 * record_load_store_access, which must skip these; (const_fold.c) constants under them.
 */
#include "corpus.h"

/* Loads its incoming arguments and uses them. */
SUB(take_stack_args)
{
	ASM(STACK_ARG_LDX(1, 8)
	    STACK_ARG_LDX(2, 16)
	    STACK_ARG_LDX(3, 24)
	    STACK_ARG_LDX(4, 56)
	    "r0 = *(u64 *)(r1 + 0);"
	    "*(u64 *)(r2 + 0) = 1;"
	    "r0 = *(u64 *)(r4 + 0);" RET0);
}

/* Pointers in the first, second and last slot, an immediate in the third; no pointer in a register. */
PROG("socket", pass_on_stack)
{
	ASM("r1 = r10; r1 += -8;"
	    "r2 = r10; r2 += -16;"
	    "r3 = r10; r3 += -24;"
	    STACK_ARG_STX(-8, 1)
	    STACK_ARG_STX(-16, 2)
	    STACK_ARG_STX(-24, 3)
	    STACK_ARG_STX(-56, 3)
	    STACK_ARG_ST(-24, 7)
	    "r1 = 0; r2 = 0; r3 = 0;"
	    "call take_stack_args;" RET0);
}

/* Beyond the seventh slot: stores are dropped, loads give none. */
SUB(take_beyond)
{
	ASM("r1 = r10;"
	    STACK_ARG_LDX(1, 64)
	    "r2 = r10;"
	    STACK_ARG_LDX(2, 56)
	    "r3 = r10;"
	    STACK_ARG_LDX(3, 32760)
	    "r0 = *(u64 *)(r2 - 8);" RET0);
}

PROG("socket", stack_slots_beyond_last)
{
	ASM("r1 = r10;"
	    STACK_ARG_STX(-64, 1)
	    STACK_ARG_STX(-32768, 1)
	    STACK_ARG_STX(-56, 1)
	    "r1 = 0;"
	    "call take_beyond;"
	    "r2 = r10;"
	    STACK_ARG_STX(-56, 2)
	    STACK_ARG_ST(-64, 0)
	    "r2 = 0;"
	    "call take_beyond;" RET0);
}

/* The main program has no incoming arguments: loads give none. */
PROG("socket", incoming_in_main)
{
	ASM("r1 = r10;"
	    STACK_ARG_LDX(1, 8)
	    "r2 = r10;"
	    STACK_ARG_STX(-8, 2)
	    STACK_ARG_LDX(2, 8) RET0);
}

/* Takes from its caller, gives its own to the next. */
SUB(pass_stack_args_on)
{
	ASM(STACK_ARG_LDX(6, 8)
	    STACK_ARG_STX(-8, 10)
	    STACK_ARG_STX(-16, 6)
	    "r1 = 0; r2 = 0;"
	    "call take_stack_args;" RET0);
}

/* Incoming and outgoing arguments of the middle one are apart. */
PROG("socket", stack_args_through_two_levels)
{
	ASM("r1 = r10; r1 += -32;"
	    STACK_ARG_STX(-8, 1)
	    "r1 = 0;"
	    "call pass_stack_args_on;"
	    "call take_stack_args;" RET0);
}

/* Outgoing slots are joined, and printed so; they survive calls. */
PROG("socket", join_of_stack_args)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r2 = r10; r2 += -8;"
	    STACK_ARG_STX(-8, 2)
	    STACK_ARG_STX(-16, 2)
	    "if r6 == 0 goto +4;"
	    "r2 += -8;"
	    STACK_ARG_STX(-8, 2)
	    STACK_ARG_ST(-16, 0)
	    STACK_ARG_STX(-24, 2)
	    CALL(ktime_get_ns)
	    "r2 = 0;"
	    "call take_stack_args;"
	    "*(u64 *)(r10 - 8) = r6;"
	    "r7 = *(u64 *)(r10 - 8);" RET0);
}

/* The first slot holds a pointer while r11 is no tracked register: accesses are not taken for the slot's. */
PROG("socket", slot_is_no_base)
{
	ASM("r1 = r10; r1 += -8;"
	    STACK_ARG_STX(-8, 1)
	    STACK_ARG_STX(-16, 1)
	    STACK_ARG_ST(-8, 1)
	    STACK_ARG_STX(-8, 1)
	    STACK_ARG_LDX(3, 16) RET0);
}

/* A constant loaded over by an incoming argument is no constant: the branch is not decided. */
SUB(constant_over)
{
	ASM("r2 = 0;"
	    STACK_ARG_LDX(2, 8)
	    "if r2 == 0 goto +1;"
	    "r0 = 1;"
	    "r3 = 5;"
	    STACK_ARG_STX(-8, 3)
	    "if r3 == 5 goto +1;"
	    "r0 = 2;" RET0);
}

PROG("socket", stack_args_and_constants)
{
	ASM("r2 = 0;"
	    STACK_ARG_STX(-8, 2)
	    "if r2 == 0 goto +1;"
	    "r2 = 1;"
	    "call constant_over;" RET0);
}

/* An immediate stored as an argument is none, even while r0, which its unused source names, is a pointer. */
PROG("socket", immediate_stack_arg)
{
	ASM("r0 = r10;"
	    STACK_ARG_STX(-8, 0)
	    STACK_ARG_STX(-16, 0)
	    STACK_ARG_ST(-16, 1)
	    "call take_stack_args;" RET0);
}

/* An imprecise pointer on the stack is an argument too. */
PROG("socket", imprecise_stack_arg)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r2 = r10; r2 += r6;"
	    STACK_ARG_STX(-8, 2)
	    "r2 = *(u64 *)(r2 - 8);"
	    STACK_ARG_STX(-16, 2)
	    "r2 = 0;"
	    "call take_stack_args;" RET0);
}

LICENSE;
