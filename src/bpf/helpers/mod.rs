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
use crate::bpf::asker::{Asker, prog_type};
use livediff_capture::Loaded;
use table::Table;

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
        Dialect::Dynamic6_18
        | Dialect::Dynamic6_19
        | Dialect::Dynamic7_0
        | Dialect::Fed53dbcdb
        | Dialect::V7_1
        | Dialect::V7_2
        | Dialect::V7_3 => Tables {
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
/// An extension gets what the program that it extends gets. Programs of a kind of struct_ops that is not in the
/// kernel image (a module's) get what `bpf_base_func_proto` gives.
pub fn prototype(dialect: Dialect, loaded: &Loaded, id: i32) -> Option<&'static Prototype> {
    let tables = tables(dialect);
    let id = u32::try_from(id).ok()?;
    let asker = Asker::of(loaded);
    let table = if asker.resolved_type == prog_type::STRUCT_OPS {
        let kind = tables.struct_ops.iter().find(|(name, _)| *name == asker.struct_ops);
        kind.map_or(tables.base, |(_, table)| table)
    } else {
        tables.prog_types.iter().find(|(number, _)| *number == asker.resolved_type)?.1
    };
    table.find(id, &asker)
}

#[cfg(test)]
mod tests;
