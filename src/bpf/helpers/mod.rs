//! Helper functions: their names, and which prototype of each a program gets.
//!
//! The tables come from the kernel's source by `scripts/gen-helpers`, those of 7.2 whole and of the others what differs.
//! They hold for a loader with every capability, a kernel that is not locked down, and a configuration that leaves
//! nothing out (`CONFIG` in `scripts/kernel_source.py`). What a kernel was built without, [`Offered`] tells, and
//! [`Loaded::helpers_missing`] keeps it for each program.
mod offered;
mod prototype;
mod table;
mod v6_18;
mod v7_1;
mod v7_2;
mod v7_3;

pub use offered::Offered;
pub use prototype::{Arg, ArgKind, Prototype};

use crate::Dialect;
use crate::bpf::asker::{Asker, prog_type};
use livediff_capture::Loaded;
use table::Tables;

fn tables(dialect: Dialect) -> &'static Tables {
    match dialect {
        // The sources of 6.19 and 7.0 were not to be had; each has the nearest tables. Known to be wrong: set- and
        // getsockopt of 6.19's CGROUP_SOCK programs on socket creation, setsockopt of 7.0's tcp_congestion_ops.
        Dialect::Dynamic6_18 | Dialect::Dynamic6_19 => &v6_18::TABLES,
        // The commit stands between 7.0 and 7.1.
        Dialect::Dynamic7_0 | Dialect::Fed53dbcdb | Dialect::V7_1 => &v7_1::TABLES,
        Dialect::V7_2 => &v7_2::TABLES,
        Dialect::V7_3 => &v7_3::TABLES,
    }
}

/// The name of helper `id`, `bpf_` included, as the log prints it (`func_id_str`); nothing outside the table.
pub fn name(dialect: Dialect, id: i32) -> Option<&'static str> {
    tables(dialect).names.get(usize::try_from(id).ok()?).copied()
}

/// The prototype of helper `id` for the program, or nothing exactly where `bpf_get_helper_proto` fails: no such
/// helper, not for this program, a prototype without a function, or missing from the kernel
/// ([`Loaded::helpers_missing`]).
///
/// An extension gets what programs of the type of its target get, without regard to what the target attaches to: of a
/// struct_ops program nothing, because it is the struct that offers helpers. Programs of a kind of struct_ops that is
/// not in the kernel image (a module's) get what `bpf_base_func_proto` gives.
pub fn prototype(dialect: Dialect, loaded: &Loaded, id: i32) -> Option<&'static Prototype> {
    if loaded.helpers_missing.contains(&id) { None } else { full_prototype(dialect, loaded, id) }
}

/// The functions behind the prototypes of a dialect: what a kernel's BTF is asked for, each once, ascending.
pub fn implementations(dialect: Dialect) -> Vec<&'static str> {
    let mut names: Vec<_> =
        tables(dialect).prototypes().iter().map(|prototype| prototype.implementation).collect();
    names.retain(|name| !name.is_empty());
    names.sort_unstable();
    names.dedup();
    names
}

/// [`prototype`] in a kernel that was built with every option.
fn full_prototype(dialect: Dialect, loaded: &Loaded, id: i32) -> Option<&'static Prototype> {
    let tables = tables(dialect);
    let id = u32::try_from(id).ok()?;
    let asker = Asker::of(loaded);
    let table = match asker.resolved_type {
        prog_type::STRUCT_OPS if asker.prog_type == prog_type::EXT => return None,
        prog_type::STRUCT_OPS => tables.struct_ops(asker.struct_ops).unwrap_or(tables.base),
        resolved_type => tables.prog_type(resolved_type)?,
    };
    table.find(id, &asker)
}

#[cfg(test)]
mod tests;
