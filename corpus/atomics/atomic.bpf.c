/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Atomic instructions on the stack.
 *
 * Pins down (liveness.c): record_load_store_access for BPF_ATOMIC (store_release writes, load_acquire reads
 * its source, all others read); arg_track_xfer: which slots they clear and which register they load;
 * compute_insn_live_regs for BPF_ATOMIC; (disasm.c) the text of each form.
 */
#include "corpus.h"

/* add, or, and, xor without fetch in both sizes: read, no def, no register loaded. */
PROG("socket", atomic_without_fetch)
{
	ASM("r1 = 1;"
	    INSN(ATOMIC_DW, 10, 1, -8, A_ADD)
	    INSN(ATOMIC_DW, 10, 1, -16, A_OR)
	    INSN(ATOMIC_DW, 10, 1, -24, A_AND)
	    INSN(ATOMIC_DW, 10, 1, -32, A_XOR)
	    INSN(ATOMIC_W, 10, 1, -36, A_ADD)
	    INSN(ATOMIC_W, 10, 1, -40, A_OR)
	    INSN(ATOMIC_W, 10, 1, -44, A_AND)
	    INSN(ATOMIC_W, 10, 1, -48, A_XOR) RET0);
}

/* The same with fetch: the source register is loaded and is no pointer any more. */
PROG("socket", atomic_with_fetch)
{
	ASM("r1 = r10; r2 = r10; r3 = r10; r4 = r10; r5 = r10; r6 = r10; r7 = r10; r8 = r10;"
	    INSN(ATOMIC_DW, 10, 1, -8, A_ADD | A_FETCH)
	    INSN(ATOMIC_DW, 10, 2, -16, A_OR | A_FETCH)
	    INSN(ATOMIC_DW, 10, 3, -24, A_AND | A_FETCH)
	    INSN(ATOMIC_DW, 10, 4, -32, A_XOR | A_FETCH)
	    INSN(ATOMIC_W, 10, 5, -36, A_ADD | A_FETCH)
	    INSN(ATOMIC_W, 10, 6, -40, A_OR | A_FETCH)
	    INSN(ATOMIC_W, 10, 7, -44, A_AND | A_FETCH)
	    INSN(ATOMIC_W, 10, 8, -48, A_XOR | A_FETCH)
	    "r0 = r1; r0 = r2; r0 = r8;" RET0);
}

/* xchg loads its source, cmpxchg loads r0. */
PROG("socket", atomic_xchg_cmpxchg)
{
	ASM("r1 = r10; r2 = r10; r3 = r10; r4 = r10; r0 = r10;"
	    INSN(ATOMIC_DW, 10, 1, -8, A_XCHG)
	    INSN(ATOMIC_W, 10, 2, -12, A_XCHG)
	    INSN(ATOMIC_DW, 10, 3, -24, A_CMPXCHG)
	    "r0 = r10;"
	    INSN(ATOMIC_W, 10, 4, -28, A_CMPXCHG)
	    "r5 = r1; r5 = r2; r5 = r3; r5 = r4; r5 = r0;" RET0);
}

/* load_acquire of every size reads through its source and loads its destination; no slot is cleared. */
PROG("socket", load_acquire_sizes)
{
	ASM("r2 = r10;"
	    "r2 += -16;"
	    "*(u64 *)(r10 - 8) = r10;"
	    "r3 = r10;"
	    INSN(ATOMIC_DW, 3, 10, -8, A_LOAD_ACQ)
	    INSN(ATOMIC_W, 4, 2, 4, A_LOAD_ACQ)
	    INSN(ATOMIC_H, 5, 2, 2, A_LOAD_ACQ)
	    INSN(ATOMIC_B, 6, 2, 1, A_LOAD_ACQ)
	    /* the destination is a pointer too: nothing may be cleared through it */
	    "r7 = r10;"
	    INSN(ATOMIC_DW, 7, 2, -8, A_LOAD_ACQ)
	    INSN(ATOMIC_DW, 2, 2, 0, A_LOAD_ACQ)
	    "r8 = *(u64 *)(r10 - 8);" RET0);
}

/* store_release of every size writes, clears what it overlaps, and spills nothing. */
PROG("socket", store_release_sizes)
{
	ASM("r2 = r10;"
	    "r2 += -16;"
	    "*(u64 *)(r10 - 8) = r10;"
	    "*(u64 *)(r10 - 16) = r10;"
	    INSN(ATOMIC_DW, 10, 2, -8, A_STORE_REL)
	    INSN(ATOMIC_W, 2, 2, 4, A_STORE_REL)
	    INSN(ATOMIC_H, 2, 2, -2, A_STORE_REL)
	    INSN(ATOMIC_B, 2, 2, -8, A_STORE_REL)
	    "r8 = *(u64 *)(r10 - 8);"
	    "r9 = r2;" RET0);
}

/* An atomic clears the slots it overlaps: aligned, in the upper half, across two slots. */
PROG("socket", atomic_clears_spills)
{
	ASM("r1 = 1;"
	    "*(u64 *)(r10 - 8) = r10;"
	    "*(u64 *)(r10 - 16) = r10;"
	    "*(u64 *)(r10 - 24) = r10;"
	    "*(u64 *)(r10 - 32) = r10;"
	    INSN(ATOMIC_DW, 10, 1, -8, A_ADD)
	    INSN(ATOMIC_W, 10, 1, -12, A_ADD)
	    INSN(ATOMIC_DW, 10, 1, -28, A_XCHG) RET0);
}

/* Atomics through one offset, several, unknown: strong, weak, every slot. */
PROG("socket", atomic_through_pointer)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r3 = r10;"
	    "r3 += -8;"
	    "*(u64 *)(r10 - 8) = r3;"
	    "*(u64 *)(r10 - 16) = r3;"
	    "*(u64 *)(r10 - 24) = r3;"
	    INSN(ATOMIC_W, 3, 6, 4, A_ADD)
	    "*(u64 *)(r10 - 8) = r3;"
	    "if r6 == 0 goto +1;"
	    "r3 += -8;"
	    INSN(ATOMIC_DW, 3, 6, 0, A_ADD | A_FETCH)
	    INSN(ATOMIC_DW, 3, 6, 0, A_STORE_REL)
	    "r4 = r10;"
	    "r4 += r6;"
	    INSN(ATOMIC_DW, 4, 6, -8, A_XOR)
	    INSN(ATOMIC_DW, 4, 6, -8, A_STORE_REL)
	    INSN(ATOMIC_DW, 5, 4, -8, A_LOAD_ACQ)
	    "r5 = *(u64 *)(r10 - 24);" RET0);
}

/* Atomics whose offset overflows. */
PROG("socket", atomic_offset_overflow)
{
	ASM("r3 = r10;"
	    "r3 += -8;"
	    "r2 = 1;"
	    "*(u64 *)(r10 - 8) = r3;"
	    INSN(ATOMIC_DW, 3, 2, -32768, A_ADD)
	    INSN(ATOMIC_DW, 3, 2, -32768, A_STORE_REL)
	    INSN(ATOMIC_DW, 4, 3, -32768, A_LOAD_ACQ)
	    "r4 = *(u64 *)(r10 - 8);" RET0);
}

/* Atomics on memory that is not the stack keep every slot and use no frame. */
PROG("tc", atomic_on_other_memory)
{
	ASM("*(u64 *)(r10 - 8) = r10;"
	    "r2 = r10;"
	    INSN(ATOMIC_DW, 1, 2, 0, A_ADD | A_FETCH)
	    INSN(ATOMIC_DW, 1, 2, 0, A_STORE_REL)
	    INSN(ATOMIC_DW, 3, 1, 0, A_LOAD_ACQ)
	    "r4 = *(u64 *)(r10 - 8);" RET0);
}

/* An operation that does not exist passes the early checks: it is printed as a bug, and reads its slot. */
PROG("socket", atomic_unknown_operation)
{
	ASM("r1 = r10; r2 = r10; r3 = r10;"
	    "*(u64 *)(r10 - 8) = r10;"
	    INSN(ATOMIC_DW, 10, 1, -8, 0x10)
	    INSN(ATOMIC_DW, 10, 2, -16, 0x11)
	    INSN(ATOMIC_W, 10, 3, -20, 0xe0)
	    "r4 = r1; r4 = r2; r4 = r3;" RET0);
}

/* Registers that atomics use and define, each followed by a use of all. */
PROG("socket", atomic_live_registers)
{
	ASM("r0 = 0; r1 = 1; r2 = 2; r3 = 3; r4 = 4; r5 = 5; r6 = r10;"
	    "r6 += -8;"
	    INSN(ATOMIC_DW, 6, 1, 0, A_ADD)
	    INSN(ATOMIC_DW, 6, 2, 0, A_ADD | A_FETCH)
	    INSN(ATOMIC_DW, 6, 3, 0, A_XCHG)
	    INSN(ATOMIC_DW, 6, 4, 0, A_CMPXCHG)
	    INSN(ATOMIC_DW, 5, 6, 0, A_LOAD_ACQ)
	    INSN(ATOMIC_DW, 6, 1, 0, A_STORE_REL)
	    "r0 += r1; r0 += r2; r0 += r3; r0 += r4; r0 += r5;"
	    "exit;");
}

/* One register in two places of an atomic instruction is used all the same, and here for the last time. */
PROG("socket", atomic_same_registers)
{
	ASM("r0 = 1; r1 = r10; r1 += -8;" INSN(ATOMIC_DW, 1, 1, 0, A_CMPXCHG)
	    "r0 = r10; r0 += -8; r2 = 1;" INSN(ATOMIC_DW, 0, 2, 0, A_CMPXCHG)
	    "r0 = 1; r3 = r10; r3 += -8;" INSN(ATOMIC_DW, 3, 0, 0, A_CMPXCHG)
	    "r4 = r10; r4 += -8;" INSN(ATOMIC_DW, 4, 4, 0, A_STORE_REL)
	    "r5 = r10; r5 += -8;" INSN(ATOMIC_DW, 5, 5, 0, A_ADD)
	    "r6 = r10; r6 += -8;" INSN(ATOMIC_DW, 6, 6, 0, A_ADD | A_FETCH) RET0);
}

/* A fetch of 32 bits defines the whole register: its upper half is not live before, whatever is done with it after. */
PROG("socket", atomic_fetch_of_half)
{
	ASM("r7 = r10; r7 += -8;"
	    "w2 = 1;" INSN(ATOMIC_W, 7, 2, 0, A_ADD | A_FETCH) "*(u64 *)(r10 - 16) = r2;"
	    "w3 = 1;" INSN(ATOMIC_W, 7, 3, 0, A_XCHG) "*(u64 *)(r10 - 16) = r3;"
	    "w0 = 1; w4 = 1;" INSN(ATOMIC_W, 7, 4, 0, A_CMPXCHG) "*(u64 *)(r10 - 16) = r0;"
	    INSN(ATOMIC_W, 5, 7, 0, A_LOAD_ACQ) "*(u64 *)(r10 - 16) = r5;" RET0);
}

LICENSE;
