//! Helper functions: their names, and which prototype of each a program gets.
//!
//! The tables come from the kernel's source by `scripts/gen-helpers`. They hold for a loader with every capability,
//! a kernel that is not locked down, and the options of Debian's x86-64 cloud kernel (`CONFIG` in
//! `scripts/kernel_source.py`); a kernel built without, say, `CONFIG_INET` gives its programs less.
mod prototype;
mod table;
mod v7_2;

pub use prototype::{Arg, ArgKind, Prototype};

use crate::Dialect;
use livediff_capture::Loaded;
use table::{Asker, Table};

/// `enum bpf_prog_type`: the types that are treated in a way of their own.
mod prog_type {
    pub(super) const CGROUP_SOCK: u32 = 9;
    pub(super) const SK_REUSEPORT: u32 = 21;
    pub(super) const STRUCT_OPS: u32 = 27;
    pub(super) const EXT: u32 = 28;
}

/// `BPF_F_SLEEPABLE` of `prog_flags`.
const SLEEPABLE: u32 = 1 << 4;
/// `BPF_CGROUP_INET_SOCK_CREATE`.
const CGROUP_INET_SOCK_CREATE: u32 = 2;
/// `BPF_SK_REUSEPORT_SELECT`.
const SK_REUSEPORT_SELECT: u32 = 39;

/// The tables of one dialect.
struct Tables {
    names: &'static [&'static str],
    prog_types: &'static [(u32, &'static Table)],
    struct_ops: &'static [(&'static str, &'static Table)],
    /// `bpf_base_func_proto`.
    base: &'static Table,
}

fn tables(dialect: Dialect) -> Tables {
    match dialect {
        // The differences of the others are still to come.
        Dialect::Fed53dbcdb | Dialect::V7_1 | Dialect::V7_2 | Dialect::V7_3 => Tables {
            names: &v7_2::NAMES,
            prog_types: v7_2::PROG_TYPES,
            struct_ops: v7_2::STRUCT_OPS_KINDS,
            base: &v7_2::BASE,
        },
    }
}

/// The name of helper `id`, `bpf_` included, as the log prints it (`func_id_str`); nothing outside the table.
pub fn name(dialect: Dialect, id: i32) -> Option<&'static str> {
    tables(dialect).names.get(usize::try_from(id).ok()?).copied()
}

/// The prototype of helper `id` for the program, or nothing exactly where `bpf_get_helper_proto` fails: no such
/// helper, not for this program, or a prototype without a function.
///
/// An extension gets what the program that it extends gets; of that program's `expected_attach_type`, which a
/// capture does not hold, 0 is assumed. Programs of a kind of struct_ops that is not in the kernel image (a
/// module's) get what `bpf_base_func_proto` gives.
pub fn prototype(dialect: Dialect, loaded: &Loaded, id: i32) -> Option<&'static Prototype> {
    let tables = tables(dialect);
    let id = u32::try_from(id).ok()?;
    let attached_to = loaded.attach.as_ref().map_or("", |attach| attach.name.as_str());

    // Extensions inherit both from their target (`check_attach_btf_id`).
    let (prog_type, attach_type) = if loaded.prog_type == prog_type::EXT {
        (loaded.attach.as_ref().and_then(|attach| attach.target_prog_type)?, 0)
    } else {
        (loaded.prog_type, loaded.expected_attach_type)
    };
    // `bpf_prog_load_fixup_attach_type`, which the target of an extension went through as well.
    let attach_type = match (prog_type, attach_type) {
        (prog_type::CGROUP_SOCK, 0) => CGROUP_INET_SOCK_CREATE,
        (prog_type::SK_REUSEPORT, 0) => SK_REUSEPORT_SELECT,
        (_, given) => given,
    };

    let (table, attached_to) = if prog_type == prog_type::STRUCT_OPS {
        let (kind, member) = attached_to.split_once('/').unwrap_or((attached_to, ""));
        let table = tables.struct_ops.iter().find(|(name, _)| *name == kind);
        (table.map_or(tables.base, |(_, table)| table), member)
    } else {
        let (_, table) = tables.prog_types.iter().find(|(number, _)| *number == prog_type)?;
        // The functions that LSM and iterator programs attach to, as BTF names them.
        let stripped = ["bpf_lsm_", "bpf_iter_"].iter().find_map(|prefix| attached_to.strip_prefix(prefix));
        (*table, stripped.unwrap_or(attached_to))
    };
    table.find(id, &Asker { attach_type, sleepable: loaded.prog_flags & SLEEPABLE != 0, attached_to })
}

#[cfg(test)]
mod tests;
