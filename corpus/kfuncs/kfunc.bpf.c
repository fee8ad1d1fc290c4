/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Kernel functions with stack pointers as arguments, and whatever else needs the running kernel's BTF.
 * In one object, since opening it makes libbpf read all of the kernel's BTF.
 *
 * Pins down (verifier.c): bpf_kfunc_stack_access_bytes: iterators' constructors, dynptrs, sized buffers with
 * constant, merged and unknown size, types of known and unknown size, uninitialised out-parameters, values that
 * are no pointers, no prototype (not allowed for the program type, in no set, id 0); bpf_get_call_summary for
 * kfuncs; exception callbacks in add_subprog_and_kfunc and bpf_check_cfg; kfuncs that call back (rbtree_add is
 * an implicit loop, bpf_wq_set_callback is async); BPF_PSEUDO_BTF_ID; (disasm.c) names of kfuncs.
 */
#include "corpus.h"

struct bpf_iter_num {
	__u64 opaque[1];
} __attribute__((aligned(8)));
struct bpf_iter_bits {
	__u64 opaque[2];
} __attribute__((aligned(8)));
struct bpf_dynptr {
	__u64 opaque[2];
} __attribute__((aligned(8)));
struct bpf_wq {
	__u64 opaque[2];
} __attribute__((aligned(8)));
/* The kernel's types by name alone: libbpf wants them to be structs, not what they hold. */
struct bpf_cpumask {
};
struct cpumask {
};
struct bpf_rb_root {
};
struct bpf_rb_node {
};
struct bpf_crypto_ctx {
};
struct bpf_crypto_params {
};
struct __sk_buff {
};
struct xdp_md {
};
struct path {
};
struct task_struct {
};
typedef _Bool bool;

#define KFUNC(ret, name, ...) extern ret name(__VA_ARGS__) __weak __ksym

KFUNC(int, bpf_iter_num_new, struct bpf_iter_num *it, int start, int end);
KFUNC(int *, bpf_iter_num_next, struct bpf_iter_num *it);
KFUNC(void, bpf_iter_num_destroy, struct bpf_iter_num *it);
KFUNC(int, bpf_iter_bits_new, struct bpf_iter_bits *it, const __u64 *words, __u32 nr_words);
KFUNC(int *, bpf_iter_bits_next, struct bpf_iter_bits *it);
KFUNC(void, bpf_iter_bits_destroy, struct bpf_iter_bits *it);
KFUNC(int, bpf_dynptr_from_skb, struct __sk_buff *skb, __u64 flags, struct bpf_dynptr *ptr);
KFUNC(int, bpf_dynptr_clone, const struct bpf_dynptr *p, struct bpf_dynptr *clone);
KFUNC(int, bpf_dynptr_adjust, struct bpf_dynptr *p, __u64 start, __u64 end);
KFUNC(__u64, bpf_dynptr_size, const struct bpf_dynptr *p);
KFUNC(void *, bpf_dynptr_slice, const struct bpf_dynptr *p, __u64 offset, void *buffer, __u64 size);
KFUNC(int, bpf_dynptr_copy, const struct bpf_dynptr *dst, __u64 dst_off, const struct bpf_dynptr *src,
      __u64 src_off, __u64 size);
KFUNC(int, bpf_cpumask_populate, struct bpf_cpumask *mask, void *src, unsigned long size);
KFUNC(bool, bpf_cpumask_and, struct bpf_cpumask *dst, const struct cpumask *a, const struct cpumask *b);
KFUNC(struct bpf_crypto_ctx *, bpf_crypto_ctx_create, const struct bpf_crypto_params *params, __u32 size,
      int *err);
KFUNC(void, bpf_local_irq_save, unsigned long *flags);
KFUNC(void, bpf_local_irq_restore, unsigned long *flags);
KFUNC(void, bpf_preempt_disable, void);
KFUNC(void, bpf_preempt_enable, void);
KFUNC(void *, bpf_cast_to_kern_ctx, void *obj);
KFUNC(void *, bpf_rdonly_cast, const void *obj, __u32 btf_id);
KFUNC(int, bpf_strncasecmp, const char *a, const char *b, unsigned long len);
KFUNC(int, bpf_path_d_path, const struct path *path, char *buf, unsigned long size);
KFUNC(int, bpf_modify_return_test2, int a, int *b, short c, int d, void *e, char f, int g);
KFUNC(int, bpf_copy_from_user_str, void *dst, __u32 size, const void *user, __u64 flags);
KFUNC(void, bpf_throw, __u64 cookie);
KFUNC(int, bpf_wq_set_callback, struct bpf_wq *wq, int (*callback)(void *, int *, void *), unsigned int flags);
KFUNC(int, bpf_rbtree_add, struct bpf_rb_root *root, struct bpf_rb_node *node,
      bool (*less)(struct bpf_rb_node *, const struct bpf_rb_node *));
KFUNC(struct task_struct *, bpf_task_from_pid, __s32 pid);
KFUNC(int, bpf_dynptr_from_xdp, struct xdp_md *xdp, __u64 flags, struct bpf_dynptr *ptr);
KFUNC(int, corpus_no_such_kfunc, void *p, __u32 size);
extern const int bpf_prog_active __ksym;

/* Never called: makes clang describe the kfuncs in BTF. */
static __used void describe(void)
{
	bpf_iter_num_new(0, 0, 0);
	bpf_iter_num_next(0);
	bpf_iter_num_destroy(0);
	bpf_iter_bits_new(0, 0, 0);
	bpf_iter_bits_next(0);
	bpf_iter_bits_destroy(0);
	bpf_dynptr_from_skb(0, 0, 0);
	bpf_dynptr_clone(0, 0);
	bpf_dynptr_adjust(0, 0, 0);
	bpf_dynptr_size(0);
	bpf_dynptr_slice(0, 0, 0, 0);
	bpf_dynptr_copy(0, 0, 0, 0, 0);
	bpf_cpumask_populate(0, 0, 0);
	bpf_cpumask_and(0, 0, 0);
	bpf_crypto_ctx_create(0, 0, 0);
	bpf_local_irq_save(0);
	bpf_local_irq_restore(0);
	bpf_preempt_disable();
	bpf_preempt_enable();
	bpf_cast_to_kern_ctx(0);
	bpf_rdonly_cast(0, 0);
	bpf_strncasecmp(0, 0, 0);
	bpf_path_d_path(0, 0, 0);
	asm volatile("" ::"r"(&bpf_modify_return_test2));
	bpf_copy_from_user_str(0, 0, 0, 0);
	bpf_throw(0);
	bpf_wq_set_callback(0, 0, 0);
	bpf_rbtree_add(0, 0, 0);
	bpf_task_from_pid(0);
	bpf_dynptr_from_xdp(0, 0, 0);
	corpus_no_such_kfunc(0, 0);
	asm volatile("" ::"r"(&bpf_prog_active));
}

#define KCALL(name) "call " #name ";"

/* An iterator of 8 bytes: the constructor writes, the others read. */
PROG("socket", iterator_num)
{
	ASM("r1 = r10; r1 += -16; r2 = 0; r3 = 8;"
	    KCALL(bpf_iter_num_new)
	    "1: r1 = r10; r1 += -16;"
	    KCALL(bpf_iter_num_next)
	    "if r0 == 0 goto 2f;"
	    "goto 1b;"
	    "2: r1 = r10; r1 += -16;"
	    KCALL(bpf_iter_num_destroy) RET0);
}

/* An iterator of 16 bytes, with a pointer to a word as second argument; at an odd place. */
PROG("tc", iterator_bits)
{
	ASM("r1 = r10; r1 += -32; r2 = r10; r2 += -8; r3 = 1;"
	    KCALL(bpf_iter_bits_new)
	    "r1 = r10; r1 += -32;"
	    KCALL(bpf_iter_bits_next)
	    "r1 = r10; r1 += -32;"
	    KCALL(bpf_iter_bits_destroy)
	    "r1 = r10; r1 += -62; r2 = r10; r2 += -4; r3 = 1;"
	    KCALL(bpf_iter_bits_new) RET0);
}

/* Pointers in parameters that are no pointers, and in registers that are no parameters: no access. */
PROG("socket", not_a_pointer)
{
	ASM("r1 = r10; r2 = r10; r3 = r10; r4 = r10; r5 = r10;"
	    "r1 += -8; r2 += -16; r3 += -24; r4 += -32; r5 += -40;"
	    KCALL(bpf_iter_num_new)
	    "r1 = r10; r2 = r10; r3 = r10; r4 = r10; r5 = r10;"
	    "r1 += -8; r2 += -16; r3 += -24; r4 += -32; r5 += -40;"
	    KCALL(bpf_preempt_disable) KCALL(bpf_preempt_enable)
	    "r1 = r10; r2 = r10; r3 = r10; r4 = r10; r5 = r10;"
	    "r1 += -8; r2 += -16; r3 += -24; r4 += -32; r5 += -40;"
	    KCALL(bpf_task_from_pid)
	    "r1 = r10; r2 = r10; r3 = r10; r4 = r10; r5 = r10;"
	    "r1 += -8; r2 += -32; r3 += -40; r4 += -56; r5 += -64;"
	    KCALL(bpf_dynptr_copy) RET0);
}

/* Dynptrs: read, or written where the parameter says that it is uninitialised. */
PROG("tc", dynptr_arguments)
{
	ASM("r2 = 0; r3 = r10; r3 += -16;"
	    KCALL(bpf_dynptr_from_skb)
	    "r1 = r10; r1 += -16; r2 = r10; r2 += -32;"
	    KCALL(bpf_dynptr_clone)
	    "r1 = r10; r1 += -32; r2 = 0; r3 = 8;"
	    KCALL(bpf_dynptr_adjust)
	    "r1 = r10; r1 += -30;"
	    KCALL(bpf_dynptr_size)
	    "r1 = r10; r1 += -8; r2 = r10; r2 += -40;"
	    KCALL(bpf_dynptr_clone) RET0);
}

/* A buffer with its size in the next register: constant, zero, huge. */
PROG("tc", sized_buffer_constant)
{
	ASM("r2 = 0; r3 = r10; r3 += -16;"
	    KCALL(bpf_dynptr_from_skb)
	    "r1 = r10; r1 += -16; r2 = 0; r3 = r10; r3 += -64; r4 = 20;"
	    KCALL(bpf_dynptr_slice)
	    "r1 = r10; r1 += -16; r2 = 0; r3 = r10; r3 += -64; r4 = 0;"
	    KCALL(bpf_dynptr_slice)
	    "r1 = r10; r1 += -16; r2 = 0; r3 = r10; r3 += -63; r4 = 3;"
	    KCALL(bpf_dynptr_slice)
	    "r1 = r10; r1 += -16; r2 = 0; r3 = r10; r3 += -64; w4 = -1;"
	    KCALL(bpf_dynptr_slice)
	    "r1 = r10; r1 += -16; r2 = 0; r3 = r10; r3 += -64; r4 = -1;"
	    KCALL(bpf_dynptr_slice) RET0);
}

/* The size merged from two constants, and unknown: as large as the stack. */
PROG("tc", sized_buffer_unknown)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r2 = 0; r3 = r10; r3 += -16;"
	    KCALL(bpf_dynptr_from_skb)
	    "r1 = r10; r1 += -16; r2 = 0; r3 = r10; r3 += -64; r4 = 8;"
	    "if r6 == 0 goto +1;"
	    "r4 = 16;"
	    KCALL(bpf_dynptr_slice)
	    "r1 = r10; r1 += -16; r2 = 0; r3 = r10; r3 += -512; r4 = r6;"
	    KCALL(bpf_dynptr_slice)
	    "r1 = r10; r1 += -24; r2 = r10; r2 += -64; r3 = 24;"
	    KCALL(bpf_cpumask_populate)
	    "r1 = r10; r1 += -24; r2 = r10; r2 += -64; r3 = r6;"
	    KCALL(bpf_cpumask_populate) RET0);
}

/* Pointers to types of known size, scalars among them; to void and to functions. */
PROG("tc", pointee_sizes)
{
	ASM("r1 = r10; r1 += -8;"
	    KCALL(bpf_local_irq_save)
	    "r1 = r10; r1 += -8;"
	    KCALL(bpf_local_irq_restore)
	    "r1 = r10; r1 += -128; r2 = r10; r2 += -256; r3 = r10; r3 += -384;"
	    KCALL(bpf_cpumask_and)
	    "r1 = r10; r1 += -48;"
	    KCALL(bpf_cast_to_kern_ctx)
	    "r1 = r10; r1 += -48; r2 = 1;"
	    KCALL(bpf_rdonly_cast)
	    "r1 = r10; r1 += -16; r2 = r10; r2 += -24; r3 = 4;"
	    KCALL(bpf_strncasecmp)
	    "r1 = r10; r1 += -256; r2 = r10; r2 += -128; r3 = r10; r3 += -64;"
	    KCALL(bpf_rbtree_add) RET0);
}

/* The context's type has a size as well; the same call in program types that may and may not make it. */
#define SAME_KFUNCS                                                                                      \
	"r1 = r10; r1 += -512; r2 = r10; r2 += -24; r3 = r10; r3 += -16;" KCALL(bpf_dynptr_from_skb)     \
	"r1 = r10; r1 += -64; r2 = r10; r2 += -24; r3 = r10; r3 += -16;" KCALL(bpf_dynptr_from_xdp)      \
	"r1 = r10; r1 += -512; r2 = 64; r3 = r10; r3 += -12;" KCALL(bpf_crypto_ctx_create)               \
	"r1 = r10; r1 += -64; r2 = r10; r2 += -32; r3 = 24;" KCALL(bpf_path_d_path)                      \
	"r1 = r10; r1 += -64; r2 = 24; r3 = r10; r3 += -32; r4 = r10; r5 = r10; r5 += -8;"               \
	KCALL(bpf_copy_from_user_str)                                                                    \
	"r1 = r10; r1 += -16;" KCALL(bpf_iter_num_next)

PROG("socket", kfuncs_in_socket) { ASM(SAME_KFUNCS RET0); }
PROG("tc", kfuncs_in_tc) { ASM(SAME_KFUNCS RET0); }
PROG("xdp", kfuncs_in_xdp) { ASM(SAME_KFUNCS RET0); }
PROG("syscall", kfuncs_in_syscall) { ASM(SAME_KFUNCS RET0); }
PROG("kprobe", kfuncs_in_kprobe) { ASM(SAME_KFUNCS RET0); }
PROG("tp", kfuncs_in_tracepoint) { ASM(SAME_KFUNCS RET0); }
PROG("perf_event", kfuncs_in_perf_event) { ASM(SAME_KFUNCS RET0); }
PROG("cgroup/skb", kfuncs_in_cgroup_skb) { ASM(SAME_KFUNCS RET0); }
PROG("cgroup/connect4", kfuncs_in_connect4) { ASM(SAME_KFUNCS RET0); }
PROG("cgroup/setsockopt", kfuncs_in_setsockopt) { ASM(SAME_KFUNCS RET0); }
PROG("sockops", kfuncs_in_sockops) { ASM(SAME_KFUNCS RET0); }
PROG("sk_skb", kfuncs_in_sk_skb) { ASM(SAME_KFUNCS RET0); }
PROG("netfilter", kfuncs_in_netfilter) { ASM(SAME_KFUNCS RET0); }
PROG("lwt_xmit", kfuncs_in_lwt_xmit) { ASM(SAME_KFUNCS RET0); }
PROG("fentry/bpf_fentry_test1", kfuncs_in_fentry) { ASM(SAME_KFUNCS RET0); }
PROG("lsm/file_open", kfuncs_in_lsm) { ASM(SAME_KFUNCS RET0); }

/* A kernel function that is in no set of kfuncs: five parameters of unknown size, whatever BTF says. */
PROG("tc", kfunc_in_no_set)
{
	ASM("r1 = r10; r2 = r10; r3 = r10; r4 = r10; r5 = r10;"
	    "r1 += -8; r2 += -16; r3 += -24; r4 += -32; r5 += -40;"
	    STACK_ARG_STX(-8, 5)
	    STACK_ARG_STX(-16, 5)
	    KCALL(bpf_modify_return_test2) RET0);
}

/* Id 0 is let through until the path walk; the kernel complains at each look at it. */
PROG("tc", kfunc_id_zero)
{
	ASM("r1 = r10; r1 += -16; r2 = r10; r2 += -24;"
	    INSN(CALL_CODE, 0, 2, 0, 0) RET0);
}

/* A weak kfunc that no kernel has: libbpf leaves a call of a helper that does not exist. */
PROG("tc", kfunc_missing)
{
	ASM("r1 = r10; r1 += -16; r2 = 16; r5 = r10; r5 += -24;"
	    KCALL(corpus_no_such_kfunc) RET0);
}

/* Several offsets, an unknown one, a mask of frames. */
SUB(kfuncs_on_mask)
{
	ASM("r6 = r10; r6 += r1;"
	    "r7 = r1;"
	    "r1 = r6; r2 = 0; r3 = 1;"
	    KCALL(bpf_iter_num_new)
	    "r1 = r6;"
	    KCALL(bpf_iter_num_next)
	    "r1 = r7; r1 += -16;"
	    KCALL(bpf_iter_num_destroy)
	    "r1 = r7; r1 += -24; r2 = 0; r3 = 1;"
	    KCALL(bpf_iter_num_new)
	    "r8 = r10; r8 += -8;"
	    "if r0 == 0 goto +1;"
	    "r8 += -8;"
	    "r1 = r8; r2 = 0; r3 = 1;"
	    KCALL(bpf_iter_num_new)
	    "r1 = r8;"
	    KCALL(bpf_iter_num_next) RET0);
}

PROG("socket", kfunc_arguments_imprecise)
{
	ASM("r1 = r10;"
	    "call kfuncs_on_mask;" RET0);
}

/* A throw, from the main program and from a subprogram with a pointer. */
SUB(thrower)
{
	ASM("r6 = *(u64 *)(r1 - 8);"
	    "if r6 == 0 goto +2;"
	    "r1 = 7;"
	    KCALL(bpf_throw)
	    "*(u64 *)(r10 - 8) = 1;" RET0);
}

PROG("tc", throw_default)
{
	ASM("r6 = r1;"
	    "r1 = r10;"
	    "call thrower;"
	    "r1 = 0;"
	    KCALL(bpf_throw) RET0);
}

/* The exception callback: a subprogram that no instruction names, found by the tag. */
GLOBAL(on_exception)
{
	ASM("r6 = r1;"
	    "*(u64 *)(r10 - 8) = r6;"
	    "r0 = *(u64 *)(r10 - 8);"
	    "r0 = 0; exit;");
}

SEC("tc") __tag("exception_callback:on_exception") __naked void throw_with_callback(void)
{
	ASM("r1 = r10;"
	    "call thrower;" RET0);
}

/* An async callback set by a kfunc: analysed alone; the wq on the stack is read by its size. */
SUB(on_work)
{
	ASM("*(u64 *)(r10 - 8) = r3;"
	    "r0 = *(u64 *)(r10 - 8);" RET0);
}

PROG("tc", wq_callback)
{
	ASM("r1 = r10; r1 += -32;"
	    "r2 = on_work ll;"
	    "r3 = 0;"
	    KCALL(bpf_wq_set_callback) RET0);
}

/* bpf_rbtree_add calls back while it runs: an implicit loop, though no callee for liveness. */
SUB(less)
{
	ASM("r0 = *(u64 *)(r1 + 0);"
	    "*(u64 *)(r10 - 8) = r2;" RET0);
}

PROG("tc", rbtree_callback)
{
	ASM("r1 = r10; r1 += -16;"
	    "r2 = r10; r2 += -64;"
	    "r3 = less ll;"
	    KCALL(bpf_rbtree_add) RET0);
}

/* The address of a variable of the kernel: a 64-bit load that is no constant and no pointer to the stack. */
PROG("raw_tp", kernel_variable)
{
	ASM("r6 = 5;"
	    "r7 = r10;"
	    "r6 = bpf_prog_active ll;"
	    "if r6 == 5 goto +0;"
	    "r7 = bpf_prog_active ll;"
	    "r0 = *(u32 *)(r6 + 0);" RET0);
}

LICENSE;
