/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Indirect jumps over jump tables.
 *
 * Pins down (cfg.c): visit_gotox_insn, create_jt, jt_from_subprog (every table of the subprogram together),
 * sort_insn_array_uniq; (liveness.c) bpf_insn_successors with a table, gotox in compute_insn_live_regs;
 * (const_fold.c) loads from an instruction array are no constants.
 */
#include "corpus.h"

/* A jump table: entries are byte offsets in the section. `size` is eight times their number. */
#define TABLE(name, size, entries)                \
	".pushsection .jumptables,\"\",@progbits;" \
	#name ":" entries ".size " #name ", " #size ";" \
	".global " #name ";.popsection;"

/* Two targets in order. */
PROG("socket", gotox_two_targets)
{
	ASM(TABLE(jt_two, 16, ".quad two_a - socket; .quad two_b - socket;")
	    "r9 = r10;"
	    "r0 = jt_two ll;"
	    "r0 += 8;"
	    "r0 = *(u64 *)(r0 + 0);"
	    GOTO_X(0)
	    "two_a: r9 += -8;" RET0
	    "two_b: r9 += -16;"
	    "r0 = *(u64 *)(r9 + 0);" RET0);
}

/* Targets out of order, and one of them twice: sorted, once each; they join. */
PROG("socket", gotox_unsorted_duplicates)
{
	ASM(TABLE(jt_dup, 40,
		  ".quad dup_c - socket; .quad dup_a - socket; .quad dup_c - socket;"
		  ".quad dup_b - socket; .quad dup_a - socket;")
	    "r9 = r10;"
	    "r1 = *(u32 *)(r1 + 0);"
	    "r1 &= 3;"
	    "r1 <<= 3;"
	    "r2 = jt_dup ll;"
	    "r2 += r1;"
	    "r3 = *(u64 *)(r2 + 0);"
	    GOTO_X(3)
	    "dup_a: r9 += -8;"
	    "dup_b: r9 += -16;"
	    "dup_c: r9 += -32;"
	    "r0 = *(u64 *)(r9 + 0);" RET0);
}

/* Two tables in one subprogram: every gotox has the targets of both. */
PROG("socket", gotox_two_tables)
{
	ASM(TABLE(jt_first, 16, ".quad tt_a - socket; .quad tt_b - socket;")
	    TABLE(jt_second, 16, ".quad tt_c - socket; .quad tt_b - socket;")
	    "r9 = r10;"
	    "r6 = *(u32 *)(r1 + 0);"
	    "r0 = jt_first ll;"
	    "r0 = *(u64 *)(r0 + 0);"
	    GOTO_X(0)
	    "tt_a: r9 += -8;"
	    "r0 = jt_second ll;"
	    "r0 = *(u64 *)(r0 + 8);"
	    GOTO_X(0)
	    "tt_b: r9 += -16;"
	    "r0 = *(u64 *)(r9 + 0);" RET0
	    "tt_c: r9 += -32;"
	    "r6 += 1;" RET0);
}

/* A table that jumps backwards: a loop. */
PROG("socket", gotox_loop)
{
	ASM(TABLE(jt_loop, 16, ".quad gl_a - socket; .quad gl_b - socket;")
	    "r6 = 0;"
	    "r7 = 0; r8 = 0;"
	    "gl_a: r6 += 1;"
	    "r1 = r6;"
	    "r1 &= 1;"
	    "r1 <<= 3;"
	    "r2 = jt_loop ll;"
	    "r2 += r1;"
	    "r2 = *(u64 *)(r2 + 0);"
	    GOTO_X(2)
	    "gl_b: r0 = r8;"
	    "exit;");
}

/* In a subprogram, which ends in the gotox itself. */
SUB(gotox_subprogram)
{
	ASM(TABLE(jt_sub, 16, ".quad gs_a - .text; .quad gs_b - .text;")
	    "r6 = *(u64 *)(r1 - 8);"
	    "goto 1f;"
	    "gs_a: *(u64 *)(r1 - 16) = 1;"
	    "r0 = *(u64 *)(r1 - 16);" RET0
	    "gs_b: r0 = *(u64 *)(r1 - 24);" RET0
	    "1: r0 = jt_sub ll;"
	    "r0 = *(u64 *)(r0 + 0);"
	    GOTO_X(0));
}

/* The targets of main's tables are not those of the subprogram's. */
PROG("socket", gotox_in_subprogram)
{
	ASM(TABLE(jt_main, 16, ".quad gm_a - socket; .quad gm_b - socket;")
	    "r0 = jt_main ll;"
	    "r0 = *(u64 *)(r0 + 0);"
	    GOTO_X(0)
	    "gm_a: r1 = r10;"
	    "call gotox_subprogram;" RET0
	    "gm_b: r1 = r10; r1 += -64;"
	    "call gotox_subprogram;" RET0);
}

/* One target only; the entry read is no constant, so that a branch on it is not decided. */
PROG("socket", gotox_one_target)
{
	ASM(TABLE(jt_one, 8, ".quad go_a - socket;")
	    "r1 = jt_one ll;"
	    "r2 = *(u32 *)(r1 + 0);"
	    "if r2 == 0 goto +1;"
	    "r3 = *(u64 *)(r1 + 0);"
	    "r3 = *(u64 *)(r1 + 0);"
	    GOTO_X(3)
	    "go_a: r0 = 0; exit;");
}

LICENSE;
