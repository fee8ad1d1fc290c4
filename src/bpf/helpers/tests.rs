//! What is expected here was read off the kernel's source by hand.
use super::*;
use crate::bpf::asker::SLEEPABLE;
use livediff_capture::Attach;

/// `enum bpf_prog_type`.
mod prog {
    pub(super) const SOCKET_FILTER: u32 = 1;
    pub(super) const KPROBE: u32 = 2;
    pub(super) const SCHED_CLS: u32 = 3;
    pub(super) const XDP: u32 = 6;
    pub(super) const CGROUP_SOCK: u32 = 9;
    pub(super) const CGROUP_SOCK_ADDR: u32 = 18;
    pub(super) const LWT_SEG6LOCAL: u32 = 19;
    pub(super) const LIRC_MODE2: u32 = 20;
    pub(super) const TRACING: u32 = 26;
    pub(super) const STRUCT_OPS: u32 = 27;
    pub(super) const EXT: u32 = 28;
    pub(super) const LSM: u32 = 29;
    pub(super) const SYSCALL: u32 = 31;
}

/// `enum bpf_attach_type`.
mod attach {
    pub(super) const TRACE_RAW_TP: u32 = 23;
    pub(super) const TRACE_FENTRY: u32 = 24;
    pub(super) const LSM_MAC: u32 = 27;
    pub(super) const TRACE_ITER: u32 = 28;
    pub(super) const KPROBE_MULTI: u32 = 42;
    pub(super) const LSM_CGROUP: u32 = 43;
    pub(super) const UPROBE_SESSION: u32 = 57;
}

fn program(prog_type: u32, expected_attach_type: u32, attached_to: &str) -> Loaded {
    Loaded {
        prog_type,
        expected_attach_type,
        attach: (!attached_to.is_empty()).then(|| Attach { name: attached_to.into(), ..Attach::default() }),
        ..Loaded::default()
    }
}

fn symbol(loaded: &Loaded, helper: &str) -> Option<&'static str> {
    let id = (0..)
        .map_while(|id| name(Dialect::V7_2, id))
        .position(|name| name == helper)
        .expect("a helper of that name");
    prototype(Dialect::V7_2, loaded, i32::try_from(id).expect("few helpers"))
        .map(|prototype| prototype.symbol)
}

#[test]
fn names_end_where_the_table_ends() {
    assert_eq!(name(Dialect::V7_2, -1), None);
    assert_eq!(name(Dialect::V7_2, 0), Some("bpf_unspec"));
    assert_eq!(name(Dialect::V7_2, 1), Some("bpf_map_lookup_elem"));
    assert_eq!(name(Dialect::V7_2, 181), Some("bpf_loop"));
    assert_eq!(name(Dialect::V7_2, 211), Some("bpf_cgrp_storage_delete"));
    assert_eq!(name(Dialect::V7_2, 212), None);
    assert_eq!(name(Dialect::V7_2, i32::MIN), None);
}

#[test]
fn ids_outside_the_table_have_no_prototype() {
    let xdp = program(prog::XDP, 0, "");
    for id in [i32::MIN, -1, 0, 212, i32::MAX] {
        assert_eq!(prototype(Dialect::V7_2, &xdp, id), None);
    }
    // Neither has any helper of a program type that does not exist.
    for prog_type in [0, 33, u32::MAX] {
        assert_eq!(prototype(Dialect::V7_2, &program(prog_type, 0, ""), 1), None);
    }
}

#[test]
fn tables_are_sorted() {
    assert_eq!(tables(Dialect::V7_2).prog_types.len(), 32);
    for dialect in Dialect::ALL {
        let tables = tables(dialect);
        for (number, table) in tables.prog_types {
            assert!(table.is_sorted(), "{dialect}: program type {number}");
        }
        for (kind, table) in tables.struct_ops {
            assert!(table.is_sorted(), "{dialect}: struct_ops {kind}");
        }
    }
}

#[test]
fn arguments() {
    let arg = |kind, uninit| Arg { kind, uninit };
    let of = |prog_type, expected, id| {
        prototype(Dialect::V7_2, &program(prog_type, expected, ""), id).expect("a prototype").args
    };
    let none = arg(ArgKind::None, false);
    let other = arg(ArgKind::Other, false);
    let map = arg(ArgKind::Map, false);
    let size = arg(ArgKind::MemSize, false);
    // bpf_map_update_elem, bpf_map_pop_elem
    assert_eq!(
        of(prog::XDP, 0, 2),
        [map, arg(ArgKind::MapKey, false), arg(ArgKind::MapValue, false), other, none]
    );
    assert_eq!(of(prog::XDP, 0, 88), [map, arg(ArgKind::MapValue, true), none, none, none]);
    // bpf_probe_read_kernel: memory that it writes, its size, an address
    assert_eq!(of(prog::KPROBE, 0, 113), [arg(ArgKind::Mem, true), size, other, none, none]);
    // bpf_strtol: the result is 8 bytes, written only
    assert_eq!(
        of(prog::XDP, 0, 105),
        [arg(ArgKind::Mem, false), size, other, arg(ArgKind::FixedMem(8), true), none]
    );
    // bpf_check_mtu: the length is 4 bytes, read and written
    assert_eq!(of(prog::XDP, 0, 163), [other, other, arg(ArgKind::FixedMem(4), false), other, other]);
    // bpf_tcp_raw_check_syncookie_ipv6: headers of 40 and 20 bytes
    assert_eq!(
        of(prog::SCHED_CLS, 0, 207),
        [arg(ArgKind::FixedMem(40), false), arg(ArgKind::FixedMem(20), false), none, none, none]
    );
    // bpf_loop, bpf_dynptr_from_mem, bpf_ringbuf_submit_dynptr
    assert_eq!(of(prog::XDP, 0, 181), [other, other, arg(ArgKind::Stack, false), other, none]);
    assert_eq!(
        of(prog::XDP, 0, 197),
        [arg(ArgKind::Mem, true), size, other, arg(ArgKind::Dynptr, true), none]
    );
    assert_eq!(of(prog::XDP, 0, 199), [arg(ArgKind::Dynptr, false), other, none, none, none]);
}

#[test]
fn parameters_end_before_the_first_that_is_absent() {
    let params =
        |id| prototype(Dialect::V7_2, &program(prog::XDP, 0, ""), id).map(super::Prototype::num_params);
    assert_eq!(params(5), Some(0)); // bpf_ktime_get_ns
    assert_eq!(params(1), Some(2)); // bpf_map_lookup_elem
    assert_eq!(params(28), Some(5)); // bpf_csum_diff
}

#[test]
fn the_program_type_decides() {
    let fib = |prog_type| symbol(&program(prog_type, 0, ""), "bpf_fib_lookup");
    assert_eq!(fib(prog::XDP), Some("bpf_xdp_fib_lookup_proto"));
    assert_eq!(fib(prog::SCHED_CLS), Some("bpf_skb_fib_lookup_proto"));
    assert_eq!(fib(prog::SOCKET_FILTER), None);
    // A base gives what its difference takes back.
    assert_eq!(symbol(&program(prog::LWT_SEG6LOCAL, 0, ""), "bpf_skb_pull_data"), None);
    // lirc falls back on nothing.
    let lirc = program(prog::LIRC_MODE2, 0, "");
    assert_eq!(symbol(&lirc, "bpf_trace_printk"), Some("bpf_trace_printk_proto"));
    assert_eq!(symbol(&lirc, "bpf_loop"), None);
    assert_eq!(symbol(&program(prog::SYSCALL, 0, ""), "bpf_sys_bpf"), Some("bpf_sys_bpf_proto"));
    // A syscall program is none of the types that have a trampoline, but gets what tracing programs get.
    assert_eq!(symbol(&program(prog::SYSCALL, 0, ""), "bpf_d_path"), Some("bpf_d_path_proto"));
    assert_eq!(symbol(&program(prog::SYSCALL, attach::TRACE_FENTRY, ""), "bpf_get_func_ret"), None);
    // Given to kprobes alone; whether the kernel has it is another question.
    let override_return = |prog_type| symbol(&program(prog_type, 0, ""), "bpf_override_return");
    assert_eq!(override_return(prog::KPROBE), Some("bpf_override_return_proto"));
    assert_eq!(override_return(prog::TRACING), None);
}

#[test]
fn the_attach_type_decides() {
    let ip = |expected| symbol(&program(prog::KPROBE, expected, ""), "bpf_get_func_ip");
    assert_eq!(ip(0), Some("bpf_get_func_ip_proto_kprobe"));
    assert_eq!(ip(attach::KPROBE_MULTI), Some("bpf_get_func_ip_proto_kprobe_multi"));
    assert_eq!(ip(attach::UPROBE_SESSION), Some("bpf_get_func_ip_proto_uprobe_multi"));
    assert_eq!(ip(u32::MAX), Some("bpf_get_func_ip_proto_kprobe"));

    let ret = |expected| symbol(&program(prog::TRACING, expected, ""), "bpf_get_func_ret");
    assert_eq!(ret(attach::TRACE_FENTRY), Some("bpf_get_func_ret_proto"));
    assert_eq!(ret(attach::TRACE_RAW_TP), None);
    assert_eq!(ret(attach::TRACE_ITER), None);

    // 0 is mended to INET_SOCK_CREATE before anything asks; 3 is not.
    let setsockopt = |expected| symbol(&program(prog::CGROUP_SOCK, expected, ""), "bpf_setsockopt");
    assert_eq!(setsockopt(0), Some("bpf_sock_create_setsockopt_proto"));
    assert_eq!(setsockopt(2), Some("bpf_sock_create_setsockopt_proto"));
    assert_eq!(setsockopt(3), None);
    let retval = |expected| symbol(&program(prog::CGROUP_SOCK, expected, ""), "bpf_set_retval");
    assert_eq!(retval(0), Some("bpf_set_retval_proto"));
    assert_eq!(retval(3), None);
}

#[test]
fn sleepable_decides() {
    let mut loaded = program(prog::KPROBE, 0, "");
    assert_eq!(symbol(&loaded, "bpf_get_stack"), Some("bpf_get_stack_proto"));
    loaded.prog_flags = SLEEPABLE;
    assert_eq!(symbol(&loaded, "bpf_get_stack"), Some("bpf_get_stack_sleepable_proto"));
}

#[test]
fn what_it_attaches_to_decides() {
    let lsm = |expected, hook| symbol(&program(prog::LSM, expected, hook), "bpf_setsockopt");
    assert_eq!(lsm(attach::LSM_CGROUP, "sock_graft"), Some("bpf_sk_setsockopt_proto"));
    assert_eq!(lsm(attach::LSM_CGROUP, "bpf_lsm_sock_graft"), Some("bpf_sk_setsockopt_proto"));
    assert_eq!(lsm(attach::LSM_CGROUP, "socket_socketpair"), Some("bpf_unlocked_sk_setsockopt_proto"));
    assert_eq!(lsm(attach::LSM_CGROUP, "socket_bind"), None);
    assert_eq!(lsm(attach::LSM_MAC, "sock_graft"), None);

    let iter = |target| symbol(&program(prog::TRACING, attach::TRACE_ITER, target), "bpf_setsockopt");
    assert_eq!(iter("bpf_iter_tcp"), Some("bpf_sk_setsockopt_proto"));
    assert_eq!(iter("unix"), Some("bpf_sk_setsockopt_proto"));
    assert_eq!(iter("bpf_iter_udp"), None);
    assert_eq!(symbol(&program(prog::TRACING, attach::TRACE_FENTRY, "tcp"), "bpf_setsockopt"), None);

    let ops = |attached_to, helper| symbol(&program(prog::STRUCT_OPS, 0, attached_to), helper);
    assert_eq!(ops("tcp_congestion_ops/init", "bpf_setsockopt"), Some("bpf_sk_setsockopt_nodelay_proto"));
    assert_eq!(ops("tcp_congestion_ops/release", "bpf_setsockopt"), None);
    assert_eq!(ops("sched_ext_ops/init", "bpf_map_lookup_elem"), Some("bpf_map_lookup_elem_proto"));
    assert_eq!(ops("bpf_dummy_ops/test_1", "bpf_map_lookup_elem"), None);
    assert_eq!(ops("a_module_s_ops/x", "bpf_map_lookup_elem"), Some("bpf_map_lookup_elem_proto"));
}

#[test]
fn an_extension_is_its_target() {
    let mut loaded = program(prog::EXT, 0, "handle");
    assert_eq!(symbol(&loaded, "bpf_xdp_adjust_head"), None);
    loaded.attach =
        Some(Attach { name: "handle".into(), target_prog_type: Some(prog::XDP), target_attach_type: 0 });
    assert_eq!(symbol(&loaded, "bpf_xdp_adjust_head"), Some("bpf_xdp_adjust_head_proto"));
    assert_eq!(symbol(&loaded, "bpf_skb_load_bytes"), None);
    // What the extension itself was loaded with does not matter: BPF_CGROUP_INET4_CONNECT is the target's.
    let target = |target_attach_type| {
        let target_prog_type = Some(prog::CGROUP_SOCK_ADDR);
        Some(Attach { name: "handle".into(), target_prog_type, target_attach_type })
    };
    loaded.attach = target(10);
    assert_eq!(symbol(&loaded, "bpf_bind"), Some("bpf_bind_proto"));
    loaded.attach = target(8);
    assert_eq!(symbol(&loaded, "bpf_bind"), None);
    loaded.expected_attach_type = 10;
    assert_eq!(symbol(&loaded, "bpf_bind"), None);
    // A function that is called like a hook is none, and helpers of struct_ops are those of the struct.
    let called = |name: &str, target, target_attach_type| {
        let attach = Attach { name: name.into(), target_prog_type: Some(target), target_attach_type };
        Loaded { attach: Some(attach), ..program(prog::EXT, 0, "") }
    };
    let hook = called("sock_graft", prog::LSM, attach::LSM_CGROUP);
    assert_eq!(symbol(&hook, "bpf_setsockopt"), None);
    assert!(symbol(&hook, "bpf_map_lookup_elem").is_some());
    for name in ["init", "tcp_congestion_ops/init"] {
        assert_eq!(symbol(&called(name, prog::STRUCT_OPS, 0), "bpf_map_lookup_elem"), None);
    }
}

#[test]
fn dialects_differ() {
    let gives = |dialect, prog_type, expected, id| {
        prototype(dialect, &program(prog_type, expected, ""), id).map(|prototype| prototype.symbol)
    };
    let each = |prog_type, expected, id| {
        Dialect::ALL.map(|dialect| gives(dialect, prog_type, expected, id).is_some())
    };
    // bpf_skb_pull_data to LWT_SEG6LOCAL programs: taken back in 7.2.
    assert_eq!(each(prog::LWT_SEG6LOCAL, 0, 39), [true, true, true, true, true, false, false]);
    // bpf_get_func_arg to raw tracepoints by BTF: new in 7.0.
    assert_eq!(each(prog::TRACING, attach::TRACE_RAW_TP, 183), [false, false, true, true, true, true, true]);
    // bpf_setsockopt to BPF_CGROUP_UNIX_GETPEERNAME: likewise.
    assert_eq!(each(prog::CGROUP_SOCK_ADDR, 52, 49), [true, true, true, true, true, false, false]);
    // What is the same everywhere comes through the differences.
    assert_eq!(each(prog::XDP, 0, 44), [true; 7]);
    assert_eq!(each(prog::SOCKET_FILTER, 0, 44), [false; 7]);
    for dialect in Dialect::ALL {
        assert_eq!(name(dialect, 181), Some("bpf_loop"));
        assert_eq!(name(dialect, 212), None);
    }
}

#[test]
fn a_kernel_offers_what_it_was_built_with() {
    use livediff_capture::Insn;
    let call = |imm| Insn { code: 0x85, imm, ..Insn::default() };
    let missing = |named: &[&'static str], prog_type, calls: &[i32]| {
        let loaded =
            Loaded { insns: calls.iter().map(|id| call(*id)).collect(), ..program(prog_type, 0, "") };
        Offered::of(Dialect::V7_2, named.iter().copied().collect()).missing(&loaded)
    };
    let kernel = ["bpf_map_lookup_elem", "bpf_loop"];
    // bpf_override_return, twice; bpf_map_lookup_elem; bpf_tail_call, which has no function.
    assert_eq!(missing(&kernel, prog::KPROBE, &[58, 1, 12, 58]), [58]);
    // What the dialect does not give anyway is not missing, and neither is what does not exist.
    assert_eq!(missing(&kernel, prog::XDP, &[58, 181, -1, 212]), [0; 0]);
    // bpf_loop, then bpf_ktime_get_ns.
    assert_eq!(missing(&kernel[..1], prog::XDP, &[181, 5]), [5, 181]);
    // BTF without helpers says nothing of them.
    assert_eq!(missing(&["bpf_loop"], prog::KPROBE, &[58]), [0; 0]);

    let mut loaded = program(prog::KPROBE, 0, "");
    assert_eq!(symbol(&loaded, "bpf_override_return"), Some("bpf_override_return_proto"));
    loaded.helpers_missing = vec![58];
    assert_eq!(symbol(&loaded, "bpf_override_return"), None);
    assert_eq!(symbol(&loaded, "bpf_map_lookup_elem"), Some("bpf_map_lookup_elem_proto"));
}

/// Memory of no fixed size is followed by its size in every prototype, which `helper_access` of the verifier's passes
/// relies on.
#[test]
fn memory_is_followed_by_its_size() {
    for dialect in Dialect::ALL {
        let prototypes = tables(dialect).prototypes();
        assert!(prototypes.len() > 200);
        for Prototype { symbol, args, .. } in prototypes {
            for (arg, next) in args.iter().zip(&args[1..]) {
                assert!(arg.kind != ArgKind::Mem || next.kind == ArgKind::MemSize, "{symbol}");
            }
            assert_ne!(args[args.len() - 1].kind, ArgKind::Mem, "{symbol}");
        }
    }
}
