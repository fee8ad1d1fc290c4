//! Which programs can call which kernel functions: the shape of the generated tables, and the sets that an image holds.
use crate::bpf::asker::Cases;
use crate::bpf::btf::{Btf, Kind};

/// `enum btf_kfunc_hook`: the places that sets of functions are registered at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Hook {
    Common,
    Xdp,
    Tc,
    StructOps,
    Tracing,
    Syscall,
    Cgroup,
    SchedAct,
    SkSkb,
    SocketFilter,
    Lwt,
    Netfilter,
    Kprobe,
}

/// The tables of one dialect.
#[derive(Debug)]
pub(super) struct Tables {
    /// The tables of another dialect, which hold where these are silent.
    pub(super) based_on: Option<&'static Tables>,
    /// Hooks by `enum bpf_prog_type` (`bpf_prog_type_to_kfunc_hook`), if they are not those of `based_on`.
    pub(super) hooks: Option<&'static [(u32, Hook)]>,
    /// The sets that are registered.
    pub(super) sets: &'static [Set],
    /// Names of the sets of `based_on` that are not registered.
    pub(super) gone: &'static [&'static str],
    /// What filters say; of a function that they have no part in, that everybody can call it.
    pub(super) filtered: &'static [Filtered],
}

impl Tables {
    /// The hook of a program type.
    pub(super) fn hook(&self, prog_type: u32) -> Option<Hook> {
        let Some(hooks) = self.hooks else { return self.based_on?.hook(prog_type) };
        hooks.iter().find(|(number, _)| *number == prog_type).map(|(_, hook)| *hook)
    }

    /// Every set.
    pub(super) fn sets(&self) -> Vec<&'static Set> {
        let mut sets = self.based_on.map_or_else(Vec::new, Tables::sets);
        sets.retain(|set| {
            !self.gone.contains(&set.name) && !self.sets.iter().any(|own| own.name == set.name)
        });
        sets.extend(self.sets);
        sets
    }

    /// What the filters of a hook say of a function, if anything.
    pub(super) fn filtered(&self, hook: Hook, kfunc: &str) -> Option<&'static Filtered> {
        let own = self.filtered.iter().find(|entry| entry.hook == hook && entry.kfuncs.contains(&kfunc));
        own.or_else(|| self.based_on?.filtered(hook, kfunc))
    }
}

/// A set of functions.
#[derive(Debug)]
pub(super) struct Set {
    /// The kernel's name of it.
    pub(super) name: &'static str,
    pub(super) hooks: &'static [Hook],
    /// Names, and of their flags (`KF_*`) those that the analysis asks about.
    pub(super) kfuncs: &'static [(&'static str, u32)],
}

/// What the filters of a hook say of some of its functions.
#[derive(Debug)]
pub(super) struct Filtered {
    pub(super) hook: Hook,
    pub(super) kfuncs: &'static [&'static str],
    pub(super) allowed: Cases<bool>,
}

/// The sets of functions in a kernel image's `.BTF_ids` section: ids and flags, ascending by id.
///
/// The section holds lists and sets of ids without a mark between them. A set of functions is a
/// `struct btf_id_set8`: the number of its members, the word 1 (`BTF_SET8_KFUNCS`), and a pair of words for each
/// member, sorted by id. What reads like that and names functions only is taken for one.
pub(super) fn image_sets(section: &[u8], btf: &Btf<'_>) -> Vec<Vec<(u32, u32)>> {
    let words: Vec<u32> = section
        .chunks_exact(4)
        .map(|bytes| bytes.iter().rfold(0, |word, byte| word << 8 | u32::from(*byte)))
        .collect();
    let mut sets = Vec::new();
    let mut rest = words.as_slice();
    while let Some((count, tail)) = rest.split_first() {
        rest = tail;
        let Some((1, pairs)) = tail.split_first() else { continue };
        let Some(pairs) = (*count as usize).checked_mul(2).and_then(|words| pairs.get(..words)) else {
            continue;
        };
        let pairs: Vec<(u32, u32)> = pairs.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        let is_set = !pairs.is_empty()
            && pairs.is_sorted_by(|a, b| a.0 < b.0)
            && pairs.iter().all(|(id, _)| btf.type_by_id(*id).is_some_and(|ty| ty.kind == Kind::Func));
        if is_set {
            rest = rest.get(1 + 2 * pairs.len()..).unwrap_or_default();
            sets.push(pairs);
        }
    }
    sets
}
