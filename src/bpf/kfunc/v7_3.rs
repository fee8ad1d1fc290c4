// Written by scripts/gen-kfuncs from the kernel's source. Do not edit.

use super::tables::{Filtered, Hook::*, Set, Tables};
use super::v7_2::{self, KF_IMPLICIT_ARGS, KF_ITER_NEW, KF_ITER_NEXT};
use crate::bpf::asker::when;

#[rustfmt::skip]
pub(super) static TABLES: Tables = Tables {
    based_on: Some(&v7_2::TABLES),
    hooks: None,
    sets: &[
        Set { name: "bm_bpf_kfunc_ids", hooks: &[StructOps], kfuncs: &[
            ("bpf_binprm_set_interp", 0),
            ("bpf_binprm_select_interp", 0),
            ("bpf_binprm_set_interp_arg", 0),
            ("bpf_binprm_set_flags", 0),
        ] },
        Set { name: "bpf_fs_kfunc_set_ids", hooks: &[Tracing, StructOps], kfuncs: &[
            ("bpf_get_task_exe_file", 0),
            ("bpf_put_file", 0),
            ("bpf_path_d_path", 0),
            ("bpf_get_dentry_xattr", 0),
            ("bpf_get_file_xattr", 0),
            ("bpf_set_dentry_xattr", 0),
            ("bpf_remove_dentry_xattr", 0),
            ("bpf_real_data_inode", 0),
            ("bpf_sock_read_xattr", 0),
        ] },
        Set { name: "scx_kfunc_ids_init_cids", hooks: &[StructOps], kfuncs: &[
            ("scx_bpf_cid_override", KF_IMPLICIT_ARGS),
        ] },
        Set { name: "scx_kfunc_ids_any", hooks: &[StructOps, Tracing, Syscall], kfuncs: &[
            ("scx_bpf_task_set_slice", KF_IMPLICIT_ARGS),
            ("scx_bpf_task_set_dsq_vtime", KF_IMPLICIT_ARGS),
            ("scx_bpf_kick_cpu", KF_IMPLICIT_ARGS),
            ("scx_bpf_kick_cid", KF_IMPLICIT_ARGS),
            ("scx_bpf_dsq_nr_queued", KF_IMPLICIT_ARGS),
            ("scx_bpf_destroy_dsq", KF_IMPLICIT_ARGS),
            ("scx_bpf_dsq_peek", KF_IMPLICIT_ARGS),
            ("scx_bpf_dsq_reenq", KF_IMPLICIT_ARGS),
            ("scx_bpf_reenqueue_local___v2", KF_IMPLICIT_ARGS),
            ("bpf_iter_scx_dsq_new", KF_ITER_NEW | KF_IMPLICIT_ARGS),
            ("bpf_iter_scx_dsq_next", KF_ITER_NEXT),
            ("bpf_iter_scx_dsq_destroy", 0),
            ("scx_bpf_exit_bstr", KF_IMPLICIT_ARGS),
            ("scx_bpf_error_bstr", KF_IMPLICIT_ARGS),
            ("scx_bpf_dump_bstr", KF_IMPLICIT_ARGS),
            ("scx_bpf_cpuperf_cap", KF_IMPLICIT_ARGS),
            ("scx_bpf_cpuperf_cur", KF_IMPLICIT_ARGS),
            ("scx_bpf_cpuperf_set", KF_IMPLICIT_ARGS),
            ("scx_bpf_cidperf_cap", KF_IMPLICIT_ARGS),
            ("scx_bpf_cidperf_cur", KF_IMPLICIT_ARGS),
            ("scx_bpf_cidperf_set", KF_IMPLICIT_ARGS),
            ("scx_bpf_nr_node_ids", 0),
            ("scx_bpf_nr_cpu_ids", 0),
            ("scx_bpf_nr_cids", 0),
            ("scx_bpf_nr_online_cids", 0),
            ("scx_bpf_online_cmask", KF_IMPLICIT_ARGS),
            ("scx_bpf_this_cid", 0),
            ("scx_bpf_get_possible_cpumask", 0),
            ("scx_bpf_get_online_cpumask", 0),
            ("scx_bpf_put_cpumask", 0),
            ("scx_bpf_task_running", 0),
            ("scx_bpf_task_cpu", 0),
            ("scx_bpf_task_cid", 0),
            ("scx_bpf_locked_rq", KF_IMPLICIT_ARGS),
            ("scx_bpf_cpu_curr", KF_IMPLICIT_ARGS),
            ("scx_bpf_cid_curr", KF_IMPLICIT_ARGS),
            ("scx_bpf_tid_to_task", 0),
            ("scx_bpf_now", 0),
            ("scx_bpf_events", KF_IMPLICIT_ARGS),
            ("scx_bpf_task_cgroup", KF_IMPLICIT_ARGS),
            ("scx_bpf_sub_grant", KF_IMPLICIT_ARGS),
            ("scx_bpf_sub_revoke", KF_IMPLICIT_ARGS),
            ("scx_bpf_sub_caps", KF_IMPLICIT_ARGS),
            ("scx_bpf_sub_kill_bstr", KF_IMPLICIT_ARGS),
        ] },
        Set { name: "ksock_init_kfunc_btf_ids", hooks: &[Syscall], kfuncs: &[
            ("bpf_ksock_create", 0),
            ("bpf_ksock_connect", 0),
        ] },
        Set { name: "ksock_kfunc_btf_ids", hooks: &[Syscall, Tracing], kfuncs: &[
            ("bpf_ksock_release", 0),
            ("bpf_ksock_acquire", 0),
            ("bpf_ksock_send", 0),
        ] },
        Set { name: "bpf_kfunc_check_set_icmp_send", hooks: &[Cgroup], kfuncs: &[
            ("bpf_icmp_send", 0),
        ] },
    ],
    gone: &["scx_kfunc_ids_init"],
    filtered: &[
        Filtered { hook: StructOps, kfuncs: &[
            "__scx_bpf_dsq_insert_vtime",
            "scx_bpf_dsq_insert",
            "scx_bpf_dsq_insert___v2",
            "scx_bpf_dsq_insert_vtime",
        ], allowed: &[
            (when().struct_ops(&["sched_ext_ops", "sched_ext_ops_cid"]).attached_to(&["dispatch", "enqueue", "select_cid", "select_cpu", "sub_ecaps_updated"]), true),
            (when(), false),
        ] },
        Filtered { hook: StructOps, kfuncs: &[
            "__scx_bpf_select_cpu_and",
            "scx_bpf_select_cpu_and",
            "scx_bpf_select_cpu_dfl",
        ], allowed: &[
            (when().struct_ops(&["sched_ext_ops"]).attached_to(&["cgroup_cancel_move", "cgroup_exit", "cgroup_init", "cgroup_prep_move", "cgroup_set_bandwidth", "cgroup_set_idle", "cgroup_set_weight", "cid_offline", "cid_online", "cpu_offline", "cpu_online", "cpuctl_cancel_move", "cpuctl_exit", "cpuctl_init", "cpuctl_prep_move", "cpuctl_set_bandwidth", "cpuctl_set_idle", "cpuctl_set_weight", "dump", "enqueue", "exit", "init", "init_cids", "init_task", "select_cid", "select_cpu", "sub_attach", "sub_detach"]), true),
            (when(), false),
        ] },
        Filtered { hook: StructOps, kfuncs: &[
            "bpf_binprm_select_interp",
            "bpf_binprm_set_flags",
            "bpf_binprm_set_interp",
            "bpf_binprm_set_interp_arg",
            "bpf_remove_dentry_xattr",
            "bpf_set_dentry_xattr",
        ], allowed: &[
            (when(), false),
        ] },
        Filtered { hook: StructOps, kfuncs: &[
            "bpf_get_dentry_xattr",
            "bpf_get_file_xattr",
            "bpf_get_task_exe_file",
            "bpf_path_d_path",
            "bpf_put_file",
            "bpf_real_data_inode",
            "bpf_sock_read_xattr",
        ], allowed: &[
            (when().struct_ops(&["binfmt_misc_ops"]), true),
            (when(), false),
        ] },
        Filtered { hook: StructOps, kfuncs: &[
            "scx_bpf_cid_override",
        ], allowed: &[
            (when().struct_ops(&["sched_ext_ops", "sched_ext_ops_cid"]).attached_to(&["init_cids"]), true),
            (when(), false),
        ] },
        Filtered { hook: StructOps, kfuncs: &[
            "scx_bpf_cid_to_cpu",
            "scx_bpf_cid_topo",
            "scx_bpf_cpu_to_cid",
            "scx_bpf_online_cmask",
            "scx_bpf_sub_caps",
            "scx_bpf_sub_grant",
            "scx_bpf_sub_kill_bstr",
            "scx_bpf_sub_revoke",
        ], allowed: &[
            (when().struct_ops(&["sched_ext_ops", "sched_ext_ops_cid"]), true),
            (when(), false),
        ] },
        Filtered { hook: StructOps, kfuncs: &[
            "scx_bpf_create_dsq",
        ], allowed: &[
            (when().struct_ops(&["sched_ext_ops", "sched_ext_ops_cid"]).attached_to(&["cgroup_cancel_move", "cgroup_exit", "cgroup_init", "cgroup_prep_move", "cgroup_set_bandwidth", "cgroup_set_idle", "cgroup_set_weight", "cid_offline", "cid_online", "cpu_offline", "cpu_online", "cpuctl_cancel_move", "cpuctl_exit", "cpuctl_init", "cpuctl_prep_move", "cpuctl_set_bandwidth", "cpuctl_set_idle", "cpuctl_set_weight", "dump", "exit", "init", "init_cids", "init_task", "sub_attach", "sub_detach"]), true),
            (when(), false),
        ] },
        Filtered { hook: StructOps, kfuncs: &[
            "scx_bpf_dispatch_cancel",
            "scx_bpf_dispatch_nr_slots",
            "scx_bpf_dsq_move_to_local",
            "scx_bpf_dsq_move_to_local___v2",
            "scx_bpf_sub_dispatch",
        ], allowed: &[
            (when().struct_ops(&["sched_ext_ops", "sched_ext_ops_cid"]).attached_to(&["dispatch", "sub_ecaps_updated"]), true),
            (when(), false),
        ] },
        Filtered { hook: StructOps, kfuncs: &[
            "scx_bpf_dsq_move",
            "scx_bpf_dsq_move_set_slice",
            "scx_bpf_dsq_move_set_vtime",
            "scx_bpf_dsq_move_vtime",
        ], allowed: &[
            (when().struct_ops(&["sched_ext_ops", "sched_ext_ops_cid"]).attached_to(&["cgroup_cancel_move", "cgroup_exit", "cgroup_init", "cgroup_prep_move", "cgroup_set_bandwidth", "cgroup_set_idle", "cgroup_set_weight", "cid_offline", "cid_online", "cpu_offline", "cpu_online", "cpuctl_cancel_move", "cpuctl_exit", "cpuctl_init", "cpuctl_prep_move", "cpuctl_set_bandwidth", "cpuctl_set_idle", "cpuctl_set_weight", "dispatch", "dump", "exit", "init", "init_cids", "init_task", "sub_attach", "sub_detach", "sub_ecaps_updated"]), true),
            (when(), false),
        ] },
        Filtered { hook: Syscall, kfuncs: &[
            "bpf_ksock_acquire",
            "bpf_ksock_release",
            "bpf_ksock_send",
        ], allowed: &[
            (when().prog_type(&[31]), true),
            (when(), false),
        ] },
        Filtered { hook: Tracing, kfuncs: &[
            "bpf_ksock_acquire",
            "bpf_ksock_release",
            "bpf_ksock_send",
        ], allowed: &[
            (when().prog_type(&[29]).attached_to(&["socket_sendmsg"]), false),
            (when().prog_type(&[29]), true),
            (when(), false),
        ] },
        Filtered { hook: Tracing, kfuncs: &[
            "bpf_sock_read_xattr",
        ], allowed: &[
            (when().prog_type(&[29]), true),
            (when(), false),
        ] },
    ],
};
