//! The type of a program, guessed from its context argument.
//!
//! For a program whose section names no type, and for an extension without a program to extend: they can be verified
//! as a program of another type with that context. veristat does the same with extensions.

use super::libbpf::{Btf, Program};
use libbpf_sys as sys;

/// A program type and the attach type that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Guess {
    pub(super) prog_type: u32,
    pub(super) expected_attach_type: u32,
}

/// The program types by the name of their context's type, in user space and in the kernel. Where several share
/// one, the most common.
#[rustfmt::skip]
const CONTEXTS: [(&str, &str, u32, u32); 14] = [
    ("__sk_buff", "sk_buff", sys::BPF_PROG_TYPE_SCHED_CLS, 0),
    ("xdp_md", "xdp_buff", sys::BPF_PROG_TYPE_XDP, sys::BPF_XDP),
    ("bpf_sock", "sock", sys::BPF_PROG_TYPE_CGROUP_SOCK, sys::BPF_CGROUP_INET4_POST_BIND),
    ("bpf_sock_addr", "bpf_sock_addr_kern", sys::BPF_PROG_TYPE_CGROUP_SOCK_ADDR, sys::BPF_CGROUP_INET4_BIND),
    ("bpf_sock_ops", "bpf_sock_ops_kern", sys::BPF_PROG_TYPE_SOCK_OPS, sys::BPF_CGROUP_SOCK_OPS),
    ("sk_msg_md", "sk_msg", sys::BPF_PROG_TYPE_SK_MSG, sys::BPF_SK_MSG_VERDICT),
    ("bpf_cgroup_dev_ctx", "bpf_cgroup_dev_ctx", sys::BPF_PROG_TYPE_CGROUP_DEVICE, sys::BPF_CGROUP_DEVICE),
    ("bpf_sysctl", "bpf_sysctl_kern", sys::BPF_PROG_TYPE_CGROUP_SYSCTL, sys::BPF_CGROUP_SYSCTL),
    ("bpf_sockopt", "bpf_sockopt_kern", sys::BPF_PROG_TYPE_CGROUP_SOCKOPT, sys::BPF_CGROUP_SETSOCKOPT),
    ("sk_reuseport_md", "sk_reuseport_kern", sys::BPF_PROG_TYPE_SK_REUSEPORT, sys::BPF_SK_REUSEPORT_SELECT_OR_MIGRATE),
    ("bpf_sk_lookup", "bpf_sk_lookup_kern", sys::BPF_PROG_TYPE_SK_LOOKUP, sys::BPF_SK_LOOKUP),
    ("bpf_user_pt_regs_t", "pt_regs", sys::BPF_PROG_TYPE_KPROBE, 0),
    ("bpf_perf_event_data", "bpf_perf_event_data_kern", sys::BPF_PROG_TYPE_PERF_EVENT, 0),
    // In the kernel it is an array of words, which says nothing.
    ("bpf_raw_tracepoint_args", "bpf_raw_tracepoint_args", sys::BPF_PROG_TYPE_RAW_TRACEPOINT, 0),
];

/// Guesses from the program's only argument, a pointer to its context.
pub(super) fn guess(program: &Program<'_>) -> Option<Guess> {
    by_context(&context_name(&program.object().btf()?, &program.name())?)
}

fn by_context(name: &str) -> Option<Guess> {
    let found = CONTEXTS.iter().find(|(user, kernel, ..)| [*user, *kernel].contains(&name));
    found.map(|(.., prog_type, expected_attach_type)| Guess {
        prog_type: *prog_type,
        expected_attach_type: *expected_attach_type,
    })
}

fn context_name(btf: &Btf<'_>, function: &str) -> Option<String> {
    let function = btf.get(btf.find(function, sys::BTF_KIND_FUNC)?)?;
    let pointer = unmodified(btf, btf.only_parameter(function.size_or_type)?)?;
    let pointer = Some(pointer).filter(|pointer| pointer.kind == sys::BTF_KIND_PTR)?;
    Some(unmodified(btf, pointer.size_or_type)?.name)
}

/// The type behind `const`, `volatile`, `restrict` and tags. BTF may go round in a circle.
fn unmodified(btf: &Btf<'_>, mut id: u32) -> Option<super::libbpf::Type> {
    for _ in 0..32 {
        let found = btf.get(id)?;
        match found.kind {
            sys::BTF_KIND_CONST
            | sys::BTF_KIND_VOLATILE
            | sys::BTF_KIND_RESTRICT
            | sys::BTF_KIND_TYPE_TAG => {
                id = found.size_or_type;
            }
            _ => return Some(found),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_tells_the_type() {
        let xdp = Guess { prog_type: sys::BPF_PROG_TYPE_XDP, expected_attach_type: sys::BPF_XDP };
        assert_eq!(by_context("xdp_md"), Some(xdp));
        assert_eq!(by_context("xdp_buff"), Some(xdp));
        assert_eq!(by_context("task_struct"), None);
        assert_eq!(by_context(""), None);
    }
}
