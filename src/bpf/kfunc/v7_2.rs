// Written by scripts/gen-kfuncs from the kernel's source. Do not edit.

use super::tables::{Filtered, Hook, Hook::*, Set};
use crate::bpf::asker::when;

const KF_ACQUIRE: u32 = 0x1;
const KF_RELEASE: u32 = 0x2;
const KF_RET_NULL: u32 = 0x4;
const KF_SLEEPABLE: u32 = 0x20;
const KF_DESTRUCTIVE: u32 = 0x40;
const KF_RCU: u32 = 0x80;
pub(super) const KF_ITER_NEW: u32 = 0x100;
pub(super) const KF_ITER_NEXT: u32 = 0x200;
const KF_ITER_DESTROY: u32 = 0x400;
const KF_RCU_PROTECTED: u32 = 0x800;
const KF_FASTCALL: u32 = 0x1000;
const KF_ARENA_RET: u32 = 0x2000;
const KF_ARENA_ARG2: u32 = 0x8000;
pub(super) const KF_IMPLICIT_ARGS: u32 = 0x10000;

/// Hooks by `enum bpf_prog_type` (`bpf_prog_type_to_kfunc_hook`).
#[rustfmt::skip]
pub(super) static HOOKS: &[(u32, Hook)] = &[
    (1, SocketFilter),
    (2, Kprobe),
    (3, Tc),
    (4, SchedAct),
    (5, Tracing),
    (6, Xdp),
    (7, Tracing),
    (8, Cgroup),
    (9, Cgroup),
    (10, Lwt),
    (11, Lwt),
    (12, Lwt),
    (13, Cgroup),
    (14, SkSkb),
    (15, Cgroup),
    (17, Tracing),
    (18, Cgroup),
    (19, Lwt),
    (23, Cgroup),
    (25, Cgroup),
    (26, Tracing),
    (27, StructOps),
    (29, Tracing),
    (31, Syscall),
    (32, Netfilter),
];

/// The sets that are registered, with their hooks and flags.
#[rustfmt::skip]
pub(super) static SETS: &[Set] = &[
    // wakeup_source_kfunc_ids, drivers/base/power/wakeup.c
    Set { hooks: &[Syscall], kfuncs: &[
        ("bpf_wakeup_sources_read_lock", KF_ACQUIRE),
        ("bpf_wakeup_sources_read_unlock", KF_RELEASE),
        ("bpf_wakeup_sources_get_head", 0),
    ] },
    // hid_bpf_kfunc_ids, drivers/hid/bpf/hid_bpf_dispatch.c
    Set { hooks: &[StructOps], kfuncs: &[
        ("hid_bpf_get_data", KF_RET_NULL),
        ("hid_bpf_allocate_context", KF_ACQUIRE | KF_RET_NULL | KF_SLEEPABLE),
        ("hid_bpf_release_context", KF_RELEASE | KF_SLEEPABLE),
        ("hid_bpf_hw_request", KF_SLEEPABLE),
        ("hid_bpf_hw_output_report", KF_SLEEPABLE),
        ("hid_bpf_input_report", KF_SLEEPABLE),
        ("hid_bpf_try_input_report", 0),
    ] },
    // hid_bpf_syscall_kfunc_ids, drivers/hid/bpf/hid_bpf_dispatch.c
    Set { hooks: &[Syscall], kfuncs: &[
        ("hid_bpf_allocate_context", KF_ACQUIRE | KF_RET_NULL),
        ("hid_bpf_release_context", KF_RELEASE),
        ("hid_bpf_hw_request", 0),
        ("hid_bpf_hw_output_report", 0),
        ("hid_bpf_input_report", 0),
    ] },
    // bpf_fs_kfunc_set_ids, fs/bpf_fs_kfuncs.c
    Set { hooks: &[Tracing], kfuncs: &[
        ("bpf_get_task_exe_file", KF_ACQUIRE | KF_RET_NULL),
        ("bpf_put_file", KF_RELEASE),
        ("bpf_path_d_path", 0),
        ("bpf_get_dentry_xattr", KF_SLEEPABLE),
        ("bpf_get_file_xattr", KF_SLEEPABLE),
        ("bpf_set_dentry_xattr", KF_SLEEPABLE),
        ("bpf_remove_dentry_xattr", KF_SLEEPABLE),
        ("bpf_real_data_inode", KF_RET_NULL | KF_SLEEPABLE),
    ] },
    // fsverity_set_ids, fs/verity/measure.c
    Set { hooks: &[Tracing], kfuncs: &[
        ("bpf_get_fsverity_digest", 0),
    ] },
    // io_uring_kfunc_set, io_uring/bpf-ops.c
    Set { hooks: &[StructOps], kfuncs: &[
        ("bpf_io_uring_submit_sqes", KF_SLEEPABLE),
        ("bpf_io_uring_get_region", KF_RET_NULL),
    ] },
    // arena_kfuncs, kernel/bpf/arena.c
    Set { hooks: &[Common], kfuncs: &[
        ("bpf_arena_alloc_pages", KF_ARENA_RET | KF_ARENA_ARG2),
        ("bpf_arena_free_pages", KF_ARENA_ARG2),
        ("bpf_arena_reserve_pages", KF_ARENA_ARG2),
    ] },
    // cpumask_kfunc_btf_ids, kernel/bpf/cpumask.c
    Set { hooks: &[Tracing, StructOps, Syscall], kfuncs: &[
        ("bpf_cpumask_create", KF_ACQUIRE | KF_RET_NULL),
        ("bpf_cpumask_release", KF_RELEASE),
        ("bpf_cpumask_acquire", KF_ACQUIRE),
        ("bpf_cpumask_first", KF_RCU),
        ("bpf_cpumask_first_zero", KF_RCU),
        ("bpf_cpumask_first_and", KF_RCU),
        ("bpf_cpumask_set_cpu", KF_RCU),
        ("bpf_cpumask_clear_cpu", KF_RCU),
        ("bpf_cpumask_test_cpu", KF_RCU),
        ("bpf_cpumask_test_and_set_cpu", KF_RCU),
        ("bpf_cpumask_test_and_clear_cpu", KF_RCU),
        ("bpf_cpumask_setall", KF_RCU),
        ("bpf_cpumask_clear", KF_RCU),
        ("bpf_cpumask_and", KF_RCU),
        ("bpf_cpumask_or", KF_RCU),
        ("bpf_cpumask_xor", KF_RCU),
        ("bpf_cpumask_equal", KF_RCU),
        ("bpf_cpumask_intersects", KF_RCU),
        ("bpf_cpumask_subset", KF_RCU),
        ("bpf_cpumask_empty", KF_RCU),
        ("bpf_cpumask_full", KF_RCU),
        ("bpf_cpumask_copy", KF_RCU),
        ("bpf_cpumask_any_distribute", KF_RCU),
        ("bpf_cpumask_any_and_distribute", KF_RCU),
        ("bpf_cpumask_weight", KF_RCU),
        ("bpf_cpumask_populate", KF_RCU),
    ] },
    // crypt_init_kfunc_btf_ids, kernel/bpf/crypto.c
    Set { hooks: &[Syscall], kfuncs: &[
        ("bpf_crypto_ctx_create", KF_ACQUIRE | KF_RET_NULL | KF_SLEEPABLE),
        ("bpf_crypto_ctx_release", KF_RELEASE),
        ("bpf_crypto_ctx_acquire", KF_ACQUIRE | KF_RET_NULL | KF_RCU),
    ] },
    // crypt_kfunc_btf_ids, kernel/bpf/crypto.c
    Set { hooks: &[Tc, SchedAct, Xdp], kfuncs: &[
        ("bpf_crypto_decrypt", KF_RCU),
        ("bpf_crypto_encrypt", KF_RCU),
    ] },
    // common_btf_ids, kernel/bpf/helpers.c
    Set { hooks: &[Common], kfuncs: &[
        ("bpf_cast_to_kern_ctx", KF_FASTCALL),
        ("bpf_rdonly_cast", KF_FASTCALL),
        ("bpf_rcu_read_lock", 0),
        ("bpf_rcu_read_unlock", 0),
        ("bpf_dynptr_slice", KF_RET_NULL),
        ("bpf_dynptr_slice_rdwr", KF_RET_NULL),
        ("bpf_iter_num_new", KF_ITER_NEW),
        ("bpf_iter_num_next", KF_RET_NULL | KF_ITER_NEXT),
        ("bpf_iter_num_destroy", KF_ITER_DESTROY),
        ("bpf_iter_task_vma_new", KF_RCU | KF_ITER_NEW),
        ("bpf_iter_task_vma_next", KF_RET_NULL | KF_ITER_NEXT),
        ("bpf_iter_task_vma_destroy", KF_ITER_DESTROY),
        ("bpf_iter_css_task_new", KF_ITER_NEW),
        ("bpf_iter_css_task_next", KF_RET_NULL | KF_ITER_NEXT),
        ("bpf_iter_css_task_destroy", KF_ITER_DESTROY),
        ("bpf_iter_css_new", KF_ITER_NEW | KF_RCU_PROTECTED),
        ("bpf_iter_css_next", KF_RET_NULL | KF_ITER_NEXT),
        ("bpf_iter_css_destroy", KF_ITER_DESTROY),
        ("bpf_iter_task_new", KF_ITER_NEW | KF_RCU_PROTECTED),
        ("bpf_iter_task_next", KF_RET_NULL | KF_ITER_NEXT),
        ("bpf_iter_task_destroy", KF_ITER_DESTROY),
        ("bpf_dynptr_adjust", 0),
        ("bpf_dynptr_is_null", 0),
        ("bpf_dynptr_is_rdonly", 0),
        ("bpf_dynptr_size", 0),
        ("bpf_dynptr_clone", 0),
        ("bpf_dynptr_copy", 0),
        ("bpf_dynptr_memset", 0),
        ("bpf_modify_return_test_tp", 0),
        ("bpf_wq_init", 0),
        ("bpf_wq_set_callback", KF_IMPLICIT_ARGS),
        ("bpf_wq_start", 0),
        ("bpf_preempt_disable", 0),
        ("bpf_preempt_enable", 0),
        ("bpf_iter_bits_new", KF_ITER_NEW),
        ("bpf_iter_bits_next", KF_RET_NULL | KF_ITER_NEXT),
        ("bpf_iter_bits_destroy", KF_ITER_DESTROY),
        ("bpf_copy_from_user_str", KF_SLEEPABLE),
        ("bpf_copy_from_user_task_str", KF_SLEEPABLE),
        ("bpf_get_kmem_cache", 0),
        ("bpf_iter_kmem_cache_new", KF_SLEEPABLE | KF_ITER_NEW),
        ("bpf_iter_kmem_cache_next", KF_RET_NULL | KF_SLEEPABLE | KF_ITER_NEXT),
        ("bpf_iter_kmem_cache_destroy", KF_SLEEPABLE | KF_ITER_DESTROY),
        ("bpf_local_irq_save", 0),
        ("bpf_local_irq_restore", 0),
        ("bpf_probe_read_user_dynptr", 0),
        ("bpf_probe_read_kernel_dynptr", 0),
        ("bpf_probe_read_user_str_dynptr", 0),
        ("bpf_probe_read_kernel_str_dynptr", 0),
        ("bpf_copy_from_user_dynptr", KF_SLEEPABLE),
        ("bpf_copy_from_user_str_dynptr", KF_SLEEPABLE),
        ("bpf_copy_from_user_task_dynptr", KF_SLEEPABLE),
        ("bpf_copy_from_user_task_str_dynptr", KF_SLEEPABLE),
        ("bpf_iter_dmabuf_new", KF_SLEEPABLE | KF_ITER_NEW),
        ("bpf_iter_dmabuf_next", KF_RET_NULL | KF_SLEEPABLE | KF_ITER_NEXT),
        ("bpf_iter_dmabuf_destroy", KF_SLEEPABLE | KF_ITER_DESTROY),
        ("__bpf_trap", 0),
        ("bpf_strcmp", 0),
        ("bpf_strcasecmp", 0),
        ("bpf_strncasecmp", 0),
        ("bpf_strchr", 0),
        ("bpf_strchrnul", 0),
        ("bpf_strnchr", 0),
        ("bpf_strrchr", 0),
        ("bpf_strlen", 0),
        ("bpf_strnlen", 0),
        ("bpf_strspn", 0),
        ("bpf_strcspn", 0),
        ("bpf_strstr", 0),
        ("bpf_strcasestr", 0),
        ("bpf_strnstr", 0),
        ("bpf_strncasestr", 0),
        ("bpf_cgroup_read_xattr", KF_RCU),
        ("bpf_stream_vprintk", KF_IMPLICIT_ARGS),
        ("bpf_stream_print_stack", KF_IMPLICIT_ARGS),
        ("bpf_task_work_schedule_signal", KF_IMPLICIT_ARGS),
        ("bpf_task_work_schedule_resume", KF_IMPLICIT_ARGS),
        ("bpf_dynptr_from_file", 0),
        ("bpf_dynptr_file_discard", KF_RELEASE),
        ("bpf_timer_cancel_async", 0),
    ] },
    // generic_btf_ids, kernel/bpf/helpers.c
    Set { hooks: &[Tracing, Tc, Xdp, StructOps, Syscall, Cgroup], kfuncs: &[
        ("crash_kexec", KF_DESTRUCTIVE),
        ("bpf_obj_new", KF_ACQUIRE | KF_RET_NULL | KF_IMPLICIT_ARGS),
        ("bpf_obj_new_impl", KF_ACQUIRE | KF_RET_NULL),
        ("bpf_percpu_obj_new", KF_ACQUIRE | KF_RET_NULL | KF_IMPLICIT_ARGS),
        ("bpf_percpu_obj_new_impl", KF_ACQUIRE | KF_RET_NULL),
        ("bpf_obj_drop", KF_RELEASE | KF_IMPLICIT_ARGS),
        ("bpf_obj_drop_impl", KF_RELEASE),
        ("bpf_percpu_obj_drop", KF_RELEASE | KF_IMPLICIT_ARGS),
        ("bpf_percpu_obj_drop_impl", KF_RELEASE),
        ("bpf_refcount_acquire", KF_ACQUIRE | KF_RET_NULL | KF_RCU | KF_IMPLICIT_ARGS),
        ("bpf_refcount_acquire_impl", KF_ACQUIRE | KF_RET_NULL | KF_RCU),
        ("bpf_list_push_front", KF_IMPLICIT_ARGS),
        ("bpf_list_push_front_impl", 0),
        ("bpf_list_push_back", KF_IMPLICIT_ARGS),
        ("bpf_list_push_back_impl", 0),
        ("bpf_list_add", KF_IMPLICIT_ARGS),
        ("bpf_list_pop_front", KF_ACQUIRE | KF_RET_NULL),
        ("bpf_list_pop_back", KF_ACQUIRE | KF_RET_NULL),
        ("bpf_list_del", KF_ACQUIRE | KF_RET_NULL),
        ("bpf_list_front", KF_RET_NULL),
        ("bpf_list_back", KF_RET_NULL),
        ("bpf_list_is_first", 0),
        ("bpf_list_is_last", 0),
        ("bpf_list_empty", 0),
        ("bpf_task_acquire", KF_ACQUIRE | KF_RET_NULL | KF_RCU),
        ("bpf_task_release", KF_RELEASE),
        ("bpf_rbtree_remove", KF_ACQUIRE | KF_RET_NULL),
        ("bpf_rbtree_add", KF_IMPLICIT_ARGS),
        ("bpf_rbtree_add_impl", 0),
        ("bpf_rbtree_first", KF_RET_NULL),
        ("bpf_rbtree_root", KF_RET_NULL),
        ("bpf_rbtree_left", KF_RET_NULL),
        ("bpf_rbtree_right", KF_RET_NULL),
        ("bpf_cgroup_acquire", KF_ACQUIRE | KF_RET_NULL | KF_RCU),
        ("bpf_cgroup_release", KF_RELEASE),
        ("bpf_cgroup_ancestor", KF_ACQUIRE | KF_RET_NULL | KF_RCU),
        ("bpf_cgroup_from_id", KF_ACQUIRE | KF_RET_NULL),
        ("bpf_task_under_cgroup", KF_RCU),
        ("bpf_task_get_cgroup1", KF_ACQUIRE | KF_RET_NULL | KF_RCU),
        ("bpf_task_from_pid", KF_ACQUIRE | KF_RET_NULL),
        ("bpf_task_from_vpid", KF_ACQUIRE | KF_RET_NULL),
        ("bpf_throw", 0),
        ("bpf_send_signal_task", 0),
        ("bpf_lookup_user_key", KF_ACQUIRE | KF_RET_NULL | KF_SLEEPABLE),
        ("bpf_lookup_system_key", KF_ACQUIRE | KF_RET_NULL),
        ("bpf_key_put", KF_RELEASE),
        ("bpf_verify_pkcs7_signature", KF_SLEEPABLE),
    ] },
    // bpf_map_iter_kfunc_ids, kernel/bpf/map_iter.c
    Set { hooks: &[Common], kfuncs: &[
        ("bpf_map_sum_elem_count", 0),
    ] },
    // rqspinlock_kfunc_ids, kernel/bpf/rqspinlock.c
    Set { hooks: &[Common], kfuncs: &[
        ("bpf_res_spin_lock", KF_RET_NULL),
        ("bpf_res_spin_unlock", 0),
        ("bpf_res_spin_lock_irqsave", KF_RET_NULL),
        ("bpf_res_spin_unlock_irqrestore", 0),
    ] },
    // bpf_rstat_kfunc_ids, kernel/cgroup/rstat.c
    Set { hooks: &[Tracing], kfuncs: &[
        ("css_rstat_updated", 0),
        ("css_rstat_flush", KF_SLEEPABLE),
    ] },
    // scx_kfunc_ids_cid, kernel/sched/ext/cid.c
    Set { hooks: &[StructOps, Tracing, Syscall], kfuncs: &[
        ("scx_bpf_cid_to_cpu", KF_IMPLICIT_ARGS),
        ("scx_bpf_cpu_to_cid", KF_IMPLICIT_ARGS),
        ("scx_bpf_cid_topo", KF_IMPLICIT_ARGS),
    ] },
    // scx_kfunc_ids_init, kernel/sched/ext/cid.c
    Set { hooks: &[StructOps], kfuncs: &[
        ("scx_bpf_cid_override", KF_SLEEPABLE | KF_IMPLICIT_ARGS),
    ] },
    // scx_kfunc_ids_any, kernel/sched/ext/ext.c
    Set { hooks: &[StructOps, Tracing, Syscall], kfuncs: &[
        ("scx_bpf_task_set_slice", KF_RCU | KF_IMPLICIT_ARGS),
        ("scx_bpf_task_set_dsq_vtime", KF_RCU | KF_IMPLICIT_ARGS),
        ("scx_bpf_kick_cpu", KF_IMPLICIT_ARGS),
        ("scx_bpf_kick_cid", KF_IMPLICIT_ARGS),
        ("scx_bpf_dsq_nr_queued", KF_IMPLICIT_ARGS),
        ("scx_bpf_destroy_dsq", KF_IMPLICIT_ARGS),
        ("scx_bpf_dsq_peek", KF_RET_NULL | KF_RCU_PROTECTED | KF_IMPLICIT_ARGS),
        ("scx_bpf_dsq_reenq", KF_IMPLICIT_ARGS),
        ("scx_bpf_reenqueue_local___v2", KF_IMPLICIT_ARGS),
        ("bpf_iter_scx_dsq_new", KF_ITER_NEW | KF_RCU_PROTECTED | KF_IMPLICIT_ARGS),
        ("bpf_iter_scx_dsq_next", KF_RET_NULL | KF_ITER_NEXT),
        ("bpf_iter_scx_dsq_destroy", KF_ITER_DESTROY),
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
        ("scx_bpf_this_cid", 0),
        ("scx_bpf_get_possible_cpumask", KF_ACQUIRE),
        ("scx_bpf_get_online_cpumask", KF_ACQUIRE),
        ("scx_bpf_put_cpumask", KF_RELEASE),
        ("scx_bpf_task_running", KF_RCU),
        ("scx_bpf_task_cpu", KF_RCU),
        ("scx_bpf_task_cid", KF_RCU),
        ("scx_bpf_cpu_rq", KF_IMPLICIT_ARGS),
        ("scx_bpf_locked_rq", KF_RET_NULL | KF_IMPLICIT_ARGS),
        ("scx_bpf_cpu_curr", KF_RET_NULL | KF_RCU_PROTECTED | KF_IMPLICIT_ARGS),
        ("scx_bpf_cid_curr", KF_RET_NULL | KF_RCU_PROTECTED | KF_IMPLICIT_ARGS),
        ("scx_bpf_tid_to_task", KF_RET_NULL | KF_RCU_PROTECTED),
        ("scx_bpf_now", 0),
        ("scx_bpf_events", 0),
        ("scx_bpf_task_cgroup", KF_ACQUIRE | KF_RCU | KF_IMPLICIT_ARGS),
    ] },
    // scx_kfunc_ids_cpu_release, kernel/sched/ext/ext.c
    Set { hooks: &[StructOps], kfuncs: &[
        ("scx_bpf_reenqueue_local", KF_IMPLICIT_ARGS),
    ] },
    // scx_kfunc_ids_dispatch, kernel/sched/ext/ext.c
    Set { hooks: &[StructOps], kfuncs: &[
        ("scx_bpf_dispatch_nr_slots", KF_IMPLICIT_ARGS),
        ("scx_bpf_dispatch_cancel", KF_IMPLICIT_ARGS),
        ("scx_bpf_dsq_move_to_local", KF_IMPLICIT_ARGS),
        ("scx_bpf_dsq_move_to_local___v2", KF_IMPLICIT_ARGS),
        ("scx_bpf_dsq_move_set_slice", KF_RCU),
        ("scx_bpf_dsq_move_set_vtime", KF_RCU),
        ("scx_bpf_dsq_move", KF_RCU),
        ("scx_bpf_dsq_move_vtime", KF_RCU),
        ("scx_bpf_sub_dispatch", KF_IMPLICIT_ARGS),
    ] },
    // scx_kfunc_ids_enqueue_dispatch, kernel/sched/ext/ext.c
    Set { hooks: &[StructOps], kfuncs: &[
        ("scx_bpf_dsq_insert", KF_RCU | KF_IMPLICIT_ARGS),
        ("scx_bpf_dsq_insert___v2", KF_RCU | KF_IMPLICIT_ARGS),
        ("__scx_bpf_dsq_insert_vtime", KF_RCU | KF_IMPLICIT_ARGS),
        ("scx_bpf_dsq_insert_vtime", KF_RCU),
    ] },
    // scx_kfunc_ids_unlocked, kernel/sched/ext/ext.c
    Set { hooks: &[StructOps, Syscall], kfuncs: &[
        ("scx_bpf_create_dsq", KF_SLEEPABLE | KF_IMPLICIT_ARGS),
        ("scx_bpf_dsq_move_set_slice", KF_RCU),
        ("scx_bpf_dsq_move_set_vtime", KF_RCU),
        ("scx_bpf_dsq_move", KF_RCU),
        ("scx_bpf_dsq_move_vtime", KF_RCU),
        ("__scx_bpf_select_cpu_and", KF_RCU | KF_IMPLICIT_ARGS),
        ("scx_bpf_select_cpu_and", KF_RCU),
        ("scx_bpf_select_cpu_dfl", KF_RCU | KF_IMPLICIT_ARGS),
    ] },
    // scx_kfunc_ids_idle, kernel/sched/ext/idle.c
    Set { hooks: &[StructOps, Tracing, Syscall], kfuncs: &[
        ("scx_bpf_cpu_node", KF_IMPLICIT_ARGS),
        ("scx_bpf_get_idle_cpumask_node", KF_ACQUIRE | KF_IMPLICIT_ARGS),
        ("scx_bpf_get_idle_cpumask", KF_ACQUIRE | KF_IMPLICIT_ARGS),
        ("scx_bpf_get_idle_smtmask_node", KF_ACQUIRE | KF_IMPLICIT_ARGS),
        ("scx_bpf_get_idle_smtmask", KF_ACQUIRE | KF_IMPLICIT_ARGS),
        ("scx_bpf_put_idle_cpumask", KF_RELEASE),
        ("scx_bpf_test_and_clear_cpu_idle", KF_IMPLICIT_ARGS),
        ("scx_bpf_pick_idle_cpu_node", KF_RCU | KF_IMPLICIT_ARGS),
        ("scx_bpf_pick_idle_cpu", KF_RCU | KF_IMPLICIT_ARGS),
        ("scx_bpf_pick_any_cpu_node", KF_RCU | KF_IMPLICIT_ARGS),
        ("scx_bpf_pick_any_cpu", KF_RCU | KF_IMPLICIT_ARGS),
    ] },
    // scx_kfunc_ids_select_cpu, kernel/sched/ext/idle.c
    Set { hooks: &[StructOps, Syscall], kfuncs: &[
        ("__scx_bpf_select_cpu_and", KF_RCU | KF_IMPLICIT_ARGS),
        ("scx_bpf_select_cpu_and", KF_RCU),
        ("scx_bpf_select_cpu_dfl", KF_RCU | KF_IMPLICIT_ARGS),
    ] },
    // session_kfunc_set_ids, kernel/trace/bpf_trace.c
    Set { hooks: &[Kprobe, Tracing], kfuncs: &[
        ("bpf_session_is_return", 0),
        ("bpf_session_cookie", 0),
    ] },
    // bpf_memcontrol_kfuncs, mm/bpf_memcontrol.c
    Set { hooks: &[Common], kfuncs: &[
        ("bpf_get_root_mem_cgroup", KF_ACQUIRE | KF_RET_NULL),
        ("bpf_get_mem_cgroup", KF_ACQUIRE | KF_RET_NULL | KF_RCU),
        ("bpf_put_mem_cgroup", KF_RELEASE),
        ("bpf_mem_cgroup_vm_events", 0),
        ("bpf_mem_cgroup_memory_events", 0),
        ("bpf_mem_cgroup_usage", 0),
        ("bpf_mem_cgroup_page_state", 0),
        ("bpf_mem_cgroup_flush_stats", KF_SLEEPABLE),
    ] },
    // test_sk_check_kfunc_ids, net/bpf/test_run.c
    Set { hooks: &[Tc, Tracing, Syscall], kfuncs: &[
        ("bpf_kfunc_call_test_release", KF_RELEASE),
        ("bpf_kfunc_call_memb_release", KF_RELEASE),
    ] },
    // bpf_kfunc_check_set_skb, net/core/filter.c
    Set { hooks: &[Tc, SchedAct, SkSkb, SocketFilter, Cgroup, Lwt, Netfilter, Tracing], kfuncs: &[
        ("bpf_dynptr_from_skb", 0),
    ] },
    // bpf_kfunc_check_set_skb_meta, net/core/filter.c
    Set { hooks: &[Tc, SchedAct], kfuncs: &[
        ("bpf_dynptr_from_skb_meta", 0),
    ] },
    // bpf_kfunc_check_set_sock_addr, net/core/filter.c
    Set { hooks: &[Cgroup], kfuncs: &[
        ("bpf_sock_addr_set_sun_path", 0),
    ] },
    // bpf_kfunc_check_set_sock_ops, net/core/filter.c
    Set { hooks: &[Cgroup], kfuncs: &[
        ("bpf_sock_ops_enable_tx_tstamp", 0),
    ] },
    // bpf_kfunc_check_set_tcp_reqsk, net/core/filter.c
    Set { hooks: &[Tc], kfuncs: &[
        ("bpf_sk_assign_tcp_reqsk", 0),
    ] },
    // bpf_kfunc_check_set_xdp, net/core/filter.c
    Set { hooks: &[Xdp], kfuncs: &[
        ("bpf_dynptr_from_xdp", 0),
        ("bpf_xdp_pull_data", 0),
    ] },
    // bpf_sk_iter_kfunc_ids, net/core/filter.c
    Set { hooks: &[Tracing], kfuncs: &[
        ("bpf_sock_destroy", 0),
    ] },
    // xdp_metadata_kfunc_ids, net/core/xdp.c
    Set { hooks: &[Xdp], kfuncs: &[
        ("bpf_xdp_metadata_rx_timestamp", 0),
        ("bpf_xdp_metadata_rx_hash", 0),
        ("bpf_xdp_metadata_rx_vlan_tag", 0),
    ] },
    // bpf_tcp_ca_check_kfunc_ids, net/ipv4/bpf_tcp_ca.c
    Set { hooks: &[StructOps], kfuncs: &[
        ("tcp_reno_ssthresh", 0),
        ("tcp_reno_cong_avoid", 0),
        ("tcp_reno_undo_cwnd", 0),
        ("tcp_slow_start", 0),
        ("tcp_cong_avoid_ai", 0),
    ] },
    // fou_kfunc_set, net/ipv4/fou_bpf.c
    Set { hooks: &[Tc], kfuncs: &[
        ("bpf_skb_set_fou_encap", 0),
        ("bpf_skb_get_fou_encap", 0),
    ] },
    // tcp_bbr_check_kfunc_ids, net/ipv4/tcp_bbr.c
    Set { hooks: &[StructOps], kfuncs: &[
        ("bbr_init", 0),
        ("bbr_main", 0),
        ("bbr_sndbuf_expand", 0),
        ("bbr_undo_cwnd", 0),
        ("bbr_cwnd_event_tx_start", 0),
        ("bbr_ssthresh", 0),
        ("bbr_min_tso_segs", 0),
        ("bbr_set_state", 0),
    ] },
    // tcp_cubic_check_kfunc_ids, net/ipv4/tcp_cubic.c
    Set { hooks: &[StructOps], kfuncs: &[
        ("cubictcp_init", 0),
        ("cubictcp_recalc_ssthresh", 0),
        ("cubictcp_cong_avoid", 0),
        ("cubictcp_state", 0),
        ("cubictcp_cwnd_event_tx_start", 0),
        ("cubictcp_acked", 0),
    ] },
    // tcp_dctcp_check_kfunc_ids, net/ipv4/tcp_dctcp.c
    Set { hooks: &[StructOps], kfuncs: &[
        ("dctcp_init", 0),
        ("dctcp_update_alpha", 0),
        ("dctcp_cwnd_event", 0),
        ("dctcp_cwnd_event_tx_start", 0),
        ("dctcp_ssthresh", 0),
        ("dctcp_cwnd_undo", 0),
        ("dctcp_state", 0),
    ] },
    // nf_ct_kfunc_set, net/netfilter/nf_conntrack_bpf.c
    Set { hooks: &[Xdp, Tc], kfuncs: &[
        ("bpf_xdp_ct_alloc", KF_ACQUIRE | KF_RET_NULL),
        ("bpf_xdp_ct_lookup", KF_ACQUIRE | KF_RET_NULL),
        ("bpf_skb_ct_alloc", KF_ACQUIRE | KF_RET_NULL),
        ("bpf_skb_ct_lookup", KF_ACQUIRE | KF_RET_NULL),
        ("bpf_ct_insert_entry", KF_ACQUIRE | KF_RELEASE | KF_RET_NULL),
        ("bpf_ct_release", KF_RELEASE),
        ("bpf_ct_set_timeout", 0),
        ("bpf_ct_change_timeout", 0),
        ("bpf_ct_set_status", 0),
        ("bpf_ct_change_status", 0),
    ] },
    // nf_ft_kfunc_set, net/netfilter/nf_flow_table_bpf.c
    Set { hooks: &[Xdp], kfuncs: &[
        ("bpf_xdp_flow_lookup", KF_RET_NULL),
    ] },
    // nf_nat_kfunc_set, net/netfilter/nf_nat_bpf.c
    Set { hooks: &[Xdp, Tc], kfuncs: &[
        ("bpf_ct_set_nat_info", 0),
    ] },
    // qdisc_kfunc_ids, net/sched/bpf_qdisc.c
    Set { hooks: &[StructOps], kfuncs: &[
        ("bpf_skb_get_hash", 0),
        ("bpf_kfree_skb", KF_RELEASE),
        ("bpf_qdisc_skb_drop", KF_RELEASE),
        ("bpf_dynptr_from_skb", 0),
        ("bpf_qdisc_watchdog_schedule", 0),
        ("bpf_qdisc_init_prologue", 0),
        ("bpf_qdisc_reset_destroy_epilogue", 0),
        ("bpf_qdisc_bstats_update", 0),
    ] },
    // xfrm_ifc_kfunc_set, net/xfrm/xfrm_interface_bpf.c
    Set { hooks: &[Tc], kfuncs: &[
        ("bpf_skb_get_xfrm_info", 0),
        ("bpf_skb_set_xfrm_info", 0),
    ] },
    // xfrm_state_kfunc_set, net/xfrm/xfrm_state_bpf.c
    Set { hooks: &[Xdp], kfuncs: &[
        ("bpf_xdp_get_xfrm_state", KF_ACQUIRE | KF_RET_NULL),
        ("bpf_xdp_xfrm_state_release", KF_RELEASE),
    ] },
];

/// The functions that a filter of a hook keeps from some programs.
#[rustfmt::skip]
pub(super) static FILTERED: &[Filtered] = &[
    Filtered { hook: Kprobe, kfuncs: &[
        "bpf_session_cookie",
        "bpf_session_is_return",
    ], allowed: &[
        (when().prog_type(&[2]).attach_type(&[56, 57]), true),
        (when(), false),
    ] },
    Filtered { hook: StructOps, kfuncs: &[
        "__scx_bpf_dsq_insert_vtime",
        "scx_bpf_dsq_insert",
        "scx_bpf_dsq_insert___v2",
        "scx_bpf_dsq_insert_vtime",
    ], allowed: &[
        (when().struct_ops(&["sched_ext_ops", "sched_ext_ops_cid"]).attached_to(&["dispatch", "enqueue", "select_cid", "select_cpu"]), true),
        (when(), false),
    ] },
    Filtered { hook: StructOps, kfuncs: &[
        "__scx_bpf_select_cpu_and",
        "scx_bpf_select_cpu_and",
        "scx_bpf_select_cpu_dfl",
    ], allowed: &[
        (when().struct_ops(&["sched_ext_ops"]).attached_to(&["cgroup_cancel_move", "cgroup_exit", "cgroup_init", "cgroup_prep_move", "cgroup_set_bandwidth", "cgroup_set_idle", "cgroup_set_weight", "cid_offline", "cid_online", "cpu_offline", "cpu_online", "dump", "enqueue", "exit", "init", "init_task", "select_cid", "select_cpu", "sub_attach", "sub_detach"]), true),
        (when(), false),
    ] },
    Filtered { hook: StructOps, kfuncs: &[
        "bpf_dynptr_from_skb",
        "bpf_kfree_skb",
        "bpf_skb_get_hash",
    ], allowed: &[
        (when().struct_ops(&["Qdisc_ops"]), true),
        (when(), false),
    ] },
    Filtered { hook: StructOps, kfuncs: &[
        "bpf_iter_scx_dsq_destroy",
        "bpf_iter_scx_dsq_new",
        "bpf_iter_scx_dsq_next",
        "scx_bpf_cid_curr",
        "scx_bpf_cidperf_cap",
        "scx_bpf_cidperf_cur",
        "scx_bpf_cidperf_set",
        "scx_bpf_destroy_dsq",
        "scx_bpf_dsq_nr_queued",
        "scx_bpf_dsq_peek",
        "scx_bpf_dsq_reenq",
        "scx_bpf_dump_bstr",
        "scx_bpf_error_bstr",
        "scx_bpf_events",
        "scx_bpf_exit_bstr",
        "scx_bpf_kick_cid",
        "scx_bpf_locked_rq",
        "scx_bpf_now",
        "scx_bpf_nr_cids",
        "scx_bpf_nr_cpu_ids",
        "scx_bpf_nr_node_ids",
        "scx_bpf_nr_online_cids",
        "scx_bpf_reenqueue_local___v2",
        "scx_bpf_task_cgroup",
        "scx_bpf_task_cid",
        "scx_bpf_task_running",
        "scx_bpf_task_set_dsq_vtime",
        "scx_bpf_task_set_slice",
        "scx_bpf_this_cid",
        "scx_bpf_tid_to_task",
    ], allowed: &[
        (when().struct_ops(&["sched_ext_ops", "sched_ext_ops_cid"]), true),
        (when(), false),
    ] },
    Filtered { hook: StructOps, kfuncs: &[
        "bpf_qdisc_bstats_update",
    ], allowed: &[
        (when().struct_ops(&["Qdisc_ops"]).attached_to(&["dequeue"]), true),
        (when(), false),
    ] },
    Filtered { hook: StructOps, kfuncs: &[
        "bpf_qdisc_init_prologue",
        "bpf_qdisc_reset_destroy_epilogue",
    ], allowed: &[
        (when(), false),
    ] },
    Filtered { hook: StructOps, kfuncs: &[
        "bpf_qdisc_skb_drop",
    ], allowed: &[
        (when().struct_ops(&["Qdisc_ops"]).attached_to(&["enqueue"]), true),
        (when(), false),
    ] },
    Filtered { hook: StructOps, kfuncs: &[
        "bpf_qdisc_watchdog_schedule",
    ], allowed: &[
        (when().struct_ops(&["Qdisc_ops"]).attached_to(&["dequeue", "enqueue"]), true),
        (when(), false),
    ] },
    Filtered { hook: StructOps, kfuncs: &[
        "scx_bpf_cid_override",
    ], allowed: &[
        (when().struct_ops(&["sched_ext_ops", "sched_ext_ops_cid"]).attached_to(&["init"]), true),
        (when(), false),
    ] },
    Filtered { hook: StructOps, kfuncs: &[
        "scx_bpf_cpu_curr",
        "scx_bpf_cpu_node",
        "scx_bpf_cpu_rq",
        "scx_bpf_cpuperf_cap",
        "scx_bpf_cpuperf_cur",
        "scx_bpf_cpuperf_set",
        "scx_bpf_get_idle_cpumask",
        "scx_bpf_get_idle_cpumask_node",
        "scx_bpf_get_idle_smtmask",
        "scx_bpf_get_idle_smtmask_node",
        "scx_bpf_get_online_cpumask",
        "scx_bpf_get_possible_cpumask",
        "scx_bpf_kick_cpu",
        "scx_bpf_pick_any_cpu",
        "scx_bpf_pick_any_cpu_node",
        "scx_bpf_pick_idle_cpu",
        "scx_bpf_pick_idle_cpu_node",
        "scx_bpf_put_cpumask",
        "scx_bpf_put_idle_cpumask",
        "scx_bpf_task_cpu",
        "scx_bpf_test_and_clear_cpu_idle",
    ], allowed: &[
        (when().struct_ops(&["sched_ext_ops"]), true),
        (when(), false),
    ] },
    Filtered { hook: StructOps, kfuncs: &[
        "scx_bpf_create_dsq",
    ], allowed: &[
        (when().struct_ops(&["sched_ext_ops", "sched_ext_ops_cid"]).attached_to(&["cgroup_cancel_move", "cgroup_exit", "cgroup_init", "cgroup_prep_move", "cgroup_set_bandwidth", "cgroup_set_idle", "cgroup_set_weight", "cid_offline", "cid_online", "cpu_offline", "cpu_online", "dump", "exit", "init", "init_task", "sub_attach", "sub_detach"]), true),
        (when(), false),
    ] },
    Filtered { hook: StructOps, kfuncs: &[
        "scx_bpf_dispatch_cancel",
        "scx_bpf_dispatch_nr_slots",
        "scx_bpf_dsq_move_to_local",
        "scx_bpf_dsq_move_to_local___v2",
        "scx_bpf_sub_dispatch",
    ], allowed: &[
        (when().struct_ops(&["sched_ext_ops", "sched_ext_ops_cid"]).attached_to(&["dispatch"]), true),
        (when(), false),
    ] },
    Filtered { hook: StructOps, kfuncs: &[
        "scx_bpf_dsq_move",
        "scx_bpf_dsq_move_set_slice",
        "scx_bpf_dsq_move_set_vtime",
        "scx_bpf_dsq_move_vtime",
    ], allowed: &[
        (when().struct_ops(&["sched_ext_ops", "sched_ext_ops_cid"]).attached_to(&["cgroup_cancel_move", "cgroup_exit", "cgroup_init", "cgroup_prep_move", "cgroup_set_bandwidth", "cgroup_set_idle", "cgroup_set_weight", "cid_offline", "cid_online", "cpu_offline", "cpu_online", "dispatch", "dump", "exit", "init", "init_task", "sub_attach", "sub_detach"]), true),
        (when(), false),
    ] },
    Filtered { hook: StructOps, kfuncs: &[
        "scx_bpf_reenqueue_local",
    ], allowed: &[
        (when().struct_ops(&["sched_ext_ops", "sched_ext_ops_cid"]).attached_to(&["cpu_release"]), true),
        (when(), false),
    ] },
    Filtered { hook: Syscall, kfuncs: &[
        "__scx_bpf_select_cpu_and",
        "scx_bpf_create_dsq",
        "scx_bpf_dsq_move",
        "scx_bpf_dsq_move_set_slice",
        "scx_bpf_dsq_move_set_vtime",
        "scx_bpf_dsq_move_vtime",
        "scx_bpf_select_cpu_and",
        "scx_bpf_select_cpu_dfl",
    ], allowed: &[
        (when().prog_type(&[31]), true),
        (when(), false),
    ] },
    Filtered { hook: Tracing, kfuncs: &[
        "bpf_get_dentry_xattr",
        "bpf_get_file_xattr",
        "bpf_get_fsverity_digest",
        "bpf_get_task_exe_file",
        "bpf_path_d_path",
        "bpf_put_file",
        "bpf_real_data_inode",
        "bpf_remove_dentry_xattr",
        "bpf_set_dentry_xattr",
    ], allowed: &[
        (when().prog_type(&[29]), true),
        (when(), false),
    ] },
    Filtered { hook: Tracing, kfuncs: &[
        "bpf_session_cookie",
        "bpf_session_is_return",
    ], allowed: &[
        (when().prog_type(&[26]).attach_type(&[58, 61]), true),
        (when(), false),
    ] },
    Filtered { hook: Tracing, kfuncs: &[
        "bpf_sock_destroy",
    ], allowed: &[
        (when().attach_type(&[28]), true),
        (when(), false),
    ] },
];
