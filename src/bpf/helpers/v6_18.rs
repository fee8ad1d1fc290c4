// Written by scripts/gen-helpers from the kernel's source. Do not edit.
#![allow(non_upper_case_globals)] // the kernel's names

use super::table::{Table, Tables, helper};
use super::v7_2;
use crate::bpf::asker::when;

/// BPF_PROG_TYPE_CGROUP_SOCK: `sock_filter_func_proto`.
#[rustfmt::skip]
static CGROUP_SOCK: Table = Table::new(Some(&v7_2::CGROUP_SOCK), &[
    helper(49).refuses(), // setsockopt
    helper(57).refuses(), // getsockopt
]);

/// BPF_PROG_TYPE_CGROUP_SOCK_ADDR: `sock_addr_func_proto`.
#[rustfmt::skip]
static CGROUP_SOCK_ADDR: Table = Table::new(Some(&v7_2::CGROUP_SOCK_ADDR), &[
    helper(49).when(&[
        (when().attach_type(&[8, 9, 10, 11, 14, 15, 19, 20, 29, 30, 31, 32, 49, 50, 51, 52, 53]), Some(&v7_2::bpf_sock_addr_setsockopt_proto)),
    ]).refuses(), // setsockopt
    helper(57).when(&[
        (when().attach_type(&[8, 9, 10, 11, 14, 15, 19, 20, 29, 30, 31, 32, 49, 50, 51, 52, 53]), Some(&v7_2::bpf_sock_addr_getsockopt_proto)),
    ]).refuses(), // getsockopt
]);

/// BPF_PROG_TYPE_LWT_SEG6LOCAL: `lwt_seg6local_func_proto`.
#[rustfmt::skip]
static LWT_SEG6LOCAL: Table = Table::new(Some(&v7_2::LWT_SEG6LOCAL), &[
    helper(39).gives(&v7_2::bpf_skb_pull_data_proto), // skb_pull_data
]);

/// BPF_PROG_TYPE_TRACING: `tracing_prog_func_proto`.
#[rustfmt::skip]
static TRACING: Table = Table::new(Some(&v7_2::TRACING), &[
    helper(174).when(&[
        (when().attach_type(&[23, 24, 25, 26]), Some(&v7_2::bpf_get_attach_cookie_proto_tracing)),
    ]).refuses(), // get_attach_cookie
    helper(183).when(&[
        (when().attach_type(&[24, 25, 26]), Some(&v7_2::bpf_get_func_arg_proto)),
    ]).refuses(), // get_func_arg
    helper(184).when(&[
        (when().attach_type(&[24, 25, 26]), Some(&v7_2::bpf_get_func_ret_proto)),
    ]).refuses(), // get_func_ret
    helper(185).when(&[
        (when().attach_type(&[24, 25, 26]), Some(&v7_2::bpf_get_func_arg_cnt_proto)),
    ]).refuses(), // get_func_arg_cnt
]);

/// BPF_PROG_TYPE_LSM: `bpf_lsm_func_proto`.
#[rustfmt::skip]
static LSM: Table = Table::new(Some(&v7_2::LSM), &[
    helper(183).when(&[
        (when().attach_type(&[27]), Some(&v7_2::bpf_get_func_arg_proto)),
    ]).refuses(), // get_func_arg
    helper(185).when(&[
        (when().attach_type(&[27]), Some(&v7_2::bpf_get_func_arg_cnt_proto)),
    ]).refuses(), // get_func_arg_cnt
]);

/// BPF_PROG_TYPE_SYSCALL: `syscall_prog_func_proto`.
#[rustfmt::skip]
static SYSCALL: Table = Table::new(Some(&v7_2::SYSCALL), &[
    helper(183).refuses(), // get_func_arg
    helper(185).refuses(), // get_func_arg_cnt
]);

/// struct_ops "tcp_congestion_ops": `bpf_tcp_ca_get_func_proto`.
#[rustfmt::skip]
static TCP_CONGESTION_OPS: Table = Table::new(Some(&v7_2::TCP_CONGESTION_OPS), &[
    helper(49).when(&[
        (when().attached_to(&["release"]), None),
    ]).gives(&v7_2::bpf_sk_setsockopt_proto), // setsockopt
]);

/// The tables by program type, and those of struct_ops programs by the name of the struct.
#[rustfmt::skip]
pub(super) static TABLES: Tables = Tables {
    based_on: Some(&v7_2::TABLES),
    names: &v7_2::NAMES,
    base: &v7_2::BASE,
    prog_types: &[
        (9, &CGROUP_SOCK),
        (18, &CGROUP_SOCK_ADDR),
        (19, &LWT_SEG6LOCAL),
        (26, &TRACING),
        (29, &LSM),
        (31, &SYSCALL),
    ],
    struct_ops: &[
        ("tcp_congestion_ops", &TCP_CONGESTION_OPS),
    ],
};
