// Written by scripts/gen-helpers from the kernel's source. Do not edit.
#![allow(non_upper_case_globals)] // the kernel's names

use super::prototype::{DYNPTR, KEY, MAP, MEM, OTHER, Prototype, SIZE, STACK, VALUE, fixed, prototypes};
use super::table::{Table, Tables, helper};
use crate::bpf::asker::when;

/// Names of the helpers by id (`func_id_str`).
#[rustfmt::skip]
pub(super) static NAMES: [&str; 212] = [
    "bpf_unspec",
    "bpf_map_lookup_elem",
    "bpf_map_update_elem",
    "bpf_map_delete_elem",
    "bpf_probe_read",
    "bpf_ktime_get_ns",
    "bpf_trace_printk",
    "bpf_get_prandom_u32",
    "bpf_get_smp_processor_id",
    "bpf_skb_store_bytes",
    "bpf_l3_csum_replace",
    "bpf_l4_csum_replace",
    "bpf_tail_call",
    "bpf_clone_redirect",
    "bpf_get_current_pid_tgid",
    "bpf_get_current_uid_gid",
    "bpf_get_current_comm",
    "bpf_get_cgroup_classid",
    "bpf_skb_vlan_push",
    "bpf_skb_vlan_pop",
    "bpf_skb_get_tunnel_key",
    "bpf_skb_set_tunnel_key",
    "bpf_perf_event_read",
    "bpf_redirect",
    "bpf_get_route_realm",
    "bpf_perf_event_output",
    "bpf_skb_load_bytes",
    "bpf_get_stackid",
    "bpf_csum_diff",
    "bpf_skb_get_tunnel_opt",
    "bpf_skb_set_tunnel_opt",
    "bpf_skb_change_proto",
    "bpf_skb_change_type",
    "bpf_skb_under_cgroup",
    "bpf_get_hash_recalc",
    "bpf_get_current_task",
    "bpf_probe_write_user",
    "bpf_current_task_under_cgroup",
    "bpf_skb_change_tail",
    "bpf_skb_pull_data",
    "bpf_csum_update",
    "bpf_set_hash_invalid",
    "bpf_get_numa_node_id",
    "bpf_skb_change_head",
    "bpf_xdp_adjust_head",
    "bpf_probe_read_str",
    "bpf_get_socket_cookie",
    "bpf_get_socket_uid",
    "bpf_set_hash",
    "bpf_setsockopt",
    "bpf_skb_adjust_room",
    "bpf_redirect_map",
    "bpf_sk_redirect_map",
    "bpf_sock_map_update",
    "bpf_xdp_adjust_meta",
    "bpf_perf_event_read_value",
    "bpf_perf_prog_read_value",
    "bpf_getsockopt",
    "bpf_override_return",
    "bpf_sock_ops_cb_flags_set",
    "bpf_msg_redirect_map",
    "bpf_msg_apply_bytes",
    "bpf_msg_cork_bytes",
    "bpf_msg_pull_data",
    "bpf_bind",
    "bpf_xdp_adjust_tail",
    "bpf_skb_get_xfrm_state",
    "bpf_get_stack",
    "bpf_skb_load_bytes_relative",
    "bpf_fib_lookup",
    "bpf_sock_hash_update",
    "bpf_msg_redirect_hash",
    "bpf_sk_redirect_hash",
    "bpf_lwt_push_encap",
    "bpf_lwt_seg6_store_bytes",
    "bpf_lwt_seg6_adjust_srh",
    "bpf_lwt_seg6_action",
    "bpf_rc_repeat",
    "bpf_rc_keydown",
    "bpf_skb_cgroup_id",
    "bpf_get_current_cgroup_id",
    "bpf_get_local_storage",
    "bpf_sk_select_reuseport",
    "bpf_skb_ancestor_cgroup_id",
    "bpf_sk_lookup_tcp",
    "bpf_sk_lookup_udp",
    "bpf_sk_release",
    "bpf_map_push_elem",
    "bpf_map_pop_elem",
    "bpf_map_peek_elem",
    "bpf_msg_push_data",
    "bpf_msg_pop_data",
    "bpf_rc_pointer_rel",
    "bpf_spin_lock",
    "bpf_spin_unlock",
    "bpf_sk_fullsock",
    "bpf_tcp_sock",
    "bpf_skb_ecn_set_ce",
    "bpf_get_listener_sock",
    "bpf_skc_lookup_tcp",
    "bpf_tcp_check_syncookie",
    "bpf_sysctl_get_name",
    "bpf_sysctl_get_current_value",
    "bpf_sysctl_get_new_value",
    "bpf_sysctl_set_new_value",
    "bpf_strtol",
    "bpf_strtoul",
    "bpf_sk_storage_get",
    "bpf_sk_storage_delete",
    "bpf_send_signal",
    "bpf_tcp_gen_syncookie",
    "bpf_skb_output",
    "bpf_probe_read_user",
    "bpf_probe_read_kernel",
    "bpf_probe_read_user_str",
    "bpf_probe_read_kernel_str",
    "bpf_tcp_send_ack",
    "bpf_send_signal_thread",
    "bpf_jiffies64",
    "bpf_read_branch_records",
    "bpf_get_ns_current_pid_tgid",
    "bpf_xdp_output",
    "bpf_get_netns_cookie",
    "bpf_get_current_ancestor_cgroup_id",
    "bpf_sk_assign",
    "bpf_ktime_get_boot_ns",
    "bpf_seq_printf",
    "bpf_seq_write",
    "bpf_sk_cgroup_id",
    "bpf_sk_ancestor_cgroup_id",
    "bpf_ringbuf_output",
    "bpf_ringbuf_reserve",
    "bpf_ringbuf_submit",
    "bpf_ringbuf_discard",
    "bpf_ringbuf_query",
    "bpf_csum_level",
    "bpf_skc_to_tcp6_sock",
    "bpf_skc_to_tcp_sock",
    "bpf_skc_to_tcp_timewait_sock",
    "bpf_skc_to_tcp_request_sock",
    "bpf_skc_to_udp6_sock",
    "bpf_get_task_stack",
    "bpf_load_hdr_opt",
    "bpf_store_hdr_opt",
    "bpf_reserve_hdr_opt",
    "bpf_inode_storage_get",
    "bpf_inode_storage_delete",
    "bpf_d_path",
    "bpf_copy_from_user",
    "bpf_snprintf_btf",
    "bpf_seq_printf_btf",
    "bpf_skb_cgroup_classid",
    "bpf_redirect_neigh",
    "bpf_per_cpu_ptr",
    "bpf_this_cpu_ptr",
    "bpf_redirect_peer",
    "bpf_task_storage_get",
    "bpf_task_storage_delete",
    "bpf_get_current_task_btf",
    "bpf_bprm_opts_set",
    "bpf_ktime_get_coarse_ns",
    "bpf_ima_inode_hash",
    "bpf_sock_from_file",
    "bpf_check_mtu",
    "bpf_for_each_map_elem",
    "bpf_snprintf",
    "bpf_sys_bpf",
    "bpf_btf_find_by_name_kind",
    "bpf_sys_close",
    "bpf_timer_init",
    "bpf_timer_set_callback",
    "bpf_timer_start",
    "bpf_timer_cancel",
    "bpf_get_func_ip",
    "bpf_get_attach_cookie",
    "bpf_task_pt_regs",
    "bpf_get_branch_snapshot",
    "bpf_trace_vprintk",
    "bpf_skc_to_unix_sock",
    "bpf_kallsyms_lookup_name",
    "bpf_find_vma",
    "bpf_loop",
    "bpf_strncmp",
    "bpf_get_func_arg",
    "bpf_get_func_ret",
    "bpf_get_func_arg_cnt",
    "bpf_get_retval",
    "bpf_set_retval",
    "bpf_xdp_get_buff_len",
    "bpf_xdp_load_bytes",
    "bpf_xdp_store_bytes",
    "bpf_copy_from_user_task",
    "bpf_skb_set_tstamp",
    "bpf_ima_file_hash",
    "bpf_kptr_xchg",
    "bpf_map_lookup_percpu_elem",
    "bpf_skc_to_mptcp_sock",
    "bpf_dynptr_from_mem",
    "bpf_ringbuf_reserve_dynptr",
    "bpf_ringbuf_submit_dynptr",
    "bpf_ringbuf_discard_dynptr",
    "bpf_dynptr_read",
    "bpf_dynptr_write",
    "bpf_dynptr_data",
    "bpf_tcp_raw_gen_syncookie_ipv4",
    "bpf_tcp_raw_gen_syncookie_ipv6",
    "bpf_tcp_raw_check_syncookie_ipv4",
    "bpf_tcp_raw_check_syncookie_ipv6",
    "bpf_ktime_get_tai_ns",
    "bpf_user_ringbuf_drain",
    "bpf_cgrp_storage_get",
    "bpf_cgrp_storage_delete",
];

prototypes! {
    bpf_bind_proto("bpf_bind", OTHER, MEM, SIZE);
    bpf_bprm_opts_set_proto("bpf_bprm_opts_set", OTHER, OTHER);
    bpf_btf_find_by_name_kind_proto("bpf_btf_find_by_name_kind", MEM, SIZE, OTHER, OTHER);
    bpf_cgrp_storage_delete_proto("bpf_cgrp_storage_delete", MAP, OTHER);
    bpf_cgrp_storage_get_proto("bpf_cgrp_storage_get", MAP, OTHER, VALUE, OTHER);
    bpf_clone_redirect_proto("bpf_clone_redirect", OTHER, OTHER, OTHER);
    bpf_copy_from_user_proto("bpf_copy_from_user", MEM.uninit(), SIZE, OTHER);
    bpf_copy_from_user_task_proto("bpf_copy_from_user_task", MEM.uninit(), SIZE, OTHER, OTHER, OTHER);
    bpf_csum_diff_proto("bpf_csum_diff", MEM, SIZE, MEM, SIZE, OTHER);
    bpf_csum_level_proto("bpf_csum_level", OTHER, OTHER);
    bpf_csum_update_proto("bpf_csum_update", OTHER, OTHER);
    bpf_current_task_under_cgroup_proto("bpf_current_task_under_cgroup", MAP, OTHER);
    bpf_d_path_proto("bpf_d_path", OTHER, MEM, SIZE);
    bpf_dynptr_data_proto("bpf_dynptr_data", DYNPTR, OTHER, OTHER);
    bpf_dynptr_from_mem_proto("bpf_dynptr_from_mem", MEM.uninit(), SIZE, OTHER, DYNPTR.uninit());
    bpf_dynptr_read_proto("bpf_dynptr_read", MEM.uninit(), SIZE, DYNPTR, OTHER, OTHER);
    bpf_dynptr_write_proto("bpf_dynptr_write", DYNPTR, OTHER, MEM, SIZE, OTHER);
    bpf_event_output_data_proto("bpf_event_output_data", OTHER, MAP, OTHER, MEM, SIZE);
    bpf_find_vma_proto("bpf_find_vma", OTHER, OTHER, OTHER, STACK, OTHER);
    bpf_flow_dissector_load_bytes_proto("bpf_flow_dissector_load_bytes", OTHER, OTHER, MEM.uninit(), SIZE);
    bpf_for_each_map_elem_proto("bpf_for_each_map_elem", MAP, OTHER, STACK, OTHER);
    bpf_get_attach_cookie_proto("bpf_get_attach_cookie", OTHER);
    bpf_get_attach_cookie_proto_kmulti("bpf_get_attach_cookie_kprobe_multi", OTHER);
    bpf_get_attach_cookie_proto_pe("bpf_get_attach_cookie_pe", OTHER);
    bpf_get_attach_cookie_proto_trace("bpf_get_attach_cookie_trace", OTHER);
    bpf_get_attach_cookie_proto_tracing("bpf_get_attach_cookie_tracing", OTHER);
    bpf_get_attach_cookie_proto_umulti("bpf_get_attach_cookie_uprobe_multi", OTHER);
    bpf_get_branch_snapshot_proto("bpf_get_branch_snapshot", MEM.uninit(), SIZE);
    bpf_get_cgroup_classid_curr_proto("bpf_get_cgroup_classid_curr");
    bpf_get_cgroup_classid_proto("bpf_get_cgroup_classid", OTHER);
    bpf_get_current_ancestor_cgroup_id_proto("bpf_get_current_ancestor_cgroup_id", OTHER);
    bpf_get_current_cgroup_id_proto("bpf_get_current_cgroup_id");
    bpf_get_current_comm_proto("bpf_get_current_comm", MEM.uninit(), SIZE);
    bpf_get_current_pid_tgid_proto("bpf_get_current_pid_tgid");
    bpf_get_current_task_btf_proto("bpf_get_current_task_btf");
    bpf_get_current_task_proto("bpf_get_current_task");
    bpf_get_current_uid_gid_proto("bpf_get_current_uid_gid");
    bpf_get_func_arg_cnt_proto("get_func_arg_cnt", OTHER);
    bpf_get_func_arg_proto("get_func_arg", OTHER, OTHER, fixed(8).uninit());
    bpf_get_func_ip_proto_kprobe("bpf_get_func_ip_kprobe", OTHER);
    bpf_get_func_ip_proto_kprobe_multi("bpf_get_func_ip_kprobe_multi", OTHER);
    bpf_get_func_ip_proto_tracing("bpf_get_func_ip_tracing", OTHER);
    bpf_get_func_ip_proto_uprobe_multi("bpf_get_func_ip_uprobe_multi", OTHER);
    bpf_get_func_ret_proto("get_func_ret", OTHER, fixed(8).uninit());
    bpf_get_hash_recalc_proto("bpf_get_hash_recalc", OTHER);
    bpf_get_listener_sock_proto("bpf_get_listener_sock", OTHER);
    bpf_get_local_storage_proto("bpf_get_local_storage", MAP, OTHER);
    bpf_get_netns_cookie_proto("bpf_get_netns_cookie", OTHER);
    bpf_get_netns_cookie_sk_msg_proto("bpf_get_netns_cookie_sk_msg", OTHER);
    bpf_get_netns_cookie_sock_addr_proto("bpf_get_netns_cookie_sock_addr", OTHER);
    bpf_get_netns_cookie_sock_ops_proto("bpf_get_netns_cookie_sock_ops", OTHER);
    bpf_get_netns_cookie_sock_proto("bpf_get_netns_cookie_sock", OTHER);
    bpf_get_netns_cookie_sockopt_proto("bpf_get_netns_cookie_sockopt", OTHER);
    bpf_get_ns_current_pid_tgid_proto("bpf_get_ns_current_pid_tgid", OTHER, OTHER, MEM.uninit(), SIZE);
    bpf_get_numa_node_id_proto("bpf_get_numa_node_id");
    bpf_get_prandom_u32_proto("bpf_user_rnd_u32");
    bpf_get_raw_smp_processor_id_proto("bpf_get_raw_cpu_id");
    bpf_get_retval_proto("bpf_get_retval");
    bpf_get_route_realm_proto("bpf_get_route_realm", OTHER);
    bpf_get_smp_processor_id_proto("bpf_get_smp_processor_id");
    bpf_get_socket_cookie_proto("bpf_get_socket_cookie", OTHER);
    bpf_get_socket_cookie_sock_addr_proto("bpf_get_socket_cookie_sock_addr", OTHER);
    bpf_get_socket_cookie_sock_ops_proto("bpf_get_socket_cookie_sock_ops", OTHER);
    bpf_get_socket_cookie_sock_proto("bpf_get_socket_cookie_sock", OTHER);
    bpf_get_socket_ptr_cookie_proto("bpf_get_socket_ptr_cookie", OTHER);
    bpf_get_socket_uid_proto("bpf_get_socket_uid", OTHER);
    bpf_get_stack_proto("bpf_get_stack", OTHER, MEM.uninit(), SIZE, OTHER);
    bpf_get_stack_proto_pe("bpf_get_stack_pe", OTHER, MEM.uninit(), SIZE, OTHER);
    bpf_get_stack_proto_raw_tp("bpf_get_stack_raw_tp", OTHER, MEM.uninit(), SIZE, OTHER);
    bpf_get_stack_proto_tp("bpf_get_stack_tp", OTHER, MEM.uninit(), SIZE, OTHER);
    bpf_get_stack_sleepable_proto("bpf_get_stack_sleepable", OTHER, MEM.uninit(), SIZE, OTHER);
    bpf_get_stackid_proto("bpf_get_stackid", OTHER, MAP, OTHER);
    bpf_get_stackid_proto_pe("bpf_get_stackid_pe", OTHER, MAP, OTHER);
    bpf_get_stackid_proto_raw_tp("bpf_get_stackid_raw_tp", OTHER, MAP, OTHER);
    bpf_get_stackid_proto_tp("bpf_get_stackid_tp", OTHER, MAP, OTHER);
    bpf_get_task_stack_proto("bpf_get_task_stack", OTHER, MEM.uninit(), SIZE, OTHER);
    bpf_get_task_stack_sleepable_proto("bpf_get_task_stack_sleepable", OTHER, MEM.uninit(), SIZE, OTHER);
    bpf_ima_file_hash_proto("bpf_ima_file_hash", OTHER, MEM.uninit(), SIZE);
    bpf_ima_inode_hash_proto("bpf_ima_inode_hash", OTHER, MEM.uninit(), SIZE);
    bpf_inode_storage_delete_proto("bpf_inode_storage_delete", MAP, OTHER);
    bpf_inode_storage_get_proto("bpf_inode_storage_get", MAP, OTHER, VALUE, OTHER);
    bpf_jiffies64_proto("bpf_jiffies64");
    bpf_kallsyms_lookup_name_proto("bpf_kallsyms_lookup_name", MEM, SIZE, OTHER, fixed(8).uninit());
    bpf_kptr_xchg_proto("bpf_kptr_xchg", OTHER, OTHER);
    bpf_ktime_get_boot_ns_proto("bpf_ktime_get_boot_ns");
    bpf_ktime_get_coarse_ns_proto("bpf_ktime_get_coarse_ns");
    bpf_ktime_get_ns_proto("bpf_ktime_get_ns");
    bpf_ktime_get_tai_ns_proto("bpf_ktime_get_tai_ns");
    bpf_l3_csum_replace_proto("bpf_l3_csum_replace", OTHER, OTHER, OTHER, OTHER, OTHER);
    bpf_l4_csum_replace_proto("bpf_l4_csum_replace", OTHER, OTHER, OTHER, OTHER, OTHER);
    bpf_loop_proto("bpf_loop", OTHER, OTHER, STACK, OTHER);
    bpf_lwt_in_push_encap_proto("bpf_lwt_in_push_encap", OTHER, OTHER, MEM, SIZE);
    bpf_lwt_seg6_action_proto("bpf_lwt_seg6_action", OTHER, OTHER, MEM, SIZE);
    bpf_lwt_seg6_adjust_srh_proto("bpf_lwt_seg6_adjust_srh", OTHER, OTHER, OTHER);
    bpf_lwt_seg6_store_bytes_proto("bpf_lwt_seg6_store_bytes", OTHER, OTHER, MEM, SIZE);
    bpf_lwt_xmit_push_encap_proto("bpf_lwt_xmit_push_encap", OTHER, OTHER, MEM, SIZE);
    bpf_map_delete_elem_proto("bpf_map_delete_elem", MAP, KEY);
    bpf_map_lookup_elem_proto("bpf_map_lookup_elem", MAP, KEY);
    bpf_map_lookup_percpu_elem_proto("bpf_map_lookup_percpu_elem", MAP, KEY, OTHER);
    bpf_map_peek_elem_proto("bpf_map_peek_elem", MAP, VALUE.uninit());
    bpf_map_pop_elem_proto("bpf_map_pop_elem", MAP, VALUE.uninit());
    bpf_map_push_elem_proto("bpf_map_push_elem", MAP, VALUE, OTHER);
    bpf_map_update_elem_proto("bpf_map_update_elem", MAP, KEY, VALUE, OTHER);
    bpf_msg_apply_bytes_proto("bpf_msg_apply_bytes", OTHER, OTHER);
    bpf_msg_cork_bytes_proto("bpf_msg_cork_bytes", OTHER, OTHER);
    bpf_msg_pop_data_proto("bpf_msg_pop_data", OTHER, OTHER, OTHER, OTHER);
    bpf_msg_pull_data_proto("bpf_msg_pull_data", OTHER, OTHER, OTHER, OTHER);
    bpf_msg_push_data_proto("bpf_msg_push_data", OTHER, OTHER, OTHER, OTHER);
    bpf_msg_redirect_hash_proto("bpf_msg_redirect_hash", OTHER, MAP, KEY, OTHER);
    bpf_msg_redirect_map_proto("bpf_msg_redirect_map", OTHER, MAP, OTHER, OTHER);
    bpf_override_return_proto("bpf_override_return", OTHER, OTHER);
    bpf_per_cpu_ptr_proto("bpf_per_cpu_ptr", OTHER, OTHER);
    bpf_perf_event_output_proto("bpf_perf_event_output", OTHER, MAP, OTHER, MEM, SIZE);
    bpf_perf_event_output_proto_raw_tp("bpf_perf_event_output_raw_tp", OTHER, MAP, OTHER, MEM, SIZE);
    bpf_perf_event_output_proto_tp("bpf_perf_event_output_tp", OTHER, MAP, OTHER, MEM, SIZE);
    bpf_perf_event_read_proto("bpf_perf_event_read", MAP, OTHER);
    bpf_perf_event_read_value_proto("bpf_perf_event_read_value", MAP, OTHER, MEM.uninit(), SIZE);
    bpf_perf_prog_read_value_proto("bpf_perf_prog_read_value", OTHER, MEM.uninit(), SIZE);
    bpf_probe_read_compat_proto("bpf_probe_read_compat", MEM.uninit(), SIZE, OTHER);
    bpf_probe_read_compat_str_proto("bpf_probe_read_compat_str", MEM.uninit(), SIZE, OTHER);
    bpf_probe_read_kernel_proto("bpf_probe_read_kernel", MEM.uninit(), SIZE, OTHER);
    bpf_probe_read_kernel_str_proto("bpf_probe_read_kernel_str", MEM.uninit(), SIZE, OTHER);
    bpf_probe_read_user_proto("bpf_probe_read_user", MEM.uninit(), SIZE, OTHER);
    bpf_probe_read_user_str_proto("bpf_probe_read_user_str", MEM.uninit(), SIZE, OTHER);
    bpf_probe_write_user_proto("bpf_probe_write_user", OTHER, MEM, SIZE);
    bpf_read_branch_records_proto("bpf_read_branch_records", OTHER, MEM, SIZE, OTHER);
    bpf_redirect_neigh_proto("bpf_redirect_neigh", OTHER, MEM, SIZE, OTHER);
    bpf_redirect_peer_proto("bpf_redirect_peer", OTHER, OTHER);
    bpf_redirect_proto("bpf_redirect", OTHER, OTHER);
    bpf_ringbuf_discard_dynptr_proto("bpf_ringbuf_discard_dynptr", DYNPTR, OTHER);
    bpf_ringbuf_discard_proto("bpf_ringbuf_discard", OTHER, OTHER);
    bpf_ringbuf_output_proto("bpf_ringbuf_output", MAP, MEM, SIZE, OTHER);
    bpf_ringbuf_query_proto("bpf_ringbuf_query", MAP, OTHER);
    bpf_ringbuf_reserve_dynptr_proto("bpf_ringbuf_reserve_dynptr", MAP, OTHER, OTHER, DYNPTR.uninit());
    bpf_ringbuf_reserve_proto("bpf_ringbuf_reserve", MAP, OTHER, OTHER);
    bpf_ringbuf_submit_dynptr_proto("bpf_ringbuf_submit_dynptr", DYNPTR, OTHER);
    bpf_ringbuf_submit_proto("bpf_ringbuf_submit", OTHER, OTHER);
    bpf_send_signal_proto("bpf_send_signal", OTHER);
    bpf_send_signal_thread_proto("bpf_send_signal_thread", OTHER);
    bpf_seq_printf_btf_proto("bpf_seq_printf_btf", OTHER, MEM, SIZE, OTHER);
    bpf_seq_printf_proto("bpf_seq_printf", OTHER, MEM, SIZE, MEM, SIZE);
    bpf_seq_write_proto("bpf_seq_write", OTHER, MEM, SIZE);
    bpf_set_hash_invalid_proto("bpf_set_hash_invalid", OTHER);
    bpf_set_hash_proto("bpf_set_hash", OTHER, OTHER);
    bpf_set_retval_proto("bpf_set_retval", OTHER);
    bpf_sk_ancestor_cgroup_id_proto("bpf_sk_ancestor_cgroup_id", OTHER, OTHER);
    bpf_sk_assign_proto("bpf_sk_assign", OTHER, OTHER, OTHER);
    bpf_sk_cgroup_id_proto("bpf_sk_cgroup_id", OTHER);
    bpf_sk_fullsock_proto("bpf_sk_fullsock", OTHER);
    bpf_sk_getsockopt_proto("bpf_sk_getsockopt", OTHER, OTHER, OTHER, MEM.uninit(), SIZE);
    bpf_sk_lookup_assign_proto("bpf_sk_lookup_assign", OTHER, OTHER, OTHER);
    bpf_sk_lookup_tcp_proto("bpf_sk_lookup_tcp", OTHER, MEM, SIZE, OTHER, OTHER);
    bpf_sk_lookup_udp_proto("bpf_sk_lookup_udp", OTHER, MEM, SIZE, OTHER, OTHER);
    bpf_sk_redirect_hash_proto("bpf_sk_redirect_hash", OTHER, MAP, KEY, OTHER);
    bpf_sk_redirect_map_proto("bpf_sk_redirect_map", OTHER, MAP, OTHER, OTHER);
    bpf_sk_release_proto("bpf_sk_release", OTHER);
    bpf_sk_setsockopt_nodelay_proto("bpf_sk_setsockopt_nodelay", OTHER, OTHER, OTHER, MEM, SIZE);
    bpf_sk_setsockopt_proto("bpf_sk_setsockopt", OTHER, OTHER, OTHER, MEM, SIZE);
    bpf_sk_storage_delete_proto("bpf_sk_storage_delete", MAP, OTHER);
    bpf_sk_storage_delete_tracing_proto("bpf_sk_storage_delete_tracing", MAP, OTHER);
    bpf_sk_storage_get_cg_sock_proto("bpf_sk_storage_get", MAP, OTHER, VALUE, OTHER);
    bpf_sk_storage_get_proto("bpf_sk_storage_get", MAP, OTHER, VALUE, OTHER);
    bpf_sk_storage_get_tracing_proto("bpf_sk_storage_get_tracing", MAP, OTHER, VALUE, OTHER);
    bpf_skb_adjust_room_proto("bpf_skb_adjust_room", OTHER, OTHER, OTHER, OTHER);
    bpf_skb_ancestor_cgroup_id_proto("bpf_skb_ancestor_cgroup_id", OTHER, OTHER);
    bpf_skb_cgroup_classid_proto("bpf_skb_cgroup_classid", OTHER);
    bpf_skb_cgroup_id_proto("bpf_skb_cgroup_id", OTHER);
    bpf_skb_change_head_proto("bpf_skb_change_head", OTHER, OTHER, OTHER);
    bpf_skb_change_proto_proto("bpf_skb_change_proto", OTHER, OTHER, OTHER);
    bpf_skb_change_tail_proto("bpf_skb_change_tail", OTHER, OTHER, OTHER);
    bpf_skb_change_type_proto("bpf_skb_change_type", OTHER, OTHER);
    bpf_skb_check_mtu_proto("bpf_skb_check_mtu", OTHER, OTHER, fixed(4), OTHER, OTHER);
    bpf_skb_ecn_set_ce_proto("bpf_skb_ecn_set_ce", OTHER);
    bpf_skb_event_output_proto("bpf_skb_event_output", OTHER, MAP, OTHER, MEM, SIZE);
    bpf_skb_fib_lookup_proto("bpf_skb_fib_lookup", OTHER, MEM, SIZE, OTHER);
    bpf_skb_get_tunnel_key_proto("bpf_skb_get_tunnel_key", OTHER, MEM.uninit(), SIZE, OTHER);
    bpf_skb_get_tunnel_opt_proto("bpf_skb_get_tunnel_opt", OTHER, MEM.uninit(), SIZE);
    bpf_skb_get_xfrm_state_proto("bpf_skb_get_xfrm_state", OTHER, OTHER, MEM.uninit(), SIZE, OTHER);
    bpf_skb_load_bytes_proto("bpf_skb_load_bytes", OTHER, OTHER, MEM.uninit(), SIZE);
    bpf_skb_load_bytes_relative_proto("bpf_skb_load_bytes_relative", OTHER, OTHER, MEM.uninit(), SIZE, OTHER);
    bpf_skb_output_proto("bpf_skb_event_output", OTHER, MAP, OTHER, MEM, SIZE);
    bpf_skb_pull_data_proto("bpf_skb_pull_data", OTHER, OTHER);
    bpf_skb_set_tstamp_proto("bpf_skb_set_tstamp", OTHER, OTHER, OTHER);
    bpf_skb_set_tunnel_key_proto("bpf_skb_set_tunnel_key", OTHER, MEM, SIZE, OTHER);
    bpf_skb_set_tunnel_opt_proto("bpf_skb_set_tunnel_opt", OTHER, MEM, SIZE);
    bpf_skb_store_bytes_proto("bpf_skb_store_bytes", OTHER, OTHER, MEM, SIZE, OTHER);
    bpf_skb_under_cgroup_proto("bpf_skb_under_cgroup", OTHER, MAP, OTHER);
    bpf_skb_vlan_pop_proto("bpf_skb_vlan_pop", OTHER);
    bpf_skb_vlan_push_proto("bpf_skb_vlan_push", OTHER, OTHER, OTHER);
    bpf_skc_lookup_tcp_proto("bpf_skc_lookup_tcp", OTHER, MEM, SIZE, OTHER, OTHER);
    bpf_skc_to_mptcp_sock_proto("bpf_skc_to_mptcp_sock", OTHER);
    bpf_skc_to_tcp6_sock_proto("bpf_skc_to_tcp6_sock", OTHER);
    bpf_skc_to_tcp_request_sock_proto("bpf_skc_to_tcp_request_sock", OTHER);
    bpf_skc_to_tcp_sock_proto("bpf_skc_to_tcp_sock", OTHER);
    bpf_skc_to_tcp_timewait_sock_proto("bpf_skc_to_tcp_timewait_sock", OTHER);
    bpf_skc_to_udp6_sock_proto("bpf_skc_to_udp6_sock", OTHER);
    bpf_skc_to_unix_sock_proto("bpf_skc_to_unix_sock", OTHER);
    bpf_snprintf_btf_proto("bpf_snprintf_btf", MEM, SIZE, MEM, SIZE, OTHER);
    bpf_snprintf_proto("bpf_snprintf", MEM, SIZE, OTHER, MEM, SIZE);
    bpf_sock_addr_getsockopt_proto("bpf_sock_addr_getsockopt", OTHER, OTHER, OTHER, MEM.uninit(), SIZE);
    bpf_sock_addr_setsockopt_proto("bpf_sock_addr_setsockopt", OTHER, OTHER, OTHER, MEM, SIZE);
    bpf_sock_addr_sk_lookup_tcp_proto("bpf_sock_addr_sk_lookup_tcp", OTHER, MEM, SIZE, OTHER, OTHER);
    bpf_sock_addr_sk_lookup_udp_proto("bpf_sock_addr_sk_lookup_udp", OTHER, MEM, SIZE, OTHER, OTHER);
    bpf_sock_addr_skc_lookup_tcp_proto("bpf_sock_addr_skc_lookup_tcp", OTHER, MEM, SIZE, OTHER, OTHER);
    bpf_sock_create_getsockopt_proto("bpf_sock_create_getsockopt", OTHER, OTHER, OTHER, MEM.uninit(), SIZE);
    bpf_sock_create_setsockopt_proto("bpf_sock_create_setsockopt", OTHER, OTHER, OTHER, MEM, SIZE);
    bpf_sock_from_file_proto("bpf_sock_from_file", OTHER);
    bpf_sock_hash_update_proto("bpf_sock_hash_update", OTHER, MAP, KEY, OTHER);
    bpf_sock_map_update_proto("bpf_sock_map_update", OTHER, MAP, KEY, OTHER);
    bpf_sock_ops_cb_flags_set_proto("bpf_sock_ops_cb_flags_set", OTHER, OTHER);
    bpf_sock_ops_getsockopt_proto("bpf_sock_ops_getsockopt", OTHER, OTHER, OTHER, MEM.uninit(), SIZE);
    bpf_sock_ops_load_hdr_opt_proto("bpf_sock_ops_load_hdr_opt", OTHER, MEM, SIZE, OTHER);
    bpf_sock_ops_reserve_hdr_opt_proto("bpf_sock_ops_reserve_hdr_opt", OTHER, OTHER, OTHER);
    bpf_sock_ops_setsockopt_proto("bpf_sock_ops_setsockopt", OTHER, OTHER, OTHER, MEM, SIZE);
    bpf_sock_ops_store_hdr_opt_proto("bpf_sock_ops_store_hdr_opt", OTHER, MEM, SIZE, OTHER);
    bpf_spin_lock_proto("bpf_spin_lock", OTHER);
    bpf_spin_unlock_proto("bpf_spin_unlock", OTHER);
    bpf_strncmp_proto("bpf_strncmp", MEM, SIZE, OTHER);
    bpf_strtol_proto("bpf_strtol", MEM, SIZE, OTHER, fixed(8).uninit());
    bpf_strtoul_proto("bpf_strtoul", MEM, SIZE, OTHER, fixed(8).uninit());
    bpf_sys_bpf_proto("bpf_sys_bpf", OTHER, MEM, SIZE);
    bpf_sys_close_proto("bpf_sys_close", OTHER);
    bpf_sysctl_get_current_value_proto("bpf_sysctl_get_current_value", OTHER, MEM.uninit(), SIZE);
    bpf_sysctl_get_name_proto("bpf_sysctl_get_name", OTHER, MEM, SIZE, OTHER);
    bpf_sysctl_get_new_value_proto("bpf_sysctl_get_new_value", OTHER, MEM.uninit(), SIZE);
    bpf_sysctl_set_new_value_proto("bpf_sysctl_set_new_value", OTHER, MEM, SIZE);
    bpf_tail_call_proto("", OTHER, MAP, OTHER);
    bpf_task_pt_regs_proto("bpf_task_pt_regs", OTHER);
    bpf_task_storage_delete_proto("bpf_task_storage_delete", MAP, OTHER);
    bpf_task_storage_get_proto("bpf_task_storage_get", MAP, OTHER, VALUE, OTHER);
    bpf_tc_sk_lookup_tcp_proto("bpf_tc_sk_lookup_tcp", OTHER, MEM, SIZE, OTHER, OTHER);
    bpf_tc_sk_lookup_udp_proto("bpf_tc_sk_lookup_udp", OTHER, MEM, SIZE, OTHER, OTHER);
    bpf_tc_skc_lookup_tcp_proto("bpf_tc_skc_lookup_tcp", OTHER, MEM, SIZE, OTHER, OTHER);
    bpf_tcp_check_syncookie_proto("bpf_tcp_check_syncookie", OTHER, MEM, SIZE, MEM, SIZE);
    bpf_tcp_gen_syncookie_proto("bpf_tcp_gen_syncookie", OTHER, MEM, SIZE, MEM, SIZE);
    bpf_tcp_raw_check_syncookie_ipv4_proto("bpf_tcp_raw_check_syncookie_ipv4", fixed(20), fixed(20));
    bpf_tcp_raw_check_syncookie_ipv6_proto("bpf_tcp_raw_check_syncookie_ipv6", fixed(40), fixed(20));
    bpf_tcp_raw_gen_syncookie_ipv4_proto("bpf_tcp_raw_gen_syncookie_ipv4", fixed(20), MEM, SIZE);
    bpf_tcp_raw_gen_syncookie_ipv6_proto("bpf_tcp_raw_gen_syncookie_ipv6", fixed(40), MEM, SIZE);
    bpf_tcp_send_ack_proto("bpf_tcp_send_ack", OTHER, OTHER);
    bpf_tcp_sock_proto("bpf_tcp_sock", OTHER);
    bpf_this_cpu_ptr_proto("bpf_this_cpu_ptr", OTHER);
    bpf_timer_cancel_proto("bpf_timer_cancel", OTHER);
    bpf_timer_init_proto("bpf_timer_init", OTHER, MAP, OTHER);
    bpf_timer_set_callback_proto("bpf_timer_set_callback", OTHER, OTHER);
    bpf_timer_start_proto("bpf_timer_start", OTHER, OTHER, OTHER);
    bpf_trace_printk_proto("bpf_trace_printk", MEM, SIZE);
    bpf_trace_vprintk_proto("bpf_trace_vprintk", MEM, SIZE, MEM, SIZE);
    bpf_unlocked_sk_getsockopt_proto("bpf_unlocked_sk_getsockopt", OTHER, OTHER, OTHER, MEM.uninit(), SIZE);
    bpf_unlocked_sk_setsockopt_proto("bpf_unlocked_sk_setsockopt", OTHER, OTHER, OTHER, MEM, SIZE);
    bpf_user_ringbuf_drain_proto("bpf_user_ringbuf_drain", MAP, OTHER, STACK, OTHER);
    bpf_xdp_adjust_head_proto("bpf_xdp_adjust_head", OTHER, OTHER);
    bpf_xdp_adjust_meta_proto("bpf_xdp_adjust_meta", OTHER, OTHER);
    bpf_xdp_adjust_tail_proto("bpf_xdp_adjust_tail", OTHER, OTHER);
    bpf_xdp_check_mtu_proto("bpf_xdp_check_mtu", OTHER, OTHER, fixed(4), OTHER, OTHER);
    bpf_xdp_event_output_proto("bpf_xdp_event_output", OTHER, MAP, OTHER, MEM, SIZE);
    bpf_xdp_fib_lookup_proto("bpf_xdp_fib_lookup", OTHER, MEM, SIZE, OTHER);
    bpf_xdp_get_buff_len_proto("bpf_xdp_get_buff_len", OTHER);
    bpf_xdp_get_buff_len_trace_proto("bpf_xdp_get_buff_len", OTHER);
    bpf_xdp_load_bytes_proto("bpf_xdp_load_bytes", OTHER, OTHER, MEM.uninit(), SIZE);
    bpf_xdp_output_proto("bpf_xdp_event_output", OTHER, MAP, OTHER, MEM, SIZE);
    bpf_xdp_redirect_map_proto("bpf_xdp_redirect_map", MAP, OTHER, OTHER);
    bpf_xdp_redirect_proto("bpf_xdp_redirect", OTHER, OTHER);
    bpf_xdp_sk_lookup_tcp_proto("bpf_xdp_sk_lookup_tcp", OTHER, MEM, SIZE, OTHER, OTHER);
    bpf_xdp_sk_lookup_udp_proto("bpf_xdp_sk_lookup_udp", OTHER, MEM, SIZE, OTHER, OTHER);
    bpf_xdp_skc_lookup_tcp_proto("bpf_xdp_skc_lookup_tcp", OTHER, MEM, SIZE, OTHER, OTHER);
    bpf_xdp_store_bytes_proto("bpf_xdp_store_bytes", OTHER, OTHER, MEM, SIZE);
    rc_keydown_proto("bpf_rc_keydown", OTHER, OTHER, OTHER, OTHER);
    rc_pointer_rel_proto("bpf_rc_pointer_rel", OTHER, OTHER, OTHER);
    rc_repeat_proto("bpf_rc_repeat", OTHER);
    sk_reuseport_load_bytes_proto("sk_reuseport_load_bytes", OTHER, OTHER, MEM.uninit(), SIZE);
    sk_reuseport_load_bytes_relative_proto("sk_reuseport_load_bytes_relative", OTHER, OTHER, MEM.uninit(), SIZE, OTHER);
    sk_select_reuseport_proto("sk_select_reuseport", OTHER, MAP, KEY, OTHER);
    sk_skb_adjust_room_proto("sk_skb_adjust_room", OTHER, OTHER, OTHER, OTHER);
    sk_skb_change_head_proto("sk_skb_change_head", OTHER, OTHER, OTHER);
    sk_skb_change_tail_proto("sk_skb_change_tail", OTHER, OTHER, OTHER);
    sk_skb_pull_data_proto("sk_skb_pull_data", OTHER, OTHER);
}

/// `bpf_base_func_proto`: what most program types fall back on.
#[rustfmt::skip]
pub(super) static BASE: Table = Table::new(None, &[
    helper(1).gives(&bpf_map_lookup_elem_proto), // map_lookup_elem
    helper(2).gives(&bpf_map_update_elem_proto), // map_update_elem
    helper(3).gives(&bpf_map_delete_elem_proto), // map_delete_elem
    helper(5).gives(&bpf_ktime_get_ns_proto), // ktime_get_ns
    helper(6).gives(&bpf_trace_printk_proto), // trace_printk
    helper(7).gives(&bpf_get_prandom_u32_proto), // get_prandom_u32
    helper(8).gives(&bpf_get_raw_smp_processor_id_proto), // get_smp_processor_id
    helper(12).gives(&bpf_tail_call_proto), // tail_call
    helper(14).gives(&bpf_get_current_pid_tgid_proto), // get_current_pid_tgid
    helper(15).gives(&bpf_get_current_uid_gid_proto), // get_current_uid_gid
    helper(16).gives(&bpf_get_current_comm_proto), // get_current_comm
    helper(17).gives(&bpf_get_cgroup_classid_curr_proto), // get_cgroup_classid
    helper(22).gives(&bpf_perf_event_read_proto), // perf_event_read
    helper(35).gives(&bpf_get_current_task_proto), // get_current_task
    helper(37).gives(&bpf_current_task_under_cgroup_proto), // current_task_under_cgroup
    helper(42).gives(&bpf_get_numa_node_id_proto), // get_numa_node_id
    helper(55).gives(&bpf_perf_event_read_value_proto), // perf_event_read_value
    helper(80).gives(&bpf_get_current_cgroup_id_proto), // get_current_cgroup_id
    helper(87).gives(&bpf_map_push_elem_proto), // map_push_elem
    helper(88).gives(&bpf_map_pop_elem_proto), // map_pop_elem
    helper(89).gives(&bpf_map_peek_elem_proto), // map_peek_elem
    helper(93).gives(&bpf_spin_lock_proto), // spin_lock
    helper(94).gives(&bpf_spin_unlock_proto), // spin_unlock
    helper(105).gives(&bpf_strtol_proto), // strtol
    helper(106).gives(&bpf_strtoul_proto), // strtoul
    helper(109).gives(&bpf_send_signal_proto), // send_signal
    helper(112).gives(&bpf_probe_read_user_proto), // probe_read_user
    helper(113).gives(&bpf_probe_read_kernel_proto), // probe_read_kernel
    helper(114).gives(&bpf_probe_read_user_str_proto), // probe_read_user_str
    helper(115).gives(&bpf_probe_read_kernel_str_proto), // probe_read_kernel_str
    helper(117).gives(&bpf_send_signal_thread_proto), // send_signal_thread
    helper(118).gives(&bpf_jiffies64_proto), // jiffies64
    helper(120).gives(&bpf_get_ns_current_pid_tgid_proto), // get_ns_current_pid_tgid
    helper(123).gives(&bpf_get_current_ancestor_cgroup_id_proto), // get_current_ancestor_cgroup_id
    helper(125).gives(&bpf_ktime_get_boot_ns_proto), // ktime_get_boot_ns
    helper(130).gives(&bpf_ringbuf_output_proto), // ringbuf_output
    helper(131).gives(&bpf_ringbuf_reserve_proto), // ringbuf_reserve
    helper(132).gives(&bpf_ringbuf_submit_proto), // ringbuf_submit
    helper(133).gives(&bpf_ringbuf_discard_proto), // ringbuf_discard
    helper(134).gives(&bpf_ringbuf_query_proto), // ringbuf_query
    helper(141).when(&[
        (when().sleepable(false), Some(&bpf_get_task_stack_proto)),
    ]).gives(&bpf_get_task_stack_sleepable_proto), // get_task_stack
    helper(148).gives(&bpf_copy_from_user_proto), // copy_from_user
    helper(149).gives(&bpf_snprintf_btf_proto), // snprintf_btf
    helper(153).gives(&bpf_per_cpu_ptr_proto), // per_cpu_ptr
    helper(154).gives(&bpf_this_cpu_ptr_proto), // this_cpu_ptr
    helper(156).gives(&bpf_task_storage_get_proto), // task_storage_get
    helper(157).gives(&bpf_task_storage_delete_proto), // task_storage_delete
    helper(158).gives(&bpf_get_current_task_btf_proto), // get_current_task_btf
    helper(164).gives(&bpf_for_each_map_elem_proto), // for_each_map_elem
    helper(165).gives(&bpf_snprintf_proto), // snprintf
    helper(169).gives(&bpf_timer_init_proto), // timer_init
    helper(170).gives(&bpf_timer_set_callback_proto), // timer_set_callback
    helper(171).gives(&bpf_timer_start_proto), // timer_start
    helper(172).gives(&bpf_timer_cancel_proto), // timer_cancel
    helper(175).gives(&bpf_task_pt_regs_proto), // task_pt_regs
    helper(176).gives(&bpf_get_branch_snapshot_proto), // get_branch_snapshot
    helper(177).gives(&bpf_trace_vprintk_proto), // trace_vprintk
    helper(180).gives(&bpf_find_vma_proto), // find_vma
    helper(181).gives(&bpf_loop_proto), // loop
    helper(182).gives(&bpf_strncmp_proto), // strncmp
    helper(191).gives(&bpf_copy_from_user_task_proto), // copy_from_user_task
    helper(194).gives(&bpf_kptr_xchg_proto), // kptr_xchg
    helper(195).gives(&bpf_map_lookup_percpu_elem_proto), // map_lookup_percpu_elem
    helper(197).gives(&bpf_dynptr_from_mem_proto), // dynptr_from_mem
    helper(198).gives(&bpf_ringbuf_reserve_dynptr_proto), // ringbuf_reserve_dynptr
    helper(199).gives(&bpf_ringbuf_submit_dynptr_proto), // ringbuf_submit_dynptr
    helper(200).gives(&bpf_ringbuf_discard_dynptr_proto), // ringbuf_discard_dynptr
    helper(201).gives(&bpf_dynptr_read_proto), // dynptr_read
    helper(202).gives(&bpf_dynptr_write_proto), // dynptr_write
    helper(203).gives(&bpf_dynptr_data_proto), // dynptr_data
    helper(208).gives(&bpf_ktime_get_tai_ns_proto), // ktime_get_tai_ns
    helper(209).gives(&bpf_user_ringbuf_drain_proto), // user_ringbuf_drain
    helper(210).gives(&bpf_cgrp_storage_get_proto), // cgrp_storage_get
    helper(211).gives(&bpf_cgrp_storage_delete_proto), // cgrp_storage_delete
]);

/// BPF_PROG_TYPE_SOCKET_FILTER: `sk_filter_func_proto`.
#[rustfmt::skip]
pub(super) static SOCKET_FILTER: Table = Table::new(Some(&BASE), &[
    helper(25).gives(&bpf_skb_event_output_proto), // perf_event_output
    helper(26).gives(&bpf_skb_load_bytes_proto), // skb_load_bytes
    helper(46).gives(&bpf_get_socket_cookie_proto), // get_socket_cookie
    helper(47).gives(&bpf_get_socket_uid_proto), // get_socket_uid
    helper(68).gives(&bpf_skb_load_bytes_relative_proto), // skb_load_bytes_relative
    helper(122).gives(&bpf_get_netns_cookie_proto), // get_netns_cookie
    helper(136).gives(&bpf_skc_to_tcp6_sock_proto), // skc_to_tcp6_sock
    helper(137).gives(&bpf_skc_to_tcp_sock_proto), // skc_to_tcp_sock
    helper(138).gives(&bpf_skc_to_tcp_timewait_sock_proto), // skc_to_tcp_timewait_sock
    helper(139).gives(&bpf_skc_to_tcp_request_sock_proto), // skc_to_tcp_request_sock
    helper(140).gives(&bpf_skc_to_udp6_sock_proto), // skc_to_udp6_sock
    helper(160).gives(&bpf_ktime_get_coarse_ns_proto), // ktime_get_coarse_ns
    helper(178).gives(&bpf_skc_to_unix_sock_proto), // skc_to_unix_sock
    helper(196).gives(&bpf_skc_to_mptcp_sock_proto), // skc_to_mptcp_sock
]);

/// BPF_PROG_TYPE_SCHED_CLS: `tc_cls_act_func_proto`.
#[rustfmt::skip]
pub(super) static SCHED_CLS: Table = Table::new(Some(&SOCKET_FILTER), &[
    helper(8).gives(&bpf_get_smp_processor_id_proto), // get_smp_processor_id
    helper(9).gives(&bpf_skb_store_bytes_proto), // skb_store_bytes
    helper(10).gives(&bpf_l3_csum_replace_proto), // l3_csum_replace
    helper(11).gives(&bpf_l4_csum_replace_proto), // l4_csum_replace
    helper(13).gives(&bpf_clone_redirect_proto), // clone_redirect
    helper(17).gives(&bpf_get_cgroup_classid_proto), // get_cgroup_classid
    helper(18).gives(&bpf_skb_vlan_push_proto), // skb_vlan_push
    helper(19).gives(&bpf_skb_vlan_pop_proto), // skb_vlan_pop
    helper(20).gives(&bpf_skb_get_tunnel_key_proto), // skb_get_tunnel_key
    helper(21).gives(&bpf_skb_set_tunnel_key_proto), // skb_set_tunnel_key
    helper(23).gives(&bpf_redirect_proto), // redirect
    helper(24).gives(&bpf_get_route_realm_proto), // get_route_realm
    helper(28).gives(&bpf_csum_diff_proto), // csum_diff
    helper(29).gives(&bpf_skb_get_tunnel_opt_proto), // skb_get_tunnel_opt
    helper(30).gives(&bpf_skb_set_tunnel_opt_proto), // skb_set_tunnel_opt
    helper(31).gives(&bpf_skb_change_proto_proto), // skb_change_proto
    helper(32).gives(&bpf_skb_change_type_proto), // skb_change_type
    helper(33).gives(&bpf_skb_under_cgroup_proto), // skb_under_cgroup
    helper(34).gives(&bpf_get_hash_recalc_proto), // get_hash_recalc
    helper(38).gives(&bpf_skb_change_tail_proto), // skb_change_tail
    helper(39).gives(&bpf_skb_pull_data_proto), // skb_pull_data
    helper(40).gives(&bpf_csum_update_proto), // csum_update
    helper(41).gives(&bpf_set_hash_invalid_proto), // set_hash_invalid
    helper(43).gives(&bpf_skb_change_head_proto), // skb_change_head
    helper(48).gives(&bpf_set_hash_proto), // set_hash
    helper(50).gives(&bpf_skb_adjust_room_proto), // skb_adjust_room
    helper(66).gives(&bpf_skb_get_xfrm_state_proto), // skb_get_xfrm_state
    helper(69).gives(&bpf_skb_fib_lookup_proto), // fib_lookup
    helper(79).gives(&bpf_skb_cgroup_id_proto), // skb_cgroup_id
    helper(83).gives(&bpf_skb_ancestor_cgroup_id_proto), // skb_ancestor_cgroup_id
    helper(84).gives(&bpf_tc_sk_lookup_tcp_proto), // sk_lookup_tcp
    helper(85).gives(&bpf_tc_sk_lookup_udp_proto), // sk_lookup_udp
    helper(86).gives(&bpf_sk_release_proto), // sk_release
    helper(95).gives(&bpf_sk_fullsock_proto), // sk_fullsock
    helper(96).gives(&bpf_tcp_sock_proto), // tcp_sock
    helper(97).gives(&bpf_skb_ecn_set_ce_proto), // skb_ecn_set_ce
    helper(98).gives(&bpf_get_listener_sock_proto), // get_listener_sock
    helper(99).gives(&bpf_tc_skc_lookup_tcp_proto), // skc_lookup_tcp
    helper(100).gives(&bpf_tcp_check_syncookie_proto), // tcp_check_syncookie
    helper(107).gives(&bpf_sk_storage_get_proto), // sk_storage_get
    helper(108).gives(&bpf_sk_storage_delete_proto), // sk_storage_delete
    helper(110).gives(&bpf_tcp_gen_syncookie_proto), // tcp_gen_syncookie
    helper(124).gives(&bpf_sk_assign_proto), // sk_assign
    helper(135).gives(&bpf_csum_level_proto), // csum_level
    helper(151).gives(&bpf_skb_cgroup_classid_proto), // skb_cgroup_classid
    helper(152).gives(&bpf_redirect_neigh_proto), // redirect_neigh
    helper(155).gives(&bpf_redirect_peer_proto), // redirect_peer
    helper(163).gives(&bpf_skb_check_mtu_proto), // check_mtu
    helper(192).gives(&bpf_skb_set_tstamp_proto), // skb_set_tstamp
    helper(204).gives(&bpf_tcp_raw_gen_syncookie_ipv4_proto), // tcp_raw_gen_syncookie_ipv4
    helper(205).gives(&bpf_tcp_raw_gen_syncookie_ipv6_proto), // tcp_raw_gen_syncookie_ipv6
    helper(206).gives(&bpf_tcp_raw_check_syncookie_ipv4_proto), // tcp_raw_check_syncookie_ipv4
    helper(207).gives(&bpf_tcp_raw_check_syncookie_ipv6_proto), // tcp_raw_check_syncookie_ipv6
]);

/// BPF_PROG_TYPE_SCHED_ACT: `tc_cls_act_func_proto`.
#[rustfmt::skip]
pub(super) static SCHED_ACT: Table = Table::new(Some(&SCHED_CLS), &[]);

/// BPF_PROG_TYPE_XDP: `xdp_func_proto`.
#[rustfmt::skip]
pub(super) static XDP: Table = Table::new(Some(&SOCKET_FILTER), &[
    helper(8).gives(&bpf_get_smp_processor_id_proto), // get_smp_processor_id
    helper(23).gives(&bpf_xdp_redirect_proto), // redirect
    helper(25).gives(&bpf_xdp_event_output_proto), // perf_event_output
    helper(26).refuses(), // skb_load_bytes
    helper(28).gives(&bpf_csum_diff_proto), // csum_diff
    helper(44).gives(&bpf_xdp_adjust_head_proto), // xdp_adjust_head
    helper(46).refuses(), // get_socket_cookie
    helper(47).refuses(), // get_socket_uid
    helper(51).gives(&bpf_xdp_redirect_map_proto), // redirect_map
    helper(54).gives(&bpf_xdp_adjust_meta_proto), // xdp_adjust_meta
    helper(65).gives(&bpf_xdp_adjust_tail_proto), // xdp_adjust_tail
    helper(68).refuses(), // skb_load_bytes_relative
    helper(69).gives(&bpf_xdp_fib_lookup_proto), // fib_lookup
    helper(84).gives(&bpf_xdp_sk_lookup_tcp_proto), // sk_lookup_tcp
    helper(85).gives(&bpf_xdp_sk_lookup_udp_proto), // sk_lookup_udp
    helper(86).gives(&bpf_sk_release_proto), // sk_release
    helper(99).gives(&bpf_xdp_skc_lookup_tcp_proto), // skc_lookup_tcp
    helper(100).gives(&bpf_tcp_check_syncookie_proto), // tcp_check_syncookie
    helper(110).gives(&bpf_tcp_gen_syncookie_proto), // tcp_gen_syncookie
    helper(122).refuses(), // get_netns_cookie
    helper(163).gives(&bpf_xdp_check_mtu_proto), // check_mtu
    helper(188).gives(&bpf_xdp_get_buff_len_proto), // xdp_get_buff_len
    helper(189).gives(&bpf_xdp_load_bytes_proto), // xdp_load_bytes
    helper(190).gives(&bpf_xdp_store_bytes_proto), // xdp_store_bytes
    helper(204).gives(&bpf_tcp_raw_gen_syncookie_ipv4_proto), // tcp_raw_gen_syncookie_ipv4
    helper(205).gives(&bpf_tcp_raw_gen_syncookie_ipv6_proto), // tcp_raw_gen_syncookie_ipv6
    helper(206).gives(&bpf_tcp_raw_check_syncookie_ipv4_proto), // tcp_raw_check_syncookie_ipv4
    helper(207).gives(&bpf_tcp_raw_check_syncookie_ipv6_proto), // tcp_raw_check_syncookie_ipv6
]);

/// BPF_PROG_TYPE_CGROUP_SKB: `cg_skb_func_proto`.
#[rustfmt::skip]
pub(super) static CGROUP_SKB: Table = Table::new(Some(&SOCKET_FILTER), &[
    helper(79).gives(&bpf_skb_cgroup_id_proto), // skb_cgroup_id
    helper(81).gives(&bpf_get_local_storage_proto), // get_local_storage
    helper(83).gives(&bpf_skb_ancestor_cgroup_id_proto), // skb_ancestor_cgroup_id
    helper(84).gives(&bpf_sk_lookup_tcp_proto), // sk_lookup_tcp
    helper(85).gives(&bpf_sk_lookup_udp_proto), // sk_lookup_udp
    helper(86).gives(&bpf_sk_release_proto), // sk_release
    helper(95).gives(&bpf_sk_fullsock_proto), // sk_fullsock
    helper(96).gives(&bpf_tcp_sock_proto), // tcp_sock
    helper(97).gives(&bpf_skb_ecn_set_ce_proto), // skb_ecn_set_ce
    helper(98).gives(&bpf_get_listener_sock_proto), // get_listener_sock
    helper(99).gives(&bpf_skc_lookup_tcp_proto), // skc_lookup_tcp
    helper(107).gives(&bpf_sk_storage_get_proto), // sk_storage_get
    helper(108).gives(&bpf_sk_storage_delete_proto), // sk_storage_delete
    helper(128).gives(&bpf_sk_cgroup_id_proto), // sk_cgroup_id
    helper(129).gives(&bpf_sk_ancestor_cgroup_id_proto), // sk_ancestor_cgroup_id
    helper(186).when(&[
        (when().attach_type(&[0, 1, 3, 19, 20, 29, 30, 31, 32, 51, 52, 53]), None),
    ]).gives(&bpf_get_retval_proto), // get_retval
    helper(187).when(&[
        (when().attach_type(&[0, 1, 3, 19, 20, 29, 30, 31, 32, 51, 52, 53]), None),
    ]).gives(&bpf_set_retval_proto), // set_retval
]);

/// BPF_PROG_TYPE_CGROUP_SOCK: `sock_filter_func_proto`.
#[rustfmt::skip]
pub(super) static CGROUP_SOCK: Table = Table::new(Some(&BASE), &[
    helper(25).gives(&bpf_event_output_data_proto), // perf_event_output
    helper(46).gives(&bpf_get_socket_cookie_sock_proto), // get_socket_cookie
    helper(49).when(&[
        (when().attach_type(&[2]), Some(&bpf_sock_create_setsockopt_proto)),
    ]).refuses(), // setsockopt
    helper(57).when(&[
        (when().attach_type(&[2]), Some(&bpf_sock_create_getsockopt_proto)),
    ]).refuses(), // getsockopt
    helper(81).gives(&bpf_get_local_storage_proto), // get_local_storage
    helper(107).gives(&bpf_sk_storage_get_cg_sock_proto), // sk_storage_get
    helper(122).gives(&bpf_get_netns_cookie_sock_proto), // get_netns_cookie
    helper(160).gives(&bpf_ktime_get_coarse_ns_proto), // ktime_get_coarse_ns
    helper(186).when(&[
        (when().attach_type(&[0, 1, 3, 19, 20, 29, 30, 31, 32, 51, 52, 53]), None),
    ]).gives(&bpf_get_retval_proto), // get_retval
    helper(187).when(&[
        (when().attach_type(&[0, 1, 3, 19, 20, 29, 30, 31, 32, 51, 52, 53]), None),
    ]).gives(&bpf_set_retval_proto), // set_retval
]);

/// BPF_PROG_TYPE_CGROUP_SOCK_ADDR: `sock_addr_func_proto`.
#[rustfmt::skip]
pub(super) static CGROUP_SOCK_ADDR: Table = Table::new(Some(&SOCKET_FILTER), &[
    helper(25).gives(&bpf_event_output_data_proto), // perf_event_output
    helper(26).refuses(), // skb_load_bytes
    helper(46).gives(&bpf_get_socket_cookie_sock_addr_proto), // get_socket_cookie
    helper(47).refuses(), // get_socket_uid
    helper(49).when(&[
        (when().attach_type(&[8, 9, 10, 11, 14, 15, 19, 20, 29, 30, 31, 32, 49, 50, 51]), Some(&bpf_sock_addr_setsockopt_proto)),
    ]).refuses(), // setsockopt
    helper(57).when(&[
        (when().attach_type(&[8, 9, 10, 11, 14, 15, 19, 20, 29, 30, 31, 32, 49, 50, 51]), Some(&bpf_sock_addr_getsockopt_proto)),
    ]).refuses(), // getsockopt
    helper(64).when(&[
        (when().attach_type(&[10, 11]), Some(&bpf_bind_proto)),
    ]).refuses(), // bind
    helper(68).refuses(), // skb_load_bytes_relative
    helper(81).gives(&bpf_get_local_storage_proto), // get_local_storage
    helper(84).gives(&bpf_sock_addr_sk_lookup_tcp_proto), // sk_lookup_tcp
    helper(85).gives(&bpf_sock_addr_sk_lookup_udp_proto), // sk_lookup_udp
    helper(86).gives(&bpf_sk_release_proto), // sk_release
    helper(99).gives(&bpf_sock_addr_skc_lookup_tcp_proto), // skc_lookup_tcp
    helper(107).gives(&bpf_sk_storage_get_proto), // sk_storage_get
    helper(108).gives(&bpf_sk_storage_delete_proto), // sk_storage_delete
    helper(122).gives(&bpf_get_netns_cookie_sock_addr_proto), // get_netns_cookie
    helper(186).when(&[
        (when().attach_type(&[0, 1, 3, 19, 20, 29, 30, 31, 32, 51, 52, 53]), None),
    ]).gives(&bpf_get_retval_proto), // get_retval
    helper(187).when(&[
        (when().attach_type(&[0, 1, 3, 19, 20, 29, 30, 31, 32, 51, 52, 53]), None),
    ]).gives(&bpf_set_retval_proto), // set_retval
]);

/// BPF_PROG_TYPE_LWT_IN: `lwt_in_func_proto`.
#[rustfmt::skip]
pub(super) static LWT_IN: Table = Table::new(Some(&SOCKET_FILTER), &[
    helper(8).gives(&bpf_get_smp_processor_id_proto), // get_smp_processor_id
    helper(17).gives(&bpf_get_cgroup_classid_proto), // get_cgroup_classid
    helper(24).gives(&bpf_get_route_realm_proto), // get_route_realm
    helper(28).gives(&bpf_csum_diff_proto), // csum_diff
    helper(33).gives(&bpf_skb_under_cgroup_proto), // skb_under_cgroup
    helper(34).gives(&bpf_get_hash_recalc_proto), // get_hash_recalc
    helper(39).gives(&bpf_skb_pull_data_proto), // skb_pull_data
    helper(46).refuses(), // get_socket_cookie
    helper(47).refuses(), // get_socket_uid
    helper(68).refuses(), // skb_load_bytes_relative
    helper(73).gives(&bpf_lwt_in_push_encap_proto), // lwt_push_encap
    helper(122).refuses(), // get_netns_cookie
]);

/// BPF_PROG_TYPE_LWT_OUT: `lwt_out_func_proto`.
#[rustfmt::skip]
pub(super) static LWT_OUT: Table = Table::new(Some(&LWT_IN), &[
    helper(73).refuses(), // lwt_push_encap
]);

/// BPF_PROG_TYPE_LWT_XMIT: `lwt_xmit_func_proto`.
#[rustfmt::skip]
pub(super) static LWT_XMIT: Table = Table::new(Some(&LWT_IN), &[
    helper(9).gives(&bpf_skb_store_bytes_proto), // skb_store_bytes
    helper(10).gives(&bpf_l3_csum_replace_proto), // l3_csum_replace
    helper(11).gives(&bpf_l4_csum_replace_proto), // l4_csum_replace
    helper(13).gives(&bpf_clone_redirect_proto), // clone_redirect
    helper(20).gives(&bpf_skb_get_tunnel_key_proto), // skb_get_tunnel_key
    helper(21).gives(&bpf_skb_set_tunnel_key_proto), // skb_set_tunnel_key
    helper(23).gives(&bpf_redirect_proto), // redirect
    helper(29).gives(&bpf_skb_get_tunnel_opt_proto), // skb_get_tunnel_opt
    helper(30).gives(&bpf_skb_set_tunnel_opt_proto), // skb_set_tunnel_opt
    helper(38).gives(&bpf_skb_change_tail_proto), // skb_change_tail
    helper(40).gives(&bpf_csum_update_proto), // csum_update
    helper(41).gives(&bpf_set_hash_invalid_proto), // set_hash_invalid
    helper(43).gives(&bpf_skb_change_head_proto), // skb_change_head
    helper(73).gives(&bpf_lwt_xmit_push_encap_proto), // lwt_push_encap
    helper(135).gives(&bpf_csum_level_proto), // csum_level
]);

/// BPF_PROG_TYPE_LWT_SEG6LOCAL: `lwt_seg6local_func_proto`.
#[rustfmt::skip]
pub(super) static LWT_SEG6LOCAL: Table = Table::new(Some(&LWT_OUT), &[
    helper(39).refuses(), // skb_pull_data
    helper(74).gives(&bpf_lwt_seg6_store_bytes_proto), // lwt_seg6_store_bytes
    helper(75).gives(&bpf_lwt_seg6_adjust_srh_proto), // lwt_seg6_adjust_srh
    helper(76).gives(&bpf_lwt_seg6_action_proto), // lwt_seg6_action
]);

/// BPF_PROG_TYPE_SOCK_OPS: `sock_ops_func_proto`.
#[rustfmt::skip]
pub(super) static SOCK_OPS: Table = Table::new(Some(&CGROUP_SOCK_ADDR), &[
    helper(46).gives(&bpf_get_socket_cookie_sock_ops_proto), // get_socket_cookie
    helper(49).gives(&bpf_sock_ops_setsockopt_proto), // setsockopt
    helper(53).gives(&bpf_sock_map_update_proto), // sock_map_update
    helper(57).gives(&bpf_sock_ops_getsockopt_proto), // getsockopt
    helper(59).gives(&bpf_sock_ops_cb_flags_set_proto), // sock_ops_cb_flags_set
    helper(64).refuses(), // bind
    helper(70).gives(&bpf_sock_hash_update_proto), // sock_hash_update
    helper(84).refuses(), // sk_lookup_tcp
    helper(85).refuses(), // sk_lookup_udp
    helper(86).refuses(), // sk_release
    helper(96).gives(&bpf_tcp_sock_proto), // tcp_sock
    helper(99).refuses(), // skc_lookup_tcp
    helper(122).gives(&bpf_get_netns_cookie_sock_ops_proto), // get_netns_cookie
    helper(142).gives(&bpf_sock_ops_load_hdr_opt_proto), // load_hdr_opt
    helper(143).gives(&bpf_sock_ops_store_hdr_opt_proto), // store_hdr_opt
    helper(144).gives(&bpf_sock_ops_reserve_hdr_opt_proto), // reserve_hdr_opt
]);

/// BPF_PROG_TYPE_SK_SKB: `sk_skb_func_proto`.
#[rustfmt::skip]
pub(super) static SK_SKB: Table = Table::new(Some(&SOCKET_FILTER), &[
    helper(9).gives(&bpf_skb_store_bytes_proto), // skb_store_bytes
    helper(38).gives(&sk_skb_change_tail_proto), // skb_change_tail
    helper(39).gives(&sk_skb_pull_data_proto), // skb_pull_data
    helper(43).gives(&sk_skb_change_head_proto), // skb_change_head
    helper(50).gives(&sk_skb_adjust_room_proto), // skb_adjust_room
    helper(52).gives(&bpf_sk_redirect_map_proto), // sk_redirect_map
    helper(68).refuses(), // skb_load_bytes_relative
    helper(72).gives(&bpf_sk_redirect_hash_proto), // sk_redirect_hash
    helper(84).gives(&bpf_sk_lookup_tcp_proto), // sk_lookup_tcp
    helper(85).gives(&bpf_sk_lookup_udp_proto), // sk_lookup_udp
    helper(86).gives(&bpf_sk_release_proto), // sk_release
    helper(99).gives(&bpf_skc_lookup_tcp_proto), // skc_lookup_tcp
    helper(122).refuses(), // get_netns_cookie
]);

/// BPF_PROG_TYPE_SK_MSG: `sk_msg_func_proto`.
#[rustfmt::skip]
pub(super) static SK_MSG: Table = Table::new(Some(&SOCKET_FILTER), &[
    helper(25).gives(&bpf_event_output_data_proto), // perf_event_output
    helper(26).refuses(), // skb_load_bytes
    helper(46).refuses(), // get_socket_cookie
    helper(47).refuses(), // get_socket_uid
    helper(60).gives(&bpf_msg_redirect_map_proto), // msg_redirect_map
    helper(61).gives(&bpf_msg_apply_bytes_proto), // msg_apply_bytes
    helper(62).gives(&bpf_msg_cork_bytes_proto), // msg_cork_bytes
    helper(63).gives(&bpf_msg_pull_data_proto), // msg_pull_data
    helper(68).refuses(), // skb_load_bytes_relative
    helper(71).gives(&bpf_msg_redirect_hash_proto), // msg_redirect_hash
    helper(90).gives(&bpf_msg_push_data_proto), // msg_push_data
    helper(91).gives(&bpf_msg_pop_data_proto), // msg_pop_data
    helper(107).gives(&bpf_sk_storage_get_proto), // sk_storage_get
    helper(108).gives(&bpf_sk_storage_delete_proto), // sk_storage_delete
    helper(122).gives(&bpf_get_netns_cookie_sk_msg_proto), // get_netns_cookie
]);

/// BPF_PROG_TYPE_FLOW_DISSECTOR: `flow_dissector_func_proto`.
#[rustfmt::skip]
pub(super) static FLOW_DISSECTOR: Table = Table::new(Some(&SOCKET_FILTER), &[
    helper(25).refuses(), // perf_event_output
    helper(26).gives(&bpf_flow_dissector_load_bytes_proto), // skb_load_bytes
    helper(46).refuses(), // get_socket_cookie
    helper(47).refuses(), // get_socket_uid
    helper(68).refuses(), // skb_load_bytes_relative
    helper(122).refuses(), // get_netns_cookie
]);

/// BPF_PROG_TYPE_KPROBE: `kprobe_prog_func_proto`.
#[rustfmt::skip]
pub(super) static KPROBE: Table = Table::new(Some(&BASE), &[
    helper(4).gives(&bpf_probe_read_compat_proto), // probe_read
    helper(8).gives(&bpf_get_smp_processor_id_proto), // get_smp_processor_id
    helper(25).gives(&bpf_perf_event_output_proto), // perf_event_output
    helper(27).gives(&bpf_get_stackid_proto), // get_stackid
    helper(36).gives(&bpf_probe_write_user_proto), // probe_write_user
    helper(45).gives(&bpf_probe_read_compat_str_proto), // probe_read_str
    helper(58).gives(&bpf_override_return_proto), // override_return
    helper(67).when(&[
        (when().sleepable(false), Some(&bpf_get_stack_proto)),
    ]).gives(&bpf_get_stack_sleepable_proto), // get_stack
    helper(173).when(&[
        (when().attach_type(&[42, 56]), Some(&bpf_get_func_ip_proto_kprobe_multi)),
        (when().attach_type(&[48, 57]), Some(&bpf_get_func_ip_proto_uprobe_multi)),
    ]).gives(&bpf_get_func_ip_proto_kprobe), // get_func_ip
    helper(174).when(&[
        (when().attach_type(&[42, 56]), Some(&bpf_get_attach_cookie_proto_kmulti)),
        (when().attach_type(&[48, 57]), Some(&bpf_get_attach_cookie_proto_umulti)),
    ]).gives(&bpf_get_attach_cookie_proto_trace), // get_attach_cookie
]);

/// BPF_PROG_TYPE_TRACEPOINT: `tp_prog_func_proto`.
#[rustfmt::skip]
pub(super) static TRACEPOINT: Table = Table::new(Some(&KPROBE), &[
    helper(25).gives(&bpf_perf_event_output_proto_tp), // perf_event_output
    helper(27).gives(&bpf_get_stackid_proto_tp), // get_stackid
    helper(58).refuses(), // override_return
    helper(67).gives(&bpf_get_stack_proto_tp), // get_stack
    helper(173).gives(&bpf_get_func_ip_proto_tracing), // get_func_ip
    helper(174).gives(&bpf_get_attach_cookie_proto_trace), // get_attach_cookie
]);

/// BPF_PROG_TYPE_PERF_EVENT: `pe_prog_func_proto`.
#[rustfmt::skip]
pub(super) static PERF_EVENT: Table = Table::new(Some(&TRACEPOINT), &[
    helper(27).gives(&bpf_get_stackid_proto_pe), // get_stackid
    helper(56).gives(&bpf_perf_prog_read_value_proto), // perf_prog_read_value
    helper(67).gives(&bpf_get_stack_proto_pe), // get_stack
    helper(119).gives(&bpf_read_branch_records_proto), // read_branch_records
    helper(174).gives(&bpf_get_attach_cookie_proto_pe), // get_attach_cookie
]);

/// BPF_PROG_TYPE_RAW_TRACEPOINT: `raw_tp_prog_func_proto`.
#[rustfmt::skip]
pub(super) static RAW_TRACEPOINT: Table = Table::new(Some(&TRACEPOINT), &[
    helper(25).gives(&bpf_perf_event_output_proto_raw_tp), // perf_event_output
    helper(27).gives(&bpf_get_stackid_proto_raw_tp), // get_stackid
    helper(67).gives(&bpf_get_stack_proto_raw_tp), // get_stack
    helper(174).gives(&bpf_get_attach_cookie_proto_tracing), // get_attach_cookie
]);

/// BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE: `raw_tp_prog_func_proto`.
#[rustfmt::skip]
pub(super) static RAW_TRACEPOINT_WRITABLE: Table = Table::new(Some(&RAW_TRACEPOINT), &[]);

/// BPF_PROG_TYPE_TRACING: `tracing_prog_func_proto`.
#[rustfmt::skip]
pub(super) static TRACING: Table = Table::new(Some(&RAW_TRACEPOINT), &[
    helper(46).gives(&bpf_get_socket_ptr_cookie_proto), // get_socket_cookie
    helper(49).when(&[
        (when().attach_type(&[28]).attached_to(&["tcp", "unix"]), Some(&bpf_sk_setsockopt_proto)),
    ]).refuses(), // setsockopt
    helper(57).when(&[
        (when().attach_type(&[28]).attached_to(&["tcp", "unix"]), Some(&bpf_sk_getsockopt_proto)),
    ]).refuses(), // getsockopt
    helper(107).gives(&bpf_sk_storage_get_tracing_proto), // sk_storage_get
    helper(108).gives(&bpf_sk_storage_delete_tracing_proto), // sk_storage_delete
    helper(111).gives(&bpf_skb_output_proto), // skb_output
    helper(121).gives(&bpf_xdp_output_proto), // xdp_output
    helper(126).when(&[
        (when().attach_type(&[28]), Some(&bpf_seq_printf_proto)),
    ]).refuses(), // seq_printf
    helper(127).when(&[
        (when().attach_type(&[28]), Some(&bpf_seq_write_proto)),
    ]).refuses(), // seq_write
    helper(136).gives(&bpf_skc_to_tcp6_sock_proto), // skc_to_tcp6_sock
    helper(137).gives(&bpf_skc_to_tcp_sock_proto), // skc_to_tcp_sock
    helper(138).gives(&bpf_skc_to_tcp_timewait_sock_proto), // skc_to_tcp_timewait_sock
    helper(139).gives(&bpf_skc_to_tcp_request_sock_proto), // skc_to_tcp_request_sock
    helper(140).gives(&bpf_skc_to_udp6_sock_proto), // skc_to_udp6_sock
    helper(147).gives(&bpf_d_path_proto), // d_path
    helper(150).when(&[
        (when().attach_type(&[28]), Some(&bpf_seq_printf_btf_proto)),
    ]).refuses(), // seq_printf_btf
    helper(162).gives(&bpf_sock_from_file_proto), // sock_from_file
    helper(174).when(&[
        (when().attach_type(&[23, 24, 25, 26, 58, 59, 60, 61]), Some(&bpf_get_attach_cookie_proto_tracing)),
    ]).refuses(), // get_attach_cookie
    helper(178).gives(&bpf_skc_to_unix_sock_proto), // skc_to_unix_sock
    helper(183).when(&[
        (when().attach_type(&[23, 24, 25, 26, 58, 59, 60, 61]), Some(&bpf_get_func_arg_proto)),
    ]).refuses(), // get_func_arg
    helper(184).when(&[
        (when().attach_type(&[24, 25, 26, 58, 59, 60, 61]), Some(&bpf_get_func_ret_proto)),
    ]).refuses(), // get_func_ret
    helper(185).when(&[
        (when().attach_type(&[23, 24, 25, 26, 58, 59, 60, 61]), Some(&bpf_get_func_arg_cnt_proto)),
    ]).refuses(), // get_func_arg_cnt
    helper(188).gives(&bpf_xdp_get_buff_len_trace_proto), // xdp_get_buff_len
    helper(196).gives(&bpf_skc_to_mptcp_sock_proto), // skc_to_mptcp_sock
]);

/// BPF_PROG_TYPE_CGROUP_DEVICE: `cgroup_dev_func_proto`.
#[rustfmt::skip]
pub(super) static CGROUP_DEVICE: Table = Table::new(Some(&BASE), &[
    helper(25).gives(&bpf_event_output_data_proto), // perf_event_output
    helper(81).gives(&bpf_get_local_storage_proto), // get_local_storage
    helper(186).when(&[
        (when().attach_type(&[0, 1, 3, 19, 20, 29, 30, 31, 32, 51, 52, 53]), None),
    ]).gives(&bpf_get_retval_proto), // get_retval
    helper(187).when(&[
        (when().attach_type(&[0, 1, 3, 19, 20, 29, 30, 31, 32, 51, 52, 53]), None),
    ]).gives(&bpf_set_retval_proto), // set_retval
]);

/// BPF_PROG_TYPE_CGROUP_SYSCTL: `sysctl_func_proto`.
#[rustfmt::skip]
pub(super) static CGROUP_SYSCTL: Table = Table::new(Some(&CGROUP_DEVICE), &[
    helper(101).gives(&bpf_sysctl_get_name_proto), // sysctl_get_name
    helper(102).gives(&bpf_sysctl_get_current_value_proto), // sysctl_get_current_value
    helper(103).gives(&bpf_sysctl_get_new_value_proto), // sysctl_get_new_value
    helper(104).gives(&bpf_sysctl_set_new_value_proto), // sysctl_set_new_value
    helper(160).gives(&bpf_ktime_get_coarse_ns_proto), // ktime_get_coarse_ns
]);

/// BPF_PROG_TYPE_CGROUP_SOCKOPT: `cg_sockopt_func_proto`.
#[rustfmt::skip]
pub(super) static CGROUP_SOCKOPT: Table = Table::new(Some(&CGROUP_DEVICE), &[
    helper(49).when(&[
        (when().attach_type(&[22]), Some(&bpf_sk_setsockopt_proto)),
    ]).refuses(), // setsockopt
    helper(57).when(&[
        (when().attach_type(&[22]), Some(&bpf_sk_getsockopt_proto)),
    ]).refuses(), // getsockopt
    helper(96).gives(&bpf_tcp_sock_proto), // tcp_sock
    helper(107).gives(&bpf_sk_storage_get_proto), // sk_storage_get
    helper(108).gives(&bpf_sk_storage_delete_proto), // sk_storage_delete
    helper(122).gives(&bpf_get_netns_cookie_sockopt_proto), // get_netns_cookie
]);

/// BPF_PROG_TYPE_LIRC_MODE2: `lirc_mode2_func_proto`.
#[rustfmt::skip]
pub(super) static LIRC_MODE2: Table = Table::new(Some(&BASE), &[
    helper(8).refuses(), // get_smp_processor_id
    helper(14).refuses(), // get_current_pid_tgid
    helper(15).refuses(), // get_current_uid_gid
    helper(16).refuses(), // get_current_comm
    helper(17).refuses(), // get_cgroup_classid
    helper(22).refuses(), // perf_event_read
    helper(35).refuses(), // get_current_task
    helper(37).refuses(), // current_task_under_cgroup
    helper(42).refuses(), // get_numa_node_id
    helper(55).refuses(), // perf_event_read_value
    helper(77).gives(&rc_repeat_proto), // rc_repeat
    helper(78).gives(&rc_keydown_proto), // rc_keydown
    helper(80).refuses(), // get_current_cgroup_id
    helper(92).gives(&rc_pointer_rel_proto), // rc_pointer_rel
    helper(93).refuses(), // spin_lock
    helper(94).refuses(), // spin_unlock
    helper(105).refuses(), // strtol
    helper(106).refuses(), // strtoul
    helper(109).refuses(), // send_signal
    helper(112).refuses(), // probe_read_user
    helper(113).refuses(), // probe_read_kernel
    helper(114).refuses(), // probe_read_user_str
    helper(115).refuses(), // probe_read_kernel_str
    helper(117).refuses(), // send_signal_thread
    helper(118).refuses(), // jiffies64
    helper(120).refuses(), // get_ns_current_pid_tgid
    helper(123).refuses(), // get_current_ancestor_cgroup_id
    helper(130).refuses(), // ringbuf_output
    helper(131).refuses(), // ringbuf_reserve
    helper(132).refuses(), // ringbuf_submit
    helper(133).refuses(), // ringbuf_discard
    helper(134).refuses(), // ringbuf_query
    helper(141).refuses(), // get_task_stack
    helper(148).refuses(), // copy_from_user
    helper(149).refuses(), // snprintf_btf
    helper(153).refuses(), // per_cpu_ptr
    helper(154).refuses(), // this_cpu_ptr
    helper(156).refuses(), // task_storage_get
    helper(157).refuses(), // task_storage_delete
    helper(158).refuses(), // get_current_task_btf
    helper(164).refuses(), // for_each_map_elem
    helper(165).refuses(), // snprintf
    helper(169).refuses(), // timer_init
    helper(170).refuses(), // timer_set_callback
    helper(171).refuses(), // timer_start
    helper(172).refuses(), // timer_cancel
    helper(175).refuses(), // task_pt_regs
    helper(176).refuses(), // get_branch_snapshot
    helper(177).refuses(), // trace_vprintk
    helper(180).refuses(), // find_vma
    helper(181).refuses(), // loop
    helper(182).refuses(), // strncmp
    helper(191).refuses(), // copy_from_user_task
    helper(194).refuses(), // kptr_xchg
    helper(195).refuses(), // map_lookup_percpu_elem
    helper(197).refuses(), // dynptr_from_mem
    helper(198).refuses(), // ringbuf_reserve_dynptr
    helper(199).refuses(), // ringbuf_submit_dynptr
    helper(200).refuses(), // ringbuf_discard_dynptr
    helper(201).refuses(), // dynptr_read
    helper(202).refuses(), // dynptr_write
    helper(203).refuses(), // dynptr_data
    helper(208).refuses(), // ktime_get_tai_ns
    helper(209).refuses(), // user_ringbuf_drain
    helper(210).refuses(), // cgrp_storage_get
    helper(211).refuses(), // cgrp_storage_delete
]);

/// BPF_PROG_TYPE_SK_REUSEPORT: `sk_reuseport_func_proto`.
#[rustfmt::skip]
pub(super) static SK_REUSEPORT: Table = Table::new(Some(&BASE), &[
    helper(26).gives(&sk_reuseport_load_bytes_proto), // skb_load_bytes
    helper(46).gives(&bpf_get_socket_ptr_cookie_proto), // get_socket_cookie
    helper(68).gives(&sk_reuseport_load_bytes_relative_proto), // skb_load_bytes_relative
    helper(82).gives(&sk_select_reuseport_proto), // sk_select_reuseport
    helper(160).gives(&bpf_ktime_get_coarse_ns_proto), // ktime_get_coarse_ns
]);

/// BPF_PROG_TYPE_SK_LOOKUP: `sk_lookup_func_proto`.
#[rustfmt::skip]
pub(super) static SK_LOOKUP: Table = Table::new(Some(&FLOW_DISSECTOR), &[
    helper(25).gives(&bpf_event_output_data_proto), // perf_event_output
    helper(26).refuses(), // skb_load_bytes
    helper(86).gives(&bpf_sk_release_proto), // sk_release
    helper(124).gives(&bpf_sk_lookup_assign_proto), // sk_assign
]);

/// BPF_PROG_TYPE_STRUCT_OPS: no helpers.
#[rustfmt::skip]
pub(super) static STRUCT_OPS: Table = Table::new(None, &[]);

/// BPF_PROG_TYPE_EXT: no helpers.
#[rustfmt::skip]
pub(super) static EXT: Table = Table::new(None, &[]);

/// BPF_PROG_TYPE_LSM: `bpf_lsm_func_proto`.
#[rustfmt::skip]
pub(super) static LSM: Table = Table::new(Some(&TRACING), &[
    helper(49).when(&[
        (when().attach_type(&[43]).attached_to(&["inet_conn_established", "inet_csk_clone", "sock_graft"]), Some(&bpf_sk_setsockopt_proto)),
        (when().attach_type(&[43]).attached_to(&["socket_post_create", "socket_socketpair"]), Some(&bpf_unlocked_sk_setsockopt_proto)),
    ]).refuses(), // setsockopt
    helper(57).when(&[
        (when().attach_type(&[43]).attached_to(&["inet_conn_established", "inet_csk_clone", "sock_graft"]), Some(&bpf_sk_getsockopt_proto)),
        (when().attach_type(&[43]).attached_to(&["socket_post_create", "socket_socketpair"]), Some(&bpf_unlocked_sk_getsockopt_proto)),
    ]).refuses(), // getsockopt
    helper(81).when(&[
        (when().attach_type(&[43]), Some(&bpf_get_local_storage_proto)),
    ]).refuses(), // get_local_storage
    helper(107).gives(&bpf_sk_storage_get_proto), // sk_storage_get
    helper(108).gives(&bpf_sk_storage_delete_proto), // sk_storage_delete
    helper(145).gives(&bpf_inode_storage_get_proto), // inode_storage_get
    helper(146).gives(&bpf_inode_storage_delete_proto), // inode_storage_delete
    helper(159).gives(&bpf_bprm_opts_set_proto), // bprm_opts_set
    helper(161).gives(&bpf_ima_inode_hash_proto), // ima_inode_hash
    helper(174).when(&[
        (when().attach_type(&[27]), Some(&bpf_get_attach_cookie_proto)),
    ]).refuses(), // get_attach_cookie
    helper(183).when(&[
        (when().attach_type(&[23, 27]), Some(&bpf_get_func_arg_proto)),
    ]).refuses(), // get_func_arg
    helper(184).when(&[
        (when().attach_type(&[27]), Some(&bpf_get_func_ret_proto)),
    ]).refuses(), // get_func_ret
    helper(185).when(&[
        (when().attach_type(&[23, 27]), Some(&bpf_get_func_arg_cnt_proto)),
    ]).refuses(), // get_func_arg_cnt
    helper(186).when(&[
        (when().attach_type(&[43]), Some(&bpf_get_retval_proto)),
    ]).refuses(), // get_retval
    helper(187).when(&[
        (when().attach_type(&[43]), Some(&bpf_set_retval_proto)),
    ]).refuses(), // set_retval
    helper(193).gives(&bpf_ima_file_hash_proto), // ima_file_hash
]);

/// BPF_PROG_TYPE_SYSCALL: `syscall_prog_func_proto`.
#[rustfmt::skip]
pub(super) static SYSCALL: Table = Table::new(Some(&TRACING), &[
    helper(49).refuses(), // setsockopt
    helper(57).refuses(), // getsockopt
    helper(166).gives(&bpf_sys_bpf_proto), // sys_bpf
    helper(167).gives(&bpf_btf_find_by_name_kind_proto), // btf_find_by_name_kind
    helper(168).gives(&bpf_sys_close_proto), // sys_close
    helper(174).refuses(), // get_attach_cookie
    helper(179).gives(&bpf_kallsyms_lookup_name_proto), // kallsyms_lookup_name
    helper(183).when(&[
        (when().attach_type(&[23]), Some(&bpf_get_func_arg_proto)),
    ]).refuses(), // get_func_arg
    helper(184).refuses(), // get_func_ret
    helper(185).when(&[
        (when().attach_type(&[23]), Some(&bpf_get_func_arg_cnt_proto)),
    ]).refuses(), // get_func_arg_cnt
]);

/// BPF_PROG_TYPE_NETFILTER: `bpf_nf_func_proto`.
#[rustfmt::skip]
pub(super) static NETFILTER: Table = Table::new(Some(&BASE), &[]);

/// struct_ops "tcp_congestion_ops": `bpf_tcp_ca_get_func_proto`.
#[rustfmt::skip]
pub(super) static TCP_CONGESTION_OPS: Table = Table::new(Some(&BASE), &[
    helper(49).when(&[
        (when().attached_to(&["release"]), None),
    ]).gives(&bpf_sk_setsockopt_nodelay_proto), // setsockopt
    helper(57).when(&[
        (when().attached_to(&["release"]), None),
    ]).gives(&bpf_sk_getsockopt_proto), // getsockopt
    helper(107).gives(&bpf_sk_storage_get_proto), // sk_storage_get
    helper(108).gives(&bpf_sk_storage_delete_proto), // sk_storage_delete
    helper(116).gives(&bpf_tcp_send_ack_proto), // tcp_send_ack
    helper(160).gives(&bpf_ktime_get_coarse_ns_proto), // ktime_get_coarse_ns
]);

/// struct_ops "smc_hs_ctrl": `bpf_smc_hs_func_proto`.
#[rustfmt::skip]
pub(super) static SMC_HS_CTRL: Table = Table::new(Some(&BASE), &[]);

/// struct_ops "sched_ext_ops": `bpf_base_func_proto`.
#[rustfmt::skip]
pub(super) static SCHED_EXT_OPS: Table = Table::new(Some(&BASE), &[]);

/// struct_ops "sched_ext_ops_cid": `bpf_base_func_proto`.
#[rustfmt::skip]
pub(super) static SCHED_EXT_OPS_CID: Table = Table::new(Some(&BASE), &[]);

/// struct_ops "bpf_dummy_ops": no helpers.
#[rustfmt::skip]
pub(super) static BPF_DUMMY_OPS: Table = Table::new(None, &[]);

/// struct_ops "Qdisc_ops": `bpf_base_func_proto`.
#[rustfmt::skip]
pub(super) static QDISC_OPS: Table = Table::new(Some(&BASE), &[]);

/// struct_ops "hid_bpf_ops": `bpf_base_func_proto`.
#[rustfmt::skip]
pub(super) static HID_BPF_OPS: Table = Table::new(Some(&BASE), &[]);

/// struct_ops "io_uring_bpf_ops": `bpf_base_func_proto`.
#[rustfmt::skip]
pub(super) static IO_URING_BPF_OPS: Table = Table::new(Some(&BASE), &[]);

/// The tables by program type, and those of struct_ops programs by the name of the struct.
#[rustfmt::skip]
pub(super) static TABLES: Tables = Tables {
    based_on: None,
    names: &NAMES,
    base: &BASE,
    prog_types: &[
        (1, &SOCKET_FILTER),
        (2, &KPROBE),
        (3, &SCHED_CLS),
        (4, &SCHED_ACT),
        (5, &TRACEPOINT),
        (6, &XDP),
        (7, &PERF_EVENT),
        (8, &CGROUP_SKB),
        (9, &CGROUP_SOCK),
        (10, &LWT_IN),
        (11, &LWT_OUT),
        (12, &LWT_XMIT),
        (13, &SOCK_OPS),
        (14, &SK_SKB),
        (15, &CGROUP_DEVICE),
        (16, &SK_MSG),
        (17, &RAW_TRACEPOINT),
        (18, &CGROUP_SOCK_ADDR),
        (19, &LWT_SEG6LOCAL),
        (20, &LIRC_MODE2),
        (21, &SK_REUSEPORT),
        (22, &FLOW_DISSECTOR),
        (23, &CGROUP_SYSCTL),
        (24, &RAW_TRACEPOINT_WRITABLE),
        (25, &CGROUP_SOCKOPT),
        (26, &TRACING),
        (27, &STRUCT_OPS),
        (28, &EXT),
        (29, &LSM),
        (30, &SK_LOOKUP),
        (31, &SYSCALL),
        (32, &NETFILTER),
    ],
    struct_ops: &[
        ("tcp_congestion_ops", &TCP_CONGESTION_OPS),
        ("smc_hs_ctrl", &SMC_HS_CTRL),
        ("sched_ext_ops", &SCHED_EXT_OPS),
        ("sched_ext_ops_cid", &SCHED_EXT_OPS_CID),
        ("bpf_dummy_ops", &BPF_DUMMY_OPS),
        ("Qdisc_ops", &QDISC_OPS),
        ("hid_bpf_ops", &HID_BPF_OPS),
        ("io_uring_bpf_ops", &IO_URING_BPF_OPS),
    ],
};
