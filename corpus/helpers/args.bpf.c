/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stack pointers as arguments of helpers, by kind of argument.
 *
 * Pins down (verifier.c): bpf_helper_stack_access_bytes for memory with a constant, merged and unknown size,
 * uninitialised memory, memory of fixed size, dynptrs, callbacks' contexts, all other kinds, and no prototype;
 * bpf_get_call_summary: the number of parameters; (liveness.c) record_call_access, record_arg_access,
 * record_stack_access: several offsets, unknown offsets, imprecise pointers; S64_MIN.
 */
#include "corpus.h"

DEFINE_RING(ring, BPF_MAP_TYPE_RINGBUF, 4096);
DEFINE_MAP(events, BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 1);

/* Memory to read of constant size: whole half-slots and parts of them; of size zero. */
PROG("socket", read_constant_size)
{
	ASM("r1 = r10; r1 += -64; r2 = 16; r3 = 0; r4 = 0;"
	    CALL(trace_printk)
	    "r1 = r10; r1 += -64; r2 = 5; r3 = 0; r4 = 0;"
	    CALL(trace_printk)
	    "r1 = r10; r1 += -62; r2 = 3; r3 = 0; r4 = 0;"
	    CALL(trace_printk)
	    "r1 = r10; r1 += -64; r2 = 0; r3 = 0; r4 = 0;"
	    CALL(trace_printk)
	    "r1 = r10; r1 += -8; r2 = 64; r3 = 0; r4 = 0;"
	    CALL(trace_printk)
	    "r1 = r10; r1 += -512; r2 = 512; r3 = 0; r4 = 0;"
	    CALL(trace_printk) RET0);
}

/* Memory to write of constant size: rounded inwards. */
PROG("tc", write_constant_size)
{
	ASM("r6 = r1;"
	    "r2 = 0; r3 = r10; r3 += -64; r4 = 16;"
	    CALL(skb_load_bytes)
	    "r1 = r6; r2 = 0; r3 = r10; r3 += -64; r4 = 7;"
	    CALL(skb_load_bytes)
	    "r1 = r6; r2 = 0; r3 = r10; r3 += -62; r4 = 8;"
	    CALL(skb_load_bytes)
	    "r1 = r6; r2 = 0; r3 = r10; r3 += -62; r4 = 5;"
	    CALL(skb_load_bytes)
	    "r1 = r6; r2 = 0; r3 = r10; r3 += -64; r4 = 0;"
	    CALL(skb_load_bytes)
	    "r1 = r6; r2 = 0; r3 = r10; r3 += -8; r4 = 64;"
	    CALL(skb_load_bytes)
	    "r1 = r6; r2 = 0; r3 = r10; r3 += -520; r4 = 16;"
	    CALL(skb_load_bytes) RET0);
}

/* Sizes that are constants of 32 bits but huge, and such as do not fit 32 bits (unknown). */
PROG("tc", huge_sizes)
{
	ASM("r6 = r1;"
	    "r2 = 0; r3 = r10; r3 += -64; w4 = -1;"
	    CALL(skb_load_bytes)
	    "r1 = r6; r2 = 0; r3 = r10; r3 += -64; r4 = -1;"
	    CALL(skb_load_bytes)
	    "r1 = r6; r2 = 0; r3 = r10; r3 += -64; r4 = 0x100000010 ll;"
	    CALL(skb_load_bytes)
	    "r1 = r10; r1 += -64; w2 = -1;"
	    CALL(trace_printk)
	    "r1 = r10; r1 += -64; r2 = -1;"
	    CALL(trace_printk)
	    "r1 = r10; r1 += -64; w2 = 0x80000000;"
	    CALL(trace_printk) RET0);
}

/* Two sizes merged, and an unknown one: a read of the largest stack, a write of nothing. */
PROG("tc", merged_and_unknown_sizes)
{
	ASM("r6 = r1;"
	    "r7 = *(u32 *)(r1 + 0);"
	    "r2 = 0; r3 = r10; r3 += -64; r4 = 16;"
	    "if r7 == 0 goto +1;"
	    "r4 = 8;"
	    CALL(skb_load_bytes)
	    "r1 = r6; r2 = 0; r3 = r10; r3 += -64; r4 = r7;"
	    CALL(skb_load_bytes)
	    "r1 = r10; r1 += -64; r2 = 16;"
	    "if r7 == 0 goto +1;"
	    "r2 = 8;"
	    CALL(trace_printk)
	    "r1 = r10; r1 += -64; r2 = r7;"
	    CALL(trace_printk)
	    "r1 = r10; r1 += -64; r2 = 16;"
	    "if r7 == 0 goto +1;"
	    "r2 = 16;"
	    CALL(trace_printk) RET0);
}

/* Two buffers with a size each; a buffer that may be null; the fifth argument. */
PROG("tc", two_buffers)
{
	ASM("r1 = r10; r1 += -64; r2 = 8; r3 = r10; r3 += -128; r4 = 24; r5 = 0;"
	    CALL(csum_diff)
	    "r1 = 0; r2 = 0; r3 = r10; r3 += -128; r4 = 4; r5 = r10; r5 += -16;"
	    CALL(csum_diff)
	    "r1 = r10; r1 += -64; r2 = 16; r3 = r10; r3 += -32; r4 = r10; r4 += -128; r5 = 8;"
	    CALL(snprintf) RET0);
}

/* Output of events: the map, a constant, then memory and size in r4 and r5. */
PROG("tc", event_output)
{
	ASM("r2 = events ll;"
	    "r3 = 0; r4 = r10; r4 += -48; r5 = 20;"
	    CALL(perf_event_output) RET0);
}

/* Memory of fixed size, written: 8 bytes of a number parsed; what may not be written is read. */
PROG("socket", fixed_size_memory)
{
	ASM("r1 = r10; r1 += -64; r2 = 8; r3 = 0; r4 = r10; r4 += -16;"
	    CALL(strtol)
	    "r1 = r10; r1 += -64; r2 = 8; r3 = 0; r4 = r10; r4 += -20;"
	    CALL(strtoul)
	    "r1 = r10; r1 += -64; r2 = 4; r3 = r10; r3 += -32;"
	    CALL(strncmp) RET0);
}

/* Memory of fixed size that is read and written is read. */
PROG("tc", fixed_size_read_write)
{
	ASM("r2 = 0; r3 = r10; r3 += -16; r4 = 0; r5 = 0;"
	    CALL(check_mtu)
	    "r1 = r10; r1 += -64; r2 = r10; r2 += -128; r3 = 20;"
	    CALL(tcp_raw_gen_syncookie_ipv4)
	    "r1 = r10; r1 += -64; r2 = r10; r2 += -128;"
	    CALL(tcp_raw_check_syncookie_ipv4)
	    "r1 = r10; r1 += -64; r2 = r10; r2 += -128;"
	    CALL(tcp_raw_check_syncookie_ipv6) RET0);
}

/* Dynptrs are 16 bytes: initialised by the helper, or read. */
PROG("socket", dynptrs)
{
	ASM("r1 = r10; r1 += -64; r2 = 8; r3 = 0; r4 = r10; r4 += -16;"
	    CALL(dynptr_from_mem)
	    "r1 = r10; r1 += -64; r2 = 8; r3 = r10; r3 += -16; r4 = 0; r5 = 0;"
	    CALL(dynptr_read)
	    "r1 = r10; r1 += -16; r2 = 0; r3 = r10; r3 += -64; r4 = 8; r5 = 0;"
	    CALL(dynptr_write)
	    "r1 = r10; r1 += -16; r2 = 0; r3 = 8;"
	    CALL(dynptr_data)
	    "r1 = ring ll;"
	    "r2 = 16; r3 = 0; r4 = r10; r4 += -32;"
	    CALL(ringbuf_reserve_dynptr)
	    "r1 = r10; r1 += -32; r2 = 0;"
	    CALL(ringbuf_submit_dynptr) RET0);
}

/* A dynptr at an offset that is no multiple of 8, and one across fp+0. */
PROG("socket", dynptrs_misplaced)
{
	ASM("r1 = r10; r1 += -64; r2 = 8; r3 = 0; r4 = r10; r4 += -22;"
	    CALL(dynptr_from_mem)
	    "r1 = r10; r1 += -64; r2 = 8; r3 = 0; r4 = r10; r4 += -8;"
	    CALL(dynptr_from_mem)
	    "r1 = r10; r1 += -12; r2 = 0; r3 = 8;"
	    CALL(dynptr_data) RET0);
}

/* Any other kind of argument: everything from the pointer up to fp+0 is read. */
PROG("socket", unknown_sizes)
{
	ASM("r1 = r10; r1 += -24; r2 = 0; r3 = 0;"
	    CALL(ringbuf_query)
	    "r1 = r10; r1 += -21;"
	    CALL(spin_lock)
	    "r1 = r10; r1 += -512;"
	    CALL(spin_unlock)
	    "r1 = r10; r1 += -600;"
	    CALL(spin_unlock)
	    "r1 = r10;"
	    CALL(spin_unlock)
	    "r1 = r10; r1 += 8;"
	    CALL(spin_unlock)
	    "r1 = r10; r1 += -1;"
	    CALL(spin_unlock) RET0);
}

/* Pointers in registers that are no parameters of the helper: not used, not live. */
PROG("socket", more_registers_than_parameters)
{
	ASM("r1 = r10; r2 = r10; r3 = r10; r4 = r10; r5 = r10;"
	    "r1 += -8; r2 += -16; r3 += -24; r4 += -32; r5 += -40;"
	    CALL(get_prandom_u32)
	    "r1 = r10; r2 = r10; r3 = r10; r4 = r10; r5 = r10;"
	    "r1 += -8; r2 += -16; r3 += -24; r4 += -32; r5 += -40;"
	    CALL(spin_lock)
	    "r1 = r10; r2 = r10; r3 = r10; r4 = r10; r5 = r10;"
	    "r1 += -8; r2 += -16; r3 += -24; r4 += -32; r5 += -40;"
	    CALL(tail_call)
	    "r1 = r10; r2 = r10; r3 = r10; r4 = r10; r5 = r10;"
	    "r1 += -8; r2 += -16; r3 += -24; r4 += -32; r5 += -40;"
	    CALL(dynptr_write) RET0);
}

/* Helpers that this program type may not call: five parameters of unknown size each. */
PROG("socket", not_allowed_for_type)
{
	ASM("r1 = r10; r2 = r10; r3 = r10; r4 = r10; r5 = r10;"
	    "r1 += -8; r2 += -16; r3 += -24; r4 += -32; r5 += -40;"
	    CALL(override_return)
	    "r1 = r10; r2 = r10; r3 = r10; r4 = r10; r5 = r10;"
	    "r1 += -8; r2 += -16; r3 += -24; r4 += -32; r5 += -44;"
	    CALL(xdp_adjust_head) RET0);
}

/* The same helper has other prototypes in other program types. */
#define SAME_HELPERS                                                            \
	"r1 = r10; r2 = r10; r3 = r10; r4 = r10; r5 = 16;"                      \
	"r1 += -8; r2 += -16; r3 += -24; r4 += -32;" CALL(perf_event_output)    \
	"r1 = r10; r2 = r10; r3 = 8; r4 = r10; r5 = r10;"                       \
	"r1 += -8; r2 += -16; r4 += -32; r5 += -40;" CALL(get_stackid)          \
	"r1 = r10; r2 = r10; r3 = 24; r4 = r10;"                                \
	"r1 += -8; r2 += -64; r4 += -32;" CALL(get_stack)                       \
	"r1 = r10; r2 = r10; r3 = 24; r4 = r10; r5 = 8;"                        \
	"r1 += -8; r2 += -64; r4 += -32;" CALL(get_socket_cookie)               \
	"r1 = r10; r2 = r10; r3 = r10; r4 = 16; r5 = r10;"                      \
	"r1 += -8; r2 += -16; r3 += -64; r5 += -40;" CALL(setsockopt)           \
	"r1 = r10; r2 = r10; r3 = r10; r4 = r10; r5 = 16;"                      \
	"r1 += -8; r2 += -16; r3 += -24; r4 += -64;" CALL(getsockopt)           \
	"r1 = r10; r2 = r10; r3 = r10; r4 = 8; r5 = r10;"                       \
	"r1 += -8; r2 += -16; r3 += -64; r5 += -40;" CALL(skb_load_bytes)       \
	"r1 = r10; r2 = 16; r3 = r10; r1 += -64; r3 += -24;" CALL(probe_read_kernel)

PROG("socket", by_type_socket) { ASM(SAME_HELPERS RET0); }
PROG("tc", by_type_tc) { ASM(SAME_HELPERS RET0); }
PROG("xdp", by_type_xdp) { ASM(SAME_HELPERS RET0); }
PROG("kprobe", by_type_kprobe) { ASM(SAME_HELPERS RET0); }
PROG("tp", by_type_tracepoint) { ASM(SAME_HELPERS RET0); }
PROG("raw_tp", by_type_raw_tracepoint) { ASM(SAME_HELPERS RET0); }
PROG("perf_event", by_type_perf_event) { ASM(SAME_HELPERS RET0); }
PROG("sockops", by_type_sockops) { ASM(SAME_HELPERS RET0); }
PROG("cgroup/skb", by_type_cgroup_skb) { ASM(SAME_HELPERS RET0); }
PROG("cgroup/sock", by_type_cgroup_sock) { ASM(SAME_HELPERS RET0); }
PROG("cgroup/connect4", by_type_connect4) { ASM(SAME_HELPERS RET0); }
PROG("cgroup/sendmsg4", by_type_sendmsg4) { ASM(SAME_HELPERS RET0); }
PROG("cgroup/setsockopt", by_type_setsockopt) { ASM(SAME_HELPERS RET0); }
PROG("cgroup/getsockopt", by_type_getsockopt) { ASM(SAME_HELPERS RET0); }
PROG("cgroup/sysctl", by_type_sysctl) { ASM(SAME_HELPERS RET0); }
PROG("cgroup/dev", by_type_cgroup_device) { ASM(SAME_HELPERS RET0); }
PROG("sk_skb", by_type_sk_skb) { ASM(SAME_HELPERS RET0); }
PROG("sk_msg", by_type_sk_msg) { ASM(SAME_HELPERS RET0); }
PROG("sk_lookup", by_type_sk_lookup) { ASM(SAME_HELPERS RET0); }
PROG("sk_reuseport", by_type_sk_reuseport) { ASM(SAME_HELPERS RET0); }
PROG("flow_dissector", by_type_flow_dissector) { ASM(SAME_HELPERS RET0); }
PROG("lwt_in", by_type_lwt_in) { ASM(SAME_HELPERS RET0); }
PROG("lwt_out", by_type_lwt_out) { ASM(SAME_HELPERS RET0); }
PROG("lwt_xmit", by_type_lwt_xmit) { ASM(SAME_HELPERS RET0); }
PROG("lwt_seg6local", by_type_lwt_seg6local) { ASM(SAME_HELPERS RET0); }
PROG("raw_tp.w", by_type_raw_tracepoint_writable) { ASM(SAME_HELPERS RET0); }
PROG("syscall", by_type_syscall) { ASM(SAME_HELPERS RET0); }
PROG("netfilter", by_type_netfilter) { ASM(SAME_HELPERS RET0); }

/* Ids without a helper: none, one past the last, far out, negative. */
PROG("socket", no_such_helper)
{
	ASM("r1 = r10; r1 += -8;"
	    INSN(CALL_CODE, 0, 0, 0, 0)
	    "r2 = r10; r2 += -16;"
	    INSN(CALL_CODE, 0, 0, 0, 212)
	    "r5 = r10; r5 += -24;"
	    INSN(CALL_CODE, 0, 0, 0, 1000000)
	    "r3 = r10; r3 += -32;"
	    INSN(CALL_CODE, 0, 0, 0, -1) RET0);
}

/* Several offsets: all are read, none is written; an unknown offset: all read, nothing written. */
PROG("tc", imprecise_arguments)
{
	ASM("r6 = r1;"
	    "r7 = *(u32 *)(r1 + 0);"
	    "r8 = r10; r8 += -64;"
	    "if r7 == 0 goto +1;"
	    "r8 += -64;"
	    "r1 = r8; r2 = 16;"
	    CALL(trace_printk)
	    "r1 = r6; r2 = 0; r3 = r8; r4 = 16;"
	    CALL(skb_load_bytes)
	    "r1 = r8;"
	    CALL(spin_lock)
	    "r9 = r10; r9 += r7;"
	    "r1 = r9; r2 = 16;"
	    CALL(trace_printk)
	    "r1 = r6; r2 = 0; r3 = r9; r4 = 16;"
	    CALL(skb_load_bytes)
	    "r1 = r9;"
	    CALL(spin_lock)
	    "r1 = r9; r2 = 0;"
	    CALL(trace_printk) RET0);
}

/* A mask of frames: whatever the helper does, all of them are read, unless it does nothing. */
SUB(helper_with_mask)
{
	ASM("r6 = r10; r6 += r1;"
	    "r7 = r2;"
	    "r1 = r6; r2 = 16;"
	    CALL(trace_printk)
	    "r1 = r7; r2 = 0; r3 = r6; r4 = 16;"
	    CALL(skb_load_bytes)
	    "r1 = r7; r2 = 0; r3 = r6; r4 = 0;"
	    CALL(skb_load_bytes)
	    "r1 = r6;"
	    CALL(spin_lock) RET0);
}

PROG("tc", helpers_with_mask)
{
	ASM("r2 = r1;"
	    "r1 = r10;"
	    "call helper_with_mask;" RET0);
}

/* Arguments of the parent's frame: reads and writes are the parent's; a must-write through a helper. */
SUB(helper_on_parent)
{
	ASM("r6 = r1;"
	    "r7 = r2;"
	    "r3 = r6; r3 += -64; r1 = r7; r2 = 0; r4 = 32;"
	    CALL(skb_load_bytes)
	    "r1 = r6; r1 += -64; r2 = 40;"
	    CALL(trace_printk) RET0);
}

PROG("tc", helpers_on_parent)
{
	ASM("r2 = r1;"
	    "r1 = r10;"
	    "call helper_on_parent;" RET0);
}

LICENSE;
