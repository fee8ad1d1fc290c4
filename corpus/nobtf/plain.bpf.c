/* SPDX-License-Identifier: GPL-2.0-only */
/* corpus-build: no-btf */
/*
 * An object without BTF: no function information reaches the kernel.
 *
 * Pins down (liveness.c): fmt_subprog without a name; (verifier.c) the order of subprograms without names;
 * no subprogram is global, whatever its linkage in the object.
 */
#include "corpus.h"

const volatile __u32 seven SEC(".rodata") = 7;

/* Reads its caller's frame. */
SUB(reader)
{
	ASM("r0 = *(u64 *)(r1 - 8);" RET0);
}

/* Global in the object, but the kernel is not told. */
GLOBAL(not_known_as_global)
{
	ASM("*(u64 *)(r1 - 16) = 1;"
	    "*(u64 *)(r10 - 8) = 1;" RET0);
}

/* Without pointers. */
SUB(alone)
{
	ASM("*(u64 *)(r10 - 24) = 1;" RET0);
}

/* One program, no subprograms. */
PROG("socket", nameless_main)
{
	ASM("r1 = r10;"
	    "*(u64 *)(r1 - 8) = 1;"
	    "r2 = *(u32 *)(r10 - 4);" RET0);
}

/* Subprograms are numbers only; the one that is global is analysed once. */
PROG("socket", nameless_subprograms)
{
	ASM("r1 = r10;"
	    "call reader;"
	    "r1 = r10;"
	    "call not_known_as_global;"
	    "call alone;" RET0);
}

/* A callback without a name. */
PROG("socket", nameless_callback)
{
	ASM("r1 = 1;"
	    "r2 = alone ll;"
	    "r3 = r10;"
	    "r4 = 0;"
	    CALL(loop) RET0);
}

/* Recursion between functions without names. */
SUB(again)
{
	ASM("call again;" RET0);
}

PROG("socket", nameless_recursion)
{
	ASM("call again;" RET0);
}

/* Read-only data without BTF is folded all the same. */
PROG("socket", nameless_constant)
{
	ASM("r0 = 0;"
	    "r1 = seven ll;"
	    "r2 = *(u32 *)(r1 + 0);"
	    "if r2 == 7 goto +1;"
	    "r0 = 1;"
	    "exit;");
}

LICENSE;
