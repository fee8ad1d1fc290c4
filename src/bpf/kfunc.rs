//! Kernel functions that programs call (kfuncs): the facts that the analysis needs of each.
//!
//! Names and prototypes are in the kernel's BTF. Flags are in the image's `.BTF_ids` section. Which program can call
//! which function is in the kernel's code alone; the tables come from its source by `scripts/gen-kfuncs`.
mod tables;
mod v6_18;
mod v7_1;
mod v7_2;
mod v7_3;

use crate::Dialect;
use crate::bpf::asker::{Asker, choose};
use crate::bpf::btf::{Btf, Kind, Param};
use livediff_capture::{Insn, Kfunc, KfuncParam, KfuncPrototype, Loaded};
use std::collections::HashMap;
use tables::{Hook, Tables};
use v7_2::{KF_IMPLICIT_ARGS, KF_ITER_NEW, KF_ITER_NEXT};

/// What the name of the function has that a call with implicit arguments stands for (`KF_IMPL_SUFFIX`).
const IMPL_SUFFIX: &str = "_impl";
/// `KSYM_NAME_LEN`: names of this length and longer are not looked up.
const KSYM_NAME_LEN: usize = 512;
/// Functions that call back into the program while they run (`is_sync_callback_calling_kfunc`).
const CALLS_CALLBACK: &[&str] = &["bpf_rbtree_add", "bpf_rbtree_add_impl"];
/// Functions that keep a callback and run it later (`is_async_callback_calling_kfunc`).
const CALLS_ASYNC_CALLBACK: &[&str] =
    &["bpf_wq_set_callback", "bpf_task_work_schedule_signal", "bpf_task_work_schedule_resume"];
/// The share of members, of those that either has, that a set of the image and one of the tables have in common if
/// they are the same set: at least one half.
const SAME_SET: f64 = 0.5;

/// The name under which the log shows the function that a call names (`disasm_kfunc_name`); nothing if it is not
/// among the facts.
pub fn name<'l>(loaded: &'l Loaded, dialect: Dialect, call: &Insn) -> Option<&'l str> {
    let is_called = |kfunc: &&Kfunc| kfunc.btf_id == call.imm && kfunc.offset == call.off;
    match call.imm {
        0 => Some(dialect.choices().kfunc_zero_name),
        _ => loaded.kfuncs.iter().find(is_called).map(|kfunc| kfunc.name.as_str()),
    }
}

fn tables(dialect: Dialect) -> &'static Tables {
    match dialect {
        // As with the helpers. Known to be wrong: what 6.19 added (bpf_dynptr_from_file, string functions without case,
        // scx_bpf_*___v2), and the filters of sched_ext's functions, which 7.0 does not have.
        Dialect::Dynamic6_18 | Dialect::Dynamic6_19 => &v6_18::TABLES,
        Dialect::Dynamic7_0 | Dialect::Fed53dbcdb | Dialect::V7_1 => &v7_1::TABLES,
        Dialect::V7_2 => &v7_2::TABLES,
        Dialect::V7_3 => &v7_3::TABLES,
    }
}

/// The kernel functions of one kernel, indexed. Make it once and ask it for every program.
pub struct Kfuncs<'a> {
    btf: &'a Btf<'a>,
    tables: &'static Tables,
    /// Ids of the functions in BTF by name.
    functions: HashMap<&'a str, u32>,
    /// Flags by hook and id.
    flags: HashMap<(Hook, u32), u32>,
    /// Ids of [`CALLS_CALLBACK`].
    calls_callback: Vec<u32>,
    /// Ids of [`CALLS_ASYNC_CALLBACK`].
    calls_async_callback: Vec<u32>,
    /// The id of `struct bpf_dynptr`.
    dynptr: Option<u32>,
}

impl<'a> Kfuncs<'a> {
    /// Indexes the functions of a kernel from its BTF and the `.BTF_ids` section of its image.
    ///
    /// Without the section (`None`, or one without any set) flags, and which functions belong to a set, are those of
    /// the source that the tables come from; with it the image's own are used, and a set that the image does not have
    /// is not registered.
    pub fn new(btf: &'a Btf<'a>, dialect: Dialect, btf_ids: Option<&[u8]>) -> Kfuncs<'a> {
        let mut functions = HashMap::new();
        let mut dynptr = None;
        for ty in btf.types() {
            match ty.kind {
                // The first of a name, as btf_find_by_name_kind takes it.
                Kind::Func => {
                    functions.entry(ty.name).or_insert(ty.id);
                }
                Kind::Struct if dynptr.is_none() && ty.name == "bpf_dynptr" => dynptr = Some(ty.id),
                _ => {}
            }
        }
        let tables = tables(dialect);
        let image = btf_ids.map(|section| tables::image_sets(section, btf)).filter(|sets| !sets.is_empty());
        let mut flags = HashMap::new();
        for set in tables.sets() {
            let known: Vec<(u32, u32)> =
                set.kfuncs.iter().filter_map(|(name, flags)| Some((*functions.get(name)?, *flags))).collect();
            let members = match &image {
                Some(sets) => same_set(&known, sets),
                None => known.as_slice(),
            };
            for hook in set.hooks {
                flags.extend(members.iter().map(|(id, value)| ((*hook, *id), *value)));
            }
        }
        let ids = |names: &[&str]| names.iter().filter_map(|name| functions.get(name).copied()).collect();
        let (calls_callback, calls_async_callback) = (ids(CALLS_CALLBACK), ids(CALLS_ASYNC_CALLBACK));
        Kfuncs { btf, tables, functions, flags, calls_callback, calls_async_callback, dynptr }
    }

    /// The facts of every function that a call in `loaded.insns` names, each once, in the order of the calls.
    ///
    /// Functions of modules (`off` is not 0) have neither name nor prototype: their BTF is not here.
    pub fn resolve(&self, loaded: &Loaded) -> Vec<Kfunc> {
        let asker = Asker::of(loaded);
        let mut found: Vec<Kfunc> = Vec::new();
        for insn in loaded.insns.iter().filter(|insn| insn.is_kfunc_call()) {
            if found.iter().any(|kfunc| kfunc.btf_id == insn.imm && kfunc.offset == insn.off) {
                continue;
            }
            let id = u32::try_from(insn.imm).unwrap_or(0);
            let of_kernel = insn.off == 0;
            found.push(Kfunc {
                btf_id: insn.imm,
                offset: insn.off,
                name: if of_kernel { self.name(id) } else { "" }.to_owned(),
                prototype: if of_kernel { self.prototype(id, &asker) } else { None },
                // The kernel compares ids alone, be they a module's.
                calls_callback: self.calls_callback.contains(&id),
                calls_async_callback: self.calls_async_callback.contains(&id),
            });
        }
        found
    }

    fn name(&self, id: u32) -> &'a str {
        self.btf.type_by_id(id).map_or("", |ty| ty.name)
    }

    /// `bpf_fetch_kfunc_arg_meta`.
    fn prototype(&self, id: u32, asker: &Asker<'_>) -> Option<KfuncPrototype> {
        let hooks = [Some(Hook::Common), self.tables.hook(asker.resolved_type)];
        let registered =
            || hooks.iter().flatten().filter_map(|hook| Some((*hook, *self.flags.get(&(*hook, id))?)));
        // The flags are those of the first hook that has the function, even if only the second lets it be called.
        let (_, flags) = registered().next()?;
        let name = self.name(id);
        if !registered().any(|(hook, _)| self.allowed(hook, name, asker)) {
            return None;
        }
        let func = if flags & KF_IMPLICIT_ARGS != 0 { self.implementation(name)? } else { id };
        let proto = self.btf.func_proto(func)?;
        Some(KfuncPrototype {
            params: self.btf.params(&proto).map(|param| self.param(&param)).collect(),
            iter_new: flags & KF_ITER_NEW != 0,
            iter_next: flags & KF_ITER_NEXT != 0,
        })
    }

    /// `find_kfunc_impl_proto`: the function that takes the implicit arguments as well.
    fn implementation(&self, name: &str) -> Option<u32> {
        let name = format!("{name}{IMPL_SUFFIX}");
        if name.len() >= KSYM_NAME_LEN {
            return None;
        }
        self.functions.get(name.as_str()).copied()
    }

    /// `__btf_kfunc_is_allowed`: no filter of the hook objects.
    fn allowed(&self, hook: Hook, name: &str, asker: &Asker<'_>) -> bool {
        // Every entry ends with a case for all programs.
        self.tables.filtered(hook, name).is_none_or(|entry| choose(entry.allowed, asker).unwrap_or(false))
    }

    /// What `bpf_kfunc_stack_access_bytes` asks of a parameter.
    fn param(&self, param: &Param<'_>) -> KfuncParam {
        let pointer = self.btf.skip_modifiers(param.type_id).filter(|ty| ty.kind == Kind::Ptr);
        let pointee = pointer.and_then(|pointer| self.btf.skip_modifiers(pointer.size_or_type));
        KfuncParam {
            pointer: pointer.is_some(),
            dynptr: self.dynptr.is_some() && pointee.map(|ty| ty.id) == self.dynptr,
            size_of_previous: has_suffix(param.name, "__sz") || has_suffix(param.name, "__szk"),
            uninit: has_suffix(param.name, "__uninit"),
            pointee_size: pointee.and_then(|ty| self.btf.resolve_size(ty.id)),
        }
    }
}

/// The facts of every function that `loaded` calls, without the image's own flags. For more than one program make a
/// [`Kfuncs`] and keep it.
pub fn resolve(btf: &Btf<'_>, dialect: Dialect, loaded: &Loaded) -> Vec<Kfunc> {
    Kfuncs::new(btf, dialect, None).resolve(loaded)
}

/// `btf_param_match_suffix`: the name is longer than the suffix and ends in it.
fn has_suffix(name: &str, suffix: &str) -> bool {
    name.len() > suffix.len() && name.ends_with(suffix)
}

/// The set of the image that is the one whose members are `known`; nothing if the image has none that is like it.
fn same_set<'s>(known: &[(u32, u32)], image: &'s [Vec<(u32, u32)>]) -> &'s [(u32, u32)] {
    let likeness = |set: &[(u32, u32)]| {
        let common = known.iter().filter(|(id, _)| set.iter().any(|(other, _)| other == id)).count();
        // Some thousands at most: exact as floating point.
        common as f64 / (known.len() + set.len() - common).max(1) as f64
    };
    let best = image.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    best.filter(|set| likeness(set) >= SAME_SET).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests;
