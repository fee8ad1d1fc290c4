/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Extensions: their helpers are those of the program whose function they replace, and never those of a hook that happens
 * to be called like that function.
 *
 * Pins down (kernel/bpf/verifier.c, kernel/bpf/bpf_lsm.c): check_attach_btf_id, after which the operations are those of
 * the target's type and the expected attach type is the target's, while attach_btf_id is one of the target's own types;
 * struct_ops programs as targets, whose type has no get_func_proto of its own.
 */
#include "corpus.h"

struct tcp_congestion_ops {
	__u32 (*ssthresh)(void *sk);
	__u32 (*undo_cwnd)(void *sk);
	void (*cong_avoid)(void *sk, __u32 ack, __u32 acked);
	char name[16];
};

/* Takes and returns what the function does that it replaces: clang names no parameter of a naked function. */
#define EXTENSION(of, name, text)                                               \
	SEC("freplace/" #of) int name(int a)                                    \
	{                                                                       \
		ASM(text : : : "r0", "r1", "r2", "r3", "r4", "r5", "memory");   \
		return 1;                                                       \
	}

#define OPTION(helper)                                                          \
	"*(u64 *)(r10 -8) = 0; r1 = 0; r2 = 1; r3 = 2; r4 = r10; r4 += -8;"     \
	"r5 = 4;" CALL(helper)
#define KEYS                                                                    \
	"*(u64 *)(r10 -8) = 0; r1 = r10; r1 += -8; r2 = 4; r3 = r10;"           \
	"r3 += -24;" CALL(probe_read_kernel)

/* Called like a hook of cgroups' LSM programs that offers helpers of its own. */
__noinline int sock_graft(int a)
{
	asm volatile("");
	return a;
}

__noinline int no_hook(int a)
{
	asm volatile("");
	return a;
}

__noinline int of_struct_ops(int a)
{
	asm volatile("");
	return a;
}

SEC("lsm_cgroup/sock_graft") int extended_lsm(__u64 *ctx)
{
	sock_graft(1);
	return no_hook(1);
}

SEC("struct_ops/cong_avoid") void extended_struct_ops(__u64 *ctx)
{
	of_struct_ops(1);
}

struct tcp_congestion_ops congestion SEC(".struct_ops") = {
	.cong_avoid = (void *)extended_struct_ops,
	.name = "extended",
};

EXTENSION(sock_graft, extension_called_like_hook_sets, OPTION(setsockopt))
EXTENSION(sock_graft, extension_called_like_hook_gets, OPTION(getsockopt))
EXTENSION(no_hook, extension_of_lsm_sets, OPTION(setsockopt))
EXTENSION(no_hook, extension_of_lsm_gets, OPTION(getsockopt))
EXTENSION(of_struct_ops, extension_of_struct_ops, KEYS)
PROG("lsm_cgroup/sock_graft", hook_gets) { ASM(OPTION(getsockopt) RET0); }

LICENSE;
