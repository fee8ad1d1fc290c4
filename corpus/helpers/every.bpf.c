/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every helper, called with stack pointers in all five registers, or with sizes and maps between them.
 *
 * Pins down (verifier.c): bpf_helper_stack_access_bytes and bpf_get_call_summary over the prototypes of all
 * helpers (the tables of the model), in a networking and in a tracing program; (disasm.c) the helpers' names.
 * Most calls are refused by the path walk. The other program types have samples in args.bpf.c.
 */
#include "corpus.h"

DEFINE_MAP(map_12_20, BPF_MAP_TYPE_HASH, 12, 20, 4);

/* Pointers of different places in r6 to r9, and below them the calls, ids 1 to 211. */
#define EVERY(arguments)                                                                    \
	"r6 = r10; r6 += -64; r7 = r10; r7 += -128; r8 = r10; r8 += -200; r9 = r10; r9 += -300;" \
	".set id, 1; .rept 211;" arguments INSN(CALL_CODE, 0, 0, 0, id) ".set id, id + 1; .endr;"

#define ALL_POINTERS "r1 = r6; r2 = r7; r3 = r8; r4 = r9; r5 = r6;"
#define EVEN_SIZES "r1 = r6; r2 = 24; r3 = r8; r4 = 16; r5 = r6;"
#define MAP_AND_ODD_SIZES "r1 = map_12_20 ll; r2 = r7; r3 = 24; r4 = r9; r5 = 16;"

/* Sizes are not known: memory is read as far as the stack goes, and no write is certain. */
PROG("tc", every_helper_in_tc)
{
	ASM(EVERY(ALL_POINTERS) RET0);
}

/* Sizes in r2 and r4. */
PROG("tc", every_helper_in_tc_with_sizes)
{
	ASM(EVERY(EVEN_SIZES) RET0);
}

/* The same in a tracing program. */
PROG("raw_tp", every_helper_in_raw_tracepoint)
{
	ASM(EVERY(ALL_POINTERS) RET0);
}

/* A map in r1, sizes in r3 and r5. */
PROG("raw_tp", every_helper_in_raw_tracepoint_with_map)
{
	ASM(EVERY(MAP_AND_ODD_SIZES) RET0);
}

LICENSE;
