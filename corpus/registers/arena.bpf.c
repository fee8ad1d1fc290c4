/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Casts between the address spaces of an arena.
 *
 * Pins down (Linux 7.3, register table): is_addr_space_cast32: a cast to the kernel's space is done in 32 bits, so that
 * the upper half may have to be cleared after it; one to the user's space only where the arena says that nothing is
 * converted, see arena_unconverted.bpf.c. An object has one arena.
 */
#include "corpus.h"

#ifndef ARENA_FLAGS
#define ARENA_FLAGS 0
#endif
#define BPF_F_MMAPABLE 0x400
#define BPF_F_NO_USER_CONV 0x40000

struct {
	int (*type)[BPF_MAP_TYPE_ARENA];
	int (*map_flags)[BPF_F_MMAPABLE | ARENA_FLAGS];
	int (*max_entries)[1];
} arena SEC(".maps");

/* Another map is no arena, although it comes first. */
DEFINE_MAP(plain, BPF_MAP_TYPE_ARRAY, 4, 8, 1);

/* Casts and a plain move, of which all the result is read. */
#define CASTS                                                    \
	"r1 = 1;"                                                \
	ADDR_SPACE_CAST(2, 1, 1) "*(u64 *)(r10 - 8) = r2;"       \
	ADDR_SPACE_CAST(3, 1, 0x10000) "*(u64 *)(r10 - 8) = r3;" \
	"r5 = r1; *(u64 *)(r10 - 8) = r5;"

PROG("syscall", casts_in_an_arena)
{
	ASM("r7 = plain ll; r6 = arena ll;" CASTS RET0);
}

PROG("syscall", casts_without_an_arena)
{
	ASM("r7 = plain ll;" CASTS RET0);
}

LICENSE;
