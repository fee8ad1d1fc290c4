/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Program types that attach to a kernel function or hook: which helpers they may call, and with which prototype.
 *
 * Pins down (kernel/trace/bpf_trace.c, kernel/bpf/bpf_lsm.c, net/ipv4/bpf_tcp_ca.c): get_func_proto of tracing,
 * LSM and struct_ops programs, as seen by bpf_helper_stack_access_bytes and bpf_get_call_summary.
 */
#include "corpus.h"

struct tcp_congestion_ops {
	__u32 (*ssthresh)(void *sk);
	__u32 (*undo_cwnd)(void *sk);
	void (*cong_avoid)(void *sk, __u32 ack, __u32 acked);
	char name[16];
};

#define SAME_HELPERS                                                            \
	"r1 = r10; r2 = r10; r3 = r10; r4 = r10; r5 = 16;"                      \
	"r1 += -8; r2 += -16; r3 += -24; r4 += -32;" CALL(perf_event_output)    \
	"r1 = r10; r2 = r10; r3 = 24; r4 = r10;"                                \
	"r1 += -8; r2 += -64; r4 += -32;" CALL(get_stack)                       \
	"r1 = r10; r2 = r10; r3 = 24; r4 = r10; r5 = 8;"                        \
	"r1 += -8; r2 += -64; r4 += -32;" CALL(get_socket_cookie)               \
	"r1 = r10; r2 = r10; r3 = r10; r4 = 16; r5 = r10;"                      \
	"r1 += -8; r2 += -16; r3 += -64; r5 += -40;" CALL(setsockopt)           \
	"r1 = r10; r2 = r10; r3 = r10; r4 = r10; r5 = 16;"                      \
	"r1 += -8; r2 += -16; r3 += -24; r4 += -64;" CALL(getsockopt)           \
	"r1 = r10; r2 = r10; r3 = r10; r4 = 16; r5 = r10;"                      \
	"r1 += -8; r2 += -16; r3 += -64; r5 += -40;" CALL(seq_write)            \
	"r1 = r10; r2 = r10; r3 = r10;"                                         \
	"r1 += -8; r2 += -16; r3 += -24;" CALL(get_func_arg)                    \
	"r1 = r10; r2 = r10; r3 = r10;"                                         \
	"r1 += -8; r2 += -16; r3 += -24;" CALL(get_func_ret)                    \
	"r1 = r10; r2 = r10; r3 = 16;"                                          \
	"r1 += -8; r2 += -64;" CALL(d_path)                                     \
	"r1 = r10; r2 = r10; r3 = r10;"                                         \
	"r1 += -8; r2 += -16; r3 += -24;" CALL(bprm_opts_set)                   \
	"r1 = r10; r2 = r10;"                                                   \
	"r1 += -8; r2 += -16;" CALL(tcp_send_ack)

PROG("fentry/bpf_fentry_test1", by_type_fentry) { ASM(SAME_HELPERS RET0); }
PROG("fexit/bpf_fentry_test1", by_type_fexit) { ASM(SAME_HELPERS RET0); }
PROG("fmod_ret/bpf_modify_return_test", by_type_fmod_ret) { ASM(SAME_HELPERS RET0); }
PROG("tp_btf/sched_switch", by_type_tp_btf) { ASM(SAME_HELPERS RET0); }
PROG("iter/task", by_type_iter) { ASM(SAME_HELPERS RET0); }
PROG("lsm/file_open", by_type_lsm) { ASM(SAME_HELPERS RET0); }
PROG("lsm.s/file_open", by_type_lsm_sleepable) { ASM(SAME_HELPERS RET0); }
PROG("lsm_cgroup/socket_bind", by_type_lsm_cgroup) { ASM(SAME_HELPERS RET0); }
PROG("struct_ops/cong_avoid", by_type_struct_ops) { ASM(SAME_HELPERS RET0); }
struct tcp_congestion_ops congestion SEC(".struct_ops") = {
	.cong_avoid = (void *)by_type_struct_ops,
	.name = "corpus",
};

LICENSE;
