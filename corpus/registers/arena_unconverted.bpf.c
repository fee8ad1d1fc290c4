/* SPDX-License-Identifier: GPL-2.0-only */
/* The programs of arena.bpf.c in an arena whose addresses are not converted: casts to the user's space are plain. */
#define ARENA_FLAGS BPF_F_NO_USER_CONV
#include "arena.bpf.c"
