//! Which helpers a kernel was built with, told from its BTF.
//!
//! A helper depends on the kernel's configuration in one of two ways: its prototype and the case that gives it are
//! under an `#ifdef`, or they are in a file that is compiled only with an option. In both the function behind the
//! prototype goes with them, so the function is the evidence, for every option alike: `bpf_tcp_raw_gen_syncookie_ipv4`
//! for `CONFIG_SYN_COOKIES`, `bpf_override_return` for `CONFIG_BPF_KPROBE_OVERRIDE`, `bpf_lwt_seg6_action` for
//! `CONFIG_IPV6_SEG6_BPF`, `bpf_skb_get_xfrm_state` for `CONFIG_XFRM`. `scripts/gen-helpers TREE --options` turns the
//! options one after the other and shows that no prototype goes without its function, nor gives way to another.
//!
//! `BPF_CALL_x` defines the function and, with it, a type `btf_NAME`. Either will do: BTF leaves out functions whose
//! signature the compiler changed. Program types and kinds of struct_ops that a kernel lacks need no evidence: no program
//! of them comes as far as the analysis.
use super::full_prototype;
use crate::Dialect;
use crate::bpf::btf::{Btf, Kind};
use livediff_capture::Loaded;
use std::collections::HashSet;

/// What the name of a helper's type in BTF begins with.
const TYPE_PREFIX: &str = "btf_";
/// The function of a helper that every kernel with BPF has.
const ALWAYS_THERE: &str = "bpf_map_lookup_elem";

/// The helpers of one kernel. Make it once and ask it for every program.
#[derive(Debug)]
pub struct Offered<'a> {
    dialect: Dialect,
    /// Names of functions; `None` if BTF says nothing of helpers.
    implementations: Option<HashSet<&'a str>>,
}

impl<'a> Offered<'a> {
    /// Looks up the functions behind the helpers in a kernel's BTF.
    ///
    /// BTF in which there is not even `bpf_map_lookup_elem` is no evidence: then no helper is missing.
    pub fn new(btf: &Btf<'a>, dialect: Dialect) -> Offered<'a> {
        let named = btf.types().filter_map(|ty| match ty.kind {
            Kind::Func => Some(ty.name),
            Kind::Typedef => ty.name.strip_prefix(TYPE_PREFIX),
            _ => None,
        });
        Offered::of(dialect, named.collect())
    }

    pub(super) fn of(dialect: Dialect, named: HashSet<&'a str>) -> Offered<'a> {
        Offered { dialect, implementations: named.contains(ALWAYS_THERE).then_some(named) }
    }

    /// The ids of the helpers that `loaded` calls and that this kernel lacks although kernels of the dialect can give
    /// them to such a program: each once, ascending. This is what [`Loaded::helpers_missing`] holds.
    pub fn missing(&self, loaded: &Loaded) -> Vec<i32> {
        let Some(implementations) = &self.implementations else { return Vec::new() };
        let calls = loaded.insns.iter().filter(|insn| insn.is_helper_call());
        let mut missing: Vec<i32> = calls
            .map(|call| call.imm)
            .filter(|id| {
                full_prototype(self.dialect, loaded, *id).is_some_and(|prototype| {
                    let name = prototype.implementation;
                    !name.is_empty() && !implementations.contains(name)
                })
            })
            .collect();
        missing.sort_unstable();
        missing.dedup();
        missing
    }
}
