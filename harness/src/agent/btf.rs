//! The running kernel's BTF: what a program attaches to, by name.

use super::libbpf::Btf;
use libbpf_sys as sys;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

struct Vmlinux {
    btf: Btf<'static>,
    found: HashMap<(String, u32), Option<u32>>,
}

/// Read on first use: many objects attach to nothing.
static VMLINUX: Mutex<Option<Vmlinux>> = Mutex::new(None);

/// The id of the type of that name and kind in the running kernel. The error says why there is none.
pub(super) fn find(name: &str, kind: u32) -> Result<u32, String> {
    let mut guard = VMLINUX.lock().unwrap_or_else(PoisonError::into_inner);
    let vmlinux = match &mut *guard {
        Some(vmlinux) => vmlinux,
        none => none.insert(Vmlinux { btf: Btf::vmlinux()?, found: HashMap::new() }),
    };
    let Vmlinux { btf, found } = vmlinux;
    let id = *found.entry((name.to_string(), kind)).or_insert_with(|| btf.find(name, kind));
    id.ok_or_else(|| format!("the kernel has no `{name}` to attach to"))
}

/// The id of what a tracing or LSM program attaches to (`find_kernel_btf_id`).
///
/// `target` is what follows the slash in the section's name.
pub(super) fn find_attach_target(target: &str, attach_type: u32) -> Result<u32, String> {
    let target = target.strip_prefix("vmlinux:").unwrap_or(target);
    let (prefix, kind) = match attach_type {
        sys::BPF_TRACE_RAW_TP => ("btf_trace_", sys::BTF_KIND_TYPEDEF),
        sys::BPF_LSM_MAC | sys::BPF_LSM_CGROUP => ("bpf_lsm_", sys::BTF_KIND_FUNC),
        sys::BPF_TRACE_ITER => ("bpf_iter_", sys::BTF_KIND_FUNC),
        _ => ("", sys::BTF_KIND_FUNC),
    };
    find(&format!("{prefix}{target}"), kind)
}
