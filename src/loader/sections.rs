//! What a section's name says of the programs in it, as libbpf reads it (`section_defs`).

/// Facts of a section's programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SectionKind<'n> {
    /// `enum bpf_prog_type`.
    pub(super) prog_type: u32,
    /// `enum bpf_attach_type` given as `expected_attach_type`.
    pub(super) attach_type: u32,
    /// The `BPF_F_*` flags given as `prog_flags`.
    pub(super) flags: u32,
    /// What follows the first slash, if anything.
    pub(super) target: Option<&'n str>,
}

const F_SLEEPABLE: u32 = 1 << 4;
const F_XDP_HAS_FRAGS: u32 = 1 << 5;
/// `BPF_TRACE_UPROBE_MULTI`.
const UPROBE_MULTI: u32 = 48;

/// The facts of the section `name`; nothing if libbpf knows no program type for it.
pub(super) fn kind(name: &str) -> Option<SectionKind<'_>> {
    let name = name.strip_prefix('?').unwrap_or(name);
    let matches = |pattern: &str| match pattern.strip_suffix('+') {
        Some(prefix) => {
            name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        None => name == pattern,
    };
    let (_, prog_type, attach_type) = KINDS.iter().find(|(pattern, ..)| matches(pattern))?;
    let (first, target) = name.split_once('/').map_or((name, None), |(first, rest)| (first, Some(rest)));
    let mut flags = 0;
    if first == "syscall" || first.ends_with(".s") {
        flags |= F_SLEEPABLE;
    }
    if first == "xdp.frags" {
        flags |= F_XDP_HAS_FRAGS;
    }
    // libbpf attaches USDT programs to several probes at once where the kernel can.
    let attach_type = if matches!(first, "usdt" | "usdt.s") { UPROBE_MULTI } else { *attach_type };
    let target = target.filter(|target| !target.is_empty());
    Some(SectionKind { prog_type: *prog_type, attach_type, flags, target })
}

/// Name, program type, expected attach type. A name that ends in `+` may be followed by a slash and anything. The
/// first that matches counts.
#[rustfmt::skip]
const KINDS: &[(&str, u32, u32)] = &[
    ("socket", 1, 0),
    ("sk_reuseport/migrate", 21, 40),
    ("sk_reuseport", 21, 39),
    ("kprobe+", 2, 0),
    ("uprobe+", 2, 0),
    ("uprobe.s+", 2, 0),
    ("kretprobe+", 2, 0),
    ("uretprobe+", 2, 0),
    ("uretprobe.s+", 2, 0),
    ("kprobe.multi+", 2, 42),
    ("kretprobe.multi+", 2, 42),
    ("kprobe.session+", 2, 56),
    ("uprobe.multi+", 2, 48),
    ("uretprobe.multi+", 2, 48),
    ("uprobe.session+", 2, 57),
    ("uprobe.multi.s+", 2, 48),
    ("uretprobe.multi.s+", 2, 48),
    ("uprobe.session.s+", 2, 57),
    ("ksyscall+", 2, 0),
    ("kretsyscall+", 2, 0),
    ("usdt+", 2, 0),
    ("usdt.s+", 2, 0),
    ("tc/ingress", 3, 46),
    ("tc/egress", 3, 47),
    ("tcx/ingress", 3, 46),
    ("tcx/egress", 3, 47),
    ("tc", 3, 0),
    ("classifier", 3, 0),
    ("action", 4, 0),
    ("netkit/primary", 3, 54),
    ("netkit/peer", 3, 55),
    ("tracepoint+", 5, 0),
    ("tp+", 5, 0),
    ("raw_tracepoint+", 17, 0),
    ("raw_tp+", 17, 0),
    ("raw_tracepoint.w+", 24, 0),
    ("raw_tp.w+", 24, 0),
    ("tp_btf+", 26, 23),
    ("fentry+", 26, 24),
    ("fmod_ret+", 26, 26),
    ("fexit+", 26, 25),
    ("fentry.s+", 26, 24),
    ("fmod_ret.s+", 26, 26),
    ("fexit.s+", 26, 25),
    ("fsession+", 26, 58),
    ("fsession.s+", 26, 58),
    ("freplace+", 28, 0),
    ("lsm+", 29, 27),
    ("lsm.s+", 29, 27),
    ("lsm_cgroup+", 29, 43),
    ("iter+", 26, 28),
    ("iter.s+", 26, 28),
    ("syscall", 31, 0),
    ("xdp.frags/devmap", 6, 33),
    ("xdp/devmap", 6, 33),
    ("xdp.frags/cpumap", 6, 35),
    ("xdp/cpumap", 6, 35),
    ("xdp.frags", 6, 37),
    ("xdp", 6, 37),
    ("perf_event", 7, 0),
    ("lwt_in", 10, 0),
    ("lwt_out", 11, 0),
    ("lwt_xmit", 12, 0),
    ("lwt_seg6local", 19, 0),
    ("sockops", 13, 3),
    ("sk_skb/stream_parser", 14, 4),
    ("sk_skb/stream_verdict", 14, 5),
    ("sk_skb/verdict", 14, 38),
    ("sk_skb", 14, 0),
    ("sk_msg", 16, 7),
    ("lirc_mode2", 20, 16),
    ("flow_dissector", 22, 17),
    ("cgroup_skb/ingress", 8, 0),
    ("cgroup_skb/egress", 8, 1),
    ("cgroup/skb", 8, 0),
    ("cgroup/sock_create", 9, 2),
    ("cgroup/sock_release", 9, 34),
    ("cgroup/sock", 9, 2),
    ("cgroup/post_bind4", 9, 12),
    ("cgroup/post_bind6", 9, 13),
    ("cgroup/bind4", 18, 8),
    ("cgroup/bind6", 18, 9),
    ("cgroup/connect4", 18, 10),
    ("cgroup/connect6", 18, 11),
    ("cgroup/connect_unix", 18, 49),
    ("cgroup/sendmsg4", 18, 14),
    ("cgroup/sendmsg6", 18, 15),
    ("cgroup/sendmsg_unix", 18, 50),
    ("cgroup/recvmsg4", 18, 19),
    ("cgroup/recvmsg6", 18, 20),
    ("cgroup/recvmsg_unix", 18, 51),
    ("cgroup/getpeername4", 18, 29),
    ("cgroup/getpeername6", 18, 30),
    ("cgroup/getpeername_unix", 18, 52),
    ("cgroup/getsockname4", 18, 31),
    ("cgroup/getsockname6", 18, 32),
    ("cgroup/getsockname_unix", 18, 53),
    ("cgroup/sysctl", 23, 18),
    ("cgroup/getsockopt", 25, 21),
    ("cgroup/setsockopt", 25, 22),
    ("cgroup/dev", 15, 6),
    ("struct_ops+", 27, 0),
    ("struct_ops.s+", 27, 0),
    ("sk_lookup", 30, 36),
    ("netfilter", 32, 45),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_read_as_libbpf_does() {
        let facts = |name| kind(name).map(|kind| (kind.prog_type, kind.attach_type, kind.flags, kind.target));
        assert_eq!(facts("?tc"), Some((3, 0, 0, None)));
        assert_eq!(facts("tc/ingress"), Some((3, 46, 0, Some("ingress"))));
        assert_eq!(facts("tc/x"), None);
        assert_eq!(facts("fentry.s/do_unlinkat"), Some((26, 24, F_SLEEPABLE, Some("do_unlinkat"))));
        assert_eq!(facts("fentry_x"), None);
        assert_eq!(facts("usdt"), Some((2, UPROBE_MULTI, 0, None)));
        assert_eq!(facts("xdp.frags/devmap"), Some((6, 33, F_XDP_HAS_FRAGS, Some("devmap"))));
        assert_eq!(facts(""), None);
    }
}
